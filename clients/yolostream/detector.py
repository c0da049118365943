"""The client: frames in, detections out, over one gRPC channel."""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Literal

import numpy as np
from tritonclient.grpc import InferInput, InferResult
from tritonclient.utils import InferenceServerException

from yolostream import statistics
from yolostream.connection import connect, try_shared_memory
from yolostream.detections import Detections
from yolostream.errors import DeadlineExceeded, FrameError, ServerUnavailable
from yolostream.image import Image
from yolostream.model import Model, describe
from yolostream.pending import Pending
from yolostream.slots import GrpcSlot, SharedMemorySlot, Slot
from yolostream.triton_errors import is_about_shared_memory, translated

Transport = Literal["auto", "grpc", "shared-memory"]

DEFAULT_URL = "127.0.0.1:8001"
DEFAULT_MODEL = "yolov7"


class Detector:
    """Detects objects through a Triton ensemble. One may be shared by any number of threads.

    Args:
        url: gRPC address, `host:port`.
        model: name of the ensemble.
        max_in_flight: frames on their way at once, over all threads; `submit` waits for a place.
        timeout_s: seconds until a frame without an answer fails with `DeadlineExceeded`.
        shrink: shrink frames to fit the network's input before they are sent (aspect kept). The
            boxes are the same to half a pixel of that input, and a 1080p frame is 0.69 MB on the
            wire instead of 6.2 MB.
        transport: how frames travel. `auto` takes shared memory where client and server share
            this machine's, and gRPC everywhere else.

    Raises:
        ServerUnavailable: nobody answers at `url`.
        ModelUnavailable: the server has no such model, or it is not ready.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        model: str = DEFAULT_MODEL,
        *,
        max_in_flight: int = 8,
        timeout_s: float = 30.0,
        shrink: bool = True,
        transport: Transport = "auto",
    ) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self._shrink = shrink
        self._client = connect(url)
        self._free: queue.LifoQueue[Slot] = queue.LifoQueue()  # The last one is still in the cache.
        try:
            self.model: Model = describe(self._client, model, url=url, timeout_s=timeout_s)
            self.transport: Transport = self._choose(transport)
        except BaseException:
            self._client.close()
            raise
        for _ in range(max_in_flight):
            self._free.put(self._new_slot())
        self._places = max_in_flight

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by class id, from the model's labels.txt."""
        return self.model.labels

    def detect(self, frame: Image) -> Detections:
        """Find the objects in one frame.

        Args:
            frame: uint8 [H, W, 3], RGB; without `shrink` at most 8192 pixels on a side.

        Raises:
            FrameError: `frame` is not that.
            ServerUnavailable: the server went away.
            ModelUnavailable: the model was unloaded.
            DeadlineExceeded: no answer within `timeout_s`.
            Overloaded: the server's queue is full.
            ServerError: anything else that the server reports.
        """
        slot = self._free_slot_for(frame)
        try:
            slot, tensor = self._written(slot, frame)
            # Not `submit`: waiting in the caller's own thread takes a quarter less processor time.
            with self._translated(slot):
                result = self._client.infer(
                    self.model.name, [tensor], client_timeout=self.timeout_s
                )
            return self._detections(result, frame)
        finally:
            self._free.put(slot)

    def submit(self, frame: Image) -> Pending:
        """Send one frame and return at once; wait only while `max_in_flight` are on their way.

        Raises:
            FrameError: `frame` is not uint8 [H, W, 3].
            DeadlineExceeded: no place became free within `timeout_s`.
        """
        slot = self._free_slot_for(frame)
        try:
            started = time.perf_counter()
            slot, tensor = self._written(slot, frame)
            pending = Pending(shrink_s=time.perf_counter() - started)
            self._send(tensor, pending, slot, frame)
        except BaseException:
            self._free.put(slot)
            raise
        return pending

    def _written(self, slot: Slot, frame: Image) -> tuple[Slot, InferInput]:
        """The frame in a place: the one given, or where that fails one that never does."""
        height, width = frame.shape[:2]
        if self._shrink:
            height, width = self.model.shrunk(height, width)
        with translated(self.url, self.model.name):
            try:
                return slot, slot.write(frame, height=height, width=width)
            except OSError:
                # /dev/shm is full: what waits in this place goes by gRPC from now on.
                slot.close()
                slot = GrpcSlot()
                return slot, slot.write(frame, height=height, width=width)

    def _send(self, tensor: InferInput, pending: Pending, slot: Slot, frame: Image) -> None:
        def on_answer(result: InferResult | None, error: InferenceServerException | None) -> None:
            outcome: Detections | Exception
            try:
                with self._translated(slot):
                    if error is not None:
                        raise error
                outcome = self._detections(result, frame)
            except Exception as failure:
                # Whatever it is belongs to the one who waits, not to gRPC's thread.
                outcome = failure
            self._free.put(slot)
            pending.answer(outcome)

        with self._translated(slot):
            self._client.async_infer(
                self.model.name, [tensor], on_answer, client_timeout=self.timeout_s
            )

    @contextlib.contextmanager
    def _translated(self, slot: Slot) -> Iterator[None]:
        """Raise what becomes of the frame in `slot` as one of our errors."""
        with translated(self.url, self.model.name):
            try:
                yield
            except InferenceServerException as error:
                if is_about_shared_memory(error):
                    slot.forget()
                raise
            except ValueError as error:
                raise ServerUnavailable(f"the connection to {self.url} is closed") from error

    def stream(
        self, frames: Iterable[Image], *, in_flight: int = 4
    ) -> Iterator[tuple[Image, Detections]]:
        """Find the objects in each frame, several on their way at once, answers in order.

        Frames are taken only as fast as answers come: nothing queues up.

        Args:
            frames: uint8 [H, W, 3] each, RGB; sizes may differ.
            in_flight: frames of this stream on their way at once.

        Raises:
            YolostreamError: see `detect`.
        """
        pending: deque[tuple[Image, Pending]] = deque()
        for frame in frames:
            pending.append((frame, self.submit(frame)))
            while pending and (len(pending) >= in_flight or pending[0][1].done()):
                first, answer = pending.popleft()
                yield first, answer.result()
        for first, answer in pending:
            yield first, answer.result()

    def statistics(self) -> dict[str, statistics.StepTotals]:
        """Triton's totals for each step of the ensemble, in the order a frame passes them.

        Raises:
            ServerError: the server does not tell, or is away.
        """
        return statistics.read(
            self._client, self.model.steps, url=self.url, timeout_s=self.timeout_s
        )

    def close(self) -> None:
        """Wait for the frames on their way, then give back the connection and shared memory."""
        deadline = time.monotonic() + self.timeout_s
        with contextlib.suppress(queue.Empty):
            for _ in range(self._places):
                # A place in use is still being read by the server.
                self._free.get(timeout=max(0.0, deadline - time.monotonic())).close()
        self._places = 0
        self._client.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _free_slot_for(self, frame: Image) -> Slot:
        _check(frame)
        if not self._places:
            raise ServerUnavailable("this detector is closed: make a new one")
        try:
            return self._free.get(timeout=self.timeout_s)
        except queue.Empty:
            raise DeadlineExceeded(
                f"no place for a frame within {self.timeout_s:g} s: {self.url} is too slow"
            ) from None

    def _choose(self, wanted: Transport) -> Transport:
        if wanted == "grpc":
            return "grpc"
        problem = try_shared_memory(self._client, self.model, timeout_s=self.timeout_s)
        if problem is None:
            return "shared-memory"
        if wanted == "shared-memory":
            raise ServerUnavailable(
                f"{self.url} does not share this machine's memory ({problem}): "
                "use transport 'auto' or 'grpc'"
            ) from problem
        return "grpc"

    def _new_slot(self) -> Slot:
        if self.transport == "grpc":
            return GrpcSlot()
        return SharedMemorySlot(self._client, timeout_s=self.timeout_s)

    def _detections(self, result: InferResult, frame: Image) -> Detections:
        height, width = frame.shape[:2]
        count = int(result.as_numpy("num_detections")[0, 0])
        top_left_bottom_right = result.as_numpy("detection_boxes")[0, :count]
        scale = np.array([width, height, width, height], dtype=np.float32)
        return Detections(
            boxes=top_left_bottom_right[:, [1, 0, 3, 2]] * scale,
            scores=result.as_numpy("detection_scores")[0, :count],
            class_ids=result.as_numpy("detection_classes")[0, :count].astype(np.int64),
            labels=self.labels,
        )


def _check(frame: Image) -> None:
    shape = list(getattr(frame, "shape", ()))
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        raise FrameError(
            f"a frame must be a uint8 array, got {getattr(frame, 'dtype', type(frame))}"
        )
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise FrameError(f"a frame must be [height, width, 3] RGB, got {shape}")
