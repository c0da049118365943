"""An emulation of NvDsInferParseCustomTfSSD, DeepStream's parser of the answer for one frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import PipelineFailed

Floats = npt.NDArray[np.float32]
REQUIRED = ("detection_boxes", "detection_scores", "detection_classes")


@dataclass(frozen=True)
class Objects:
    """Objects in the order of the answer; row i of each array belongs to object i."""

    rectangles: Floats
    """float32 [n, 4]: left, top, width, height in pixels of the tensor."""
    scores: Floats
    class_ids: npt.NDArray[np.int64]


def parse(
    layers: Mapping[str, npt.NDArray[np.generic]], *, width: int, height: int, thresholds: Floats
) -> Objects:
    """Parse the outputs for one frame, without their batch dimension.

    Args:
        layers: the output layers by name; layers that are not float32 are ignored.
        width: width of the tensor that was sent, in pixels.
        height: height of the tensor, in pixels.
        thresholds: float32 [classes]: the lowest score of each class that is kept.
    """
    seen = {name: layer for name, layer in layers.items() if layer.dtype == np.float32}
    if missing := sorted(set(REQUIRED) - set(seen)):
        raise PipelineFailed(f"some layers missing or unsupported data types: {missing}")
    rows = _rows(seen)
    scores = seen["detection_scores"][:rows]
    # Values out of range and NaN both become a class that does not exist.
    class_ids = np.nan_to_num(seen["detection_classes"][:rows], nan=-1.0).astype(np.int64)
    known = (class_ids >= 0) & (class_ids < len(thresholds))
    below = scores < thresholds[np.where(known, class_ids, 0)]
    y1, x1, y2, x2 = seen["detection_boxes"].reshape(-1, 4)[:rows].T
    x1, x2 = (_clip(x * np.float32(width), width - 1) for x in (x1, x2))
    y1, y2 = (_clip(y * np.float32(height), height - 1) for y in (y1, y2))
    kept = known & ~below & (x2 > x1) & (y2 > y1)
    rectangles = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)
    return Objects(rectangles[kept], scores[kept], class_ids[kept])


def _rows(layers: Mapping[str, Floats]) -> int:
    rows = len(layers["detection_classes"])
    count = layers["num_detections"].flat[0] if "num_detections" in layers else rows
    # The parser compares as unsigned: a negative number counts as larger than the number of rows.
    return int(count) if -1 < count <= rows else rows


def _clip(values: Floats, highest: int) -> Floats:
    """Clip to 0..highest like the parser's macros: NaN becomes `highest`."""
    limit = np.float32(highest)
    values = np.where(values < limit, values, limit)
    return np.where(values > 0, values, np.float32(0))
