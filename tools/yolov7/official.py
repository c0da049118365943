"""Builds networks from checkpoints in the official format (releases, official `train.py`)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tools.errors import CheckpointError
from tools.labels import names_by_id
from tools.yolov7.fuse_bn import fuse_batch_norm, fuse_implicit
from tools.yolov7.network import Network
from tools.yolov7.recognition import POOLS, table_of
from tools.yolov7.safe_unpickler import Placeholder
from tools.yolov7.table import Table

_WRAPPERS = ("DataParallel", "DistributedDataParallel")
_KEYS_SHOWN = 5
# Attributes that must be equal to those of this project's modules. Tensors do not contain them.
_CONSTANTS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("kernel_size", "stride", "padding", "dilation", "groups"),
    nn.BatchNorm2d: ("eps",),
    nn.MaxPool2d: ("kernel_size", "stride", "padding"),
    nn.Upsample: ("scale_factor", "mode"),
    nn.SiLU: (),
    nn.LeakyReLU: ("negative_slope",),
}
_ROUNDING_OF_HALF = 2e-3
# Only networks with folded batch normalization have this tensor.
_FOLDED = "model.0.conv.bias"


def network_of(data: Any, path: Path) -> tuple[Network, tuple[str, ...]]:
    """Build the network of a checkpoint.

    As in the official code, averaged weights (`ema`) are preferred.

    Args:
        data: Content of the checkpoint, from `safe_load`.
        path: File of the checkpoint, for messages.

    Returns:
        The network, in float32, on the CPU, in evaluation mode; and its class names, which are
        empty if they cannot be read.

    Raises:
        CheckpointError: No table describes the network exactly; the message tells the difference.
    """
    model = _model(data, path)
    layers = list(_child(model, "model", path)._modules.values())
    head, names = layers[-1], _names(model)
    table = table_of(layers, path)
    _check_head(head, names, table, path)
    table = dataclasses.replace(
        table, class_ids=tuple(range(int(head.nc))), anchors=_anchors(head, table)
    )
    tensors = _with_plain_head(dict(_tensors(model)), head, f"model.{len(layers) - 1}")
    tensors = _with_anchors_of_grid(tensors, f"model.{len(layers) - 1}", table, path)
    network = Network(table).eval()
    if _FOLDED in tensors:
        network = fuse_batch_norm(network)
    _check_constants(network, model, path)
    _load(network, tensors, path)
    return network, names


def _model(data: Any, path: Path) -> Placeholder:
    """The network in a checkpoint, without wrappers for several GPUs."""
    found = data
    if isinstance(data, dict):
        found = data.get("ema") or data.get("model")
    while isinstance(found, Placeholder) and type(found).__name__ in _WRAPPERS:
        found = _child(found, "module", path)
    if not isinstance(found, Placeholder):
        keys = (
            ", ".join(map(str, list(data)[:_KEYS_SHOWN])) if isinstance(data, dict) else "no keys"
        )
        raise CheckpointError(
            f"{path} holds {keys} ..., but no network under 'ema' or 'model': save the whole "
            "checkpoint, as the official train.py does, not only weights"
        )
    return found


def _child(module: Any, name: str, path: Path) -> Any:
    child = getattr(module, "_modules", {}).get(name)
    if child is None:
        raise CheckpointError(f"{path} holds a {type(module).__name__} without '{name}': no YOLOv7")
    return child


def _names(model: Placeholder) -> tuple[str, ...]:
    """Class names by class id; empty if they are not plain text."""
    try:
        return names_by_id(getattr(model, "names", ()))
    except ValueError:
        return ()


def _check_head(head: Any, names: tuple[str, ...], table: Table, path: Path) -> None:
    if names and head.nc != len(names):
        raise CheckpointError(
            f"{path} names {len(names)} classes, but its head tells {head.nc} apart"
        )
    if tuple(head.stride.tolist()) != table.strides:
        raise CheckpointError(
            f"the head of {path} has the strides {head.stride.tolist()}, must have "
            f"{list(table.strides)} as in {table.name}"
        )


def _anchors(head: Any, table: Table) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Anchor boxes in pixels. `train.py` may have fitted them to its data."""
    levels = zip(head._buffers["anchors"].tolist(), table.strides, strict=True)
    return tuple(tuple((w * s, h * s) for w, h in level) for level, s in levels)


def _check_constants(network: Network, model: Placeholder, path: Path) -> None:
    """Compare the attributes of all modules that the tensors do not contain."""
    modules = dict(_modules(model))
    for name, ours in network.named_modules():
        if type(ours) not in _CONSTANTS:
            continue
        theirs = modules.get(name)
        if type(theirs).__name__ not in _names_of(type(ours)):
            raise CheckpointError(
                f"{name} of {path} is {type(theirs).__name__}, must be {type(ours).__name__} as in "
                f"{network.table.name}"
            )
        for constant in _CONSTANTS[type(ours)]:
            value, wanted = getattr(theirs, constant, None), getattr(ours, constant)
            if value != wanted:
                raise CheckpointError(
                    f"{name} of {path} has {constant} {value}, must have {wanted} as in "
                    f"{network.table.name}"
                )


def _names_of(kind: type[nn.Module]) -> tuple[str, ...]:
    # Training on several GPUs replaces BatchNorm2d by SyncBatchNorm.
    return (kind.__name__, "SyncBatchNorm") if kind is nn.BatchNorm2d else (kind.__name__,)


def _modules(module: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """All modules by their dotted names. A pooling layer is represented by its only child."""
    is_pool = type(module).__name__ in POOLS
    yield name, module._modules["m"] if is_pool else module
    for child_name, child in module._modules.items():
        if child is not None and not is_pool:
            yield from _modules(child, f"{name}.{child_name}".lstrip("."))


def _tensors(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The state dict, in float32."""
    for name, tensor in {**module._parameters, **module._buffers}.items():
        if tensor is not None:
            yield prefix + name, tensor.detach().float()
    for name, child in module._modules.items():
        if child is not None:
            yield from _tensors(child, f"{prefix}{name}.")


def _with_plain_head(tensors: dict[str, Tensor], head: Any, name: str) -> dict[str, Tensor]:
    """Fold the implicit layers of IDetect into its convolutions."""
    plain = dict(tensors)
    # When the official code folds a network, it also folds these, but keeps the unused tensors.
    is_folded = "forward" in vars(head)
    for level in range(sum(key.startswith(f"{name}.ia.") for key in tensors)):
        addend = plain.pop(f"{name}.ia.{level}.implicit")
        factor = plain.pop(f"{name}.im.{level}.implicit")
        if not is_folded:
            weight, bias = f"{name}.m.{level}.weight", f"{name}.m.{level}.bias"
            plain[weight], plain[bias] = fuse_implicit(
                plain[weight], plain[bias], addend=addend, factor=factor
            )
    return plain


def _with_anchors_of_grid(
    tensors: dict[str, Tensor], head: str, table: Table, path: Path
) -> dict[str, Tensor]:
    """Use the anchor boxes in `anchor_grid`, in pixels, like the official decoding."""
    plain = dict(tensors)
    grid = plain.pop(f"{head}.anchor_grid", None)
    anchors = plain[f"{head}.anchors"]
    if grid is not None:
        strides = torch.tensor(table.strides, dtype=torch.float32)
        decoded = grid.reshape(anchors.shape) / strides[:, None, None]
        if not torch.allclose(decoded, anchors, rtol=_ROUNDING_OF_HALF):
            raise CheckpointError(
                f"the anchors of {path} and its anchor_grid contradict each other: train it again"
            )
        plain[f"{head}.anchors"] = decoded
    return plain


def _load(network: Network, tensors: dict[str, Tensor], path: Path) -> None:
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items()}
    given = {name: tuple(t.shape) for name, t in tensors.items()}
    for name in {**wanted, **given}:
        if wanted.get(name) != given.get(name):
            raise CheckpointError(
                f"{name} of {path} has the shape {given.get(name)}, must have {wanted.get(name)} "
                f"as in {network.table.name}"
            )
    network.load_state_dict(tensors)
