"""Turns the graph of a detector into a plan."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ..resizing import MODES, repeats_pixels
from .decoder import Decoder
from .errors import PlanError
from .fusing import Step, fused, pools_together, steps_of
from .graph import Graph, Node, read
from .plan import (
    ALIGNMENT,
    Add,
    Buffer,
    Convert,
    Convolution,
    Decode,
    Launch,
    Plan,
    Pool,
    Slice,
    Upsample,
    aligned,
)
from .siblings import merged


def plan_of(
    model: onnx.ModelProto, *, names: tuple[str, str], image_shape: tuple[int, int, int]
) -> Plan:
    """Plan a network whose convolutions are float16, as `half.to_fp16` makes it.

    Args:
        model: The network; it is not changed.
        names: Names of the input and the output.
        image_shape: Channels, height, width.

    Raises:
        PlanError: The network has something that no launch computes.
    """
    graph = read(model, name=names[0], image_shape=image_shape)
    body = _body(graph)
    steps, alias = steps_of(graph, body)
    tail = [node for node in graph.nodes if not body.intersection(node.outputs)]
    heads = sorted({name for node in tail for name in node.inputs} & body)
    maps = {name: alias.get(name, name) for name in heads}
    layout = _Layout(graph, fused(steps, set(maps.values())), names[0])
    return layout.plan(tail, maps, names[1])


def _body(graph: Graph) -> set[str]:
    """Names of the outputs of convolutions, and of all tensors that these depend on."""
    maker = {name: node for node in graph.nodes for name in node.outputs}
    waiting = [name for node in graph.nodes if node.operator == "Conv" for name in node.outputs]
    body: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in body and name not in graph.constants:
            body.add(name)
            waiting.extend(maker[name].inputs if name in maker else ())
    return body


@dataclass(frozen=True)
class _Home:
    """The place of a map that is a part of another map: it begins at the channel `start` of it."""

    name: str
    start: int


@dataclass
class _Layout:
    """Assigns maps to slices of buffers, and makes the launches.

    Attributes:
        graph: The graph.
        steps: The steps up to the last convolutions, in order.
        input: Name of the input.
        homes: The places of maps that are parts of other maps, by name.
        buffers: The buffers so far.
        places: The slices of maps so far, by name.
        copies: Maps that have to be copied into a concatenation, each with its first channel there,
            by the concatenation's name.
    """

    graph: Graph
    steps: list[Step]
    input: str
    homes: dict[str, _Home] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    places: dict[str, Slice] = field(default_factory=dict)
    copies: dict[str, list[tuple[str, int]]] = field(default_factory=lambda: defaultdict(list))

    def plan(self, tail: list[Node], heads: dict[str, str], output: str) -> Plan:
        makers = {step.output: step for step in self.steps}
        for step in self.steps:
            if step.node.operator in ("Split", "Slice"):
                self.homes[step.output] = _part(self.graph, step)
        # A concatenation that is itself a part of a later one needs its home first.
        for step in reversed(self.steps):
            if step.node.operator == "Concat":
                self._gather(step, makers)
        launches: list[Launch] = [Convert(self.place(self.input), self._shape(self.input)[0])]
        for step in pools_together(self.steps):
            launches += self._launches(step)
        sources = tuple(self.place(name) for name in heads.values())
        launches.append(Decode(sources, Decoder(self.graph, tail, tuple(heads), output)))
        return Plan(tuple(self.buffers), tuple(merged(launches)))

    def place(self, name: str) -> Slice:
        """The slice of a map. The first call for a map that has no home makes a buffer."""
        if name not in self.places:
            channels, height, width = self._shape(name)
            if name in self.homes:
                home = self.homes[name]
                outer = self.place(home.name)
                place = Slice(outer.buffer, outer.start + home.start, channels)
            else:
                place = Slice(len(self.buffers), 0, aligned(channels))
                self.buffers.append(Buffer(height, width, place.channels))
            self.places[name] = place
        return self.places[name]

    def _shape(self, name: str) -> tuple[int, int, int]:
        shape = self.graph.shapes[name]
        if len(shape) != 4:
            raise PlanError(f"a tensor of the shape {list(shape)} between convolutions")
        return shape[1], shape[2], shape[3]

    def _gather(self, step: Step, makers: dict[str, Step]) -> None:
        """Give the inputs of a concatenation their homes in it; who has one already is copied."""
        if step.node.attributes["axis"] not in (1, -3):
            raise PlanError(f"Concat of axis {step.node.attributes['axis']} between convolutions")
        start = 0
        for name in self._whole(step.inputs):
            channels = self._shape(name)[0]
            if channels % ALIGNMENT:
                raise PlanError(
                    f"Concat of {channels} channels, which are no multiple of {ALIGNMENT}"
                )
            if name in makers and name not in self.homes:
                self.homes[name] = _Home(step.output, start)
            else:
                self.copies[step.output].append((name, start))
            start += channels

    def _whole(self, names: tuple[str, ...]) -> list[str]:
        """Replace all parts of a split map, if they are in their old order, by the map itself."""
        result: list[str] = []
        waiting = list(names)
        while waiting:
            base = self._base(waiting[0])
            parts = [name for name in waiting if self._base(name) == base]
            starts = [self.homes[name].start for name in parts] if base else []
            total = sum(self._shape(name)[0] for name in parts)
            beside = waiting[: len(parts)] == parts and starts == sorted(starts)
            if base and beside and total == self._shape(base)[0]:
                result.append(base)
                del waiting[: len(parts)]
            else:
                result.append(waiting.pop(0))
        return result

    def _base(self, name: str) -> str | None:
        """The map that was split, if this is a part of one."""
        splits = {one.output for one in self.steps if one.node.operator in ("Split", "Slice")}
        return self.homes[name].name if name in splits else None

    def _launches(self, step: Step) -> list[Launch]:
        operator = step.node.operator
        if operator in ("Split", "Slice"):
            return []
        target = self.place(step.output)
        if operator == "Concat":
            return [
                Upsample(self.place(name), self._part(target, name, start), 1)
                for name, start in self.copies[step.output]
            ]
        sources = [self.place(name) for name in step.inputs]
        added = step.inputs if operator == "Add" else [step.added] if step.added else []
        if any(self._shape(name) != self._shape(step.output) for name in added):
            raise PlanError("Add of maps with different shapes")
        if operator == "Conv":
            return [self._convolution(step, sources[0], target)]
        if operator == "MaxPool":
            return [_pool(step.node, sources[0], target)]
        if operator == "Resize":
            return [Upsample(sources[0], target, self._scale(step))]
        if operator == "Add" and len(sources) == 2:
            return [Add(sources[0], sources[1], target)]
        raise PlanError(f"{operator} between convolutions")

    def _part(self, outer: Slice, name: str, start: int) -> Slice:
        """The channels of a concatenation that a copy of a map takes."""
        return Slice(outer.buffer, outer.start + start, self._shape(name)[0])

    def _convolution(self, step: Step, source: Slice, target: Slice) -> Convolution:
        node, attributes = step.node, step.node.attributes
        if attributes.get("group", 1) != 1 or attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
            raise PlanError("Conv with groups or auto_pad")
        weight = self.graph.constants.get(node.inputs[1])
        if weight is None or weight.ndim != 4:
            raise PlanError("Conv with a computed filter, or of other than two dimensions")
        bias = np.zeros(len(weight))
        if len(node.inputs) > 2 and node.inputs[2]:
            if node.inputs[2] not in self.graph.constants:
                raise PlanError("Conv with a computed bias")
            bias = self.graph.constants[node.inputs[2]]
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        return Convolution(
            source=source,
            target=target,
            weight=_filter(weight, target.channels, source.channels),
            bias=np.pad(bias.astype(np.float32), (0, target.channels - len(bias))),
            strides=tuple(attributes.get("strides", (1, 1))),
            pads=(top, left, bottom, right),
            dilations=tuple(attributes.get("dilations", (1, 1))),
            activation=step.activation,
            slope=step.slope,
            added=None if step.added is None else self.place(step.added),
        )

    def _scale(self, step: Step) -> int:
        (_, height, width), (_, tall, wide) = map(self._shape, (step.inputs[0], step.output))
        scale = tall // height
        modes = {name: step.node.attributes[name] for name in MODES & step.node.attributes.keys()}
        if not repeats_pixels(scale, **modes) or (tall, wide) != (scale * height, scale * width):
            raise PlanError(f"Resize {modes} from {(height, width)} to {(tall, wide)}")
        return scale


def _filter(weight: npt.NDArray[Any], outputs: int, inputs: int) -> npt.NDArray[np.float16]:
    """Convert ONNX's [K, C, R, S] to float16 [outputs, R, S, inputs], filled up with zeros."""
    last = weight.astype(np.float16).transpose(0, 2, 3, 1)
    return np.pad(last, ((0, outputs - len(last)), (0, 0), (0, 0), (0, inputs - last.shape[3])))


def _part(graph: Graph, step: Step) -> _Home:
    """The channels that a split or a slice takes."""
    node = step.node
    channels = graph.shapes[step.inputs[0]][1]
    if node.operator == "Split":
        if node.attributes.get("axis", 0) != 1:
            raise PlanError(f"Split of axis {node.attributes.get('axis', 0)} between convolutions")
        before = node.outputs[: node.outputs.index(step.output)]
        start = sum(graph.shapes[name][1] for name in before)
    else:
        starts, ends, axes = (
            graph.numbers(node, position, name)
            for position, name in ((1, "starts"), (2, "ends"), (3, "axes"))
        )
        steps = graph.numbers(node, 4) or [1]
        if axes != [1] or steps != [1] or not starts or not ends:
            raise PlanError(f"Slice of axes {axes} by {steps} between convolutions")
        start = starts[0] % channels
    if start % ALIGNMENT or graph.shapes[step.output][1] % ALIGNMENT:
        raise PlanError(f"{node.operator} from channel {start}, no multiple of {ALIGNMENT}")
    return _Home(step.inputs[0], start)


def _pool(node: Node, source: Slice, target: Slice) -> Pool:
    attributes = node.attributes
    kernel, strides = attributes["kernel_shape"], attributes.get("strides", [1, 1])
    pads = attributes.get("pads", [0, 0, 0, 0])
    plain = (
        len({*kernel}) == len({*strides}) == len({*pads}) == 1
        and not attributes.get("ceil_mode", 0)
        and set(attributes.get("dilations", [1, 1])) == {1}
        and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"
        and len(node.outputs) == 1
    )
    if not plain:
        raise PlanError(f"MaxPool of {kernel} with strides {strides} and pads {pads}")
    return Pool(source, target, kernel[0], strides[0], pads[0])
