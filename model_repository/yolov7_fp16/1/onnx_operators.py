"""The ONNX operators of YOLO detectors, implemented in PyTorch.

Sizes and axes must be constants of the graph, as `tools.export_onnx` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.nn import functional

from .resizing import repeats_pixels


class OperatorError(ValueError):
    """The graph has an operator that is not supported; the message names it."""


def operator_of(name: str) -> tuple[Callable[..., Any], tuple[int, ...]]:
    """The function for an operator, and the indices of its inputs that are constants of the graph.

    Raises:
        OperatorError: The operator is not in `OPERATORS`.
    """
    if name not in OPERATORS:
        raise _unknown(name)
    return OPERATORS[name]


def _unknown(operator: str) -> OperatorError:
    return OperatorError(
        f"the profile 'torch-gpu' does not support {operator}: serve the profile 'onnx-gpu'"
    )


def _conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    pads: Sequence[int] = (0, 0, 0, 0),
    strides: Sequence[int] = (1, 1),
    dilations: Sequence[int] = (1, 1),
    group: int = 1,
    kernel_shape: Sequence[int] = (),
) -> Tensor:
    padding = _symmetric("Conv", pads)
    return functional.conv2d(x, weight, bias, tuple(strides), padding, tuple(dilations), group)


def _max_pool(
    x: Tensor,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    ceil_mode: int = 0,
) -> Tensor:
    padding = _symmetric("MaxPool", pads)
    return functional.max_pool2d(
        x, tuple(kernel_shape), tuple(strides), padding, tuple(dilations), ceil_mode=bool(ceil_mode)
    )


def _symmetric(operator: str, pads: Sequence[int]) -> tuple[int, ...]:
    """Padding of height and width, which must be the same at both ends."""
    half = len(pads) // 2
    if list(pads[:half]) != list(pads[half:]):
        raise _unknown(f"{operator} with pads {list(pads)}")
    return tuple(pads[:half])


def _resize(
    x: Tensor,
    _roi: Any,
    scales: list[float],
    *,
    cubic_coeff_a: float = -0.75,
    **modes: bytes,
) -> Tensor:
    if not all(repeats_pixels(scale, **modes) for scale in scales):
        raise _unknown(f"Resize {modes} by {scales}")
    return functional.interpolate(x, scale_factor=tuple(scales[2:]), mode="nearest")


def _reshape(x: Tensor, shape: list[int], **_: Any) -> Tensor:
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


def _slice(
    x: Tensor, starts: list[int], ends: list[int], axes: list[int], steps: list[int] | None = None
) -> Tensor:
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(axes), strict=True):
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _split(x: Tensor, sizes: list[int], *, axis: int = 0) -> tuple[Tensor, ...]:
    parts: tuple[Tensor, ...] = x.split(sizes, axis)
    return parts


def _gather(x: Tensor, index: Tensor, *, axis: int = 0) -> Tensor:
    taken = x.index_select(axis, index.reshape(-1))
    return taken.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _arg_max(x: Tensor, *, axis: int, keepdims: int = 1, **_: Any) -> Tensor:
    return x.argmax(axis, keepdim=bool(keepdims))


def _reduce_max(
    x: Tensor, axes: list[int] | None = None, *, keepdims: int = 1, **more: Any
) -> Tensor:
    # An attribute in opset 17, an input in 18.
    return x.amax(more.get("axes", axes), keepdim=bool(keepdims))


def _cast(x: Tensor, *, to: int) -> Tensor:
    return x.to(_KINDS[to])


def _unsqueeze(x: Tensor, axes: list[int]) -> Tensor:
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


_KINDS: dict[int, torch.dtype] = {
    onnx.TensorProto.FLOAT: torch.float32,
    onnx.TensorProto.FLOAT16: torch.float16,
    onnx.TensorProto.INT64: torch.int64,
    onnx.TensorProto.INT32: torch.int32,
}

OPERATORS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "Add": (torch.add, ()),
    "ArgMax": (_arg_max, ()),
    "Cast": (_cast, ()),
    "Concat": (lambda *parts, axis: torch.cat(parts, axis), ()),
    "Conv": (_conv, ()),
    "Div": (torch.div, ()),
    "Gather": (_gather, ()),
    "GatherElements": (lambda x, index, *, axis=0: torch.gather(x, axis, index), ()),
    "Identity": (lambda x: x, ()),
    "LeakyRelu": (lambda x, *, alpha=0.01: functional.leaky_relu(x, alpha), ()),
    "MatMul": (torch.matmul, ()),
    "MaxPool": (_max_pool, ()),
    "Mul": (torch.mul, ()),
    "Pow": (torch.pow, ()),
    "ReduceMax": (_reduce_max, (1,)),
    "Reshape": (_reshape, (1,)),
    "Resize": (_resize, (1, 2)),
    "Sigmoid": (torch.sigmoid, ()),
    "Slice": (_slice, (1, 2, 3, 4)),
    "Softmax": (lambda x, *, axis=-1: x.softmax(axis), ()),
    "Split": (_split, (1,)),
    "Sub": (torch.sub, ()),
    "Transpose": (lambda x, *, perm: x.permute(perm), ()),
    "Unsqueeze": (_unsqueeze, (1,)),
}
"""The function for each operator, and the indices of its inputs that are constants of the graph."""
