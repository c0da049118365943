"""What a camera of the service writes, and where: bounded, however long it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from yolostream.outputs.csv import Csv
from yolostream.outputs.enduring import Enduring
from yolostream.outputs.hls import Hls, hls_folder
from yolostream.outputs.jsonl import JsonLines
from yolostream.outputs.output import Output
from yolostream.outputs.parts import Parts
from yolostream.outputs.push import rtsp_push
from yolostream.outputs.rotation import Rotating, Rotation
from yolostream.outputs.segments import SegmentedMp4, Segments
from yolostream.outputs.video import DEFAULT_BITRATE
from yolostream.sources import Session, Source

HLS_FOLDER = "hls"
"""In the folder of the camera; what is in it is public where the service's pages are."""


@dataclass(frozen=True)
class Recording:
    """What is written of each camera, into a folder of its own. It can be pickled.

    By default, JSON Lines of the last week, as far as a gigabyte goes: 8 cameras leave most of a
    disk of 32 GB free.
    """

    folder: Path
    """Each camera has `FOLDER/CAMERA/` in it."""
    jsonl: Rotation | None = field(default_factory=Rotation)
    """One line a frame; None writes none."""
    csv: Rotation | None = None
    """One row an object."""
    segments: Segments | None = None
    """Annotated MP4 files."""
    push_url: str | None = field(default=None, repr=False)
    """Of an RTSP server that annotated H.264 is pushed to; may have user and password."""
    push_bitrate: int = DEFAULT_BITRATE
    """Bits per second."""
    hls: Hls | None = None
    """The last seconds, annotated, in `FOLDER/CAMERA/hls/live.m3u8`."""
    part: int = 1
    """Counts how often the camera was begun anew. The files are named by their times."""

    def folder_of(self, source: Source) -> Path:
        """Where the results of a camera go."""
        return self.folder / source.name

    def makers(self, source: Source, session: Session) -> list[Callable[[], Output]]:
        """What makes the outputs of a camera that was opened. None of them fails for good."""
        made: list[Callable[[], Output]] = []
        if self.jsonl is not None:
            made.append(partial(self._rotating, ".jsonl", JsonLines, self.jsonl, source))
        if self.csv is not None:
            made.append(partial(self._rotating, ".csv", Csv, self.csv, source))
        if self.segments is not None:
            made.append(partial(self._segmented, self.segments, source, session))
        name, rate = source.name, session.frame_rate
        if self.push_url is not None:
            push = partial(rtsp_push, self.push_url, bitrate=self.push_bitrate)
            made.append(partial(push, name=name, frame_rate=rate))
        if self.hls is not None:
            folder = self.folder_of(source) / HLS_FOLDER
            made.append(partial(hls_folder, folder, self.hls, name=name, frame_rate=rate))
        return made

    def _rotating(
        self, suffix: str, kind: type[JsonLines] | type[Csv], rotation: Rotation, source: Source
    ) -> Enduring:
        def make() -> Rotating:
            parts = Parts(self.folder_of(source), source.name, suffix)
            return Rotating(parts, partial(kind, source=source.name), rotation, kind=kind.kind)

        return Enduring(make, name=source.name, kind=kind.kind, draws=Rotating.draws)

    def _segmented(self, segments: Segments, source: Source, session: Session) -> Enduring:
        def make() -> SegmentedMp4:
            parts = Parts(self.folder_of(source), source.name, ".mp4")
            return SegmentedMp4(parts, segments, frame_rate=session.frame_rate)

        return Enduring(make, name=source.name, kind=SegmentedMp4.kind, draws=True)
