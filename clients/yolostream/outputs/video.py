"""H.264 in MP4: playable at any moment while it grows, and by any browser when it is done."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

from yolostream.ffmpeg_path import ffmpeg_path
from yolostream.i420 import frame_of
from yolostream.image import Image
from yolostream.outputs.finishing import put_index_first
from yolostream.outputs.h264 import add_h264_stream
from yolostream.outputs.output import writing
from yolostream.outputs.planes import Planes, fitted, planes_of

DEFAULT_BITRATE = 2_000_000
"""Bits per second."""

MIN_BITRATE, MAX_BITRATE = 10_000, 200_000_000
"""Bits per second that make sense, and that no encoder stumbles over."""

MAX_SIDE = 16384
"""Pixels of a picture's height or width, the most that x264 encodes."""

KEYFRAME_INTERVAL_S = 2
FRAGMENT_S = 0.5
"""Of the file that grows: a crash or a full disk costs at most that many seconds."""
_GROWING = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(round(FRAGMENT_S * 1_000_000)),
    # Otherwise the last 256 kB, or all of a quiet street, exist in memory only.
    "flush_packets": "1",
}

_LONGEST_STILL = (1 << 31) - 2
"""Units of time. MP4's writer knows no longer picture, and would squeeze all after it together."""

LOOKAHEAD = 5
"""Frames that the encoder holds back."""
# On top of x264's "superfast", a fifth cheaper. Looking ahead, the encoder spends its bits where
# the picture stays, as streets do: that outweighs what it no longer tries.
_TUNING = f"mbtree=1:rc-lookahead={LOOKAHEAD}:subme=0:8x8dct=0:aq-mode=0:weightp=0"


class VideoFile:
    """Encodes pictures of one size; whoever opens the file sees all complete fragments.

    With several `threads` one file is encoded faster, for a little more computing in all.
    """

    def __init__(
        self,
        path: Path,
        *,
        height: int,
        width: int,
        frame_rate: Fraction,
        time_base: Fraction,
        bitrate: int,
        threads: int = 1,
    ) -> None:
        self.path = path
        self._size = height, width
        self._time_base = time_base
        self._last_pts = -1
        self._cut = 0
        self._is_closed = False
        self._header_bytes = self._whole_bytes = 0
        with writing(path):
            # What cannot be opened is not ours to cut or remove; FFmpeg opens it later.
            path.open("wb").close()
            self._container = av.open(ffmpeg_path(path), "w", format="mp4", options=_GROWING)
        self._stream = add_h264_stream(
            self._container,
            self._size,
            frame_rate=frame_rate,
            time_base=time_base,
            options=_encoder_options(frame_rate, bitrate),
            threads=threads,
        )
        with self._writing():
            self._container.start_encoding()
        self._header_bytes = self._whole_bytes

    def write(self, image: Image, pts: int) -> None:
        """Add one picture.

        Args:
            image: uint8 [H, W, 3], RGB; scaled into the file's size where that differs.
            pts: presentation time in units of `time_base`, rising.

        Raises:
            OutputError: no room, or the encoder fails; what came before stays playable.
        """
        self.write_planes(planes_of(fitted(image, *self._size)), pts)

    def write_planes(self, planes: Planes, pts: int) -> None:
        """The same for a picture of the file's size that `planes_of` has converted."""
        step = max(1, pts - self._cut - self._last_pts)
        if step > _LONGEST_STILL:
            # A camera was away for hours.
            self._cut += step - _LONGEST_STILL
            step = _LONGEST_STILL
        self._last_pts += step
        frame = frame_of(planes)
        frame.pts, frame.time_base = self._last_pts, self._time_base
        with self._writing():
            self._container.mux(self._stream.encode(frame))

    def end(self) -> None:
        """Flush the encoder: the file has all pictures, in fragments."""
        if self._is_closed:
            return
        with self._writing():
            self._container.mux(self._stream.encode(None))
            self._close_container()

    def close(self) -> None:
        """End the file and put the index in front, so that browsers can seek."""
        if self._is_closed:
            return
        self.end()
        with writing(self.path):
            put_index_first(self.path)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """After an error in the block the file is closed, and ends with its last whole fragment."""
        with writing(self.path):
            try:
                yield
                # A fragment is written at once, when it is whole.
                self._whole_bytes = self.path.stat().st_size
            except (OSError, av.FFmpegError):
                with contextlib.suppress(OSError, av.FFmpegError):
                    self._close_container()
                self._cut_off_torn_fragment()
                raise

    def _cut_off_torn_fragment(self) -> None:
        if self._whole_bytes > self._header_bytes:
            os.truncate(self.path, self._whole_bytes)
        else:
            # No frame in it: there is nothing to play.
            self.path.unlink(missing_ok=True)

    def _close_container(self) -> None:
        self._is_closed = True
        self._container.close()


def _encoder_options(frame_rate: Fraction, bitrate: int) -> dict[str, str]:
    return {
        "preset": "superfast",
        "x264-params": _TUNING,
        "bf": "0",
        "g": str(max(1, round(frame_rate * KEYFRAME_INTERVAL_S))),
        "b": str(bitrate),
        "maxrate": str(2 * bitrate),
        "bufsize": str(2 * bitrate),
    }
