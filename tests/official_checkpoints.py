"""Writes checkpoints in the format of the official YOLOv7 code, with its class names."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tools.yolov7 import Network, fuse_batch_norm

_COMMON = (
    *("Conv", "Concat", "MP", "SP", "SPPCSPC", "RepConv", "ImplicitA", "ImplicitM"),
    # Layers of networks that are not supported.
    *("ReOrg", "SPPF", "ADown"),
)
_YOLO = ("Model", "Detect", "IDetect")


def install_official_names(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Make modules with the official classes importable, as if the official code were installed."""
    package = folder / "models"
    package.mkdir()
    for module, names in (("__init__", ()), ("common", _COMMON), ("yolo", _YOLO)):
        classes = (
            f"class {name}(nn.Module):\n    def fuseforward(self, x):\n        return x\n"
            for name in names
        )
        (package / f"{module}.py").write_text("from torch import nn\n" + "\n".join(classes))
    patch.syspath_prepend(folder)
    for module in ("models.common", "models.yolo"):
        importlib.import_module(module)


def forget_official_names(patch: pytest.MonkeyPatch) -> None:
    for module in ("models", "models.common", "models.yolo"):
        patch.delitem(sys.modules, module, raising=False)


def official_model(
    network: Network, names: list[str], *, implicit: bool = False, dtype: torch.dtype = torch.half
) -> nn.Module:
    """Convert the network to an object of the official classes."""
    layers = [_layer(i, network) for i in range(len(network.model))]
    layers[-1] = _head(network, implicit=implicit)
    for i, (layer, row) in enumerate(zip(layers, network.table.rows, strict=True)):
        sources = [s if s != i - 1 else -1 for s in row.sources]
        layer.i = i
        layer.f = sources if len(sources) > 1 else sources[0]
        layer.type = f"{type(layer).__module__}.{type(layer).__name__}"
    layers[-1].f = list(network.table.rows[-1].sources)
    model = _new("models.yolo", "Model")
    model.model = nn.Sequential(*layers)
    model.names = names
    return model.to(dtype)


def _new(module: str, name: str) -> Any:
    return getattr(sys.modules[module], name)()


def _layer(index: int, network: Network) -> Any:
    ours = network.model[index]
    if isinstance(ours, nn.Upsample):
        return ours
    if isinstance(ours, nn.MaxPool2d):
        layer = _new("models.common", "MP" if ours.stride == 2 else "SP")
        layer.m = ours
        return layer
    name = type(ours).__name__
    layer = _new("models.yolo" if name in _YOLO else "models.common", name)
    for child_name, child in ours.named_children():
        setattr(layer, child_name, _renamed(child))
    if name == "Concat":
        layer.d = 1
    return layer


def _renamed(module: nn.Module) -> nn.Module:
    """Convert a convolution block inside another layer to the official class."""
    if type(module).__name__ != "Conv":
        return module
    block = _new("models.common", "Conv")
    for name, child in module.named_children():
        setattr(block, name, child)
    return block


def _head(network: Network, *, implicit: bool) -> Any:
    ours = network.detect
    head = _new("models.yolo", "IDetect" if implicit else "Detect")
    head.m = ours.m
    head.register_buffer("anchors", ours.anchors)
    pixels = ours.anchors * torch.tensor(ours.strides)[:, None, None]
    head.register_buffer("anchor_grid", pixels[:, None, :, None, None])
    head.nc, head.stride = len(network.table.class_ids), torch.tensor(ours.strides).float()
    if implicit:
        head.ia = nn.ModuleList(_implicit("ImplicitA", conv.in_channels) for conv in ours.m)
        head.im = nn.ModuleList(_implicit("ImplicitM", conv.out_channels) for conv in ours.m)
    return head


def _implicit(name: str, channels: int) -> nn.Module:
    layer = _new("models.common", name)
    layer.implicit = nn.Parameter(torch.rand(1, channels, 1, 1) + 0.5)
    return layer


def fold_officially(model: Any, network: Network) -> None:
    """Replace layers by our fused convolutions, as the official fusion of batch norms does."""
    for theirs, ours in zip(model.model, fuse_batch_norm(network).model, strict=True):
        match type(theirs).__name__:
            case "Conv":
                _fold_block(theirs, ours)
            case "RepConv":
                del theirs.rbr_dense, theirs.rbr_1x1
                theirs.rbr_reparam = ours.rbr_reparam
            case "SPPCSPC":
                for name in (f"cv{number}" for number in range(1, 8)):
                    _fold_block(getattr(theirs, name), getattr(ours, name))


def _fold_block(theirs: Any, ours: Any) -> None:
    del theirs.bn
    theirs.conv = ours.conv


def save(path: Path, checkpoint: Any, *, zipped: bool = True) -> Path:
    torch.save(checkpoint, path, _use_new_zipfile_serialization=zipped)
    return path


def train_py_checkpoint(model: nn.Module, ema: nn.Module | None) -> dict[str, Any]:
    """The checkpoint that `train.py` writes after an epoch; with `ema` None, the final one."""
    import numpy as np

    return {
        "epoch": 7,
        "best_fitness": np.array([0.5]),
        "training_results": "7/9 0.1",
        "model": model,
        "ema": ema,
        "updates": 100,
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []},
        "wandb_id": None,
    }
