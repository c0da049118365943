"""From somebody's ONNX file to one that follows the contract of `tools.served_onnx`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import onnx

from tools.errors import OnnxError
from tools.export_commands import EXPORTS
from tools.served_onnx import NAMES
from tools.yolo_layouts.declared import (
    described,
    metadata_of,
    pinned,
    refuse_levels,
    refuse_other_tasks,
    stated_names,
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
    """Build the graph that follows the contract from one that another YOLO was exported to.

    The layouts are those of `tools.yolo_layouts.layout`; what the file says is checked by running
    it on noise. A graph that follows the contract already goes on computing what it did.

    Args:
        model: The graph, its input float32 [b, 3, H, W] RGB 0..1 under any name; left as it is.
        source: What messages call it, such as its path.
        size: Height and width in pixels, where the graph leaves them open; if left out, those that
            the file states.
        names: Class names by class id; if left out, those that the file states.

    Returns:
        `input` float32 [batch, 3, H, W] -> `output` float32 [batch, N, 6]: x1, y1, x2, y2 in pixels
        of the input, not clipped to it, confidence 0..1, class id. Only the batch is dynamic. Boxes
        that the source gives in 0..1 of the input's width and height are scaled. The
        metadata of the source is kept, its class names as `tools.served_onnx` reads them.

    Raises:
        OnnxError: It is something else, or can be read in more than one way; says what was seen.
    """
    try:
        return _served(model, size, names)
    except OnnxError as error:
        raise OnnxError(
            f"{source} cannot be served: {error}. It has {described(model)}. {EXPORTS}"
        ) from error


def _served(
    source: onnx.ModelProto, size: tuple[int, int] | None, names: Sequence[str]
) -> onnx.ModelProto:
    refuse_other_tasks(source)
    names = names or stated_names(source)
    model = pinned(source, size)
    refuse_levels(model)
    follow_contract(model.graph, recognized(model, names=len(names)))
    metadata = metadata_of(source)
    if names:
        metadata[NAMES] = json.dumps(list(names))
    onnx.helper.set_model_props(model, metadata)
    return model
