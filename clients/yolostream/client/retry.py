"""Retries a request while the server's queue is full."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from tritonclient.utils import InferenceServerException

from yolostream.client.triton_errors import is_about_a_full_queue

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0

Answer = TypeVar("Answer")


def retry_while_full(ask: Callable[[], Answer], *, timeout_s: float) -> Answer:
    """Repeat a request while the server's queue is full, for at most `timeout_s` seconds.

    The pauses grow and are random, so that clients which failed together do not retry together.

    Args:
        ask: sends the request; raises `InferenceServerException`.
        timeout_s: seconds after which the error of a full queue is raised.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            return ask()
        except InferenceServerException as error:
            if not is_about_a_full_queue(error) or time.monotonic() + pause_s > deadline:
                raise
        time.sleep(random.uniform(0, pause_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
