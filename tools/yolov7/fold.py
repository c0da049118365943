"""Folding of batch normalization and parallel branches into single convolutions."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.yolov7.blocks import Conv, RepConv
from tools.yolov7.network import Network


def folded(network: Network) -> Network:
    """A copy of the network in evaluation mode that computes the same with plain convolutions.

    The arithmetic of the fold runs in float64, so the result differs from the original by the
    rounding of float32 only. Batch normalization with s = gamma / sqrt(variance + eps) turns into
    weight x s and beta - mean x s; parallel branches add up (arXiv 2101.03697, section 3.3).
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv):
                child.conv = _plain(child.conv, *_merged(child.conv, child.bn))
                child.bn = nn.Identity()
            elif isinstance(child, RepConv):
                setattr(parent, name, _folded_branches(child))
    return copied


def _folded_branches(block: RepConv) -> nn.Module:
    dense, point = block.rbr_dense[0], block.rbr_1x1[0]
    assert isinstance(dense, nn.Conv2d)
    assert isinstance(point, nn.Conv2d)
    weight, bias = _merged(dense, block.rbr_dense[1])
    point_weight, point_bias = _merged(point, block.rbr_1x1[1])
    margin = dense.kernel_size[0] // 2
    weight = weight + functional.pad(point_weight, [margin] * 4)
    return nn.Sequential(_plain(dense, weight, bias + point_bias), block.act)


def _merged(conv: nn.Conv2d, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Float64 weight and bias of a convolution followed by batch normalization."""
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() - norm.running_mean.double() * scale
    return conv.weight.double() * scale[:, None, None, None], bias


def _plain(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution with a bias and otherwise the geometry of `like`."""
    outputs, inputs, kernel, _ = weight.shape
    conv = nn.Conv2d(inputs, outputs, kernel, like.stride[0], padding=like.padding[0])
    conv.weight = nn.Parameter(weight.to(like.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(like.weight.dtype), requires_grad=False)
    return conv
