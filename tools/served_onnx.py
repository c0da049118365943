"""The contract that an ONNX file has to follow to be served, and the reader of such files.

The graph maps `input`, float32 [b, 3, H, W] RGB 0..1, to `output`, float32 [b, N, 6]: x1, y1, x2,
y2 in pixels of the input, confidence, class id. b is dynamic.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import onnx

from tools.digest import sha256_of
from tools.errors import OnnxError
from tools.onnx_file import load_onnx

INPUT, OUTPUT = "input", "output"
ROW = 6
"""Number of values in a row of `output`."""
NAMES = "names"
"""Metadata key: JSON list of class names by class id."""


@dataclass(frozen=True)
class ServedOnnx:
    """The description of a file that follows the contract.

    Attributes:
        path: The file.
        height: Height of the input, in pixels.
        width: Width of the input, in pixels.
        rows: N, the number of rows of `output` for one picture.
        names: Class names by class id in the file's metadata; may be empty.
        sha256: SHA-256 of the file, in hexadecimal.
    """

    path: Path
    height: int
    width: int
    rows: int
    names: tuple[str, ...]
    sha256: str


def read_served_onnx(path: Path) -> ServedOnnx:
    """Read and check a file without running it.

    Raises:
        OnnxError: The file cannot be read, or does not follow the contract; the message has the
            value that is wrong.
    """
    model = load_onnx(path)
    height, width = _sides(path, _only(path, inputs_of(model.graph), INPUT))
    rows = _rows(path, _only(path, model.graph.output, OUTPUT))
    return ServedOnnx(path, height, width, rows, _names(path, model), sha256_of(path))


def names_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """Class names by class id in a graph's metadata; may be empty.

    Raises:
        ValueError: The metadata is not a JSON list of strings.
    """
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = json.loads(metadata.get(NAMES, "[]"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(names)
    return tuple(names)


def sides_of(model: onnx.ModelProto) -> tuple[int, int]:
    """Height and width in pixels of the input of a graph that follows the contract."""
    _, _, height, width = inputs_of(model.graph)[0].type.tensor_type.shape.dim
    return height.dim_value, width.dim_value


def shape_of(tensor: onnx.ValueInfoProto) -> list[int | str]:
    """The shape of a tensor of a graph. A dynamic size is its name, or "?"."""
    dims = tensor.type.tensor_type.shape.dim
    # Some exporters write -1 for a dynamic size.
    return [dim.dim_value if dim.dim_value > 0 else dim.dim_param or "?" for dim in dims]


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs of a graph without its weights, which old exporters also list as inputs."""
    weights = {tensor.name for tensor in graph.initializer}
    return [tensor for tensor in graph.input if tensor.name not in weights]


def _names(path: Path, model: onnx.ModelProto) -> tuple[str, ...]:
    try:
        return names_of(model)
    except ValueError as error:
        raise OnnxError(f"the class names in {path} are not a JSON list: {_FIX}") from error


def _only(path: Path, tensors: list[onnx.ValueInfoProto], name: str) -> list[int | str]:
    """The shape of the only input or output, after checking its name and type."""
    seen = ", ".join(f"'{t.name}' {shape_of(t)}" for t in tensors)
    if [t.name for t in tensors] != [name]:
        raise OnnxError(f"{path} must have one tensor '{name}', has {seen}: {_FIX}")
    if tensors[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise OnnxError(f"'{name}' of {path} must be float32: {_FIX}")
    shape = shape_of(tensors[0])
    if shape and isinstance(shape[0], int):
        raise OnnxError(
            f"'{name}' of {path} has a fixed batch of {shape[0]}: export it with a dynamic batch"
        )
    return shape


_FIX = "make it with tools.export_onnx"


def _sides(path: Path, shape: list[int | str]) -> tuple[int, int]:
    match shape:
        case [_, 3, int(height), int(width)] if height > 0 and width > 0:
            return height, width
    raise OnnxError(f"'{INPUT}' of {path} must be [b, 3, height, width], is {shape}: {_FIX}")


def _rows(path: Path, shape: list[int | str]) -> int:
    match shape:
        case [_, int(rows), int(row)] if rows > 0 and row == ROW:
            return rows
    raise OnnxError(f"'{OUTPUT}' of {path} must be [b, rows, {ROW}], is {shape}: {_FIX}")
