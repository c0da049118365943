"""Overlap of boxes given as x1, y1, x2, y2."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EPS = 1e-7


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of float boxes [..., 4] and [..., 4], broadcast: [...], 0..1."""
    shared = torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])
    intersection = shared.clamp(min=0).prod(dim=-1)
    union = area(a) + area(b) - intersection
    return intersection / (union + _EPS)


def area(boxes: Tensor) -> Tensor:
    """Areas of boxes [..., 4]."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(dim=-1)


def complete_iou(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Complete IoU (arXiv 1911.08287, equation 10) of float boxes [..., 4], broadcast.

    Returns:
        CIoU, at most 1, and the plain IoU, 0..1.
    """
    overlap = iou(a, b)
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    diagonal = hull.square().sum(dim=-1) + _EPS
    distance = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2).square().sum(dim=-1)
    shape = (4 / math.pi**2) * (_slant(a) - _slant(b)).square()
    with torch.no_grad():
        weight = shape / (1 - overlap + shape + _EPS)
    return overlap - distance / diagonal - weight * shape, overlap


def _slant(boxes: Tensor) -> Tensor:
    width, height = (boxes[..., 2:] - boxes[..., :2]).unbind(dim=-1)
    return torch.atan(width / (height + _EPS))
