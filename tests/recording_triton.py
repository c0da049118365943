"""A gRPC server that answers like Triton with this model repository, and records the requests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import numpy as np
from google.protobuf.message import Message
from repository import config
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.grpc.service_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)
from tritonclient.utils import np_to_triton_dtype, serialize_byte_tensor
from yolostream.client.digest import digests

SHAPES = {
    "detection_boxes": (300, 4),
    "detection_classes": (300,),
    "detection_scores": (300,),
    "num_detections": (1,),
}


@dataclass
class RecordingTriton(GRPCInferenceServiceServicer):
    model: ModelConfig = field(default_factory=lambda: config("yolov7"))
    """The configuration of its only model."""
    answers: dict[str, Any] = field(default_factory=lambda: dict.fromkeys(SHAPES, np.float32(0)))
    """For each output, the value (with its dtype) that fills it. Other outputs are missing in
    responses."""
    hold_s: float = 0.0
    """Seconds that an inference takes."""
    url: str = ""
    requests: list[Message] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)
    """Seconds until the deadline of each call, when it arrived."""
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def inferences(self) -> list[pb.ModelInferRequest]:
        return [r for r in self.requests if isinstance(r, pb.ModelInferRequest)]

    def ServerLive(self, request, context):  # noqa: N802  # the protocol's names
        self._record(request, context)
        return pb.ServerLiveResponse(live=True)

    def ServerReady(self, request, context):  # noqa: N802
        self._record(request, context)
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(self, request, context):  # noqa: N802
        self._record(request, context)
        return pb.ModelReadyResponse(ready=True)

    def ModelConfig(self, request, context):  # noqa: N802
        self._record(request, context)
        return pb.ModelConfigResponse(config=self.model)

    def ModelInfer(self, request, context):  # noqa: N802
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        self._record(request, context)
        threading.Event().wait(self.hold_s)
        with self._lock:
            self._now -= 1
        return self._answer(request.inputs[0].shape[0])

    def _answer(self, count: int) -> pb.ModelInferResponse:
        response = pb.ModelInferResponse(model_name=self.model.name)
        for name, value in self.answers.items():
            array = np.full((count, *SHAPES[name]), value)
            response.outputs.add(
                name=name, datatype=np_to_triton_dtype(array.dtype), shape=array.shape
            )
            response.raw_output_contents.append(array.tobytes())
        return response

    def _record(self, request: Message, context: grpc.ServicerContext) -> None:
        with self._lock:
            self.requests.append(request)
            self.metadata.append(dict(context.invocation_metadata()))
            self.deadlines.append(context.time_remaining())


class EnsembleTriton(RecordingTriton):
    """Also answers the first requests of a `Detector`: for the ensemble's steps and the labels."""

    def frames_of(self, request: pb.ModelInferRequest) -> np.ndarray[Any, Any]:
        """The frames in a request, uint8 [n, H, W, 3]."""
        content = np.frombuffer(request.raw_input_contents[0], np.uint8)
        return content.reshape(request.inputs[0].shape)

    def ModelConfig(self, request, context):  # noqa: N802
        return pb.ModelConfigResponse(config=config(request.name))

    def ModelInfer(self, request, context):  # noqa: N802
        if not request.outputs:
            response = super().ModelInfer(request, context)
            response.outputs.add(name="frame_digest", datatype="FP32")
            response.raw_output_contents.append(digests(self.frames_of(request)).tobytes())
            return response
        (output,) = request.outputs
        label = serialize_byte_tensor(np.array([[b"0:0:car"]], object)).item()
        response = pb.ModelInferResponse(model_name=self.model.name, raw_output_contents=[label])
        response.outputs.add(name=output.name, datatype="BYTES", shape=[1, 1])
        return response


Recording = TypeVar("Recording", bound=RecordingTriton)


@contextlib.contextmanager
def recording_triton(
    kind: type[Recording] = RecordingTriton,  # type: ignore[assignment]
    **settings: Any,
) -> Iterator[Recording]:
    triton = kind(**settings)
    options = [("grpc.max_receive_message_length", -1)]
    server = grpc.server(ThreadPoolExecutor(8), options=options)
    add_GRPCInferenceServiceServicer_to_server(triton, server)
    triton.url = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield triton
    finally:
        server.stop(None).wait()
