"""Traces a network to an ONNX graph."""

from __future__ import annotations

import io
import warnings

import onnx
import torch

from tools.served_onnx import INPUT, OUTPUT, ROW
from tools.yolov7 import Network

# The newest opset that all versions of TensorRT 10 parse and that PyTorch's tracer writes.
_OPSET = 17


def traced(network: Network, *, size: tuple[int, int]) -> onnx.ModelProto:
    """Trace a network.

    Args:
        network: The network, on the CPU and with batch normalization fused.
        size: Height and width of the input, in pixels; multiples of 32.

    Returns:
        `input` float32 [batch, 3, height, width] -> `output` float32 [batch, N, 6], as
        `tools.yolov7.head.Detect.decode` describes it.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The tracer is deprecated, but writes a simpler graph with a dynamic batch.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, *size),),
            file,
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
        )
    model = onnx.load_from_string(file.getvalue())
    # Tracing leaves the output's sizes dynamic, but the server checks them.
    detect = network.detect
    height, width = size
    cells = sum((height // stride) * (width // stride) for stride in detect.strides)
    rows = detect.anchors_per_level * cells
    sizes = model.graph.output[0].type.tensor_type.shape.dim[1:]
    for dim, value in zip(sizes, (rows, ROW), strict=True):
        dim.dim_value = value
    return model
