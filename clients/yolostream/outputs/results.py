"""The outputs of each source of a run."""

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
"""Name of the tiled picture's file; no source may have it."""


@dataclass(frozen=True)
class Results:
    """Settings of the outputs of each source."""

    folder: Path
    formats: frozenset[Format] = field(default_factory=lambda: frozenset(FORMATS))
    bitrate: int = DEFAULT_BITRATE
    """Bits per second of each video."""
    encoder_threads: int = 1
    """Number of encoder threads for one video."""
    part: int = 1
    """How often a live source was started. From 2 on, it is part of the names of files, so that
    earlier files are kept."""

    @property
    def tiled_path(self) -> Path:
        """The file of the tiled picture."""
        return self.folder / f"{TILED_NAME}.mp4"

    def makers(self, source: Source, session: Session) -> list[Callable[[], Output]]:
        """Functions that make the outputs of an open source, without the tiled picture.

        Each raises `OutputError` if the output cannot be written.
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
        """Check that no result could overwrite the file of a source.

        Raises:
            OutputError: a source is in the folder of the results.
        """
        for source in sources:
            ours = {os.path.realpath(folder) for folder in (self.folder, self.folder / source.name)}
            for path in source.files:
                # Unlike `Path.resolve`, `realpath` raises no error for links that form a loop.
                if os.path.dirname(os.path.realpath(path)) in ours:
                    raise OutputError(
                        f"results in {self.folder} could overwrite {path}: choose another folder "
                        "with --output"
                    )

    def _video(self, path: Path, session: Session) -> Mp4:
        return Mp4(
            path, frame_rate=session.frame_rate, bitrate=self.bitrate, threads=self.encoder_threads
        )
