"""Converts an ONNX graph to one that follows the contract of `tools.served_onnx`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import onnx

from tools.errors import OnnxError
from tools.export_commands import EXPORTS
from tools.served_onnx import NAMES
from tools.yolo_layouts.declared import (
    description_of,
    metadata_of,
    names_in_metadata,
    refuse_other_tasks,
    refuse_unnormalized,
    with_fixed_size,
)
from tools.yolo_layouts.recognition import recognized
from tools.yolo_layouts.rewiring import follow_contract


def served(
    model: onnx.ModelProto,
    *,
    source: str,
    size: tuple[int, int] | None = None,
    names: Sequence[str] = (),
) -> onnx.ModelProto:
    """Convert a graph that another YOLO project exported.

    The supported layouts are in `tools.yolo_layouts.layout`. The graph is run on noise to recognize
    its layout. A graph that follows the contract already computes the same afterwards.

    Args:
        model: The graph, with an input float32 [b, 3, H, W] RGB 0..1 of any name. It is not
            changed.
        source: Name of the source in messages, such as its path.
        size: Height and width in pixels, if they are dynamic in the graph; None uses the metadata.
        names: Class names by class id; if empty, those in the metadata.

    Returns:
        `input` float32 [batch, 3, H, W] -> `output` float32 [batch, N, 6]: x1, y1, x2, y2 in pixels
        of the input, not clipped to it, confidence 0..1, class id. Only the batch is dynamic. Boxes
        in 0..1 of the input's width and height are scaled to pixels. The metadata of the source is
        kept, with the class names in the format of `tools.served_onnx`.

    Raises:
        OnnxError: The layout is not supported, or is ambiguous; the message describes the graph.
    """
    try:
        return _served(model, size, names)
    except OnnxError as error:
        raise OnnxError(
            f"{source} cannot be served: {error}. It has {description_of(model)}. {EXPORTS}"
        ) from error


def _served(
    source: onnx.ModelProto, size: tuple[int, int] | None, names: Sequence[str]
) -> onnx.ModelProto:
    refuse_other_tasks(source)
    names = names or names_in_metadata(source)
    model = with_fixed_size(source, size)
    refuse_unnormalized(model)
    follow_contract(model.graph, recognized(model, names=len(names)))
    metadata = metadata_of(source)
    if names:
        metadata[NAMES] = json.dumps(list(names))
    onnx.helper.set_model_props(model, metadata)
    return model
