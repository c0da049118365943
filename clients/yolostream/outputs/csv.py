"""CSV: one row per object. The columns are in docs/outputs.md."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.jsonl import records
from yolostream.outputs.lines import LineFile

COLUMNS = (
    *("source", "frame", "pts_seconds", "class_id", "class", "confidence"),
    *("x1", "y1", "x2", "y2", "track_id"),
)


class Csv:
    """Writes a header, then a row for each object of each frame."""

    kind = "csv"
    draws = False
    lost = 0

    def __init__(self, path: Path, *, source: str) -> None:
        self._lines = LineFile(path)
        self._source = source
        self._lines.write(_rows([COLUMNS]))

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        pts_seconds = round(frame.pts_seconds, 6)
        rows = [
            (
                *(self._source, frame.index, pts_seconds),
                *(record["class_id"], record["class"], record["confidence"]),
                *record["box"],  # type: ignore[misc]  # a list of four numbers
                record["track_id"],
            )
            for record in records(detections)
        ]
        if rows:
            self._lines.write(_rows(rows))

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def _rows(rows: list[tuple[object, ...]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
