"""What becomes of the frames of one source that were sent."""

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
    """Waits for the answers of one source, and counts what is lost.

    An error of one frame costs that frame. While the server is away, a live source leaves frames
    out; a file waits, and asks again.

    Args:
        detector: is asked again for frames that the server was away for.
        status: of the source.
        plan: says how long a file waits.
        give_up: called where that was too long.
        stop: ends the waiting.
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
        """Why the last frame of a live source was left out, if the server was away."""
        self._detector = detector
        self._status = status
        self._plan = plan
        self._give_up = give_up
        self._stop = stop
        self._gave_up = False

    def of(self, frame: Frame, pending: Pending) -> Detections | None:
        """What was found; None where the frame is lost."""
        if self._gave_up:
            # An answer may have come before that of an older frame: the file would have a hole.
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
        """Wait for a server that is away."""
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
                away = f"the server was away for {self._plan.server_patience_s:g} s"
                self._give_up(type(error)(f"{away}: {error}"))
        self._gave_up = True
        return None

    def _note_absence(self) -> None:
        _log.warning(
            "%s does not answer: files wait for it up to %g s, frames of cameras are left out",
            self._detector.url,
            self._plan.server_patience_s,
        )
