"""A graph with float16 weights and arithmetic between a float32 input and a float32 output."""

from __future__ import annotations

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel


def narrowed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute in float16 up to the last convolutions.

    What comes after them stays as it is: the steps between float16 numbers are half a pixel wide
    at the far edge of a picture, and boxes are wanted finer than that.

    Args:
        model: Float32 throughout; it is left as it is.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for number, node in enumerate(copy.graph.node):
        node.name = node.name or f"{node.op_type}_{number}"
    narrow = _before_last_convolutions(copy.graph)
    converted: onnx.ModelProto = convert_float_to_float16(
        copy,
        keep_io_types=True,
        op_block_list=[],
        node_block_list=[node.name for node in copy.graph.node if node.name not in narrow],
    )
    # The casts were appended at the end.
    OnnxModel(converted).topological_sort()
    return converted


def _before_last_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Names of the convolutions, and of all nodes whose results reach one."""
    makers = {output: node for node in graph.node for output in node.output}
    waiting = [node for node in graph.node if node.op_type == "Conv"]
    names: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node.name not in names:
            names.add(node.name)
            waiting += [makers[name] for name in node.input if name in makers]
    return names
