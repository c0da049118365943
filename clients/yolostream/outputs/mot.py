"""MOTChallenge text, for the evaluation of tracking: one row per tracked object."""

from __future__ import annotations

from pathlib import Path

from yolostream.detections import Detections
from yolostream.frame import Frame
from yolostream.image import Image
from yolostream.outputs.lines import LineFile


class Mot:
    """Writes `frame,id,left,top,width,height,confidence,-1,-1,-1`; frames count from 1."""

    kind = "mot"
    draws = False
    lost = 0

    def __init__(self, path: Path) -> None:
        self._lines = LineFile(path)

    def write(self, frame: Frame, annotated: Image, detections: Detections) -> None:
        """Add one frame; see `Output`. Objects without a track are left out."""
        if detections.track_ids is None:
            return
        rows = []
        for track_id, score, box in zip(
            detections.track_ids.tolist(),
            detections.scores.tolist(),
            detections.boxes.tolist(),
            strict=True,
        ):
            if track_id > 0:
                x1, y1, x2, y2 = box
                place = f"{x1:.2f},{y1:.2f},{x2 - x1:.2f},{y2 - y1:.2f}"
                rows.append(f"{frame.index + 1},{track_id},{place},{score:.4f},-1,-1,-1\n")
        if rows:
            self._lines.write("".join(rows))

    def close(self) -> None:
        """Close the file."""
        self._lines.close()
