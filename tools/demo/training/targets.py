"""The labels of training canvases: boxes, classes, and ignored regions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.demo.training.gallery import Gallery
from tools.demo.training.layout import Layout

MAX_TARGETS = 120
_LEAST_VISIBLE = 0.3
_LEAST_SIDE_PX = 3.0


@dataclass(frozen=True)
class Targets:
    """Labels of b canvases.

    Attributes:
        boxes: Float [b, M, 4], x1, y1, x2, y2 in canvas pixels.
        channels: Int64 [b, M], class channels; -1 in unused rows.
        ignored: Float [b, K, 4], like `boxes`; empty boxes in unused rows.
        annotated: Bool [b, classes], class channels that are labeled on the canvas.
    """

    boxes: Tensor
    channels: Tensor
    ignored: Tensor
    annotated: Tensor


def targets_of(gallery: Gallery, layout: Layout) -> Targets:
    """Transform the labels of the pictures to canvas coordinates.

    Boxes are cut to their window. A box becomes an ignored region if less than 30% or less than
    3 px of it is left.
    """
    boxes, visible = _placed(gallery.boxes, gallery, layout)
    channels = gallery.channels[layout.pictures]
    good = (channels >= 0) & (visible >= _LEAST_VISIBLE)
    good &= (boxes[..., 2:] - boxes[..., :2]).amin(dim=-1) >= _LEAST_SIDE_PX
    channels = torch.where(good, channels, -1).flatten(1)
    regions, _ = _placed(gallery.ignored, gallery, layout)
    dropped = torch.where(good[..., None], 0.0, boxes)
    boxes, channels = _compact(boxes.flatten(1, 2), channels, used=good.flatten(1))
    ignored = torch.cat([regions.flatten(1, 2), dropped.flatten(1, 2)], dim=1)
    has_area = (ignored[..., 2:] - ignored[..., :2]).amin(dim=-1) > 0
    ignored, _ = _compact(ignored, has_area.long(), used=has_area)
    return Targets(boxes, channels, ignored, gallery.annotated[layout.pictures[:, 0]])


def _placed(source: Tensor, gallery: Gallery, layout: Layout) -> tuple[Tensor, Tensor]:
    """Boxes [N, n, 4] cut to their windows on the canvas, [b, tiles, n, 4]; the share left."""
    boxes = source[layout.pictures]
    width = gallery.sizes[layout.pictures][..., :1]
    x1, x2 = boxes[..., 0], boxes[..., 2]
    flipped = layout.flipped[..., None]
    boxes = torch.stack(
        [
            torch.where(flipped, width - x2, x1),
            boxes[..., 1],
            torch.where(flipped, width - x1, x2),
            boxes[..., 3],
        ],
        dim=-1,
    )
    whole = (
        boxes * layout.scales.repeat(1, 1, 2)[:, :, None]
        + layout.offsets.repeat(1, 1, 2)[:, :, None]
    )
    low, high = layout.windows[:, :, None, :2], layout.windows[:, :, None, 2:]
    corners = [whole[..., :2].maximum(low).minimum(high), whole[..., 2:].maximum(low).minimum(high)]
    cut = torch.cat(corners, dim=-1)
    return cut, _area(cut) / _area(whole).clamp(min=1e-6)


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)


def _compact(boxes: Tensor, labels: Tensor, *, used: Tensor) -> tuple[Tensor, Tensor]:
    """Move the used rows to the front, keep at most `MAX_TARGETS`, and zero unused boxes."""
    order = used.int().argsort(dim=1, descending=True, stable=True)[:, :MAX_TARGETS]
    boxes = torch.where(used[..., None], boxes, 0.0)
    return boxes.gather(1, order[..., None].expand(-1, -1, 4)), labels.gather(1, order)
