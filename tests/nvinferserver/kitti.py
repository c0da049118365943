"""Writes the files of gie-kitti-output-dir: one text file per frame, one line per object."""

from __future__ import annotations

from pathlib import Path

from yolostream.detections import Detections


def write_kitti(folder: Path, *, source: int, number: int, found: Detections) -> None:
    """Write the objects of frame `number` of `source`, both from 0, boxes in muxer pixels."""
    lines = (
        f"{name} 0.0 0 0.0 {x1:f} {y1:f} {x2:f} {y2:f} 0.0 0.0 0.0 0.0 0.0 0.0 0.0 {score:f}\n"
        for name, (x1, y1, x2, y2), score in zip(
            found.names, found.boxes, found.scores, strict=True
        )
    )
    (folder / f"00_{source:03}_{number:06}.txt").write_text("".join(lines))
