"""What is written of each source, and where."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from yolostream.errors import OutputError
from yolostream.outputs.csv import Csv
from yolostream.outputs.jsonl import JsonLines
from yolostream.outputs.mot import Mot
from yolostream.outputs.mp4 import Mp4
from yolostream.outputs.output import Output
from yolostream.outputs.pictures import AnnotatedPictures
from yolostream.outputs.video import DEFAULT_BITRATE
from yolostream.sources import Session, Source

Format = Literal["mp4", "tiled", "jsonl", "csv", "mot"]
FORMATS: tuple[Format, ...] = get_args(Format)
TILED_NAME = "tiled"
"""The grid's file takes this name, so no source may."""


@dataclass(frozen=True)
class Results:
    """What is made of the detections, and where it goes."""

    folder: Path
    formats: frozenset[Format] = field(default_factory=lambda: frozenset(FORMATS))
    bitrate: int = DEFAULT_BITRATE
    """Bits per second of each video."""
    encoder_threads: int = 1
    """Threads that encode one video."""
    part: int = 1
    """Counts how often a live source was begun anew: its files of before stay."""

    @property
    def tiled_path(self) -> Path:
        """Where the tiled picture of all videos goes."""
        return self.folder / f"{TILED_NAME}.mp4"

    def makers(self, source: Source, session: Session) -> list[Callable[[], Output]]:
        """What makes the outputs of a source that was opened; the tiled picture is none of them.

        Each raises `OutputError` where it cannot be written.
        """
        part = f".{self.part}" if source.is_live and self.part > 1 else ""
        stem = str(self.folder / f"{source.name}{part}")
        makers: list[Callable[[], Output]] = []
        if "mp4" in self.formats and source.is_video:
            makers.append(partial(self._video, Path(f"{stem}.mp4"), session))
        if "mp4" in self.formats and not source.is_video:
            makers.append(partial(AnnotatedPictures, Path(stem)))
        if "jsonl" in self.formats:
            makers.append(partial(JsonLines, Path(f"{stem}.jsonl"), source=source.name))
        if "csv" in self.formats:
            makers.append(partial(Csv, Path(f"{stem}.csv"), source=source.name))
        if "mot" in self.formats and source.is_video:
            makers.append(partial(Mot, Path(f"{stem}.txt")))
        return makers

    def check_apart_from(self, sources: Sequence[Source]) -> None:
        """Make sure that no result takes the place of what it is made from.

        Raises:
            OutputError: one could.
        """
        for source in sources:
            ours = {os.path.realpath(folder) for folder in (self.folder, self.folder / source.name)}
            for path in source.files:
                # Unlike `Path.resolve`, this has no objection to links that go in circles.
                if os.path.dirname(os.path.realpath(path)) in ours:
                    raise OutputError(
                        f"results in {self.folder} could overwrite {path}: choose another folder "
                        "with --output"
                    )

    def _video(self, path: Path, session: Session) -> Mp4:
        return Mp4(
            path, frame_rate=session.frame_rate, bitrate=self.bitrate, threads=self.encoder_threads
        )
