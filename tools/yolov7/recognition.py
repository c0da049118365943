"""Finds the network table of an official checkpoint, by its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.errors import CheckpointError
from tools.export_commands import YOLOV5, YOLOV7, YOLOV9
from tools.yolov7.table import Row, Table, load_table, table_names

HEADS = ("Detect", "IDetect")
POOLS = ("MP", "SP")
_ACTIVATIONS = {"SiLU": "silu", "LeakyReLU": "leaky_relu"}
_WAYS = (
    f"export it with '{YOLOV7}' of the repository that trained it, and give best.onnx, or write "
    "a table of its own"
)
# Networks of the same or derived code bases, recognized by layers that only they have.
_FAMILIES = (
    (
        {"ReOrg", "DownC", "IAuxDetect"},
        "a YOLOv7-W6, E6, D6 or E6E, or one in training",
        f"{YOLOV7} --img-size 1280 1280",
    ),
    ({"RepNCSPELAN4", "ADown", "CBLinear", "DDetect", "DualDDetect"}, "a YOLOv9", YOLOV9),
    ({"C3", "C3TR", "C3SPP", "Focus", "BottleneckCSP", "SPPF"}, "a YOLOv5", YOLOV5),
)


def table_of(layers: list[Any], path: Path) -> Table:
    """Find the table with the same rows and activation as a checkpoint.

    Args:
        layers: Layers of the checkpoint, in order.
        path: File of the checkpoint, for messages.

    Raises:
        CheckpointError: There is no such table; the message names the first different row.
    """
    _refuse_other_families(layers, path)
    rows = [_row(i, layer) for i, layer in enumerate(layers)]
    activation = _activation(layers[0])
    tables = [load_table(name) for name in table_names()]
    nearest = min(tables, key=lambda table: _differing(rows, table))
    for row, (ours, theirs) in enumerate(zip(nearest.rows, rows, strict=False)):
        if ours != theirs:
            raise CheckpointError(
                f"row {row} of {path} is {_text(theirs)}, but {_text(ours)} in {nearest.name}, the "
                f"nearest of {', '.join(table_names())}: {_WAYS}"
            )
    if len(rows) != len(nearest.rows):
        raise CheckpointError(
            f"{path} has {len(rows)} rows, {nearest.name} has {len(nearest.rows)}: {_WAYS}"
        )
    for table in tables:
        if table.rows == nearest.rows and table.activation == activation:
            return table
    raise CheckpointError(
        f"{path} has the rows of {nearest.name}, but its activation is {activation}: {_WAYS}"
    )


def _refuse_other_families(layers: list[Any], path: Path) -> None:
    kinds = {type(layer).__name__ for layer in layers}
    for own, family, command in _FAMILIES:
        if kinds & own:
            raise CheckpointError(
                f"{path} is {family} (it has a layer {min(kinds & own)}), and only "
                f"{', '.join(table_names())} are read: export it with '{command}' of the "
                "repository that trained it, and give best.onnx to tools.export_onnx"
            )


def _differing(rows: list[Row], table: Table) -> int:
    same = sum(ours == theirs for ours, theirs in zip(table.rows, rows, strict=False))
    return max(len(rows), len(table.rows)) - same


def _text(row: Row) -> str:
    return f"{row.kind} {list(row.numbers)} of {list(row.sources)}"


def _row(index: int, layer: Any) -> Row:
    """A layer as a table's row. The kind of an unknown layer is the name of its class."""
    sources = layer.f if isinstance(layer.f, list) else [layer.f]
    absolute = tuple(s if s >= 0 else max(index + s, -1) for s in sources)
    children = layer._modules
    match type(layer).__name__:
        case "Conv":
            return Row(absolute, "conv", _geometry(children["conv"]))
        case "RepConv":
            merged = children.get("rbr_reparam") or children["rbr_dense"]._modules["0"]
            return Row(absolute, "repconv", _geometry(merged))
        case "SPPCSPC":
            return Row(absolute, "sppcspc", _geometry(children["cv7"]._modules["conv"])[:1])
        case name if name in POOLS:
            pool = children["m"]
            return Row(absolute, "maxpool", (_side(pool.kernel_size), _side(pool.stride)))
        case "Concat" if layer.d == 1:
            return Row(absolute, "concat", ())
        case "Upsample":
            return Row(absolute, "upsample", ())
        case name:
            return Row(absolute, "detect" if name in HEADS else name, ())


def _geometry(conv: Any) -> tuple[int, int, int]:
    return conv.out_channels, _side(conv.kernel_size), _side(conv.stride)


def _side(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]


def _activation(first: Any) -> str:
    name = type(first._modules["act"]).__name__
    return _ACTIVATIONS.get(name, name)
