"""The outputs of a camera of the service. Their size on the disk is limited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from yolostream.outputs.csv import Csv
from yolostream.outputs.fenced import Permit
from yolostream.outputs.hls import Hls, hls_folder
from yolostream.outputs.jsonl import JsonLines
from yolostream.outputs.output import Output
from yolostream.outputs.parts import Parts
from yolostream.outputs.push import rtsp_push
from yolostream.outputs.recovering import RecoveringOutput
from yolostream.outputs.rotation import Rotating, Rotation
from yolostream.outputs.segments import SegmentedMp4, Segments
from yolostream.outputs.video import DEFAULT_BITRATE
from yolostream.sources import Session, Source

HLS_FOLDER = "hls"
"""Name of the HLS folder in the camera's folder. The service serves its files over HTTP."""


@dataclass(frozen=True)
class Recording:
    """Settings of the outputs of each camera, which has its own folder. It can be pickled.

    By default, these are JSON Lines of the last week, up to 1 GB: 8 cameras leave most of a disk
    of 32 GB free. An output that is None is not written.
    """

    folder: Path
    """Each camera writes into `FOLDER/CAMERA/`."""
    jsonl: Rotation | None = field(default_factory=Rotation)
    """JSON Lines, one line per frame."""
    csv: Rotation | None = None
    """CSV, one row per object."""
    segments: Segments | None = None
    """Annotated MP4 files."""
    push_url: str | None = field(default=None, repr=False)
    """RTSP URL that annotated H.264 is pushed to; it may contain a user and a password."""
    push_bitrate: int = DEFAULT_BITRATE
    """Bits per second of the pushed video."""
    hls: Hls | None = None
    """Annotated live video in `FOLDER/CAMERA/hls/live.m3u8`."""
    part: int = 1
    """How often the camera was started. Unlike in `Results`, it is not part of file names."""

    def folder_of(self, source: Source) -> Path:
        """The folder of a camera's results."""
        return self.folder / source.name

    def makers(
        self,
        source: Source,
        session: Session,
        permit: Permit = Permit(),  # noqa: B008  # frozen
    ) -> list[Callable[[], Output]]:
        """Functions that make the outputs of an open camera. All outputs recover from errors."""
        made: list[Callable[[], Output]] = []
        if self.jsonl is not None:
            json_lines = partial(JsonLines, lease=permit.lease)
            made.append(
                partial(self._rotating, ".jsonl", JsonLines.kind, json_lines, self.jsonl, source)
            )
        if self.csv is not None:
            made.append(partial(self._rotating, ".csv", Csv.kind, Csv, self.csv, source))
        if self.segments is not None:
            made.append(partial(self._segmented, self.segments, source, session))
        name, rate = source.name, session.frame_rate
        if self.push_url is not None:
            push = partial(rtsp_push, self.push_url, bitrate=self.push_bitrate)
            made.append(partial(push, name=name, frame_rate=rate, may_send=permit.is_valid))
        if self.hls is not None:
            folder = self.folder_of(source) / HLS_FOLDER
            hls = partial(hls_folder, folder, self.hls, may_send=permit.is_valid)
            made.append(partial(hls, name=name, frame_rate=rate))
        return made

    def _rotating(
        self,
        suffix: str,
        kind: str,
        open_part: Callable[..., Output],
        rotation: Rotation,
        source: Source,
    ) -> RecoveringOutput:
        def make() -> Rotating:
            parts = Parts(self.folder_of(source), source.name, suffix)
            return Rotating(parts, partial(open_part, source=source.name), rotation, kind=kind)

        return RecoveringOutput(make, name=source.name, kind=kind, draws=Rotating.draws)

    def _segmented(self, segments: Segments, source: Source, session: Session) -> RecoveringOutput:
        def make() -> SegmentedMp4:
            parts = Parts(self.folder_of(source), source.name, ".mp4")
            return SegmentedMp4(parts, segments, frame_rate=session.frame_rate)

        return RecoveringOutput(make, name=source.name, kind=SegmentedMp4.kind, draws=True)
