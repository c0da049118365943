"""Truth files: COCO detection and MOT-challenge text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tools.demo.streets.annotations import Annotations
from tools.demo.streets.vehicles import CLASS_NAMES


def write_coco(
    path: Path, frames: Sequence[Annotations], *, video_name: str, size: tuple[int, int], fps: int
) -> None:
    """Write the truth of a clip in COCO's detection format, extended by tracks.

    Args:
        path: the file to write.
        frames: truth of every frame in order.
        video_name: file name of the clip.
        size: width and height in pixels.
        fps: frames per second.
    """
    images = [
        {
            "id": index,
            "file_name": video_name,
            "frame_index": index,
            "width": size[0],
            "height": size[1],
        }
        for index in range(len(frames))
    ]
    rows = [_coco_row(index, truth, i) for index, truth in enumerate(frames) for i in _all(truth)]
    document = {
        "info": {"description": f"yolostream synthetic street {path.stem}", "fps": fps},
        "images": images,
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, 1)],
        "categories": [{"id": key, "name": name} for key, name in CLASS_NAMES.items()],
    }
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n")


def write_mot(path: Path, frames: Sequence[Annotations]) -> None:
    """Write the truth of a clip as MOT-challenge lines.

    Each line is frame (from 1), id, left, top, width, height, considered (1 or 0), COCO class id
    and visibility.
    """
    lines = []
    for number, truth in enumerate(frames, 1):
        for i in _all(truth):
            left, top, width, height = _xywh(truth, i)
            considered = int(not truth.ignore[i])
            lines.append(
                f"{number},{truth.track_ids[i]},{left:g},{top:g},{width:g},{height:g},"
                f"{considered},{truth.class_ids[i]},{truth.visibility[i]:.2f}"
            )
    path.write_text("\n".join(lines) + "\n")


def _all(truth: Annotations) -> range:
    return range(len(truth.track_ids))


def _xywh(truth: Annotations, i: int) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = truth.boxes[i].tolist()
    return round(x1, 1), round(y1, 1), round(x2 - x1, 1), round(y2 - y1, 1)


def _coco_row(index: int, truth: Annotations, i: int) -> dict[str, object]:
    box = _xywh(truth, i)
    return {
        "image_id": index,
        "category_id": int(truth.class_ids[i]),
        "bbox": [int(v) if v == int(v) else v for v in box],
        "area": round(box[2] * box[3]),
        "iscrowd": int(truth.ignore[i]),
        "track_id": int(truth.track_ids[i]),
        "visibility": round(float(truth.visibility[i]), 2),
    }
