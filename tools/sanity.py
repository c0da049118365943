"""Warns of models that can be served but give useless results."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

_FEW = 3
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear")


def sanity_warnings(model: onnx.ModelProto, rows: npt.NDArray[np.float32]) -> list[str]:
    """Check whether nearly all scores of a model are equal.

    Args:
        model: The graph.
        rows: Its output for noise, float32 [b, N, 6]: x1, y1, x2, y2, confidence, class id.

    Returns:
        Warnings, one sentence each; empty without any.
    """
    scores = rows[..., 4]
    different = np.unique(scores).size
    if different > _FEW:
        return []
    cause = "check that it is trained, and that its class scores are exported"
    if any(name in node.op_type for node in model.graph.node for name in _QUANTIZED):
        cause = (
            "its last nodes are quantized, where boxes of hundreds of pixels and scores of 0..1 "
            "share one scale, which rounds scores away: quantize it without the nodes after the "
            "last convolutions (onnxruntime.quantization: nodes_to_exclude)"
        )
    have = f"the score {scores.flat[0]:g}" if different == 1 else f"one of {different} scores"
    return [f"warning: all {scores.size} boxes have {have}: {cause}"]
