"""Converts an ONNX graph to a PyTorch module."""

from __future__ import annotations

from operator import getitem
from typing import Any

import numpy.typing as npt
import onnx
import torch
from onnx import numpy_helper
from torch import fx, nn

from .onnx_operators import operator_of

INPUT, OUTPUT = "input", "output"


def module_of(model: onnx.ModelProto) -> fx.GraphModule:
    """Convert a graph to a module: float32 [b, 3, H, W] RGB 0..1 -> float32 [b, rows, 6].

    Args:
        model: ONNX graph, as `tools.export_onnx` writes it.

    Raises:
        OperatorError: The graph has an operator that is not supported; the message names it.
    """
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    root, graph = nn.Module(), fx.Graph()
    values: dict[str, fx.Node] = {INPUT: graph.placeholder(INPUT)}

    def tensor(name: str) -> fx.Node:
        if name not in values:
            buffer = f"constant_{len(values)}"
            root.register_buffer(buffer, torch.from_numpy(constants[name].copy()))
            values[name] = graph.get_attr(buffer)
        return values[name]

    for node in model.graph.node:
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if (constant := _constant(node, attributes, constants)) is not None:
            constants[node.output[0]] = constant
            continue
        operator, numbers = operator_of(node.op_type)
        arguments = [
            (constants[name].tolist() if position in numbers else tensor(name)) if name else None
            for position, name in enumerate(node.input)
        ]
        result = graph.call_function(operator, tuple(arguments), attributes)
        for position, name in enumerate(node.output):
            several = len(node.output) > 1
            values[name] = graph.call_function(getitem, (result, position)) if several else result
    graph.output(values[OUTPUT])
    return fx.GraphModule(root, graph)


def _constant(
    node: onnx.NodeProto, attributes: dict[str, Any], constants: dict[str, Any]
) -> npt.NDArray[Any] | None:
    """The value of a node that does not depend on the input; None if it does."""
    if node.op_type == "Constant":
        return numpy_helper.to_array(attributes["value"])
    if node.op_type == "Cast" and node.input[0] in constants:
        # Conversion to float16 casts constants to float16 and back.
        kind = onnx.helper.tensor_dtype_to_np_dtype(attributes["to"])
        cast: npt.NDArray[Any] = constants[node.input[0]].astype(kind)
        return cast
    return None
