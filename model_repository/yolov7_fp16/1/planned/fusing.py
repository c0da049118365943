"""Takes together what one launch computes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise

from .graph import Graph, Node
from .plan import Activation


@dataclass(frozen=True)
class Step:
    """A node, with those around it that are computed in the same launch.

    Attributes:
        node: What it is in the main.
        inputs: Maps that it reads.
        output: Map that it makes.
        activation: After a convolution.
        slope: Of a leaky activation.
        added: Map that is added at last.
    """

    node: Node
    inputs: tuple[str, ...]
    output: str
    activation: Activation = "none"
    slope: float = 0.0
    added: str | None = None


def steps_of(graph: Graph, body: set[str]) -> tuple[list[Step], dict[str, str]]:
    """One step a node, without casts and identities; and the maps that those stand for."""
    alias: dict[str, str] = {}
    steps = []
    for node in graph.nodes:
        if not body.intersection(node.outputs):
            continue
        inputs = tuple(alias.get(name, name) for name in node.inputs if name in graph.shapes)
        if node.operator in ("Cast", "Identity"):
            alias[node.outputs[0]] = inputs[0]
        else:
            steps += [Step(node, inputs, output) for output in node.outputs]
    return steps, alias


def fused(steps: list[Step], kept: set[str]) -> list[Step]:
    """Take activations and additions into the convolutions before them.

    Args:
        steps: In their order.
        kept: Maps that are needed as they are.
    """
    readers: dict[str, list[Step]] = defaultdict(list)
    for name in kept:
        readers[name].append(Step(_AFTERWARDS, (name,), ""))
    for step in steps:
        for name in step.inputs:
            readers[name].append(step)
    result: list[Step | None] = list(steps)
    places = {step.output: place for place, step in enumerate(steps)}
    for place, step in enumerate(steps):
        if step.node.operator == "Conv" and len(step.inputs) == 1:
            whole, passed = _with_added(*_activated(step, readers), readers)
            for name in (*passed, whole.output):
                result[places[name]] = None
            # A map that is added is ready where it was added; an activation need not wait.
            result[place if whole.added is None else places[whole.output]] = whole
    return [step for step in result if step is not None]


def _with_added(
    step: Step, passed: set[str], readers: dict[str, list[Step]]
) -> tuple[Step, set[str]]:
    """A convolution with the map that is added to it; and the maps between."""
    following = readers[step.output]
    if len(following) != 1 or not _adds(following[0]):
        return step, passed
    (other,) = [name for name in following[0].inputs if name != step.output]
    return replace(step, output=following[0].output, added=other), passed | {step.output}


def _activated(step: Step, readers: dict[str, list[Step]]) -> tuple[Step, set[str]]:
    """A convolution with its activation; and the maps between that nobody else reads."""
    after = readers[step.output]
    kinds = sorted(one.node.operator for one in after)
    if kinds == ["Mul", "Sigmoid"]:
        product, sigmoid = sorted(after, key=lambda one: one.node.operator)
        if (
            set(product.inputs) == {step.output, sigmoid.output}
            and len(readers[sigmoid.output]) == 1
        ):
            silu = replace(step, output=product.output, activation="silu")
            return silu, {step.output, sigmoid.output}
    simple: dict[str, Activation] = {"LeakyRelu": "leaky", "Relu": "relu", "Sigmoid": "sigmoid"}
    if len(kinds) == 1 and kinds[0] in simple:
        (one,) = after
        slope = one.node.attributes.get("alpha", 0.01) if kinds[0] == "LeakyRelu" else 0.0
        activated = replace(step, output=one.output, activation=simple[kinds[0]], slope=slope)
        return activated, {step.output}
    return step, set()


def _adds(step: Step) -> bool:
    return step.node.operator == "Add" and len(set(step.inputs)) == 2


_AFTERWARDS = Node("", (), (), {})
"""Stands for all that reads a map after the convolutions."""


def pools_together(steps: list[Step]) -> list[Step]:
    """Compute larger pools of a map from the smaller ones.

    The largest value of 9x9 is that of 5x5 largest values of 5x5, and so on: equal results for less
    reading.
    """
    groups: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.node.operator == "MaxPool" and _keeps_size(step.node):
            groups[step.inputs[0]].append(step)
    chained: dict[str, list[Step]] = {}
    for source, group in groups.items():
        group.sort(key=lambda one: one.node.attributes["kernel_shape"][0])
        chained[source] = [group[0], *(_from_smaller(*pair) for pair in pairwise(group))]
    result = []
    for step in steps:
        if step.node.operator == "MaxPool" and _keeps_size(step.node):
            # All of them where the first stood: their source is ready.
            result += chained.pop(step.inputs[0], [])
        else:
            result.append(step)
    return result


def _keeps_size(node: Node) -> bool:
    side = node.attributes["kernel_shape"][0]
    return (
        set(node.attributes["kernel_shape"]) == {side}
        and set(node.attributes.get("strides", [1])) == {1}
        and set(node.attributes.get("pads", [0])) == {side // 2}
        and side % 2 == 1
    )


def _from_smaller(smaller: Step, larger: Step) -> Step:
    left = (
        larger.node.attributes["kernel_shape"][0] - smaller.node.attributes["kernel_shape"][0] + 1
    )
    attributes = larger.node.attributes | {"kernel_shape": [left] * 2, "pads": [left // 2] * 4}
    return replace(
        larger, node=replace(larger.node, attributes=attributes), inputs=(smaller.output,)
    )
