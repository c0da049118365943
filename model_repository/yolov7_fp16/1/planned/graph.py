"""An ONNX graph with its constants and shapes at hand."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Node:
    """An operator that depends on the input.

    Attributes:
        operator: Its ONNX name.
        inputs: Names of tensors; empty for one that is left out.
        outputs: Names of tensors.
        attributes: As ONNX has them.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(compare=False)


@dataclass(frozen=True)
class Graph:
    """A graph for images of one size.

    Attributes:
        nodes: In an order in which they can be computed.
        constants: Tensors that depend on nothing, by name.
        shapes: Of all other tensors, for a batch of one.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]

    def consumers(self) -> dict[str, list[Node]]:
        """The nodes that read each tensor."""
        found = defaultdict(list)
        for node in self.nodes:
            for name in node.inputs:
                found[name].append(node)
        return found

    def numbers(self, node: Node, position: int, attribute: str = "") -> list[int] | None:
        """Integers that are an input in newer opsets, and an attribute in older ones."""
        if position < len(node.inputs) and node.inputs[position]:
            found: list[int] = self.constants[node.inputs[position]].tolist()
            return found
        return node.attributes.get(attribute)


def read(model: onnx.ModelProto, *, name: str, image_shape: tuple[int, int, int]) -> Graph:
    """Fold constants and infer shapes.

    Args:
        model: It is left as it is.
        name: Of the input.
        image_shape: Channels, height and width of an image.
    """
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    nodes, protos = [], []
    for proto in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in proto.attribute}
        node = Node(proto.op_type, tuple(proto.input), tuple(proto.output), attributes)
        if (constant := _constant(node, constants)) is None:
            nodes.append(node)
            protos.append(proto)
        else:
            constants[node.outputs[0]] = constant
    single = onnx.ModelProto()
    single.CopyFrom(model)
    del single.graph.value_info[:], single.graph.node[:], single.graph.initializer[:]
    single.graph.node.extend(protos)
    single.graph.initializer.extend(
        numpy_helper.from_array(value, key) for key, value in constants.items()
    )
    return Graph(tuple(nodes), constants, _shapes(single, name, image_shape))


def _shapes(
    single: onnx.ModelProto, name: str, image_shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
    """Of all tensors, for a batch of one; the model is changed."""
    for one in single.graph.output:
        one.type.tensor_type.ClearField("shape")
    for one in single.graph.input:
        kind = one.type.tensor_type.elem_type
        one.CopyFrom(helper.make_tensor_value_info(name, kind, (1, *image_shape)))
    graph = onnx.shape_inference.infer_shapes(single, data_prop=True, strict_mode=True).graph
    return {
        one.name: tuple(dim.dim_value for dim in one.type.tensor_type.shape.dim)
        for one in (*graph.input, *graph.value_info, *graph.output)
    }


def _constant(node: Node, constants: dict[str, Array]) -> Array | None:
    """What a node that depends on nothing gives; None where it depends on the input."""
    if node.operator == "Constant":
        return numpy_helper.to_array(node.attributes["value"])
    if node.operator in ("Cast", "Identity") and node.inputs[0] in constants:
        # Conversion to float16 casts constants to float16 and back.
        value = constants[node.inputs[0]]
        if node.operator == "Identity":
            return value
        return value.astype(np.dtype(helper.tensor_dtype_to_np_dtype(node.attributes["to"])))
    return None
