"""Non-maximum suppression of a whole batch in a few tensor operations, to watch a training."""

from __future__ import annotations

import torch
from torch import Tensor

from tools.demo.training.boxes import iou

_CANDIDATES = 300
_IOU = 0.6
_ROUNDS = 12


@torch.no_grad()
def suppress(output: Tensor) -> tuple[Tensor, Tensor]:
    """Keep the best of overlapping boxes of a class.

    A box falls when a better one that stands overlaps it. Repeating that rule for all boxes at
    once settles to what the usual loop over boxes finds.

    Args:
        output: Float [b, N, 6], x1, y1, x2, y2, confidence, class.

    Returns:
        Float [b, 300, 6], by descending confidence, and bool [b, 300], which rows stand.
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
