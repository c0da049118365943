"""JSON Lines: one object a frame. The schema is in docs/outputs.md."""

from __future__ import annotations

import json
from pathlib import Path

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image, size_of
from yolostream.outputs.lines import LineFile


class JsonLines:
    """Writes every frame, also those in which nothing was found."""

    def __init__(self, path: Path, *, source: str) -> None:
        self._lines = LineFile(path)
        self._source = source

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`."""
        height, width = size_of(frame.image)
        record = {
            "source": self._source,
            "frame": frame.index,
            "pts_seconds": round(frame.pts_seconds, 6),
            "width": width,
            "height": height,
            "detections": records(detections),
        }
        if frame.name:
            record["file"] = frame.name
        self._lines.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def records(detections: Detections) -> list[dict[str, object]]:
    """One dictionary an object; boxes as x1, y1, x2, y2 in pixels of the frame."""
    track_ids = [None] * len(detections)
    if detections.track_ids is not None:
        track_ids = [
            track_id if track_id > 0 else None for track_id in detections.track_ids.tolist()
        ]
    return [
        {
            "class_id": class_id,
            "class": name,
            "confidence": round(score, 4),
            "box": [round(value, 2) for value in box],
            "track_id": track_id,
        }
        for class_id, name, score, box, track_id in zip(
            detections.class_ids.tolist(),
            detections.names,
            detections.scores.tolist(),
            detections.boxes.tolist(),
            track_ids,
            strict=True,
        )
    ]
