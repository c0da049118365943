"""Networks with random weights."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from tools.yolov7 import Network, load_table

# With two threads on busy cores, each would mostly wait for the other.
torch.set_num_threads(1)


def random_network(name: str, *, classes: int | None = None) -> Network:
    """A YOLOv7 network with random weights.

    The statistics of batch normalization are random too, so that tests notice if one is ignored.
    """
    torch.manual_seed(0)
    table = load_table(name)
    if classes is not None:
        table = dataclasses.replace(table, class_ids=tuple(range(classes)))
    network = Network(table)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(std=0.1)
    return network.eval()
