"""Converts an ONNX graph to float16 weights and arithmetic; input and output stay float32.

The graph itself states all types ("strong typing"), so that the runtime does not choose them.
TensorRT 10 and 11 support that, and so does ONNX Runtime.
"""

from __future__ import annotations

import onnx
from onnx import compose
from onnx.utils import Extractor
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

INPUT, OUTPUT = "input", "output"


class Fp16Error(ValueError):
    """The graph cannot be converted to float16; the message says why."""


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convert everything up to the last convolutions to float16.

    The nodes after the last convolutions stay in float32. They compute pixel coordinates, and
    float16 has a resolution of only 0.5 pixels above 512.

    Args:
        model: The graph; it is not changed. A model with float16 weights is returned as it is.

    Raises:
        Fp16Error: The graph has no convolution, or cannot be split after the last ones.
    """
    if any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer):
        return model
    typed = onnx.shape_inference.infer_shapes(model)
    cut_tensors = _cut_tensors(typed.graph)
    if not cut_tensors:
        raise Fp16Error("the network has no convolution that could run in float16")
    try:
        graph = _merged(Extractor(typed), cut_tensors)
    except ValueError as error:
        raise Fp16Error(f"the network cannot be split at its last convolutions: {error}") from error
    OnnxModel.graph_topological_sort(graph)
    mixed = onnx.helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    )
    onnx.checker.check_model(mixed, full_check=True)
    return mixed


def _merged(extractor: Extractor, cut_tensors: list[str]) -> onnx.GraphProto:
    """Split the graph at the cut tensors, convert the first part to float16, and merge both."""
    body = extractor.extract_model([INPUT], cut_tensors)
    tail = extractor.extract_model(cut_tensors, [OUTPUT])
    body = convert_float_to_float16(body, keep_io_types=True)
    for part in (body, tail):
        # Both parts have the shapes of the cut tensors, which merging does not allow.
        del part.graph.value_info[:]
    # Constants that both parts use are copied into both, and need different names.
    rest = compose.add_prefix_graph(
        tail.graph, "float32/", rename_inputs=False, rename_outputs=False
    )
    return compose.merge_graphs(body.graph, rest, [(name, name) for name in cut_tensors])


def _cut_tensors(graph: onnx.GraphProto) -> list[str]:
    """Names of the tensors between the part up to the last convolutions and the rest."""
    maker = {name: node for node in graph.node for name in node.output}
    waiting = [name for node in graph.node if node.op_type == "Conv" for name in node.output]
    body: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in maker and name not in body:
            body.add(name)
            waiting.extend(maker[name].input)
    after = (node for node in graph.node if not body.intersection(node.output))
    return sorted({name for node in after for name in node.input} & body)
