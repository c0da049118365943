"""Compiles the forward pass, if possible."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from tools.demo.training.gallery import SIDE
from tools.yolov7 import Network

_log = logging.getLogger(__name__)


def compiled_maps(network: Network, batch: int) -> Callable[[Tensor], list[Tensor]]:
    """`network.maps` compiled for one batch size; the uncompiled method if that fails."""
    maps: Callable[[Tensor], list[Tensor]] = torch.compile(network.maps, dynamic=False)
    device = network.detect.anchors.device
    images = torch.zeros(batch, 3, SIDE, SIDE, device=device)
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            levels = maps(images.contiguous(memory_format=torch.channels_last))
        torch.stack([level.float().mean() for level in levels]).sum().backward()  # type: ignore[no-untyped-call]
    except Exception:  # compilers raise many kinds of errors, and training works without one
        _log.warning("torch.compile failed, so the network runs uncompiled", exc_info=True)
        return network.maps
    finally:
        network.zero_grad(set_to_none=True)
    return maps
