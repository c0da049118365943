"""Writes the kernel for everything after the last convolutions.

Each tensor of that part of the graph becomes a C function of its index, which calls the functions
of the tensors that it is made of. A thread computes one row of the output. So one launch computes
the whole part, and nothing in between is in memory. The compiler knows all shapes, and makes one
expression of the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import PlanError
from .graph import Array, Graph, Node, casts_to_float

ROW = 6
"""Values of a row: x1, y1, x2, y2, confidence, class id."""

_KERNEL = f"""
// outputs: float32 [batch, ROWS, {ROW}].
KERNEL void decode(Maps maps, const float* k, float* outputs, int count) {{
    EACH(index, count) {{
        float values[{ROW}];
        row(maps, k, index / ROWS, index % ROWS, values);
        for (int i = 0; i < {ROW}; ++i) outputs[(long)index * {ROW} + i] = values[i];
    }}
}}
"""


class Decoder:
    """The source of the kernel, and its constants.

    Args:
        graph: The whole graph.
        nodes: The nodes after the last convolutions, in order.
        maps: Names of the maps that these nodes read, in the order of the kernel's arguments.
        output: Name of the output.

    Attributes:
        graph: As given.
        constants: float32 [n], an argument of the kernel.
        rows: Rows of the output for one image.

    Raises:
        PlanError: An operator is not supported, or the output is not [1, rows, 6].
    """

    def __init__(self, graph: Graph, nodes: Sequence[Node], maps: Sequence[str], output: str):
        self.graph, self._maps = graph, tuple(maps)
        self._constants: list[npt.NDArray[np.float32]] = [np.zeros(1, np.float32)]
        self._functions: list[str] = []
        self._names: dict[str, str] = {}
        shape = self.graph.shapes.get(output, ())
        if len(shape) != 3 or shape[0] != 1 or shape[2] != ROW:
            raise PlanError(f"an output of the shape {list(shape)}")
        self.rows = shape[1]
        for number, name in enumerate(self._maps):
            self._read_map(number, name)
        for node in nodes:
            self._write(node)
        self.constants = np.concatenate(self._constants)
        self._output = self._names[output]

    def source(self, pitches: Sequence[int]) -> str:
        """CUDA C of the kernel `decode`, which has to follow `kernels.cu`.

        Args:
            pitches: Channels of the buffer of each map.
        """
        sizes = [prod(self.graph.shapes[name][2:]) for name in self._maps]
        lines = [
            f"#define ROWS {self.rows}",
            # A structure, because kernels get it by value: no array of addresses has to be copied.
            f"struct Maps {{ const Half* first[{len(self._maps)}]; }};",
            "#define IN const Maps& maps, const float* k, int b",
            *(f"#define PITCH{number} {pitch}" for number, pitch in enumerate(pitches)),
            *(
                f"#define IMAGE{number} {size * pitch}L"
                for number, (size, pitch) in enumerate(zip(sizes, pitches, strict=True))
            ),
            *self._functions,
            "static DEVICE void row(IN, int i, float* values) {",
            *(f"    values[{n}] = {self._output}(maps, k, b, i, {n});" for n in range(ROW)),
            "}",
        ]
        return "\n".join(lines) + _KERNEL

    def _read_map(self, number: int, name: str) -> None:
        _, _, _, width = self.graph.shapes[name]
        pixel = f"((long)i1 * {width} + i2)"
        place = f"b * IMAGE{number} + {pixel} * PITCH{number} + i0"
        self._define(name, f"return to_float(maps.first[{number}][{place}]);")

    def _define(self, name: str, body: str) -> None:
        rank = len(self.graph.shapes[name]) - 1
        function = f"t{len(self._names)}"
        self._names[name] = function
        indexes = "".join(f", int i{axis}" for axis in range(rank))
        self._functions.append(f"static DEVICE float {function}(IN{indexes}) {{ {body} }}")

    def _write(self, node: Node) -> None:
        for position, name in enumerate(node.outputs):
            shape = self.graph.shapes[name]
            if not shape or shape[0] != 1 or 0 in shape:
                raise PlanError(f"{node.operator} of the shape {list(shape)}")
            if node.operator not in _WRITERS:
                raise PlanError(f"{node.operator} after the last convolutions")
            self._define(name, _WRITERS[node.operator](self, node, position))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor or a constant; tensors begin with a batch of 1."""
        if name in self.graph.constants:
            return self.graph.constants[name].shape
        return self.graph.shapes[name]

    def at(self, name: str, indexes: Sequence[Any]) -> str:
        """C of the value of a tensor at these indexes, which leave the batch out."""
        if name in self.graph.constants:
            return self._constant_at(self.graph.constants[name], indexes)
        return f"{self._names[name]}(maps, k, b{''.join(f', {index}' for index in indexes)})"

    def broadcast(self, name: str, rank: int) -> str:
        """C of the value for i0, i1, ... of a result that has `rank` axes after the batch."""
        shape = self.shape(name)
        missing = rank + 1 - len(shape)
        indexes = [
            0 if size == 1 else f"i{axis + missing - 1}"
            for axis, size in enumerate(shape)
            if axis + missing > 0
        ]
        if name in self.graph.constants and missing <= 0 and shape[0] != 1:
            raise PlanError(f"a constant of the shape {list(shape)}")
        return self.at(name, indexes)

    def _constant_at(self, value: Array, indexes: Sequence[Any]) -> str:
        if value.size == 1:
            return f"{float(value.reshape(-1)[0])!r}f"
        shape = value.shape[len(value.shape) - len(indexes) :]
        start = sum(map(len, self._constants))
        self._constants.append(value.astype(np.float32).reshape(-1))
        return f"k[{start} + {_flat(indexes, shape)}]"


def _flat(indexes: Sequence[Any], shape: Sequence[int]) -> str:
    """C of the position of an element among all elements in order."""
    place = "0"
    for index, size in zip(indexes, shape, strict=True):
        place = f"({place} * {size} + {index})" if place != "0" else f"({index})"
    return place


def _rank(decoder: Decoder, name: str) -> int:
    return len(decoder.shape(name)) - 1


def _own(rank: int) -> list[str]:
    return [f"i{axis}" for axis in range(rank)]


_Writer = Callable[[Decoder, Node, int], str]
"""Returns the C of a function's body, for the output of a node at a position."""


def _elementwise(form: str) -> _Writer:
    """An operator on single elements; `form` is its C, with {0} and {1} for the inputs."""

    def write(decoder: Decoder, node: Node, position: int) -> str:
        rank = _rank(decoder, node.outputs[0])
        return f"return {form.format(*(decoder.broadcast(one, rank) for one in node.inputs))};"

    return write


def _cast(decoder: Decoder, node: Node, position: int) -> str:
    if not casts_to_float(node):
        raise PlanError("Cast to integers after the last convolutions")
    return _elementwise("{0}")(decoder, node, position)


def _reshape(decoder: Decoder, node: Node, position: int) -> str:
    before, after = (decoder.shape(name)[1:] for name in (node.inputs[0], node.outputs[0]))
    if prod(before) != prod(after):
        raise PlanError(f"{node.operator} that mixes images")
    indexes: list[str] = []
    left = prod(before)
    for size in before:
        left //= size
        indexes.append(f"p / {left} % {size}" if left > 1 else f"p % {size}")
    value = decoder.at(node.inputs[0], indexes)
    return f"const int p = {_flat(_own(len(after)), after)}; return {value};"


def _transpose(decoder: Decoder, node: Node, position: int) -> str:
    order = node.attributes["perm"]
    if order[0] != 0:
        raise PlanError(f"Transpose {order}")
    indexes = [f"i{order.index(axis) - 1}" for axis in range(1, len(order))]
    return f"return {decoder.at(node.inputs[0], indexes)};"


def _slice(decoder: Decoder, node: Node, position: int) -> str:
    graph = decoder.graph
    shape = decoder.shape(node.inputs[0])
    starts, ends, axes = (
        graph.numbers(node, place, name)
        for place, name in ((1, "starts"), (2, "ends"), (3, "axes"))
    )
    if starts is None or ends is None:
        raise PlanError("Slice with computed bounds")
    axes = axes or list(range(len(starts)))
    steps = graph.numbers(node, 4) or [1] * len(starts)
    indexes = _own(len(shape) - 1)
    for axis, start, step in zip((axis % len(shape) for axis in axes), starts, steps, strict=True):
        if axis == 0 or step < 1:
            raise PlanError(f"Slice of axis {axis} by {step}")
        first = max(start + shape[axis], 0) if start < 0 else min(start, shape[axis])
        indexes[axis - 1] = f"({first} + {indexes[axis - 1]} * {step})"
    return f"return {decoder.at(node.inputs[0], indexes)};"


def _split(decoder: Decoder, node: Node, position: int) -> str:
    axis = node.attributes.get("axis", 0) % len(decoder.shape(node.inputs[0]))
    if axis == 0:
        raise PlanError("Split of the batch")
    start = sum(decoder.shape(name)[axis] for name in node.outputs[:position])
    indexes = _own(len(decoder.shape(node.inputs[0])) - 1)
    indexes[axis - 1] = f"({start} + {indexes[axis - 1]})"
    return f"return {decoder.at(node.inputs[0], indexes)};"


def _concat(decoder: Decoder, node: Node, position: int) -> str:
    rank = _rank(decoder, node.outputs[0])
    axis = node.attributes["axis"] % (rank + 1) - 1
    if axis < 0:
        raise PlanError("Concat of the batch")
    own, lines, start = _own(rank), [], 0
    for name in node.inputs:
        end = start + decoder.shape(name)[axis + 1]
        indexes = [*own[:axis], f"(i{axis} - {start})", *own[axis + 1 :]]
        condition = f"if (i{axis} < {end}) " if name != node.inputs[-1] else ""
        lines.append(f"{condition}return {decoder.at(name, indexes)};")
        start = end
    return " ".join(lines)


def _gather(decoder: Decoder, node: Node, position: int) -> str:
    data, index = node.inputs
    rank, axis = len(decoder.shape(data)), node.attributes.get("axis", 0)
    axis %= rank
    constant = data in decoder.graph.constants
    own = ["0", *_own(_rank(decoder, node.outputs[0]))]
    inner = len(decoder.shape(index))
    place = decoder.at(
        index, own[axis + 1 : axis + inner] if axis == 0 else own[axis : axis + inner]
    )
    if axis == 0 and not constant:
        raise PlanError("Gather of images")
    whole = [*own[:axis], f"(int)({place})", *own[axis + inner :]]
    return f"return {decoder.at(data, whole if constant else whole[1:])};"


def _gather_elements(decoder: Decoder, node: Node, position: int) -> str:
    axis = node.attributes.get("axis", 0) % len(decoder.shape(node.inputs[0])) - 1
    own = _own(_rank(decoder, node.outputs[0]))
    if axis < 0:
        raise PlanError("GatherElements of images")
    taken = [*own[:axis], f"(int)({decoder.at(node.inputs[1], own)})", *own[axis + 1 :]]
    return f"return {decoder.at(node.inputs[0], taken)};"


def _reduction(start: str, step: str, end: str) -> _Writer:
    """A reduction of one axis in C; `step` uses `v`, the value at index `j` of the axis."""

    def write(decoder: Decoder, node: Node, position: int) -> str:
        graph = decoder.graph
        shape = decoder.shape(node.inputs[0])
        axes = [node.attributes["axis"]] if node.operator == "ArgMax" else None
        axes = axes or graph.numbers(node, 1, "axes") or []
        if len(axes) != 1 or axes[0] % len(shape) == 0 or node.attributes.get("select_last_index"):
            raise PlanError(f"{node.operator} of axes {axes}")
        axis = axes[0] % len(shape) - 1
        own = _own(_rank(decoder, node.outputs[0]))
        kept = node.attributes.get("keepdims", 1)
        indexes = [*own[:axis], "j", *(own[axis + 1 :] if kept else own[axis:])]
        value = decoder.at(node.inputs[0], indexes)
        size = shape[axis + 1]
        loop = f"for (int j = 0; j < {size}; ++j) {{ const float v = {value}; {step} }}"
        return f"{start} {loop} {end}"

    return write


def _softmax(decoder: Decoder, node: Node, position: int) -> str:
    shape = decoder.shape(node.inputs[0])
    axis = node.attributes.get("axis", -1) % len(shape) - 1
    own = _own(len(shape) - 1)
    if axis < 0:
        raise PlanError("Softmax over images")
    value = decoder.at(node.inputs[0], [*own[:axis], "j", *own[axis + 1 :]])
    loop = f"for (int j = 0; j < {shape[axis + 1]}; ++j)"
    return (
        f"float best = -INFINITY, sum = 0.0f; {loop} best = fmaxf(best, {value}); "
        f"{loop} sum += expf({value} - best); "
        f"return expf({decoder.at(node.inputs[0], own)} - best) / sum;"
    )


def _mat_mul(decoder: Decoder, node: Node, position: int) -> str:
    left, right = node.inputs
    rank = _rank(decoder, node.outputs[0])
    own = _own(rank)
    if len(decoder.shape(left)) != rank + 1 or len(decoder.shape(right)) not in (2, rank + 1):
        raise PlanError("MatMul of other ranks")
    inner = decoder.shape(left)[-1]
    one = decoder.at(left, [*own[:-1], "j"])
    outer = own[:-2] if len(decoder.shape(right)) == rank + 1 else []
    other = decoder.at(right, [*outer, "j", own[-1]])
    return (
        f"float sum = 0.0f; for (int j = 0; j < {inner}; ++j) sum += {one} * {other}; return sum;"
    )


_WRITERS: dict[str, _Writer] = {
    "Add": _elementwise("{0} + {1}"),
    "ArgMax": _reduction(
        "float best = -INFINITY; int place = 0;",
        "if (v > best) { best = v; place = j; }",
        "return (float)place;",
    ),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _elementwise("{0} / {1}"),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Identity": _elementwise("{0}"),
    "MatMul": _mat_mul,
    "Mul": _elementwise("{0} * {1}"),
    "Pow": _elementwise("powf({0}, {1})"),
    "ReduceMax": _reduction("float best = -INFINITY;", "best = fmaxf(best, v);", "return best;"),
    "Reshape": _reshape,
    "Sigmoid": _elementwise("1.0f / (1.0f + expf(-({0})))"),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sub": _elementwise("{0} - {1}"),
    "Transpose": _transpose,
    "Unsqueeze": _reshape,
}
