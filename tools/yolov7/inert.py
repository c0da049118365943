"""Reading of pickled checkpoints without running what they ask for.

A pickle names functions and classes, and a reader that looks them up runs whatever a stranger wrote
there. Here only what rebuilds tensors and plain containers is real. The classes of YOLOv7's own
code, of PyTorch's layers and of NumPy are replaced by ones that only keep their attributes, and any
other name ends the reading.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tools.errors import CheckpointError

_REAL: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
}
_INERT_PACKAGES = ("models", "numpy", "torch.nn")
# A fused network refers to its methods by name, a NumPy number encodes its bytes as text.
_INERT_NAMES = {("builtins", "getattr"), ("__builtin__", "getattr"), ("_codecs", "encode")}


class Inert:
    """An object whose class was not looked up; `vars` gives the attributes that the file states."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        """Take whatever a pickle passes, and do nothing with it."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Refusal(Exception):
    """The pickle names something that no checkpoint needs."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _REAL:
            return _REAL[module, name]
        package = any(module == p or module.startswith(f"{p}.") for p in _INERT_PACKAGES)
        if package or (module, name) in _INERT_NAMES:
            return type(name, (Inert,), {})
        raise _Refusal(f"{module}.{name}")


# What `torch.load` takes in place of the module `pickle`.
_PICKLE = SimpleNamespace(
    __name__="inert pickle",
    Unpickler=_Unpickler,
    load=lambda file, **options: _Unpickler(file, **options).load(),
)


def load_inert(path: Path) -> Any:
    """Read a file that `torch.save` wrote, in its present or its older format.

    Args:
        path: The file.

    Returns:
        Containers, numbers and strings as they are, tensors on the CPU, other objects as `Inert`.

    Raises:
        CheckpointError: It is no such file, it is damaged, or it names something else.
    """
    if not path.is_file():
        raise CheckpointError(f"no file {path}")
    if _is_torchscript(path):
        raise CheckpointError(
            f"{path} is a traced TorchScript program: take the checkpoint that it was made from"
        )
    try:
        with warnings.catch_warnings():
            # The older format carries the source of every class, which PyTorch wants to compare.
            warnings.simplefilter("ignore")
            return torch.load(path, "cpu", pickle_module=_PICKLE, weights_only=False)
    except _Refusal as refusal:
        raise CheckpointError(
            f"{path} asks for {refusal}, which no YOLOv7 checkpoint needs; nothing of it was run"
        ) from None
    # Damaged files fail in as many ways as there are bytes.
    except Exception as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or not a whole one ({type(error).__name__}): fetch it again"
        ) from error


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
