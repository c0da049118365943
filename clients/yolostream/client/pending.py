"""Frames on their way to the server, and what comes back."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc.service_pb2 import ModelInferResponse

from yolostream.detections import Detections

_TO_X1_Y1_X2_Y2 = np.array([1, 0, 3, 2])


class Pending(Future[Detections]):
    """A frame on its way to the server and back.

    A `concurrent.futures.Future`: `result(timeout)`, `done()` and `add_done_callback()` do what
    they do there. It cannot be cancelled: the frame is on its way. It can be awaited in asyncio;
    whoever waits there can be cancelled, and the frame keeps its place until its answer is there.
    `result` raises what `Detector.detect` does, and `TimeoutError` after its own `timeout`.
    """

    def __init__(self, *, downscale_s: float) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.downscale_s = downscale_s
        """Seconds that resizing the frame and handing it over took; of a batch, an equal share."""
        self.request_s = float("nan")
        """Seconds between sending and the answer; NaN until it is there."""
        self.answered_ns = 0
        """Unix time in nanoseconds of the answer; 0 until it is there."""
        self._sent = time.perf_counter()

    def __await__(self) -> Generator[Any, None, Detections]:
        return asyncio.wrap_future(self).__await__()

    def answer(self, outcome: Detections | Exception) -> None:
        """Called by the detector, once."""
        self.request_s = time.perf_counter() - self._sent
        self.answered_ns = time.time_ns()
        if isinstance(outcome, Exception):
            self.set_exception(outcome)
        else:
            self.set_result(outcome)


def detections_in(
    response: ModelInferResponse, sizes: Sequence[tuple[int, int]], labels: tuple[str, ...]
) -> list[Detections]:
    """The detections in the answer to a request, frame by frame.

    Args:
        response: With the outputs of the ensemble, float32; boxes are y1, x1, y2, x2, 0..1.
        sizes: Height and width of each frame, in the pixels that its boxes are wanted in.
        labels: Class names by class id.
    """
    count = len(sizes)
    outputs = {
        output.name: np.frombuffer(content, np.float32).reshape(count, -1)
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    boxes = outputs["detection_boxes"].reshape(count, -1, 4)
    found = []
    for i, (height, width) in enumerate(sizes):
        # The rows after that are padding. A copy does not keep the memory of the padding alive.
        rows = slice(int(outputs["num_detections"][i, 0]))
        found.append(
            Detections(
                boxes=boxes[i, rows].take(_TO_X1_Y1_X2_Y2, axis=1) * _scale(height, width),
                scores=outputs["detection_scores"][i, rows].copy(),
                class_ids=outputs["detection_classes"][i, rows].astype(np.int64),
                labels=labels,
            )
        )
    return found


@functools.lru_cache(maxsize=256)
def _scale(height: int, width: int) -> npt.NDArray[np.float32]:
    """From 0..1 to pixels, for x1, y1, x2, y2."""
    return np.array([width, height, width, height], dtype=np.float32)
