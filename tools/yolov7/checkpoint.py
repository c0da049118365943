"""Checkpoints of our own training: weights and plain facts, read without pickled code."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from tools.yolov7.network import Network
from tools.yolov7.table import load_table


@dataclass(frozen=True)
class Meta:
    """What a checkpoint says about itself.

    Attributes:
        table: Name of the layer table.
        images_seen: Training pictures that went into the weights, mosaics counted once.
        minutes: Length of the training in minutes.
    """

    table: str
    images_seen: int
    minutes: float


def save_checkpoint(path: Path, network: Network, meta: Meta) -> None:
    """Write weights and facts; a reader sees the old file or the new one, never half of one."""
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "meta": asdict(meta)}, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> tuple[Network, Meta]:
    """Read a file written by `save_checkpoint`; the network is on the CPU and in evaluation mode.

    Raises:
        ValueError: The file is no such checkpoint.
    """
    data = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(data, dict) or set(data) != {"state_dict", "meta"}:
        raise ValueError(f"{path} is not a checkpoint of train_demo_model.py")
    meta = Meta(**data["meta"])
    network = Network(load_table(meta.table))
    network.load_state_dict(data["state_dict"])
    return network.eval(), meta
