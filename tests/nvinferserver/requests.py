"""Messages of Triton's raw protocol, because the high-level client rejects a reserved parameter."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message
from tritonclient.grpc.service_pb2 import ModelInferRequest, ModelInferResponse
from tritonclient.utils import triton_to_np_dtype
from yolostream.image import Image

from .errors import PipelineFailed

# Triton's C++ client, which nvinferserver uses, sends this with every request.
PARAMETER = "triton_enable_empty_final_response"


def connect(url: str) -> grpc.Channel:
    """A channel to `host:port`, without encryption and without a limit of the message size."""
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    # A proxy in the environment must not be used for the local machine.
    options.append(("grpc.enable_http_proxy", 0))
    return grpc.insecure_channel(url, options=options)


def infer_request(
    triton: Message, number: int, input_name: str, outputs: Sequence[str], frames: Image
) -> ModelInferRequest:
    """The request for `frames`, uint8 [n, H, W, 3]; `number` counts the element's requests."""
    request = ModelInferRequest(
        model_name=triton.model_name,
        model_version=str(triton.version) if triton.version > 0 else "",
        id=str(number),
        raw_input_contents=[frames.tobytes()],
    )
    request.parameters[PARAMETER].bool_param = False
    request.inputs.add(name=input_name, datatype="UINT8", shape=frames.shape)
    for name in outputs:
        request.outputs.add(name=name)
    return request


def layers_by_frame(
    response: ModelInferResponse, outputs: Sequence[str], count: int
) -> list[dict[str, npt.NDArray[np.generic]]]:
    """The output layers by name, for each of the `count` frames in the request."""
    answered = {
        output.name: np.frombuffer(raw, triton_to_np_dtype(output.datatype)).reshape(output.shape)
        for output, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    for name in outputs:
        if name not in answered:
            raise PipelineFailed(f"the answer lacks {name}")
        if answered[name].shape[0] != count:
            raise PipelineFailed(f"{name} {answered[name].shape} is not for {count} frames")
    return [{name: answered[name][row] for name in outputs} for row in range(count)]
