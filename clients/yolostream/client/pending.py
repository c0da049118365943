"""A frame on its way to the server and back."""

from __future__ import annotations

import time
from concurrent.futures import Future

from yolostream.detections import Detections


class Pending:
    """A frame on its way to the server and back."""

    def __init__(self, *, shrink_s: float) -> None:
        self.shrink_s = shrink_s
        """Seconds that resizing the frame and handing it over took."""
        self.request_s = float("nan")
        """Seconds between sending and the answer; NaN until it is there."""
        self._sent = time.perf_counter()
        self._future: Future[Detections] = Future()

    def result(self) -> Detections:
        """Wait for the answer.

        Raises:
            YolostreamError: see `Detector.detect`.
        """
        return self._future.result()

    def done(self) -> bool:
        """Whether `result` returns at once."""
        return self._future.done()

    def answer(self, outcome: Detections | Exception) -> None:
        """Called by the detector, once."""
        self.request_s = time.perf_counter() - self._sent
        if isinstance(outcome, Exception):
            self._future.set_exception(outcome)
        else:
            self._future.set_result(outcome)
