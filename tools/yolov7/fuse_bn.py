"""Folds batch normalization and parallel branches into single convolutions."""

from __future__ import annotations

import copy
from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from tools.yolov7.blocks import Conv, RepConv
from tools.yolov7.network import Network


def fuse_batch_norm(network: Network) -> Network:
    """A copy of the network in evaluation mode, with batch normalization and branches fused.

    Layers that are fused already are kept.

    Fusing is computed in float64, so the results differ only by the rounding of float32. Batch
    normalization with s = gamma / sqrt(variance + eps) becomes weight x s and bias
    beta - mean x s. The weights of parallel branches are added (arXiv 2101.03697, section 3.3).
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Conv) and isinstance(child.bn, nn.BatchNorm2d):
                child.conv = _plain(child.conv, *_merged(child.conv, child.bn))
                child.bn = nn.Identity()
            elif isinstance(child, RepConv):
                setattr(parent, name, _fused_branches(child))
    return copied


def fuse_implicit(
    weight: Tensor, bias: Tensor, *, addend: Tensor, factor: Tensor
) -> tuple[Tensor, Tensor]:
    """Fold learned constants before and after a 1x1 convolution into it (arXiv 2105.04206).

    The formula is m (W (x + a) + b) = (m W) x + m (b + W a), computed in float64.

    Args:
        weight: W, [outputs, inputs, 1, 1].
        bias: b, [outputs].
        addend: a, [1, inputs, 1, 1], added to the input of the convolution.
        factor: m, [1, outputs, 1, 1], multiplied with its output.

    Returns:
        The new weight and bias, in the dtypes of the old ones.
    """
    matrix, scale = weight.double().flatten(1), factor.double().flatten()
    new_bias = scale * (bias.double() + matrix @ addend.double().flatten())
    new_weight = (scale[:, None] * matrix).view_as(weight)
    return new_weight.to(weight.dtype), new_bias.to(bias.dtype)


def _fused_branches(block: RepConv) -> nn.Module:
    dense, point = block.rbr_dense[0], block.rbr_1x1[0]
    assert isinstance(dense, nn.Conv2d)
    assert isinstance(point, nn.Conv2d)
    weight, bias = _merged(dense, block.rbr_dense[1])
    point_weight, point_bias = _merged(point, block.rbr_1x1[1])
    margin = dense.kernel_size[0] // 2
    weight = weight + functional.pad(point_weight, [margin] * 4)
    conv = _plain(dense, weight, bias + point_bias)
    # The name is that of official checkpoints that were folded before saving.
    return nn.Sequential(OrderedDict(rbr_reparam=conv, act=block.act))


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
