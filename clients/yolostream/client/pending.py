"""The future of one frame's detections, and the parser of the server's response."""

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
    """The future of the detections in one frame that was sent.

    It is a `concurrent.futures.Future`: use `result(timeout)`, `done()` and `add_done_callback()`.
    It cannot be cancelled, because the frame was sent already. In asyncio it can be awaited. The
    waiting task can be cancelled, and the frame keeps its slot until its answer arrives.
    `result` raises the errors of `Detector.detect`, and `TimeoutError` after its own `timeout`.
    """

    def __init__(self, *, downscale_s: float) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.downscale_s = downscale_s
        """Seconds spent on resizing the frame and copying it into the request's buffer. In a batch
        each frame has an equal share."""
        self.request_s = float("nan")
        """Seconds between sending and the answer; NaN before the answer."""
        self.answered_ns = 0
        """Unix time in nanoseconds of the answer; 0 before the answer."""
        self._sent = time.perf_counter()

    def __await__(self) -> Generator[Any, None, Detections]:
        return asyncio.wrap_future(self).__await__()

    def answer(self, outcome: Detections | Exception) -> None:
        """Set the result or the error. The detector calls this once."""
        self.request_s = time.perf_counter() - self._sent
        self.answered_ns = time.time_ns()
        if isinstance(outcome, Exception):
            self.set_exception(outcome)
        else:
            self.set_result(outcome)


def detections_in(
    response: ModelInferResponse, sizes: Sequence[tuple[int, int]], labels: tuple[str, ...]
) -> list[Detections]:
    """Parse the response to a request.

    Args:
        response: has the outputs of the ensemble, float32; boxes are y1, x1, y2, x2, 0..1.
        sizes: height and width of each frame in pixels, to which its boxes are scaled.
        labels: class names by class id.

    Returns:
        The detections of each frame, in order.
    """
    count = len(sizes)
    outputs = {
        output.name: np.frombuffer(content, np.float32).reshape(count, -1)
        for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    boxes = outputs["detection_boxes"].reshape(count, -1, 4)
    found = []
    for i, (height, width) in enumerate(sizes):
        # Further rows are padding. Copies are made, because views would keep the padding in memory.
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
    """Factors from 0..1 to pixels: float32 [4], for x1, y1, x2, y2."""
    return np.array([width, height, width, height], dtype=np.float32)
