"""From Triton's status codes to this package's errors, in one place."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from tritonclient.utils import InferenceServerException

from yolostream.errors import (
    AccessDenied,
    DeadlineExceeded,
    FrameError,
    ModelUnavailable,
    Overloaded,
    ServerError,
    ServerUnavailable,
    YolostreamError,
)

_NO_TOKEN = "protocol is restricted"
_NO_MODEL = re.compile(r"unknown model|is not ready|is not found|no available versions")
_NO_REGION = "shared memory region"
_FULL_QUEUE = "maximum queue size"
_STEP_LOST = re.compile(r"Stub process .*is not healthy")
"""What Triton says once a process of a step was paused or is gone: the server is sick."""


@contextlib.contextmanager
def translated(url: str, model: str) -> Iterator[None]:
    """Turn an error that Triton reports inside the block into one of ours, with its cause."""
    try:
        yield
    except InferenceServerException as error:
        raise _translate(error, url, model) from error


def is_about_shared_memory(error: BaseException) -> bool:
    """Whether the error means that the server does not know the frame's shared memory."""
    return isinstance(error, InferenceServerException) and _NO_REGION in (error.message() or "")


def is_about_the_connection(error: InferenceServerException) -> bool:
    """Whether the error means that the server was not asked, or did not answer."""
    return _status_of(error) in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


def is_about_a_dead_step(error: Exception) -> bool:
    """Whether a process of the server died, or was away for longer than a second."""
    return _STEP_LOST.search(str(error)) is not None


def is_about_a_full_queue(error: InferenceServerException) -> bool:
    """Whether the error means that the server has too much to do just now."""
    return _FULL_QUEUE in (error.message() or "").lower()


def _translate(error: InferenceServerException, url: str, model: str) -> YolostreamError:
    status = _status_of(error)
    message = (error.message() or "no reason given").strip()
    if (told := _by_words(message, url, model)) is not None:
        return told
    match status:
        case "UNAVAILABLE":
            return _unavailable(message, url, model)
        case "NOT_FOUND" | "INVALID_ARGUMENT" if _NO_MODEL.search(message):
            return _unavailable(message, url, model)
        case "CANCELLED":
            return ServerUnavailable(f"the connection to {url} is closed: make a new detector")
        case "DEADLINE_EXCEEDED":
            return DeadlineExceeded(f"{url} gave no answer in time ({message})")
        case "INVALID_ARGUMENT":
            return FrameError(f"{url} does not accept the frame: {message}")
    return ServerError(f"{url} failed on '{model}': {status} {message}")


def _status_of(error: InferenceServerException) -> str:
    """As gRPC calls it."""
    return str(error.status() or "").removeprefix("StatusCode.")


def _by_words(message: str, url: str, model: str) -> ServerError | None:
    """The error for what Triton reports under one status with other things."""
    if _NO_TOKEN in message:
        return AccessDenied(
            f"{url} refuses ({message}): give it its token, as 'token', or with --token-file"
        )
    if _NO_REGION in message:
        return ServerUnavailable(
            f"{url} was restarted, and lost a frame ({message}): send it again"
        )
    if _STEP_LOST.search(message):
        return ServerUnavailable(
            f"{url} has lost a step of '{model}' ({message}): start it again, as "
            "'yolostream serve' does by itself"
        )
    return None


def _unavailable(message: str, url: str, model: str) -> ServerError:
    """The error for UNAVAILABLE, which Triton uses for three different things."""
    if _FULL_QUEUE in message.lower():
        return Overloaded(f"{url} rejected the frame, its queue is full ({message}): send less")
    if _NO_MODEL.search(message):
        return ModelUnavailable(
            f"{url} does not serve the model '{model}' ({message}): see its log"
        )
    return ServerUnavailable(
        f"no Triton answers at {url} ({message}): is it running ('yolostream serve'), and "
        "is this its gRPC port?"
    )
