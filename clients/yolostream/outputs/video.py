"""H.264 in MP4. A file can be played while it is written, and by any browser afterwards."""

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
"""Bits per second; the encoder works with all values in this range."""

MAX_SIDE = 16384
"""Largest height and width in pixels that x264 encodes."""

KEYFRAME_INTERVAL_S = 2
FRAGMENT_S = 0.5
"""Length of a fragment in seconds. A crash or a full disk loses at most one fragment."""
_GROWING = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": str(round(FRAGMENT_S * 1_000_000)),
    # Without it, FFmpeg would keep up to 256 kB in memory: minutes of a quiet street.
    "flush_packets": "1",
}

_LONGEST_STILL = (1 << 31) - 2
"""Longest duration of a picture, in units of time. The MP4 muxer would compress the times after a
longer one."""

LOOKAHEAD = 5
"""Frames by which the encoder delays its output."""
# Added to x264's preset "superfast", this takes a fifth less time. With lookahead, the encoder
# spends its bits on static areas, which streets have many of. That outweighs the disabled features.
_TUNING = f"mbtree=1:rc-lookahead={LOOKAHEAD}:subme=0:8x8dct=0:aq-mode=0:weightp=0"


class VideoFile:
    """Encodes pictures of one size into a fragmented MP4. All complete fragments can be played.

    Args:
        path: the file to write.
        height: height of the pictures in pixels.
        width: width of the pictures in pixels.
        frame_rate: nominal frames per second.
        time_base: seconds per unit of the timestamps.
        bitrate: bits per second.
        threads: number of encoder threads. More of them are faster, with a little more CPU time in
            all.

    Raises:
        OutputError: the file cannot be written.
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
            # Raises if the file cannot be opened, before an error would truncate or remove it.
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
            image: uint8 [H, W, 3], RGB; scaled to the file's size if that differs.
            pts: presentation time in units of `time_base`, increasing.

        Raises:
            OutputError: the disk is full, or the encoder fails. Earlier pictures can be played.
        """
        self.write_planes(planes_of(fitted(image, *self._size)), pts)

    def write_planes(self, planes: Planes, pts: int) -> None:
        """Add one picture that `planes_of` has converted, in the file's size; see `write`."""
        step = max(1, pts - self._cut - self._last_pts)
        if step > _LONGEST_STILL:
            # The camera was away for hours; the excess is cut out.
            self._cut += step - _LONGEST_STILL
            step = _LONGEST_STILL
        self._last_pts += step
        frame = frame_of(planes)
        frame.pts, frame.time_base = self._last_pts, self._time_base
        with self._writing():
            self._container.mux(self._stream.encode(frame))

    def end(self) -> None:
        """Flush the encoder and close the file, which stays fragmented."""
        if self._is_closed:
            return
        with self._writing():
            self._container.mux(self._stream.encode(None))
            self._close_container()

    def close(self) -> None:
        """Finish the file, and put its index in front so that browsers can seek."""
        if self._is_closed:
            return
        self.end()
        with writing(self.path):
            put_index_first(self.path)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """After an error in the block, close the file and truncate it to its complete fragments."""
        with writing(self.path):
            try:
                yield
                # FFmpeg writes a fragment only when it is complete.
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
            # The file contains no frame.
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
