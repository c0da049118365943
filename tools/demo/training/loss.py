"""Loss of raw maps against partly labeled pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from tools.demo.training.assign import Assignment, assign
from tools.demo.training.boxes import complete_iou
from tools.demo.training.predictions import Grid, boxes_of, rows_of
from tools.demo.training.targets import Targets
from tools.yolov7.head import BOX_FIELDS, FIELDS_BEFORE_CLASSES

_BOX_WEIGHT = 0.05
_OBJECT_WEIGHT = 0.7
_CLASS_WEIGHT = 0.08
# The levels of small objects have more cells. The factors compensate for that in the mean.
_LEVEL_BALANCE = (4.0, 1.0, 0.4)


@dataclass(frozen=True)
class Losses:
    """Scalars on the training device: the sum to minimize, and its weighted parts."""

    total: Tensor
    box: Tensor
    objectness: Tensor
    classes: Tensor


def detection_loss(maps: list[Tensor], targets: Targets, grid: Grid) -> Losses:
    """Box, objectness and class loss, computed in float32 for maps of any type.

    Args:
        maps: Raw maps of all levels, float [b, anchors x fields, H_i, W_i].
        targets: Labels of the b pictures.
        grid: Constants of the rows of the maps.
    """
    fields = FIELDS_BEFORE_CLASSES + targets.annotated.shape[-1]
    predictions = rows_of(maps, fields=fields)
    assignment = assign(predictions, targets, grid)
    batch, labels, matches = assignment.rows.shape
    flat = assignment.rows.reshape(batch, -1, 1).expand(-1, -1, fields)
    raw = predictions.gather(1, flat).view(batch, labels, matches, fields)
    weight = assignment.matched.float()
    count = weight.sum().clamp(min=1)
    fit, overlap = complete_iou(boxes_of(raw, assignment.rows, grid), targets.boxes[:, :, None])
    box = _BOX_WEIGHT * ((1 - fit) * weight).sum() / count
    classes = _CLASS_WEIGHT * (_class_loss(raw, targets) * weight).sum() / count
    wanted = (overlap.detach() * weight).clamp(0, 1)
    objectness = _OBJECT_WEIGHT * _objectness_loss(predictions, wanted, assignment, targets, grid)
    return Losses(box + objectness + classes, box.detach(), objectness.detach(), classes.detach())


def _class_loss(raw: Tensor, targets: Targets) -> Tensor:
    """Mean binary cross entropy over the labeled classes, [b, M, matches]."""
    logits = raw[..., FIELDS_BEFORE_CLASSES:]
    wanted = functional.one_hot(targets.channels.clamp(min=0), logits.shape[-1])[:, :, None]
    entropy = functional.binary_cross_entropy_with_logits(
        logits, wanted.to(logits.dtype).expand_as(logits), reduction="none"
    )
    labeled = targets.annotated[:, None, None].float()
    return (entropy * labeled).sum(dim=-1) / labeled.sum(dim=-1)


def _objectness_loss(
    predictions: Tensor, wanted: Tensor, assignment: Assignment, targets: Targets, grid: Grid
) -> Tensor:
    logits = predictions[..., BOX_FIELDS]
    goal = torch.zeros_like(logits)
    goal = goal.scatter_reduce(1, assignment.rows.flatten(1), wanted.flatten(1), reduce="amax")
    hits = torch.zeros_like(logits)
    hits = hits.scatter_reduce(
        1, assignment.rows.flatten(1), assignment.matched.flatten(1).float(), reduce="amax"
    )
    with torch.no_grad():
        weight = ((hits > 0) | _is_background(predictions, targets, grid)).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, goal, reduction="none") * weight
    levels = zip(_LEVEL_BALANCE, grid.starts, grid.starts[1:], strict=False)
    parts = [balance * entropy[:, start:end].mean() for balance, start, end in levels]
    return torch.stack(parts).sum()


def _is_background(predictions: Tensor, targets: Targets, grid: Grid) -> Tensor:
    """Rows that are trained as background if no label is assigned to them, bool [b, R].

    Rows in an ignored region are excluded, and so are rows whose most likely class is not labeled
    in the picture.
    """
    best = predictions[..., FIELDS_BEFORE_CLASSES:].argmax(dim=-1)
    labeled = targets.annotated.gather(1, best)
    return labeled & ~_in_ignored(targets.ignored, grid)


def _in_ignored(regions: Tensor, grid: Grid) -> Tensor:
    """Bool [b, R]: the center of the row's cell lies in one of the regions [b, K, 4]."""
    levels = []
    for level, (height, width) in enumerate(grid.shapes):
        stride = grid.strides[grid.starts[level]]
        x = (torch.arange(width, device=regions.device) + 0.5) * stride
        y = (torch.arange(height, device=regions.device) + 0.5) * stride
        x1, y1, x2, y2 = regions[..., None].unbind(dim=2)
        columns = ((x >= x1) & (x < x2)).float()
        rows = ((y >= y1) & (y < y2)).float()
        covered = torch.einsum("bky,bkx->byx", rows, columns) > 0
        levels.append(covered.flatten(1).repeat_interleave(grid.anchors_per_level, dim=1))
    return torch.cat(levels, dim=1)
