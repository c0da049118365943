"""Traverses ONNX graphs and sorts their nodes."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator

import onnx


def scopes(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs nested in its nodes (branches and loop bodies)."""
    yield graph
    for node in graph.node:
        for branch in _branches(node):
            yield from scopes(branch)


def read_by(node: onnx.NodeProto) -> Iterator[str]:
    """Names of the tensors that a node reads, including those that its nested graphs read."""
    yield from node.input
    for branch in _branches(node):
        for scope in scopes(branch):
            for inner in scope.node:
                yield from inner.input
            yield from (tensor.name for tensor in scope.output)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Sort the nodes topologically in place, as ONNX requires it.

    Some converters append nodes at the end, which ONNX Runtime accepts. Graphs that are sorted
    already are not changed.

    Raises:
        graphlib.CycleError: The graph has a cycle.
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
