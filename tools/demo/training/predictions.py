"""Raw maps of all levels as one list of rows, and the constants that decode a row."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.yolov7.head import BOX_FIELDS, Detect


@dataclass(frozen=True)
class Grid:
    """The R rows of a network's prediction, ordered by level, y, x, anchor.

    Attributes:
        cells: Float [R, 2], column and row of each row's cell.
        strides: Float [R, 1], pixels per cell.
        anchors: Float [R, 2], reference width and height in pixels.
        shapes: Height and width in cells of each level.
        starts: First row of each level, and R.
        level_anchors: Float [levels, anchors, 2], reference sizes in pixels.
    """

    cells: Tensor
    strides: Tensor
    anchors: Tensor
    shapes: tuple[tuple[int, int], ...]
    starts: tuple[int, ...]
    level_anchors: Tensor

    @property
    def anchors_per_level(self) -> int:
        """Reference boxes of a cell."""
        return self.level_anchors.shape[1]


def build_grid(detect: Detect, *, side: int) -> Grid:
    """The grid of a head for square inputs of `side` pixels."""
    device = detect.anchors.device
    steps = torch.tensor(detect.strides, dtype=torch.float32, device=device)
    level_anchors = detect.anchors * steps[:, None, None]
    cells, strides, anchors, shapes, starts = [], [], [], [], [0]
    for stride, sizes in zip(detect.strides, level_anchors, strict=True):
        count = side // stride
        axis = torch.arange(count, dtype=torch.float32, device=device)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        level = torch.stack([x, y], dim=-1).reshape(-1, 1, 2).expand(-1, len(sizes), 2)
        cells.append(level.reshape(-1, 2))
        strides.append(torch.full((level[..., 0].numel(), 1), float(stride), device=device))
        anchors.append(sizes.expand_as(level).reshape(-1, 2))
        shapes.append((count, count))
        starts.append(starts[-1] + level[..., 0].numel())
    return Grid(
        torch.cat(cells),
        torch.cat(strides),
        torch.cat(anchors),
        tuple(shapes),
        tuple(starts),
        level_anchors,
    )


def rows_of(maps: list[Tensor], *, fields: int) -> Tensor:
    """Float32 [b, R, fields] rows of raw maps, in the order of `Grid`."""
    levels = [level.permute(0, 2, 3, 1).reshape(len(level), -1, fields) for level in maps]
    return torch.cat(levels, dim=1).float()


def boxes_of(raw: Tensor, rows: Tensor, grid: Grid) -> Tensor:
    """Decode raw values.

    Args:
        raw: Float [..., fields], logits of some rows.
        rows: Int64 [...], which rows they are.
        grid: Constants of the rows.

    Returns:
        Float [..., 4], x1, y1, x2, y2 in pixels.
    """
    box = raw[..., :BOX_FIELDS].sigmoid()
    center = (box[..., :2] * 2 - 0.5 + grid.cells[rows]) * grid.strides[rows]
    half = (box[..., 2:] * 2).square() * grid.anchors[rows] / 2
    return torch.cat([center - half, center + half], dim=-1)
