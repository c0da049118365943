"""Layouts of pictures on training canvases: mosaics of four, or one letterboxed picture."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.demo.training.gallery import SIDE, Gallery
from tools.demo.training.sampling import Sampler

TILES = 4
_STRETCH = 0.2
# Most objects in a mosaic should have sizes between these, in pixels (square root of the area).
_SMALL, _LARGE = 14.0, 220.0
_UNCHANGED_SHARE = 0.5


@dataclass(frozen=True)
class Layout:
    """Placement of up to four tiles on each of b canvases of 640 x 640 pixels.

    A source point x (or width - x where flipped) lands at offset + scale x, and is visible inside
    the window.

    Attributes:
        pictures: Int64 [b, 4], indices into the gallery.
        windows: Float [b, 4, 4], x1, y1, x2, y2 in canvas pixels; empty for an unused tile.
        scales: Float [b, 4, 2], canvas pixels per source pixel along x and y.
        offsets: Float [b, 4, 2], canvas position of the picture's upper left corner.
        flipped: Bool [b, 4], mirrored from left to right.
    """

    pictures: Tensor
    windows: Tensor
    scales: Tensor
    offsets: Tensor
    flipped: Tensor


def random_layout(gallery: Gallery, sampler: Sampler, count: int, *, plain_share: float) -> Layout:
    """Draw placements for `count` canvases.

    Args:
        gallery: The pictures.
        sampler: Chooses which of them.
        count: Number of canvases.
        plain_share: Share of canvases with one letterboxed picture, 0..1; the rest are mosaics.
    """
    pictures = sampler.draw(count, TILES)
    plain = torch.rand(count, 1, device=gallery.device) < plain_share
    windows = torch.where(
        plain[..., None], _whole(gallery.device), _quarters(count, gallery.device)
    )
    sizes = gallery.sizes[pictures]
    fit = SIDE / sizes.amax(dim=-1)
    zoom = torch.where(plain, _plain_zoom(fit), _mosaic_zoom(gallery, pictures))
    stretch = torch.empty_like(sizes).uniform_(-_STRETCH, _STRETCH).exp()
    unchanged = (zoom == 1.0)[..., None]
    scales = (fit * zoom)[..., None] * torch.where(unchanged, 1.0, stretch)
    free = (windows[..., 2:] - windows[..., :2]) - sizes * scales
    place = torch.where(unchanged, 0.5, torch.rand_like(free))
    flipped = torch.rand_like(fit) < 0.5
    return Layout(pictures, windows, scales, windows[..., :2] + place * free, flipped)


def letterbox_layout(gallery: Gallery, pictures: Tensor) -> Layout:
    """Each picture (int64 [b]) alone and centered, as the server's `preprocess` places it."""
    sizes = gallery.sizes[pictures][:, None]
    scales = (SIDE / sizes.amax(dim=-1, keepdim=True)).expand_as(sizes)
    return Layout(
        pictures=pictures[:, None],
        windows=_whole(gallery.device)[:, :1].expand(len(pictures), 1, 4),
        scales=scales,
        offsets=((SIDE - sizes * scales) / 2).floor(),
        flipped=torch.zeros(len(pictures), 1, dtype=torch.bool, device=gallery.device),
    )


def _whole(device: torch.device) -> Tensor:
    windows = torch.zeros(1, TILES, 4, device=device)
    windows[:, 0, 2:] = SIDE
    return windows


def _quarters(count: int, device: torch.device) -> Tensor:
    x, y = torch.empty(2, count, device=device).uniform_(0.25 * SIDE, 0.75 * SIDE)
    low, high = torch.zeros_like(x), torch.full_like(x, SIDE)
    corners = [(low, low, x, y), (x, low, high, y), (low, y, x, high), (x, y, high, high)]
    return torch.stack([torch.stack(corner, dim=-1) for corner in corners], dim=1)


def _plain_zoom(fit: Tensor) -> Tensor:
    zoom = torch.empty_like(fit).uniform_(-0.5, 0.4).exp()
    return torch.where(torch.rand_like(fit) < _UNCHANGED_SHARE, 1.0, zoom)


def _mosaic_zoom(gallery: Gallery, pictures: Tensor) -> Tensor:
    """Log-uniform factors relative to a letterboxed picture, by the size of what is in it."""
    boxes = gallery.boxes[pictures]
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)
    fit = SIDE / gallery.sizes[pictures].amax(dim=-1)
    typical = areas.sum(-1).div((areas > 0).sum(-1).clamp(min=1)).sqrt() * fit
    low = (_SMALL / typical.clamp(min=1.0)).clamp(0.25, 0.7)
    high = (_LARGE / typical.clamp(min=1.0)).clamp(1.1, 2.2)
    return low * (high / low) ** torch.rand_like(low)
