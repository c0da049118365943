"""Initializes a network and its optimizer for training."""

from __future__ import annotations

import math

import torch
from torch import nn

from tools.yolov7 import Network, load_table
from tools.yolov7.head import BOX_FIELDS, FIELDS_BEFORE_CLASSES

# Expected number of objects per picture, and part of each class, for the initial biases.
_OBJECTS = 8.0
_CLASS_SHARE = 0.2


def fresh_network(table: str, *, side: int) -> Network:
    """A network with random weights, and biases for few objects (arXiv 1708.02002, section 4.1)."""
    network = Network(load_table(table))
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, nonlinearity="leaky_relu", a=0.1)
    detect = network.detect
    with torch.no_grad():
        for conv, stride in zip(detect.m, detect.strides, strict=True):
            assert isinstance(conv, nn.Conv2d)
            assert conv.bias is not None
            nn.init.normal_(conv.weight, std=0.01)
            bias = conv.bias.view(detect.anchors_per_level, detect.fields)
            bias.zero_()
            bias[:, BOX_FIELDS] = math.log(
                _OBJECTS / (side / stride) ** 2 / detect.anchors_per_level
            )
            bias[:, FIELDS_BEFORE_CLASSES:] = math.log(_CLASS_SHARE / (1 - _CLASS_SHARE))
    return network


def optimizer_for(network: Network, *, rate: float, decay: float) -> torch.optim.Optimizer:
    """AdamW with weight decay for convolution kernels, but not for biases and normalization."""
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, foreach=True)
