"""Reads and writes checkpoints of `tools.train_demo_model`, and reads official ones."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from yolostream.replacing import refuse_special_file

from tools.errors import CheckpointError
from tools.yolov7.network import Network
from tools.yolov7.official import network_of
from tools.yolov7.safe_unpickler import safe_load
from tools.yolov7.table import load_table


@dataclass(frozen=True)
class Meta:
    """The metadata of a checkpoint.

    Attributes:
        table: Name of the layer table.
        images_seen: Number of training pictures; a mosaic counts as one.
        minutes: Length of the training in minutes.
    """

    table: str
    images_seen: int
    minutes: float


def save_checkpoint(path: Path, network: Network, meta: Meta) -> None:
    """Write weights and metadata, by replacing the file atomically.

    Raises:
        OSError: The file cannot be written, or `path` is not a regular file.
    """
    refuse_special_file(path)
    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state, "meta": asdict(meta)}, partial)
    os.replace(partial, path)


def load_checkpoint(path: Path) -> tuple[Network, Meta]:
    """Read a file written by `save_checkpoint`; the network is on the CPU and in evaluation mode.

    Raises:
        CheckpointError: The file is not such a checkpoint.
    """
    data = safe_load(path)
    if not _is_own(data):
        raise CheckpointError(f"{path} is not a checkpoint of tools.train_demo_model")
    return _own(data, path)


def read_network(path: Path) -> tuple[Network, tuple[str, ...]]:
    """Read the network of any checkpoint.

    Args:
        path: File of `save_checkpoint`, of an official release, or of the official `train.py`.

    Returns:
        The network, on the CPU, in float32, in evaluation mode; and its class names, which may be
        empty.

    Raises:
        CheckpointError: The file is not a checkpoint, would run code, or has an unknown network.
    """
    data = safe_load(path)
    if _is_own(data):
        return _own(data, path)[0], ()
    try:
        return network_of(data, path)
    # Checkpoints of other kinds cause many kinds of errors.
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} holds no whole YOLOv7 ({type(error).__name__}: {error})"
        ) from error


def _is_own(data: object) -> bool:
    return (
        isinstance(data, dict)
        and set(data) == {"state_dict", "meta"}
        and isinstance(data["meta"], dict)
        and set(data["meta"]) == {field.name for field in fields(Meta)}
    )


def _own(data: dict[str, Any], path: Path) -> tuple[Network, Meta]:
    meta = Meta(**data["meta"])
    try:
        network = Network(load_table(meta.table))
        network.load_state_dict(data["state_dict"])
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} does not fit its network table: {error}") from error
    return network.eval(), meta
