"""Checks that an ensemble works before a camera uses it."""

from __future__ import annotations

from http import HTTPStatus

from yolostream.errors import ModelUnavailable, YolostreamError
from yolostream.service.camera_plan import Change
from yolostream.service.web.concurrency_limit import ConcurrencyLimit
from yolostream.service.web.context import Context
from yolostream.service.web.problems import Problem, of_server

MAX_CONCURRENT = 4
"""Checks that run at the same time. Each one occupies a thread for up to half a minute."""
_limit = ConcurrencyLimit(MAX_CONCURRENT, "another model")


def is_new(context: Context, model: str, change: Change) -> bool:
    """Whether a change makes a camera use an ensemble that has to be checked first."""
    in_use = {one.model for one in context.control.settings().values()}
    return "model" in change.keys or (change.kind == "added" and model not in in_use)


def check_model(context: Context, model: str, *, is_added: bool) -> None:
    """Check that an ensemble works before a camera uses it.

    Args:
        context: context of the request.
        model: name of the ensemble.
        is_added: whether the camera is new. A new camera is accepted while Triton is unavailable,
            and waits for it. A running camera is not switched then.

    Raises:
        Problem: the ensemble does not work, or too many checks are running.
    """
    try:
        with _limit.slot():
            context.ensembles.check(model)
    except ModelUnavailable as error:
        raise Problem.of(error, HTTPStatus.CONFLICT, kind="model-unavailable") from None
    except YolostreamError as error:
        if not is_added:
            raise of_server(error) from None
