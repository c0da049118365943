"""The element: takes batches of frames, and returns objects in the muxer's pixels."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import grpc
import numpy as np
from google.protobuf.message import Message
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub
from yolostream.detections import Detections

from . import tfssd
from .config import thresholds
from .errors import PipelineFailed
from .frames import BLACK, MuxedFrame, Place, write_tensor
from .requests import infer_request, layers_by_frame
from .start import start

IN_FLIGHT = 2
"""Requests of one element in flight: the size of its buffer pool."""


class Element:
    """A started nvinferserver.

    Args:
        channel: a channel to the server.
        infer: the InferenceConfig.
        labels: the names of the classes.
        padding: gray level around a letterboxed frame; the real element always uses black.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        infer: Message,
        labels: tuple[str, ...],
        *,
        padding: int = BLACK,
    ) -> None:
        self._stub = GRPCInferenceServiceStub(channel)
        self._infer = infer
        self._labels = labels
        self._padding = padding
        self._thresholds = thresholds(infer)
        self._network = start(self._stub, infer)
        self._numbers = count(1)

    def detect(
        self, batches: Iterable[Sequence[MuxedFrame]]
    ) -> Iterator[tuple[MuxedFrame, Detections]]:
        """Find the objects in each muxed frame; boxes in the muxer's pixels, not clipped."""
        sent: deque[tuple[Sequence[MuxedFrame], grpc.Future]] = deque()
        for frames in self._cut(batches):
            if len(sent) == IN_FLIGHT:
                yield from self._answers(*sent.popleft())
            sent.append((frames, self._send(frames)))
        while sent:
            yield from self._answers(*sent.popleft())

    def _cut(self, batches: Iterable[Sequence[MuxedFrame]]) -> Iterator[Sequence[MuxedFrame]]:
        """Split batches that are larger than the element's batch size."""
        most = self._infer.max_batch_size
        for batch in batches:
            for first in range(0, len(batch), most):
                yield batch[first : first + most]

    def _send(self, frames: Sequence[MuxedFrame]) -> grpc.Future:
        network = self._network
        tensor = np.empty((len(frames), network.height, network.width, 3), np.uint8)
        for frame, out in zip(frames, tensor, strict=True):
            place = self._place(frame)
            write_tensor(frame.surface, place, out, self._infer.preprocess, padding=self._padding)
        number = next(self._numbers)
        return self._stub.ModelInfer.future(
            infer_request(
                self._infer.backend.triton, number, network.input_name, network.outputs, tensor
            )
        )

    def _answers(
        self, frames: Sequence[MuxedFrame], answer: grpc.Future
    ) -> Iterator[tuple[MuxedFrame, Detections]]:
        try:
            response = answer.result()
        except grpc.RpcError as error:
            raise PipelineFailed(error.details()) from error
        layers = layers_by_frame(response, self._network.outputs, len(frames))
        for frame, of_frame in zip(frames, layers, strict=True):
            objects = tfssd.parse(
                of_frame,
                width=self._network.width,
                height=self._network.height,
                thresholds=self._thresholds,
            )
            boxes = self._place(frame).to_mux(objects.rectangles)
            boxes[:, 2:] += boxes[:, :2]
            yield frame, Detections(boxes, objects.scores, objects.class_ids, self._labels)

    def _place(self, frame: MuxedFrame) -> Place:
        tensor = (self._network.width, self._network.height)
        return Place.fit(frame.surface.size, tensor, self._infer.preprocess)
