"""Changes a graph: renames tensors, appends the decoding, and removes unused nodes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import onnx
import onnx.compose
import onnx.parser

from tools.onnx_graph import read_by, scopes
from tools.served_onnx import INPUT, OUTPUT, ROW, inputs_of
from tools.yolo_layouts.layout import BOX, PIXEL, Layout, Size
from tools.yolo_layouts.recognition import Prediction


def follow_contract(graph: onnx.GraphProto, prediction: Prediction) -> None:
    """Change a graph in place so that it has the input and the output of the contract."""
    (pictures,) = inputs_of(graph)
    added = _to_contract(prediction)
    boxes = added[0].input[0].name if added else OUTPUT
    # Tensors inside the graph may already have the names of the new input and output.
    away = {name: f"source/{name}" for name in (INPUT, OUTPUT)}
    _rename(graph, away | {prediction.output: boxes, pictures.name: INPUT})
    for part in added:
        graph.node.extend(part.node)
        graph.initializer.extend(part.initializer)
    del graph.output[:]
    graph.output.append(
        onnx.helper.make_tensor_value_info(
            OUTPUT, onnx.TensorProto.FLOAT, ["batch", prediction.rows, ROW]
        )
    )
    _prune(graph)


def _to_contract(prediction: Prediction) -> list[onnx.GraphProto]:
    """Graphs to append in sequence, which convert a model's output to rows in pixels."""
    parts = []
    if prediction.layout:
        parts.append(_decoding(prediction.layout, prediction.classes))
    if prediction.unit != PIXEL:
        parts.append(_scaling(prediction.unit))
    for part, following in itertools.pairwise(parts):
        _rename(part, {OUTPUT: following.input[0].name})
    return parts


def _scaling(unit: Size) -> onnx.GraphProto:
    """The graph that scales boxes in another unit to pixels."""
    height, width = unit
    factors = ", ".join(map(str, map(float, [width, height, width, height, 1, 1])))
    graph = onnx.parser.parse_graph(f"""
        scaling (float[batch, n, {ROW}] rows) => (float[batch, n, {ROW}] {OUTPUT})
        <float[{ROW}] unit = {{{factors}}}>
        {{ {OUTPUT} = Mul (rows, unit) }}
    """)
    return onnx.compose.add_prefix_graph(graph, "scaling/", rename_outputs=False)


def _decoding(layout: Layout, classes: int) -> onnx.GraphProto:
    """The graph that converts a layout to rows. Its operators are the same in opsets 11 to 20."""
    # The probability of a single class is not trained, so objectness alone is the confidence.
    weighed = layout.objectness and classes > 1
    first = layout.before_classes if weighed else BOX
    boxes, transpose = "rows", ""
    if layout.columns:
        boxes, transpose = "columns", "rows = Transpose <perm = [0, 2, 1]> (columns)"
    objectness = "objectness = Slice (rows, four, five, axis)"
    graph = onnx.parser.parse_graph(f"""
        decoding (float[batch, x, y] {boxes}) => (float[batch, n, {ROW}] {OUTPUT})
        <int64[1] zero = {{0}}, int64[1] two = {{2}}, int64[1] four = {{4}}, int64[1] five = {{5}},
         int64[1] first = {{{first}}}, int64[1] end = {{{first + classes}}},
         int64[1] axis = {{2}}, float half = {{0.5}}>
        {{
            {transpose}
            center = Slice (rows, zero, two, axis)
            size = Slice (rows, two, four, axis)
            reach = Mul (size, half)
            top_left = Sub (center, reach)
            bottom_right = Add (center, reach)
            classes = Slice (rows, first, end, axis)
            best = ArgMax <axis = 2, keepdims = 1> (classes)
            probability = GatherElements <axis = 2> (classes, best)
            {objectness if weighed else ""}
            confidence = {"Mul (objectness, probability)" if weighed else "Identity (probability)"}
            class_id = Cast <to = {onnx.TensorProto.FLOAT}> (best)
            {OUTPUT} = Concat <axis = 2> (top_left, bottom_right, confidence, class_id)
        }}
    """)
    return onnx.compose.add_prefix_graph(graph, "decoding/", rename_outputs=False)


def _rename(graph: onnx.GraphProto, new: Mapping[str, str]) -> None:
    for scope in scopes(graph):
        for node in scope.node:
            node.input[:] = [new.get(name, name) for name in node.input]
            node.output[:] = [new.get(name, name) for name in node.output]
        for tensor in (*scope.input, *scope.output, *scope.value_info, *scope.initializer):
            tensor.name = new.get(tensor.name, tensor.name)


def _prune(graph: onnx.GraphProto) -> None:
    """Remove the nodes that no output depends on, and the weights that only they read."""
    needed = {tensor.name for tensor in graph.output}
    for index, node in reversed(list(enumerate(graph.node))):
        if needed.isdisjoint(node.output):
            del graph.node[index]
        else:
            needed.update(read_by(node))
    unused = {weight.name for weight in graph.initializer} - needed
    # Old exporters also list the weights as inputs.
    for tensors in (graph.initializer, graph.input):
        for index, tensor in reversed(list(enumerate(tensors))):
            if tensor.name in unused:
                del tensors[index]
