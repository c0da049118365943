"""Reads pickled checkpoints without running code in them.

A pickle contains names of functions and classes, and the usual reader imports and calls them. So a
pickle from a stranger can run any code. This reader allows only functions that rebuild tensors and
containers. Classes of YOLOv7, of PyTorch's layers, of NumPy and of paths are replaced by
placeholders that only keep attributes. Any other name is an error.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from tools.errors import CheckpointError
from tools.export_commands import ULTRALYTICS
from tools.file_formats import refuse_other_formats


class _Refusal(Exception):
    """The pickle has a name that no checkpoint needs."""


class _Frozen:
    """Calls a function. It has no attributes that a pickle could set."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        object.__setattr__(self, "_function", function)

    def __setattr__(self, name: str, value: object) -> None:
        raise _Refusal(f"a change of {self._function.__name__}")

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)


_REAL: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    ("torch", "Size"): torch.Size,
    ("torch._utils", "_rebuild_tensor"): _Frozen(torch._utils._rebuild_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Frozen(torch._utils._rebuild_tensor_v2),
    ("torch._utils", "_rebuild_parameter"): _Frozen(torch._utils._rebuild_parameter),
}
_PLACEHOLDER_PACKAGES = ("models", "numpy", "pathlib", "torch.nn")
# A folded network refers to its methods by name, a NumPy scalar encodes its bytes as text, and a
# wrapper for several GPUs refers to a device.
_PLACEHOLDER_NAMES = {
    ("builtins", "getattr"),
    ("__builtin__", "getattr"),
    ("_codecs", "encode"),
    ("torch", "device"),
}


class Placeholder:
    """An object whose class was not imported; `vars` returns its attributes in the file."""

    def __init__(self, *_arguments: object, **_options: object) -> None:
        """Accept and ignore the arguments in a pickle."""

    def __setstate__(self, state: object) -> None:
        if isinstance(state, dict):
            self.__dict__.update(state)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _REAL:
            return _REAL[module, name]
        package = any(module == p or module.startswith(f"{p}.") for p in _PLACEHOLDER_PACKAGES)
        if package or (module, name) in _PLACEHOLDER_NAMES:
            return type(name, (Placeholder,), {})
        raise _Refusal(f"{module}.{name}")

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, _without_sources(value) if name == "persistent_load" else value)


def _without_sources(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Load classes without their sources. PyTorch would compare them, and write the differences."""

    def load_persistent(identifier: Any) -> Any:
        kind, *rest = identifier
        return rest[0] if kind in ("module", b"module") else load(identifier)

    return load_persistent


# `torch.load` uses this in place of the module `pickle`.
_PICKLE = SimpleNamespace(
    __name__="safe pickle",
    Unpickler=_Unpickler,
    load=lambda file, **options: _Unpickler(file, **options).load(),
)


def safe_load(path: Path) -> Any:
    """Read a file that `torch.save` wrote, in its current or old format.

    Args:
        path: The file.

    Returns:
        Containers, numbers, strings, tensors on the CPU, and `Placeholder` for all other objects.

    Raises:
        CheckpointError: The file has another format, is damaged, or contains a name that is not
            allowed.
    """
    refuse_other_formats(path, CheckpointError)
    try:
        return torch.load(path, "cpu", pickle_module=_PICKLE, weights_only=False)
    except _Refusal as refusal:
        raise CheckpointError(
            f"{path} asks for {refusal}, which no YOLOv7 checkpoint needs; nothing of it was run: "
            f"{_origin(str(refusal))}"
        ) from None
    # Damaged files cause many kinds of errors.
    except Exception as error:
        raise CheckpointError(
            f"{path} is not a checkpoint, or is damaged ({type(error).__name__}): fetch it again; "
            "if it is an ONNX file, rename it to .onnx"
        ) from error


def _origin(asked_for: str) -> str:
    """The origin of a checkpoint with a name that is not allowed, and how to export it."""
    package = asked_for.partition(".")[0]
    if package == "ultralytics":
        return (
            f"an Ultralytics checkpoint: export it with '{ULTRALYTICS}', and give best.onnx to "
            "tools.export_onnx"
        )
    return "export it to ONNX with the program that made it, and give that to tools.export_onnx"
