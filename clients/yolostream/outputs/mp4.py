"""The annotated video of one source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image, downscaled
from yolostream.outputs.video import DEFAULT_BITRATE, MAX_SIDE, VideoFile


class Mp4:
    """Writes the annotated frames of one source as an MP4, with their original times.

    Args:
        path: the file to write.
        frame_rate: nominal frames per second.
        bitrate: bits per second.
        threads: number of encoder threads.
    """

    kind = "mp4"
    draws = True
    lost = 0

    def __init__(
        self,
        path: Path,
        *,
        frame_rate: Fraction,
        bitrate: int = DEFAULT_BITRATE,
        threads: int = 1,
    ) -> None:
        self._path = path
        self._frame_rate = frame_rate
        self._bitrate = bitrate
        self._threads = threads
        self._file: VideoFile | None = None
        self._first_pts = 0

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`. The first one sets the size of the video."""
        if self._file is None:
            height, width = downscaled(*annotated.shape[:2], fit=(MAX_SIDE, MAX_SIDE))
            self._first_pts = frame.pts
            self._file = VideoFile(
                self._path,
                height=height,
                width=width,
                frame_rate=self._frame_rate,
                time_base=frame.time_base,
                bitrate=self._bitrate,
                threads=self._threads,
            )
        self._file.write(annotated, frame.pts - self._first_pts)

    def close(self) -> None:
        """Finish the file, if there was any frame."""
        if self._file is not None:
            self._file.close()
