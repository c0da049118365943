"""H.264 for live streams: no picture is delayed, and a viewer can join every 2 s."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

import av
import av.container
from av.video.frame import PictureType

from yolostream.i420 import frame_of
from yolostream.outputs.h264 import add_h264_stream
from yolostream.outputs.planes import Planes

TIME_BASE = Fraction(1, 90_000)
"""Seconds per unit of the stream's timestamps, as in RTP."""

KEYFRAME_INTERVAL_S = 2.0

_NO_OTHER_KEYFRAMES = str(1 << 30)
"""Interval in frames: so large that only forced keyframes occur."""


class LiveVideo:
    """Encodes pictures of one size into a container that is read while it is written.

    Args:
        open_container: opens a PyAV container for one stream of H.264.
        guard: a context manager that turns errors in its block into an `OutputError`.
        height: height of the pictures in pixels, even.
        width: width of the pictures in pixels, even.
        frame_rate: nominal frames per second.
        bitrate: bits per second.

    Raises:
        OutputError: the container cannot be opened.
    """

    def __init__(
        self,
        open_container: Callable[[], av.container.OutputContainer],
        guard: Callable[[], AbstractContextManager[None]],
        *,
        height: int,
        width: int,
        frame_rate: Fraction,
        bitrate: int,
    ) -> None:
        self._guard = guard
        self._begin_s: float | None = None
        self._last_pts = -1
        self._next_keyframe = 0
        with guard():
            self._container = open_container()
            try:
                self._stream = add_h264_stream(
                    self._container,
                    (height, width),
                    frame_rate=frame_rate,
                    time_base=TIME_BASE,
                    options=_encoder_options(bitrate),
                )
                self._container.start_encoding()
            except BaseException:
                self._container.close()
                raise

    def write(self, planes: Planes, time_s: float) -> None:
        """Encode and send one picture.

        Args:
            planes: the picture.
            time_s: its time in seconds, from any origin. If it does not increase, the next possible
                timestamp is used.

        Raises:
            OutputError: it cannot be sent; the stream must be closed.
        """
        if self._begin_s is None:
            self._begin_s = time_s
        self._last_pts = max(round((time_s - self._begin_s) / TIME_BASE), self._last_pts + 1)
        frame = frame_of(planes)
        frame.pts, frame.time_base = self._last_pts, TIME_BASE
        if self._last_pts >= self._next_keyframe:
            # By time, not by number: while a camera is away, there are few pictures.
            frame.pict_type = PictureType.I
            self._next_keyframe = self._last_pts + round(KEYFRAME_INTERVAL_S / TIME_BASE)
        with self._guard():
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """End the stream.

        Raises:
            OutputError: the end cannot be sent.
        """
        with self._guard():
            self._container.close()


def _encoder_options(bitrate: int) -> dict[str, str]:
    return {
        "preset": "superfast",
        "tune": "zerolatency",
        "forced-idr": "1",
        "g": _NO_OTHER_KEYFRAMES,
        "b": str(bitrate),
        "maxrate": str(2 * bitrate),
        "bufsize": str(bitrate),
    }
