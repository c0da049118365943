"""What a model's first run shows that can be served, though nobody wants it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

_FEW = 3
_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinear")


def oddities(model: onnx.ModelProto, rows: npt.NDArray[np.float32]) -> list[str]:
    """Say what is odd.

    Args:
        model: A graph.
        rows: What it makes of noise, float32 [b, N, 6] as `output` has them.

    Returns:
        A sentence each; none where nothing is.
    """
    scores = rows[..., 4]
    different = np.unique(scores).size
    if different > _FEW:
        return []
    cause = "was it trained, and are its class scores exported?"
    if any(name in node.op_type for node in model.graph.node for name in _QUANTIZED):
        cause = (
            "it is quantized to its end, where boxes of hundreds of pixels and scores of 0..1 "
            "share one scale, which rounds scores away: quantize it again without the nodes behind "
            "the last convolutions (onnxruntime.quantization: nodes_to_exclude)"
        )
    have = f"the score {scores.flat[0]:g}" if different == 1 else f"one of {different} scores"
    return [f"warning: all {scores.size} boxes have {have}: {cause}"]
