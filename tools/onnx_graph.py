"""ONNX graphs: what lies in them, what reads what, and the order of their nodes."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator

import onnx


def scopes(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph, and all that lie in its nodes."""
    yield graph
    for node in graph.node:
        for branch in _branches(node):
            yield from scopes(branch)


def read_by(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the tensors that a node reads; a branch or loop body reads those around it too."""
    yield from node.input
    for branch in _branches(node):
        for scope in scopes(branch):
            for inner in scope.node:
                yield from inner.input
            yield from (tensor.name for tensor in scope.output)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put every node behind those whose tensors it reads, as ONNX wants it, in place.

    Converters append nodes at the end, and ONNX Runtime does not mind. Nodes that are in order
    already stay where they are.

    Raises:
        graphlib.CycleError: There is no such order.
    """
    for scope in list(scopes(graph)):
        makers = {name: index for index, node in enumerate(scope.node) for name in node.output}
        before = {
            index: {makers[name] for name in read_by(node) if name in makers}
            for index, node in enumerate(scope.node)
        }
        if all(maker < index for index, read in before.items() for maker in read):
            continue
        nodes = [scope.node[index] for index in graphlib.TopologicalSorter(before).static_order()]
        ordered = onnx.GraphProto(node=nodes)
        del scope.node[:]
        scope.node.extend(ordered.node)


def _branches(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from attribute.graphs
        if attribute.HasField("g"):
            yield attribute.g
