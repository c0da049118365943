"""Translates Triton's errors into this package's errors."""

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
"""Triton's message after a step's process has died, or was paused for more than a second."""


@contextlib.contextmanager
def translated(url: str, model: str) -> Iterator[None]:
    """Translate an `InferenceServerException` from the block; it becomes the error's cause."""
    try:
        yield
    except InferenceServerException as error:
        raise _translate(error, url, model) from error


def is_about_shared_memory(error: BaseException) -> bool:
    """Whether the server reports that the frame's shared memory is not registered."""
    return isinstance(error, InferenceServerException) and _NO_REGION in (error.message() or "")


def is_about_the_connection(error: InferenceServerException) -> bool:
    """Whether the request did not reach the server, or the server did not answer."""
    return _status_of(error) in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")


def is_about_a_dead_step(error: Exception) -> bool:
    """Whether the process of a step has died, or was paused for more than a second."""
    return _STEP_LOST.search(str(error)) is not None


def is_about_a_full_queue(error: InferenceServerException) -> bool:
    """Whether the server rejected the request because its queue is full."""
    return _FULL_QUEUE in (error.message() or "").lower()


def _translate(error: InferenceServerException, url: str, model: str) -> YolostreamError:
    status = _status_of(error)
    message = (error.message() or "no reason given").strip()
    if (known := _by_message(message, url, model)) is not None:
        return known
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
    """The name of the gRPC status code, without its class."""
    return str(error.status() or "").removeprefix("StatusCode.")


def _by_message(message: str, url: str, model: str) -> ServerError | None:
    """The error for a message whose status code is ambiguous; None for any other message."""
    if _NO_TOKEN in message:
        return AccessDenied(
            f"{url} denies access ({message}): give the server's token, as 'token' or with "
            "--token-file"
        )
    if _NO_REGION in message:
        return ServerUnavailable(
            f"{url} was restarted, and lost a frame ({message}): send it again"
        )
    if _STEP_LOST.search(message):
        return ServerUnavailable(
            f"the process of a step of '{model}' at {url} has died ({message}): restart the "
            "server; 'yolostream serve' does so by itself"
        )
    return None


def _unavailable(message: str, url: str, model: str) -> ServerError:
    """The error for UNAVAILABLE, which Triton uses for three different errors."""
    if _FULL_QUEUE in message.lower():
        return Overloaded(
            f"{url} rejected the frame, because its queue is full ({message}): send fewer frames"
        )
    if _NO_MODEL.search(message):
        return ModelUnavailable(
            f"{url} does not serve the model '{model}' ({message}): see its log"
        )
    return ServerUnavailable(
        f"no Triton answers at {url} ({message}): start it ('yolostream serve'), or give the "
        "address of its gRPC port"
    )
