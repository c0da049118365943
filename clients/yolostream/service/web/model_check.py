"""Whether an ensemble works, which is known before a camera depends on it."""

from __future__ import annotations

from http import HTTPStatus

from yolostream.errors import ModelUnavailable, YolostreamError
from yolostream.service.camera_plan import Change
from yolostream.service.web.context import Context
from yolostream.service.web.places import Places
from yolostream.service.web.problems import Problem, of_server

MOST_CHECKS = 4
"""Ensembles that are looked at, at once: each may take half a minute, and a thread."""
_places = Places(MOST_CHECKS, "another model")


def is_new(context: Context, model: str, change: Change) -> bool:
    """Whether a change has a camera depend on an ensemble that nobody has looked at."""
    in_use = {one.model for one in context.control.settings().values()}
    return "model" in change.keys or (change.kind == "added" and model not in in_use)


def check_model(context: Context, model: str, *, is_added: bool) -> None:
    """Make sure that an ensemble works before a camera depends on it.

    Args:
        context: of the request.
        model: name of the ensemble.
        is_added: whether the camera is new. Then it waits for a server that is away; one that runs
            is not moved there.

    Raises:
        Problem: it does not work, or too many are being looked at.
    """
    try:
        with _places.taken():
            context.ensembles.check(model)
    except ModelUnavailable as error:
        raise Problem.of(error, HTTPStatus.CONFLICT, kind="model-unavailable") from None
    except YolostreamError as error:
        if not is_added:
            raise of_server(error) from None
