"""Live outputs: send the newest picture, or a placeholder while the camera is away."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image, downscaled
from yolostream.outputs import placeholder
from yolostream.outputs.channel import Channel, ReopeningChannel
from yolostream.outputs.clock import SYSTEM_CLOCK, Clock
from yolostream.outputs.planes import Planes, fitted, planes_of
from yolostream.outputs.video import MAX_SIDE

AWAY_AFTER_S = 2.0
"""Seconds without a frame until the placeholder is shown, or three frames of a slow camera."""

REPEAT_S = 0.5
"""Interval at which the last picture is sent again while there is none, so that players stay
connected."""

JITTER_S = 0.5
"""Frames whose delay varies by less keep the intervals at which they were captured."""

CLOSE_TIMEOUT_S = 2.0
"""How long closing a stream may take."""


@dataclass(frozen=True)
class _Arrived:
    image: Image
    pts_s: float
    """Presentation time of the frame, in seconds."""
    steady_s: float
    wall_s: float


class LiveOutput:
    """Sends the newest picture on a thread of its own, without delaying the pipeline.

    A channel that breaks is opened again. While the camera is away, the placeholder is sent with
    timestamps that continue.

    Args:
        open_channel: opens a channel for pictures with a height and a width, both even; raises
            `OutputError`.
        name: the camera's name.
        kind: the output's kind; see `Output`.
        frame_rate: nominal frames per second.
        may_send: whether pictures may still be sent; called before each one, because pictures are
            also sent while no frames arrive.
        clock: gives the time.
    """

    draws = True
    lost = 0

    def __init__(
        self,
        open_channel: Callable[[int, int], Channel],
        *,
        name: str,
        kind: str,
        frame_rate: Fraction,
        may_send: Callable[[], bool] = lambda: True,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.kind = kind
        """See `Output`."""
        self.dropped = 0
        """Frames that were not sent, because a newer one came or the channel was broken."""
        self._channel = ReopeningChannel(open_channel, name=name, clock=clock)
        self._screen = _Screen(name, away_after_s=max(AWAY_AFTER_S, 3 / float(frame_rate)))
        self._pace = PlayoutClock()
        self._may_send = may_send
        self._clock = clock
        self._newest: _Arrived | None = None
        self._is_closed = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"{name} live", daemon=True)
        self._thread.start()

    @property
    def trouble(self) -> str:
        """The last error as a message; empty while pictures are sent."""
        return self._channel.trouble

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Make a frame the next to be sent, in place of one that waits; see `Output`."""
        if self._error is not None:
            raise self._error
        arrived = _Arrived(annotated, frame.pts_seconds, self._clock.steady(), self._clock.wall())
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = arrived
            self._changed.notify_all()

    def close(self) -> None:
        """End the stream. If the receiver hangs, the thread is abandoned."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        try:
            while not self._is_closed:
                arrived = self._next()
                if arrived is not None:
                    self._screen.show(arrived)
                if not self._send(arrived) and arrived is not None:
                    with self._changed:
                        self.dropped += 1
        except Exception as error:
            # A defect: the next `write` raises it.
            self._error = error
        finally:
            self._channel.close()

    def _next(self) -> _Arrived | None:
        """Wait up to `REPEAT_S` for a frame; None if there is none."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self._is_closed, REPEAT_S)
            arrived, self._newest = self._newest, None
            return arrived

    def _send(self, arrived: _Arrived | None) -> bool:
        now_s = self._clock.steady()
        if self._is_closed or self._channel.is_paused:
            return False
        planes = self._screen.planes_at(now_s)
        time_s = now_s if arrived is None else self._pace.place(arrived.pts_s, now_s)
        return planes is not None and self._may_send() and self._channel.write(planes, time_s)


class _Screen:
    """The picture to show: the newest frame, or the placeholder if that frame is old."""

    def __init__(self, name: str, *, away_after_s: float) -> None:
        self._name = name
        self._away_after_s = away_after_s
        self._frame: _Arrived | None = None
        self._is_away = False
        self._planes: Planes | None = None

    def show(self, frame: _Arrived) -> None:
        self._frame, self._is_away, self._planes = frame, False, None

    def planes_at(self, steady_s: float) -> Planes | None:
        """The picture for the encoder; None before the first frame."""
        if self._frame is None:
            return None
        if not self._is_away and steady_s - self._frame.steady_s >= self._away_after_s:
            self._is_away, self._planes = True, None
        if self._planes is None:
            image = self._placeholder(self._frame) if self._is_away else self._frame.image
            size = downscaled(*image.shape[:2], fit=(MAX_SIDE, MAX_SIDE))
            self._planes = planes_of(fitted(image, *size))
        return self._planes

    def _placeholder(self, last: _Arrived) -> Image:
        since = datetime.fromtimestamp(last.wall_s, UTC).strftime("%H:%M:%S UTC")
        return placeholder.picture(last.image, self._name, f"away since {since}")


class PlayoutClock:
    """Gives frames the times at which they are shown.

    Frames arrive after detection, with a varying delay. As long as the delay varies by less than
    `JITTER_S`, frames are shown at the intervals at which they were captured. Otherwise, the time
    of arrival becomes the new reference.
    """

    def __init__(self) -> None:
        self._shift_s = -math.inf

    def place(self, pts_s: float, now_s: float) -> float:
        """The time at which a frame is shown, in seconds of the clock of `now_s`.

        Args:
            pts_s: the frame's presentation time in its source, in seconds.
            now_s: the time of its arrival, in seconds.
        """
        if abs(pts_s + self._shift_s - now_s) > JITTER_S:
            self._shift_s = now_s - pts_s
        return pts_s + self._shift_s
