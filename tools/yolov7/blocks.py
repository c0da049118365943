"""Building blocks of a network, with submodules named as in official checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# State dicts do not contain it. PyTorch's default of 1e-5 moves boxes by hundreds of pixels.
BATCH_NORM_EPS = 1e-3
BATCH_NORM_MOMENTUM = 0.03
_LEAKY_SLOPE = 0.1
_POOL_KERNELS = (5, 9, 13)


def activation(name: str) -> nn.Module:
    """Make the activation `name`: `silu` or `leaky_relu`.

    Raises:
        ValueError: The name is neither.
    """
    if name == "silu":
        return nn.SiLU(inplace=True)
    if name == "leaky_relu":
        return nn.LeakyReLU(_LEAKY_SLOPE, inplace=True)
    raise ValueError(f"activation must be 'silu' or 'leaky_relu', got {name!r}")


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """Batch normalization with YOLOv7's constants."""
    return nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)


def max_pool(kernel: int, stride: int) -> nn.MaxPool2d:
    """Max pooling that keeps the size at stride 1 and does not pad otherwise."""
    return nn.MaxPool2d(kernel, stride, padding=kernel // 2 if stride == 1 else 0)


class Conv(nn.Module):
    """Convolution, normalization, activation: float [b, inputs, H, W] -> [b, outputs, H/s, W/s]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, act: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn: nn.Module = batch_norm(outputs)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        out: Tensor = self.act(self.bn(self.conv(x)))
        return out


class RepConv(nn.Module):
    """Parallel 3x3 and 1x1 convolutions that merge into one (RepVGG, arXiv 2101.03697)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, act: str) -> None:
        super().__init__()
        dense = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.rbr_dense = nn.Sequential(dense, batch_norm(outputs))
        point = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.rbr_1x1 = nn.Sequential(point, batch_norm(outputs))
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        out: Tensor = self.act(self.rbr_dense(x) + self.rbr_1x1(x))
        return out


class SPPCSPC(nn.Module):
    """Cross-stage spatial pyramid pooling: float [b, inputs, H, W] -> [b, outputs, H, W]."""

    def __init__(self, inputs: int, outputs: int, *, act: str) -> None:
        super().__init__()
        self.cv1 = Conv(inputs, outputs, 1, 1, act=act)
        self.cv2 = Conv(inputs, outputs, 1, 1, act=act)
        self.cv3 = Conv(outputs, outputs, 3, 1, act=act)
        self.cv4 = Conv(outputs, outputs, 1, 1, act=act)
        self.m = nn.ModuleList(max_pool(kernel, 1) for kernel in _POOL_KERNELS)
        self.cv5 = Conv(outputs * (1 + len(_POOL_KERNELS)), outputs, 1, 1, act=act)
        self.cv6 = Conv(outputs, outputs, 3, 1, act=act)
        self.cv7 = Conv(outputs * 2, outputs, 1, 1, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        narrow = self.cv4(self.cv3(self.cv1(x)))
        pooled = torch.cat([narrow, *(pool(narrow) for pool in self.m)], dim=1)
        out: Tensor = self.cv7(torch.cat([self.cv6(self.cv5(pooled)), self.cv2(x)], dim=1))
        return out


class Concat(nn.Module):
    """Concatenation of channels in the order of the sources."""

    def forward(self, *maps: Tensor) -> Tensor:
        """Float maps [b, C_i, H, W] -> [b, sum C_i, H, W]."""
        return torch.cat(maps, dim=1)
