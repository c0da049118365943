"""Assignment of predictions to labels: SimOTA (arXiv 2107.08430, section 2.2).

All tensors have fixed sizes: each label has the same number of candidates, and masks tell which of
them are valid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tools.demo.training.boxes import iou
from tools.demo.training.predictions import Grid, boxes_of
from tools.demo.training.targets import Targets
from tools.yolov7.head import BOX_FIELDS, FIELDS_BEFORE_CLASSES

# A label's own cell and its four neighbors, as (column, row) steps.
_STEPS = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))
# Sizes are decoded as (2 sigmoid)^2 anchors, so a box cannot be more than 4 times its anchor.
_LARGEST_RATIO = 4.0
_IOU_WEIGHT = 3.0
_MOST_MATCHES = 10
_IMPOSSIBLE = 1e6


@dataclass(frozen=True)
class Assignment:
    """The predictions that are trained on each label.

    Attributes:
        rows: Int64 [b, M, 10], rows of the prediction for each of the M labels.
        matched: Bool [b, M, 10], whether the entry counts.
    """

    rows: Tensor
    matched: Tensor


@torch.no_grad()
def assign(predictions: Tensor, targets: Targets, grid: Grid) -> Assignment:
    """Choose the predictions that are trained on each label.

    Args:
        predictions: Float [b, R, fields], logits.
        targets: Labels of the b pictures.
        grid: Constants of the R rows.
    """
    rows, possible = _candidates(targets, grid)
    batch, labels, count = rows.shape
    index = rows.reshape(batch, -1, 1).expand(-1, -1, predictions.shape[-1])
    raw = predictions.gather(1, index).view(batch, labels, count, -1)
    overlap = iou(boxes_of(raw, rows, grid), targets.boxes[:, :, None]) * possible
    cost = _class_cost(raw, targets) - _IOU_WEIGHT * (overlap + 1e-8).log()
    cost = torch.where(possible, cost, _IMPOSSIBLE)
    wanted = overlap.topk(_MOST_MATCHES, dim=-1).values.sum(dim=-1).int().clamp(min=1)
    best, position = cost.topk(_MOST_MATCHES, dim=-1, largest=False)
    rank = torch.arange(_MOST_MATCHES, device=rows.device)
    matched = (rank < wanted[..., None]) & (best < _IMPOSSIBLE)
    chosen = rows.gather(2, position)
    return Assignment(chosen, _without_conflicts(chosen, best, matched, total=grid.starts[-1]))


def _candidates(targets: Targets, grid: Grid) -> tuple[Tensor, Tensor]:
    """Rows [b, M, levels * 5 * anchors] in and beside each label's cell; which are possible."""
    size = (targets.boxes[..., 2:] - targets.boxes[..., :2]).clamp(min=1e-3)
    used = (targets.channels >= 0)[..., None, None]
    center = (targets.boxes[..., :2] + targets.boxes[..., 2:]) / 2
    steps = torch.tensor(_STEPS, device=center.device)
    rows, possible = [], []
    for level, (height, width) in enumerate(grid.shapes):
        stride = grid.strides[grid.starts[level]]
        cell, near = _near_cells(center / stride, steps)
        inside = (cell >= 0).all(dim=-1) & (cell[..., 0] < width) & (cell[..., 1] < height)
        flat = cell[..., 1].clamp(0, height - 1) * width + cell[..., 0].clamp(0, width - 1)
        anchor = torch.arange(grid.anchors_per_level, device=center.device)
        rows.append(grid.starts[level] + flat[..., None] * grid.anchors_per_level + anchor)
        ratio = size[:, :, None] / grid.level_anchors[level]
        fits = torch.maximum(ratio, 1 / ratio).amax(dim=-1) < _LARGEST_RATIO
        possible.append(fits[:, :, None] & (near & inside)[..., None] & used)
    return torch.cat(rows, dim=2).flatten(2), torch.cat(possible, dim=2).flatten(2)


def _near_cells(center: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
    """Own and neighboring cells [b, M, 5, 2] of centers [b, M, 2]; which are own or nearer."""
    own = center.floor()
    part = center - own
    left_or_up = part < 0.5
    near = torch.cat([torch.ones_like(left_or_up[..., :1]), left_or_up, ~left_or_up], dim=-1)
    return own.long()[:, :, None] + steps, near


def _class_cost(raw: Tensor, targets: Targets) -> Tensor:
    """Cross entropy of sqrt(class x objectness), over the labeled classes: [b, M, candidates]."""
    classes = raw[..., FIELDS_BEFORE_CLASSES:]
    score = (classes.sigmoid() * raw[..., BOX_FIELDS : BOX_FIELDS + 1].sigmoid()).sqrt()
    wanted = functional.one_hot(targets.channels.clamp(min=0), classes.shape[-1])[:, :, None].bool()
    entropy = -torch.where(wanted, score, 1 - score).clamp(min=1e-6).log()
    return (entropy * targets.annotated[:, None, None]).sum(dim=-1)


def _without_conflicts(rows: Tensor, cost: Tensor, matched: Tensor, *, total: int) -> Tensor:
    """Assign a row that several labels chose to the label with the lowest cost."""
    flat = rows.flatten(1)
    price = torch.where(matched, cost, _IMPOSSIBLE).flatten(1)
    lowest = price.new_full((len(rows), total), _IMPOSSIBLE)
    lowest = lowest.scatter_reduce(1, flat, price, reduce="amin")
    return matched & (price <= lowest.gather(1, flat)).view_as(matched)
