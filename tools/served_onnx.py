"""What an ONNX file has to be so that the ensemble can serve it, and what it says about itself.

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
"""Values of a row of `output`."""
NAMES = "names"
"""Metadata key: JSON list of class names by class id."""


@dataclass(frozen=True)
class ServedOnnx:
    """A file that fits.

    Attributes:
        path: The file.
        height: Of the input, in pixels.
        width: Of the input, in pixels.
        rows: N, the rows of `output` for one picture.
        names: Class names by class id, as the file states them; empty where it does not.
        sha256: Of the file, hexadecimal.
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
        OnnxError: It cannot be read, or the ensemble could not serve it; says what was seen.
    """
    model = load_onnx(path)
    height, width = _sides(path, _only(path, inputs_of(model.graph), INPUT))
    rows = _rows(path, _only(path, model.graph.output, OUTPUT))
    return ServedOnnx(path, height, width, rows, _names(path, model), sha256_of(path))


def names_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """Class names by class id that a graph of ours states; empty where it does not.

    Raises:
        ValueError: They are no JSON list of strings.
    """
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    names = json.loads(metadata.get(NAMES, "[]"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(names)
    return tuple(names)


def sides_of(model: onnx.ModelProto) -> tuple[int, int]:
    """Height and width of the input of a graph that fits, in pixels."""
    _, _, height, width = inputs_of(model.graph)[0].type.tensor_type.shape.dim
    return height.dim_value, width.dim_value


def shape_of(tensor: onnx.ValueInfoProto) -> list[int | str]:
    """Sizes of a tensor of a graph; a name, or "?", where a size is dynamic."""
    dims = tensor.type.tensor_type.shape.dim
    # Some exporters write -1 for a dynamic size.
    return [dim.dim_value if dim.dim_value > 0 else dim.dim_param or "?" for dim in dims]


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Inputs that a caller feeds; old exporters list the weights among them."""
    weights = {tensor.name for tensor in graph.initializer}
    return [tensor for tensor in graph.input if tensor.name not in weights]


def _names(path: Path, model: onnx.ModelProto) -> tuple[str, ...]:
    try:
        return names_of(model)
    except ValueError as error:
        raise OnnxError(f"the class names in {path} are no JSON list: {_FIX}") from error


def _only(path: Path, tensors: list[onnx.ValueInfoProto], name: str) -> list[int | str]:
    """The shape of the one tensor there must be."""
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
