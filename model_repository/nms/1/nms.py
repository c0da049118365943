"""Non-maximum suppression as in the official YOLOv7 (single label), and the inverse letterbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Thresholds:
    """The parameters in `nms/config.pbtxt`.

    Attributes:
        confidence: Scores have to be above this, 0..1.
        iou: Largest IoU of two kept boxes, 0..1.
        max_detections: Largest number of detections per frame.
        class_agnostic: Whether boxes of different classes also suppress each other.
    """

    confidence: float
    iou: float
    max_detections: int
    class_agnostic: bool = False


@dataclass(frozen=True)
class Detections:
    """The outputs that `nms/config.pbtxt` declares, for n frames. Unused rows are zero.

    Attributes:
        num_detections: float32 [n, 1]: number of used rows.
        boxes: float32 [n, max_detections, 4]: y1, x1, y2, x2, normalized to the frame and clipped
            to 0..1.
        scores: float32 [n, max_detections]: 0..1, descending.
        classes: float32 [n, max_detections]: class ids.
        digests: float32 [n, 2]: digests of the frames, copied from the letterboxes.
    """

    num_detections: Floats
    boxes: Floats
    scores: Floats
    classes: Floats
    digests: Floats


def detect(
    predictions: Sequence[Floats], letterboxes: Sequence[Floats], thresholds: Thresholds
) -> Detections:
    """Find the detections of each frame.

    Args:
        predictions: float32 [n, rows, 6] per request: `output` of the network.
        letterboxes: float32 [n, 6] per request: `letterbox` of preprocess.
        thresholds: The thresholds, and the largest number of detections.

    Returns:
        The detections of the frames of all requests, in order.
    """
    count, max_detections = sum(map(len, predictions)), thresholds.max_detections
    found = Detections(
        num_detections=np.zeros((count, 1), np.float32),
        boxes=np.zeros((count, max_detections, 4), np.float32),
        scores=np.zeros((count, max_detections), np.float32),
        classes=np.zeros((count, max_detections), np.float32),
        digests=np.zeros((count, 2), np.float32),
    )
    frames = zip(chain(*predictions), chain(*letterboxes), strict=True)
    for index, (rows, letterbox) in enumerate(frames):
        kept = non_maximum_suppression(rows, thresholds)
        used = len(kept)
        found.num_detections[index] = used
        found.boxes[index, :used] = to_frame(kept[:, :4], letterbox[:4])
        found.scores[index, :used] = kept[:, 4]
        found.classes[index, :used] = kept[:, 5]
        found.digests[index] = letterbox[4:]
    return found


def non_maximum_suppression(predictions: Floats, thresholds: Thresholds) -> Floats:
    """Suppress boxes that overlap boxes with higher scores, per class or over all classes.

    Args:
        predictions: float32 [rows, 6]: x1, y1, x2, y2 in pixels, confidence 0..1, class id.
        thresholds: A row is kept if its confidence is above `confidence`, and its IoU with each
            kept row of its class (of any class if `class_agnostic`) is at most `iou`.

    Returns:
        float32 [n, 6], n <= `max_detections`: the kept rows, highest score first. Rows with values
        that are not finite are dropped, because DeepStream warms up with arbitrary bytes.
    """
    candidates = predictions[predictions[:, 4] > thresholds.confidence]
    candidates = candidates[np.isfinite(candidates).all(axis=1)]
    # A row is only suppressed by rows with higher scores. So the candidates with the highest scores
    # are enough, if `max_detections` of them are kept. An image of noise has 25200 candidates, and
    # comparing all of them would take seconds.
    prefix = 4 * thresholds.max_detections
    kept = _suppress(candidates, thresholds, prefix)
    while len(kept) < thresholds.max_detections and prefix < len(candidates):
        prefix *= 4
        kept = _suppress(candidates, thresholds, prefix)
    return candidates[kept[: thresholds.max_detections]]


def _suppress(candidates: Floats, thresholds: Thresholds, prefix: int) -> npt.NDArray[np.intp]:
    """Indices of the rows kept among those with the `prefix` highest scores, highest first."""
    # OpenCV needs x, y, width, height. In float32 these would be rounded.
    rectangles = candidates[:, :4].astype(np.float64)
    rectangles[:, 2:] -= rectangles[:, :2]
    classes = candidates[:, 5].astype(np.int32)
    if thresholds.class_agnostic:
        classes[:] = 0
    kept = cv2.dnn.NMSBoxesBatched(
        rectangles,  # type: ignore[arg-type]  # the stub says list of Rect2d; arrays work too
        candidates[:, 4],  # type: ignore[arg-type]
        classes,  # type: ignore[arg-type]
        thresholds.confidence,
        thresholds.iou,
        top_k=prefix,
    )
    return np.asarray(kept, dtype=np.intp)


def to_frame(boxes: Floats, content_rect: Floats) -> Floats:
    """Undo the letterbox.

    Args:
        boxes: float32 [n, 4]: x1, y1, x2, y2 in pixels of the network's input.
        content_rect: float32 [4]: left, top, width and height of the frame in that input.

    Returns:
        float32 [n, 4]: y1, x1, y2, x2, normalized to the frame and clipped to 0..1.
    """
    left, top, width, height = content_rect
    normalized: Floats = (boxes - [left, top, left, top]) / [width, height, width, height]
    return normalized[:, [1, 0, 3, 2]].clip(0.0, 1.0).astype(np.float32)
