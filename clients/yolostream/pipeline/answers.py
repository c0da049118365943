"""Waits for the answers to the frames of one source."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from yolostream.client.detector import Detector
from yolostream.client.pending import Pending
from yolostream.detections import Detections
from yolostream.errors import ModelUnavailable, ServerUnavailable, YolostreamError
from yolostream.frame import Frame
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.status import Status

_RETRY_S = 0.5

_log = logging.getLogger(__name__)


class Answers:
    """Waits for the answers to the frames of one source, and counts lost frames.

    An error of one frame loses only that frame. While the server is unavailable, the frames of a
    live source are dropped; those of a file are sent again until there is an answer.

    Args:
        detector: sends the frames of a file again.
        status: the source's status.
        plan: the source's plan, which says how long a file waits for the server.
        give_up: called with the error when a file has waited that long.
        stop: ends the waiting when it is set.
    """

    def __init__(
        self,
        detector: Detector,
        status: Status,
        plan: Plan,
        *,
        give_up: Callable[[Exception], None],
        stop: threading.Event,
    ) -> None:
        self.absence: YolostreamError | None = None
        """The error of the last frame of a live source, if the server was unavailable then."""
        self._detector = detector
        self._status = status
        self._plan = plan
        self._give_up = give_up
        self._stop = stop
        self._gave_up = False

    def of(self, frame: Frame, pending: Pending) -> Detections | None:
        """Wait for a frame's detections; None if the frame is dropped or lost."""
        if self._gave_up:
            # An older frame has no answer: with this one, the outputs would have a gap.
            return None
        try:
            detections = pending.result()
        except (ServerUnavailable, ModelUnavailable) as error:
            self._note_absence()
            if self._plan.source.is_live:
                self.absence = error
                self._status.dropped["server_unavailable"] += 1
                return None
            return self._ask_again(frame, error)
        except YolostreamError as error:
            self._status.lose(error)
            return None
        self.absence = None
        self._status.timer["downscale"].add(pending.downscale_s)
        self._status.timer["request"].add(pending.request_s)
        return detections

    def _ask_again(self, frame: Frame, error: YolostreamError) -> Detections | None:
        """Send a frame again until the server is available."""
        deadline = time.monotonic() + self._plan.server_patience_s
        while not self._stop.wait(_RETRY_S):
            try:
                return self._detector.detect(frame.image, size=frame.size)
            except (ServerUnavailable, ModelUnavailable) as again:
                error = again
            except YolostreamError as lost:
                self._status.lose(lost)
                return None
            if time.monotonic() > deadline:
                away = f"the server was unavailable for {self._plan.server_patience_s:g} s"
                self._give_up(type(error)(f"{away}: {error}"))
        self._gave_up = True
        return None

    def _note_absence(self) -> None:
        _log.warning(
            "%s does not answer: files wait for it for up to %g s, frames of cameras are dropped",
            self._detector.url,
            self._plan.server_patience_s,
        )
