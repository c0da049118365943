"""JSON Lines: one JSON object per frame. The schema is in docs/outputs.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.lines import LineFile


class JsonLines:
    """Writes a line for every frame, also for those without detections.

    Args:
        path: path of the file.
        source: name of the source.
        lease: number of the camera's lease; None if there is none.
    """

    kind = "jsonl"
    draws = False
    lost = 0

    def __init__(self, path: Path, *, source: str, lease: int | None = None) -> None:
        self._lines = LineFile(path)
        self._source = _readable(source)
        self._lease = lease

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        record = record_of(frame, detections, source=self._source, lease=self._lease)
        self._lines.write(record.decode() + "\n")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def record_of(
    frame: Frame, detections: Detections, *, source: str, lease: int | None = None
) -> bytes:
    """The record of one frame, as JSON without line breaks."""
    height, width = frame.size
    record = {
        "source": source,
        "frame": frame.index,
        "pts_seconds": (pts_seconds := round(frame.pts_seconds, 6)),
        "width": width,
        "height": height,
        "detections": records(detections),
    }
    if frame.source_pts_seconds is not None:
        said = round(frame.source_pts_seconds, 6)
        if said != pts_seconds:
            record["source_pts_seconds"] = said
    if frame.name:
        record["file"] = _readable(frame.name)
    if lease is not None:
        record["lease"] = lease
    return orjson.dumps(record)


def _readable(name: str) -> str:
    """`name` with `?` for bytes that are not UTF-8: file names may contain them, JSON may not."""
    return name.encode(errors="replace").decode()


def records(detections: Detections) -> list[dict[str, object]]:
    """One dictionary per object; boxes are x1, y1, x2, y2 in pixels of the frame."""
    track_ids = [None] * len(detections)
    if detections.track_ids is not None:
        track_ids = [
            track_id if track_id > 0 else None for track_id in detections.track_ids.tolist()
        ]
    # Rounded as float64: a rounded float32 would be written with many digits, as 11.25 + error.
    scores = np.round(detections.scores.astype(np.float64), 4)
    boxes = np.round(detections.boxes.astype(np.float64), 2)
    return [
        {
            "class_id": class_id,
            "class": name,
            "confidence": score,
            "box": box,
            "track_id": track_id,
        }
        for class_id, name, score, box, track_id in zip(
            detections.class_ids.tolist(),
            detections.names,
            scores.tolist(),
            boxes.tolist(),
            track_ids,
            strict=True,
        )
    ]
