"""Continuous recording of a camera's annotated frames in MP4 files of some minutes (segments)."""

from __future__ import annotations

import contextlib
import shutil
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.image import Image, downscaled
from yolostream.outputs.clock import SYSTEM_CLOCK, Clock
from yolostream.outputs.finishing import put_index_first
from yolostream.outputs.limits import check_limits
from yolostream.outputs.output import writing
from yolostream.outputs.parts import Parts, Retention
from yolostream.outputs.video import (
    DEFAULT_BITRATE,
    MAX_BITRATE,
    MAX_SIDE,
    MIN_BITRATE,
    VideoFile,
)

ROOM_CHECK_S = 10.0
"""Interval between checks of the free disk space. A camera at 2 Mbit/s writes 2.5 MB in it."""


@dataclass(frozen=True)
class Segments:
    """How long MP4 segments are, and which ones are kept.

    A camera at 2 Mbit/s writes 21.6 GB a day. On a small disk, the free space limits how many
    segments are kept: 20 GB hold about 22 hours of one camera.
    """

    length_s: float = 600.0
    """Longest time from the first frame of a segment to the last, in seconds."""
    bitrate: int = DEFAULT_BITRATE
    """Bits per second."""
    keep: Retention = field(default_factory=Retention)
    min_free_bytes: int = 2 << 30
    """Bytes of the disk that stay free. If fewer are free, the oldest segments are removed. If no
    segment of the camera is left, nothing is written."""
    min_free_percent: float = 5.0
    """The same limit as a percentage of the disk's size; the larger one holds."""

    def __post_init__(self) -> None:
        check_limits(1, length_s=self.length_s)
        check_limits(MIN_BITRATE, MAX_BITRATE, bitrate=self.bitrate)
        check_limits(0, min_free_bytes=self.min_free_bytes)
        check_limits(0, 100, min_free_percent=self.min_free_percent)

    def floor(self, folder: Path) -> int:
        """Bytes that have to stay free on the disk of `folder`.

        Raises:
            OutputError: the size of the disk cannot be read.
        """
        with writing(folder):
            size = shutil.disk_usage(folder).total
        return max(self.min_free_bytes, round(size * self.min_free_percent / 100))


class SegmentedMp4:
    """Writes consecutive MP4 files. Each begins with a keyframe, and no frame is lost between two.

    A file can be played while it is written. When it is finished, it is copied into a plain MP4 on
    a thread of its own, so that the next file need not wait.

    Args:
        parts: the files.
        segments: the limits of a file.
        frame_rate: nominal frames per second.
        threads: number of encoder threads.
        clock: gives the time.
    """

    kind = "segments"
    draws = True
    lost = 0

    def __init__(
        self,
        parts: Parts,
        segments: Segments,
        *,
        frame_rate: Fraction,
        threads: int = 1,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._parts = parts
        self._segments = segments
        self._frame_rate = frame_rate
        self._threads = threads
        self._clock = clock
        self._file: VideoFile | None = None
        self._shape: tuple[int, ...] = ()
        self._first_pts = 0
        self._began = self._looked = 0.0
        self._finishing = threading.Thread()

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`. A picture with another size begins a new segment."""
        file = self._file
        if file is None or self._is_over(annotated):
            file = self._rotate(frame, annotated)
        elif self._clock.steady() - self._looked >= ROOM_CHECK_S:
            self._join_finishing()
            self._make_room()
        file.write(annotated, frame.pts - self._first_pts)

    def close(self) -> None:
        """Finish the last segment."""
        file, self._file = self._file, None
        self._join_finishing()
        if file is not None:
            file.close()
            self._parts.finish()

    def _is_over(self, annotated: Image) -> bool:
        is_long = self._clock.steady() - self._began >= self._segments.length_s
        return is_long or annotated.shape != self._shape

    def _rotate(self, frame: Frame, annotated: Image) -> VideoFile:
        """End the file, if there is one, and begin the next."""
        self._join_finishing()
        ended, self._file = self._file, None
        if ended is not None:
            ended.end()
            self._parts.finish()
        self._make_room()
        self._parts.remove_old(self._segments.keep)
        self._file = self._next_file(frame, annotated)
        if ended is not None:
            self._finishing = threading.Thread(
                target=_finish, args=[ended.path], name="segment", daemon=True
            )
            self._finishing.start()
        return self._file

    def _next_file(self, frame: Frame, annotated: Image) -> VideoFile:
        self._shape, self._first_pts = annotated.shape, frame.pts
        self._began = self._clock.steady()
        height, width = downscaled(*annotated.shape[:2], fit=(MAX_SIDE, MAX_SIDE))

        def open_file(path: Path) -> VideoFile:
            return VideoFile(
                path,
                height=height,
                width=width,
                frame_rate=self._frame_rate,
                time_base=frame.time_base,
                bitrate=self._segments.bitrate,
                threads=self._threads,
            )

        return self._parts.begin(open_file)

    def _make_room(self) -> None:
        self._looked = self._clock.steady()
        floor = self._segments.floor(self._parts.folder)
        if not self._parts.make_room(floor):
            raise OutputError(
                f"cannot write more MP4 segments to {self._parts.folder}: less than "
                f"{floor / 1e9:.3g} GB of the disk is free, and no older segment of this camera is "
                "left to remove; free space, or lower the space that has to stay free"
            )

    def _join_finishing(self) -> None:
        # If a segment were removed while it is copied, the copy would take its place.
        if self._finishing.ident is not None:
            self._finishing.join()


def _finish(path: Path) -> None:
    # If copying fails, or the file was removed, nothing is lost: the fragmented file can be played.
    with contextlib.suppress(OSError, av.FFmpegError):
        put_index_first(path)
