"""H.264 for those who watch now: each picture is sent at once, and anybody may join every 2 s."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from fractions import Fraction

import av
import av.container
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Colorspace

from yolostream.i420 import frame_of
from yolostream.outputs.planes import Planes

TIME_BASE = Fraction(1, 90_000)
"""Seconds of one unit of the times in the stream, as RTP has it."""

KEYFRAME_INTERVAL_S = 2.0

_NO_OTHER_KEYFRAMES = 1 << 30
"""Frames: by their number there is none."""


class LiveVideo:
    """Encodes pictures of one size into a container that somebody reads meanwhile.

    Args:
        open_container: a PyAV container for one stream of H.264.
        guard: turns what goes wrong inside its block into an `OutputError`.
        height: of the pictures, in pixels, even.
        width: the same.
        frame_rate: nominal frames per second.
        bitrate: bits per second.

    Raises:
        OutputError: it cannot be opened.
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
                self._stream = self._container.add_stream("libx264", rate=frame_rate)
                self._stream.width, self._stream.height = width, height
                self._set_up_encoder(bitrate)
                self._container.start_encoding()
            except BaseException:
                self._container.close()
                raise

    def write(self, planes: Planes, time_s: float) -> None:
        """Send one picture.

        Args:
            planes: of the picture.
            time_s: in seconds from any moment on; one that does not rise is taken for the next
                possible.

        Raises:
            OutputError: it cannot be sent; there is nothing left to do but to close.
        """
        if self._begin_s is None:
            self._begin_s = time_s
        self._last_pts = max(round((time_s - self._begin_s) / TIME_BASE), self._last_pts + 1)
        frame = frame_of(planes)
        frame.pts, frame.time_base = self._last_pts, TIME_BASE
        if self._last_pts >= self._next_keyframe:
            # By time, not by number: of a camera that is away there are few pictures.
            frame.pict_type = PictureType.I
            self._next_keyframe = self._last_pts + round(KEYFRAME_INTERVAL_S / TIME_BASE)
        with self._guard():
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """End the stream.

        Raises:
            OutputError: its end cannot be sent.
        """
        with self._guard():
            self._container.close()

    def _set_up_encoder(self, bitrate: int) -> None:
        stream, context = self._stream, self._stream.codec_context
        stream.pix_fmt, stream.bit_rate = "yuv420p", bitrate
        context.time_base, context.gop_size = TIME_BASE, _NO_OTHER_KEYFRAMES
        context.thread_count = 1
        # What OpenCV's conversion makes; untagged, players guess another one for large pictures.
        context.colorspace, context.color_range = Colorspace.ITU601, ColorRange.MPEG
        stream.options = {
            "preset": "superfast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "maxrate": str(2 * bitrate),
            "bufsize": str(bitrate),
        }
