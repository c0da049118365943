"""A moving average of a network's weights, which is more accurate than the last weights."""

from __future__ import annotations

import copy
import math

import torch

from tools.yolov7 import Network

_DECAY = 0.9997
# Steps in which the decay grows to its final value, so that the random start has no effect.
_GROWTH_STEPS = 1500


class AveragedNetwork:
    """The averaged copy of a network under training."""

    def __init__(self, network: Network) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._steps = 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        """Move the average towards the network's present weights."""
        self._steps += 1
        keep = _DECAY * (1 - math.exp(-self._steps / _GROWTH_STEPS))
        own, new = self.network.state_dict(), network.state_dict()
        floating = [name for name, tensor in own.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([own[n] for n in floating], [new[n] for n in floating], 1 - keep)
