"""A graph with float16 weights and arithmetic between a float32 input and a float32 output.

The graph itself states the types ("strong typing"), so a runtime decides nothing. TensorRT 10 and
11 both support that, and ONNX Runtime can run and check it.
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
    """Put all that a convolution depends on into float16.

    What follows the last convolutions stays in float32: pixels beyond 512 come in steps of 0.5 in
    float16, and boxes would jump with them. Inside the network a step is a thousandth of the value.

    Args:
        model: It is left as it is. One with float16 weights comes back unchanged.

    Raises:
        Fp16Error: There is no convolution, or the graph cannot be cut behind the last ones.
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
    """The part up to the cut in float16, and the rest as it is."""
    body = extractor.extract_model([INPUT], cut_tensors)
    tail = extractor.extract_model(cut_tensors, [OUTPUT])
    body = convert_float_to_float16(body, keep_io_types=True)
    for part in (body, tail):
        # Both parts describe the shapes at the cut, which merging does not allow.
        del part.graph.value_info[:]
    # Constants that both use are in both parts, and need different names.
    rest = compose.add_prefix_graph(
        tail.graph, "float32/", rename_inputs=False, rename_outputs=False
    )
    return compose.merge_graphs(body.graph, rest, [(name, name) for name in cut_tensors])


def _cut_tensors(graph: onnx.GraphProto) -> list[str]:
    """Tensors that leave the part of the graph that convolutions depend on."""
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
