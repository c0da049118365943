"""Reads an ONNX graph, with its constants and shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from .errors import PlanError

Array = npt.NDArray[Any]

_SOFTMAX_OF_ONE_AXIS = 13
"""The first opset whose Softmax normalizes one axis."""


@dataclass(frozen=True)
class Node:
    """An operator whose result depends on the image.

    Attributes:
        operator: ONNX's name of it.
        inputs: Names of tensors; an empty name stands for an optional input that is left out.
        outputs: Names of tensors.
        attributes: The values that ONNX gives, by name.
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
        constants: Tensors that do not depend on the image, by name.
        shapes: Shapes of all other tensors by name, for a batch of one.
    """

    nodes: tuple[Node, ...]
    constants: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]

    def numbers(self, node: Node, position: int, attribute: str = "") -> list[int] | None:
        """Integers that are an input in newer opsets, and an attribute in older ones.

        Raises:
            PlanError: They are computed from the image.
        """
        if position >= len(node.inputs) or not node.inputs[position]:
            return node.attributes.get(attribute)
        if node.inputs[position] not in self.constants:
            raise PlanError(f"{node.operator} with a computed input {position}")
        found: list[int] = self.constants[node.inputs[position]].tolist()
        return found


def read(model: onnx.ModelProto, *, name: str, image_shape: tuple[int, int, int]) -> Graph:
    """Fold constants and infer shapes.

    Args:
        model: The network; it is not changed.
        name: Name of the input.
        image_shape: Channels, height, width.

    Raises:
        PlanError: The shapes cannot be inferred.
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
    graph = Graph(tuple(nodes), constants, _shapes(single, name, image_shape))
    opset = max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    if opset < _SOFTMAX_OF_ONE_AXIS:
        _check_softmax(graph)
    return graph


def _check_softmax(graph: Graph) -> None:
    """Refuse a softmax that older opsets compute over several axes together."""
    for node in graph.nodes:
        if node.operator == "Softmax":
            rank = len(graph.shapes[node.inputs[0]])
            if node.attributes.get("axis", 1) % rank != rank - 1:
                raise PlanError("Softmax of another axis than the last, before opset 13")


def casts_to_float(node: Node) -> bool:
    """Whether a node of the type Cast changes no value, save for rounding."""
    return node.attributes["to"] in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)


def _shapes(
    single: onnx.ModelProto, name: str, image_shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors for a batch of one. The model is changed."""
    for one in single.graph.output:
        one.type.tensor_type.ClearField("shape")
    for one in single.graph.input:
        kind = one.type.tensor_type.elem_type
        one.CopyFrom(helper.make_tensor_value_info(name, kind, (1, *image_shape)))
    try:
        graph = onnx.shape_inference.infer_shapes(single, data_prop=True, strict_mode=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise PlanError(f"a graph whose shapes cannot be inferred ({error})") from error
    return {
        one.name: tuple(dim.dim_value for dim in one.type.tensor_type.shape.dim)
        for one in (*graph.input, *graph.value_info, *graph.output)
    }


def _constant(node: Node, constants: dict[str, Array]) -> Array | None:
    """The result of a node that does not depend on the image; None for all others."""
    if node.operator == "Constant":
        if "value" not in node.attributes:
            raise PlanError(f"Constant with {list(node.attributes)}")
        return numpy_helper.to_array(node.attributes["value"])
    if node.operator in ("Cast", "Identity") and node.inputs[0] in constants:
        # The conversion to float16 casts some constants to float16 and back.
        value = constants[node.inputs[0]]
        if node.operator == "Identity":
            return value
        return value.astype(np.dtype(helper.tensor_dtype_to_np_dtype(node.attributes["to"])))
    return None
