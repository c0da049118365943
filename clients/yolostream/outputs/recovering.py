"""Outputs that recover from errors such as a full disk, for runs without an end."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.clock import SYSTEM_CLOCK, Clock
from yolostream.outputs.output import Output

PAUSE_S = (1.0, 30.0)
"""Shortest and longest pause before a new output is made. It doubles with each error."""

STEADY_S = 30.0
"""An output that has written for this long without an error counts as recovered."""

_log = logging.getLogger(__name__)


class RecoveringOutput:
    """Makes a new output after each error. Repeated errors are logged once.

    Args:
        make: makes an output. It is called again later if it raises `OutputError`.
        name: the camera's name, for the log.
        kind: the output's `kind`.
        draws: the output's `draws`.
        clock: gives the time.
    """

    def __init__(
        self,
        make: Callable[[], Output],
        *,
        name: str,
        kind: str,
        draws: bool,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.kind = kind
        """See `Output`."""
        self.draws = draws
        """See `Output`."""
        self.trouble = ""
        """The last error as a message; empty after 30 s without an error."""
        self.lost = 0
        """Frames that were not written."""
        self._make = make
        self._name = name
        self._clock = clock
        self._output: Output | None = None
        self._pause_s = PAUSE_S[0]
        self._retry_at = -math.inf

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame, or count it as lost; see `Output`."""
        if self._output is None and self._clock.steady() < self._retry_at:
            self.lost += 1
            return
        try:
            if self._output is None:
                self._output = self._make()
            self._output.write(frame, annotated, detections)
        except OutputError as error:
            self._fail(error)
        else:
            self._recover()

    def close(self) -> None:
        """Close the output, if there is one."""
        if self._output is not None:
            self._output.close()

    def _fail(self, error: OutputError) -> None:
        self.lost += 1
        self._retry_at = self._clock.steady() + self._pause_s
        self._pause_s = min(PAUSE_S[1], 2 * self._pause_s)
        if not self.trouble:
            _log.error(
                "%s: %s; writing is tried again after %g to %g s", self._name, error, *PAUSE_S
            )
        self.trouble = str(error)
        broken, self._output = self._output, None
        if broken is not None:
            try:
                broken.close()
            except OutputError as another:
                _log.debug("%s: %s", self._name, another)

    def _recover(self) -> None:
        # Only after a while, because some frames are written even to a disk that is nearly full.
        if self.trouble and self._clock.steady() - self._retry_at >= STEADY_S:
            _log.warning("%s is written again; %d frames were lost", self._name, self.lost)
            self.trouble, self._pause_s = "", PAUSE_S[0]
