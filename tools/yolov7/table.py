"""Reads layer tables, which describe the architecture of a network."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "tables"
_CHANNEL_MULTIPLE = 8


@dataclass(frozen=True)
class Row:
    """One layer.

    Attributes:
        sources: Indices of the rows that it reads, all smaller than its own; -1 is the picture.
        kind: `conv`, `repconv`, `sppcspc`, `maxpool`, `upsample`, `concat` or `detect`.
        numbers: Channels (scaled by the width), kernel and stride, if the kind has them.
    """

    sources: tuple[int, ...]
    kind: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """A whole network.

    Attributes:
        name: Name of the file without its suffix.
        class_ids: Class ids of the head's class channels, in order.
        activation: `silu` or `leaky_relu` (slope 0.1).
        strides: Pixels per cell of each detection level, ascending.
        anchors: Per level, (width, height) of its anchor boxes in pixels of the network's input.
        rows: The layers in the order of execution; the last one is the detection head.
    """

    name: str
    class_ids: tuple[int, ...]
    activation: str
    strides: tuple[int, ...]
    anchors: tuple[tuple[tuple[float, float], ...], ...]
    rows: tuple[Row, ...]


def table_names() -> tuple[str, ...]:
    """Names that `load_table` knows, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load_table(name: str) -> Table:
    """Read one of the tables beside this module.

    Args:
        name: One of `table_names()`.

    Raises:
        ValueError: There is no such table.
    """
    if name not in table_names():
        raise ValueError(f"no network table {name!r}: choose one of {', '.join(table_names())}")
    data = _read(name)
    rows = data["rows"] if "rows" in data else _read(data["rows_of"])["rows"]
    return Table(
        name=name,
        class_ids=_class_ids(data["classes"]),
        activation=data["activation"],
        strides=tuple(data["strides"]),
        anchors=tuple(tuple((w, h) for w, h in level) for level in data["anchors"]),
        rows=tuple(_row(row, index=i, width=data["width"]) for i, row in enumerate(rows)),
    )


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))


def _class_ids(classes: int | list[int]) -> tuple[int, ...]:
    return tuple(range(classes)) if isinstance(classes, int) else tuple(classes)


def _row(row: list[Any], *, index: int, width: float) -> Row:
    source, kind, *numbers = row
    relative = source if isinstance(source, list) else [source]
    sources = tuple(s if s >= 0 else index + s for s in relative)
    if kind in ("conv", "repconv", "sppcspc"):
        channels = math.ceil(numbers[0] * width / _CHANNEL_MULTIPLE) * _CHANNEL_MULTIPLE
        numbers = [channels, *numbers[1:]]
    return Row(sources, kind, tuple(numbers))
