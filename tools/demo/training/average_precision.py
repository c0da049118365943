"""Average precision at IoU 0.5 during a training; published figures are from pycocotools."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tools.demo.training.pictures import Floats

Flags = npt.NDArray[np.bool_]
_MATCH_IOU = 0.5


@dataclass(frozen=True)
class Finding:
    """Detections and labels of one picture, for one class.

    Attributes:
        detections: [n, 5] x1, y1, x2, y2, confidence; by descending confidence.
        boxes: [m, 4] labeled boxes.
        ignored: [k, 4] regions in which detections are neither right nor wrong.
    """

    detections: Floats
    boxes: Floats
    ignored: Floats


def average_precision(findings: list[Finding]) -> float:
    """Area under the precision-recall curve (all points) of one class; NaN without labels."""
    labels = sum(len(f.boxes) for f in findings)
    if labels == 0:
        return float("nan")
    judged = [_judge(finding) for finding in findings]
    scores = np.concatenate([score for score, _ in judged])
    hits = np.concatenate([hit for _, hit in judged])[np.argsort(-scores, kind="stable")]
    if not len(hits):
        return 0.0
    recall = np.cumsum(hits) / labels
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def _judge(finding: Finding) -> tuple[Floats, Flags]:
    """Confidence and correctness of the detections that count."""
    detections = finding.detections
    overlaps = _overlaps(detections, finding.boxes, share_of_detection=False)
    free = np.ones(len(finding.boxes), bool)
    hits = np.zeros(len(detections), bool)
    for i, row in enumerate(overlaps):
        candidates = np.where(free, row, 0.0)
        if len(candidates) and candidates.max() >= _MATCH_IOU:
            hits[i] = True
            free[candidates.argmax()] = False
    covered = _overlaps(detections, finding.ignored, share_of_detection=True)
    counts = hits | (covered.max(axis=1, initial=0.0) < _MATCH_IOU)
    return detections[counts, 4], hits[counts]


def _overlaps(detections: Floats, boxes: Floats, *, share_of_detection: bool) -> Floats:
    """Intersection over union, or over the detection's own area: [n, m]."""
    a, b = detections[:, None, :4], boxes[None]
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    intersection = np.clip(shared, 0, None).prod(axis=-1)
    own = (a[..., 2:] - a[..., :2]).prod(axis=-1)
    union = (
        own if share_of_detection else own + (b[..., 2:] - b[..., :2]).prod(axis=-1) - intersection
    )
    ratio: Floats = intersection / np.maximum(union, 1e-6)
    return ratio
