"""Random changes of color, sharpness and noise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Weights of R, G, B in brightness (ITU-R BT.601).
_LUMA = (0.299, 0.587, 0.114)
_GRAYSCALE_SHARE = 0.05
_BLUR_SHARE = 0.2
_NOISE_SHARE = 0.3
_MOST_NOISE = 0.04


def jitter(images: Tensor) -> Tensor:
    """Change each picture's hue, saturation, contrast, brightness, gamma, sharpness, noise.

    Args:
        images: Float [b, 3, H, W] RGB, 0..1.

    Returns:
        The same shape, 0..1.
    """
    count, device = len(images), images.device
    gain = _uniform(count, device, 0.65, 1.4)
    pivot = _uniform(count, device, 0.25, 0.6)
    contrast = _uniform(count, device, 0.7, 1.35)
    matrix = _hue_and_saturation(count, device) * (contrast * gain)[:, None, None]
    mixed = torch.einsum("bij,bjhw->bihw", matrix, images)
    mixed += (pivot * (1 - contrast) * gain)[:, None, None, None]
    mixed = mixed.clamp_(1e-4, 1) ** _uniform(count, device, -0.3, 0.3).exp()[:, None, None, None]
    return _noisy(_blurred(mixed)).clamp_(0, 1)


def _uniform(count: int, device: torch.device, low: float, high: float) -> Tensor:
    return torch.empty(count, device=device).uniform_(low, high)


def _hue_and_saturation(count: int, device: torch.device) -> Tensor:
    """Color matrices [count, 3, 3]: a turn about the gray axis, after a pull towards gray."""
    luma = torch.tensor(_LUMA, device=device).expand(3, 3)
    identity = torch.eye(3, device=device)
    saturation = _uniform(count, device, 0.3, 1.7)
    gray = torch.rand(count, device=device) < _GRAYSCALE_SHARE
    saturation = torch.where(gray, 0.0, saturation)[:, None, None]
    angle = _uniform(count, device, -0.25, 0.25)[:, None, None]
    # Rodrigues' formula for the axis (1, 1, 1) / sqrt(3).
    cross = (
        torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], device=device) / 3**0.5
    )
    turn = identity * angle.cos() + cross * angle.sin() + (1 - angle.cos()) / 3
    return turn @ (identity * saturation + luma * (1 - saturation))


def _blurred(images: Tensor) -> Tensor:
    share = torch.rand(len(images), 1, 1, 1, device=images.device)
    amount = torch.where(share < _BLUR_SHARE, share / _BLUR_SHARE, 0.0)
    soft = functional.avg_pool2d(images, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(images, soft, amount)


def _noisy(images: Tensor) -> Tensor:
    share = torch.rand(len(images), 1, 1, 1, device=images.device)
    sigma = torch.where(share < _NOISE_SHARE, share * (_MOST_NOISE / _NOISE_SHARE), 0.0)
    return images + torch.randn_like(images) * sigma
