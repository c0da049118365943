"""Finds nodes of the graph that one launch can compute together."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import pairwise

from .graph import Graph, Node, casts_to_float
from .plan import Activation


@dataclass(frozen=True)
class Step:
    """A node, and the following nodes that are computed in the same launch.

    Attributes:
        node: The first node.
        inputs: Names of the maps that the step reads.
        output: Name of the map that the last of its nodes makes.
        activation: The activation after a convolution.
        slope: Factor for negative values of the activation `leaky`.
        added: Name of the map that is added at the end.
    """

    node: Node
    inputs: tuple[str, ...]
    output: str
    activation: Activation = "none"
    slope: float = 0.0
    added: str | None = None


def steps_of(graph: Graph, body: set[str]) -> tuple[list[Step], dict[str, str]]:
    """Make a step of each node that makes one of the tensors in `body`.

    Casts and identities change nothing, because all maps are float16. They become no step.

    Returns:
        The steps in order, and the names of the maps that casts and identities repeat, by the names
        of their outputs.
    """
    alias: dict[str, str] = {}
    steps = []
    for node in graph.nodes:
        if not body.intersection(node.outputs):
            continue
        inputs = tuple(alias.get(name, name) for name in node.inputs if name in graph.shapes)
        if node.operator == "Identity" or (node.operator == "Cast" and casts_to_float(node)):
            alias[node.outputs[0]] = inputs[0]
        else:
            steps += [Step(node, inputs, output) for output in node.outputs]
    return steps, alias


def fused(steps: list[Step], kept: set[str]) -> list[Step]:
    """Fuse activations and additions into the convolutions before them.

    Args:
        steps: In order.
        kept: Names of maps that have to be in memory, because something else reads them.
    """
    readers: dict[str, list[Step]] = defaultdict(list)
    for name in kept:
        readers[name].append(Step(_SOMETHING_ELSE, (name,), ""))
    for step in steps:
        for name in step.inputs:
            readers[name].append(step)
    result: list[Step | None] = list(steps)
    places = {step.output: place for place, step in enumerate(steps)}
    for place, step in enumerate(steps):
        if step.node.operator == "Conv" and len(step.inputs) == 1:
            whole, between = _with_added(*_activated(step, readers), readers)
            for name in (*between, whole.output):
                result[places[name]] = None
            # The added map exists at the place of the addition, maybe not before.
            result[place if whole.added is None else places[whole.output]] = whole
    return [step for step in result if step is not None]


def _with_added(
    step: Step, between: set[str], readers: dict[str, list[Step]]
) -> tuple[Step, set[str]]:
    """Fuse the addition that follows, if there is one; `between` are maps that vanish by fusing."""
    following = readers[step.output]
    if len(following) != 1 or not _is_addition(following[0]):
        return step, between
    (other,) = [name for name in following[0].inputs if name != step.output]
    return replace(step, output=following[0].output, added=other), between | {step.output}


def _activated(step: Step, readers: dict[str, list[Step]]) -> tuple[Step, set[str]]:
    """Fuse the activation that follows, if there is one; returns also the maps that vanish."""
    after = readers[step.output]
    operators = sorted(one.node.operator for one in after)
    if operators == ["Mul", "Sigmoid"]:
        product, sigmoid = sorted(after, key=lambda one: one.node.operator)
        if (
            set(product.inputs) == {step.output, sigmoid.output}
            and len(readers[sigmoid.output]) == 1
        ):
            silu = replace(step, output=product.output, activation="silu")
            return silu, {step.output, sigmoid.output}
    simple: dict[str, Activation] = {"LeakyRelu": "leaky", "Relu": "relu", "Sigmoid": "sigmoid"}
    if len(operators) == 1 and operators[0] in simple:
        (one,) = after
        # ONNX's default slope.
        slope = one.node.attributes.get("alpha", 0.01) if operators[0] == "LeakyRelu" else 0.0
        activation = simple[operators[0]]
        return replace(step, output=one.output, activation=activation, slope=slope), {step.output}
    return step, set()


def _is_addition(step: Step) -> bool:
    return step.node.operator == "Add" and len(set(step.inputs)) == 2


_SOMETHING_ELSE = Node("", (), (), {})
"""Stands for any reader that is not a step."""


def pools_together(steps: list[Step]) -> list[Step]:
    """Compute larger pools of a map from the smaller ones.

    A pool of 9x9 is a pool of 5x5 of a pool of 5x5, and so on. The results are equal, and fewer
    values are read.
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
            # All pools of a map take the place of the first: their source exists there.
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
    """The larger pool as a pool of the smaller one's result."""
    one, other = (step.node.attributes["kernel_shape"][0] for step in (smaller, larger))
    side = other - one + 1
    attributes = larger.node.attributes | {"kernel_shape": [side] * 2, "pads": [side // 2] * 4}
    node = replace(larger.node, attributes=attributes)
    return replace(larger, node=node, inputs=(smaller.output,))
