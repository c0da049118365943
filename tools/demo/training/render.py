"""Drawing of canvases from their layout: every canvas pixel looks up its source pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from tools.demo.training.gallery import ATLAS_WIDTH, LEVEL_ORIGINS, SIDE, Gallery
from tools.demo.training.layout import Layout

FILL = 114 / 255


def render(gallery: Gallery, layout: Layout) -> tuple[Tensor, Tensor]:
    """Draw the canvases of a layout.

    Sampling is bilinear in the halving of the picture that is nearest above the wanted size.

    Returns:
        Float [b, 3, 640, 640] RGB 0..1 (undefined outside pictures), and bool [b, 1, 640, 640]:
        inside a picture.
    """
    tile, inside_window = _tiles(layout)
    axis = torch.arange(SIDE, device=gallery.device) + 0.5
    sizes = gallery.sizes[layout.pictures]
    x = (axis[None, None, :] - _per_pixel(layout.offsets[..., 0], tile)) / _per_pixel(
        layout.scales[..., 0], tile
    )
    y = (axis[None, :, None] - _per_pixel(layout.offsets[..., 1], tile)) / _per_pixel(
        layout.scales[..., 1], tile
    )
    width, height = _per_pixel(sizes[..., 0], tile), _per_pixel(sizes[..., 1], tile)
    inside = inside_window & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x = torch.where(_per_pixel(layout.flipped, tile), width - x, x)
    level = (
        (-layout.scales.amax(dim=-1).log2() + 0.25).floor().clamp(0, len(LEVEL_ORIGINS) - 1).long()
    )
    origins = torch.tensor(LEVEL_ORIGINS, device=gallery.device)[level]
    mip_scale = 0.5 ** _per_pixel(level, tile)
    x_low, x_high, x_part = _neighbors(x * mip_scale, (width * mip_scale).floor())
    y_low, y_high, y_part = _neighbors(y * mip_scale, (height * mip_scale).floor())
    starts = (
        layout.pictures * (SIDE * ATLAS_WIDTH) + origins[..., 1] * ATLAS_WIDTH + origins[..., 0]
    )
    start, texels = _per_pixel(starts, tile), gallery.texels.flatten()
    rows = []
    for row in (y_low, y_high):
        begin = start + row * ATLAS_WIDTH
        left, right = _lookup(texels, begin + x_low), _lookup(texels, begin + x_high)
        rows.append(torch.lerp(left, right, x_part[:, None]))
    return torch.lerp(rows[0], rows[1], y_part[:, None]).div_(255), inside[:, None]


def _tiles(layout: Layout) -> tuple[Tensor, Tensor]:
    """Per canvas pixel the index of its tile, int64 [b, 640, 640], and whether it has one."""
    axis = torch.arange(SIDE, device=layout.windows.device) + 0.5
    x1, y1, x2, y2 = layout.windows[..., None].unbind(dim=2)
    columns = (axis >= x1) & (axis < x2)
    rows = (axis >= y1) & (axis < y2)
    covers = rows[..., :, None] & columns[..., None, :]
    return covers.int().argmax(dim=1), covers.any(dim=1)


def _per_pixel(values: Tensor, tile: Tensor) -> Tensor:
    """Spread one value per tile, [b, tiles], to pixels, [b, 640, 640]."""
    return values.gather(1, tile.flatten(1)).view_as(tile)


def _neighbors(position: Tensor, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels on both sides of a position, and how far it is from the lower to the upper."""
    last = length - 1
    centered = (position - 0.5).clamp(min=0).minimum(last)
    low = centered.floor()
    return low.long(), (low + 1).minimum(last).long(), centered - low


def _lookup(texels: Tensor, index: Tensor) -> Tensor:
    """Float [b, 3, 640, 640] RGB 0..255 of packed pixels."""
    packed = texels[index]
    return torch.stack([packed & 255, (packed >> 8) & 255, (packed >> 16) & 255], dim=1).float()
