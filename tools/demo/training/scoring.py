"""Average precision by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tools.demo.training.pictures import Floats, Picture

MAX_DETECTIONS = 300


@dataclass(frozen=True)
class Score:
    """Average precision of one class.

    Attributes:
        ap50: At IoU 0.5.
        ap: Mean over IoU 0.50, 0.55, ... 0.95.
        labels: Number of labeled objects.
    """

    ap50: float
    ap: float
    labels: int


def score_class(
    class_id: int, pictures: Sequence[Picture], detections: Sequence[Floats], *, use_ignored: bool
) -> Score | None:
    """Score one class on the pictures in which it is labeled.

    Args:
        class_id: COCO id.
        pictures: Labels; the pixels do not matter.
        detections: Per picture, [n, 6] x1, y1, x2, y2 in its pixels, confidence, class id.
        use_ignored: Whether detections inside ignored regions do not count (as in COCO's crowd
            regions); otherwise they count as wrong.

    Returns:
        The scores; None if there are no labels.
    """
    images = [i for i, picture in enumerate(pictures) if class_id in picture.annotated]
    truth = [row for i in images for row in _truth(i, pictures[i], class_id, use_ignored)]
    found = [row for i in images for row in _found(i, detections[i], class_id)]
    labels = sum(not row["iscrowd"] for row in truth)
    if not labels:
        return None
    if not found:
        return Score(0.0, 0.0, labels)
    for number, row in enumerate(truth, start=1):
        row["id"] = number
    with contextlib.redirect_stdout(io.StringIO()):
        precision = _precision(images, truth, found, class_id)
    return Score(float(precision[0].mean()), float(precision.mean()), labels)


def _precision(
    images: list[int], truth: list[dict[str, Any]], found: list[dict[str, Any]], class_id: int
) -> Any:
    """Float [10 IoU thresholds, 101 recalls]."""
    labels = COCO()
    labels.dataset = {
        "info": {},
        "images": [{"id": i} for i in images],
        "annotations": truth,
        "categories": [{"id": class_id}],
    }
    labels.createIndex()
    evaluation = COCOeval(labels, labels.loadRes(found), "bbox")
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = evaluation.params.areaRng[:1]
    evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][:, :, 0, 0, 0]


def _truth(image: int, picture: Picture, class_id: int, use_ignored: bool) -> list[dict[str, Any]]:
    boxes = [(box, 0) for box in picture.boxes[picture.class_ids == class_id]]
    if use_ignored:
        boxes += [(box, 1) for box in picture.ignored]
    return [
        {
            "image_id": image,
            "category_id": class_id,
            "iscrowd": crowd,
            **_rectangle(box),
        }
        for box, crowd in boxes
    ]


def _found(image: int, detections: Floats, class_id: int) -> list[dict[str, Any]]:
    rows = detections[detections[:, 5] == class_id]
    return [
        {
            "image_id": image,
            "category_id": class_id,
            "score": float(row[4]),
            **_rectangle(row[:4]),
        }
        for row in rows
    ]


def _rectangle(box: Floats) -> dict[str, Any]:
    x1, y1, x2, y2 = np.asarray(box, float).tolist()
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
