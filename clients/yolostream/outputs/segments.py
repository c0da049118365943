"""The annotated frames of a camera without an end, in MP4 files of some minutes."""

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
"""Seconds between two looks at the free room: 2.5 MB of a camera at 2 Mbit/s."""


@dataclass(frozen=True)
class Segments:
    """How long MP4 segments are, and which ones stay.

    A camera at 2 Mbit/s fills 21.6 GB a day. On a small disk the free room decides how far back
    the segments go: at 32 GB with 20 GB for them, some 22 hours of one camera.
    """

    length_s: float = 600.0
    """Seconds from the first frame of a segment to the last at most."""
    bitrate: int = DEFAULT_BITRATE
    """Bits per second."""
    keep: Retention = field(default_factory=Retention)
    min_free_bytes: int = 2 << 30
    """Of the disk: below it the camera's oldest segments go, and without any nothing is written."""
    min_free_percent: float = 5.0
    """Of the disk's size: the same; whichever is more counts."""

    def __post_init__(self) -> None:
        check_limits(1, length_s=self.length_s)
        check_limits(MIN_BITRATE, MAX_BITRATE, bitrate=self.bitrate)
        check_limits(0, min_free_bytes=self.min_free_bytes)
        check_limits(0, 100, min_free_percent=self.min_free_percent)

    def floor(self, folder: Path) -> int:
        """Bytes that have to be free on the disk that `folder` is on.

        Raises:
            OutputError: the disk does not tell.
        """
        with writing(folder):
            size = shutil.disk_usage(folder).total
        return max(self.min_free_bytes, round(size * self.min_free_percent / 100))


class SegmentedMp4:
    """One MP4 after the other; each begins with a keyframe, and no frame is between two.

    Each plays while it grows. One that is done is copied into a plain MP4 meanwhile, on a thread of
    its own: the next one does not wait for that.

    Args:
        parts: where they are.
        segments: how long they are.
        frame_rate: nominal frames per second.
        threads: that encode.
        clock: what tells the time.
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
        """Add one frame; see `Output`. A picture of another size begins a segment."""
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
                f"cannot write more MP4 segments to {self._parts.folder}: fewer than "
                f"{floor / 1e9:.3g} GB of the disk are free and no older segment of this camera is "
                "left to remove; free space, or lower the room that has to stay free"
            )

    def _join_finishing(self) -> None:
        # Who removes a segment while it is copied would find the copy in its place.
        if self._finishing.ident is not None:
            self._finishing.join()


def _finish(path: Path) -> None:
    # Where that fails, or somebody has taken it away, nothing is lost: the fragments play.
    with contextlib.suppress(OSError, av.FFmpegError):
        put_index_first(path)
