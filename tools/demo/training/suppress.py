"""Non-maximum suppression of a batch in a few tensor operations, for evaluation in training."""

from __future__ import annotations

import torch
from torch import Tensor

from tools.demo.training.boxes import iou

_CANDIDATES = 300
_IOU = 0.6
_ROUNDS = 12


@torch.no_grad()
def suppress(output: Tensor) -> tuple[Tensor, Tensor]:
    """Suppress overlapping boxes of a class.

    A box is suppressed if a kept box with a higher confidence overlaps it. Applying that rule to
    all boxes at once, repeatedly, converges to the result of the usual loop over boxes.

    Args:
        output: Float [b, N, 6], x1, y1, x2, y2, confidence, class.

    Returns:
        Float [b, 300, 6], by descending confidence, and bool [b, 300], which rows are kept.
    """
    order = output[..., 4].topk(_CANDIDATES, dim=1).indices
    rows = output.gather(1, order[..., None].expand(-1, -1, 6))
    boxes, classes = rows[..., :4], rows[..., 5]
    rivals = iou(boxes[:, :, None], boxes[:, None]) > _IOU
    rivals &= classes[:, :, None] == classes[:, None]
    better = rivals.triu(diagonal=1)
    stands = torch.ones_like(classes, dtype=torch.bool)
    for _ in range(_ROUNDS):
        stands = ~(better & stands[:, :, None]).any(dim=1)
    return rows, stands
