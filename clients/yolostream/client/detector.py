"""The client: frames in, detections out, over one gRPC channel."""

from __future__ import annotations

import contextlib
import queue
import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

from tritonclient.grpc import InferInput, InferResult
from tritonclient.utils import InferenceServerException

from yolostream.client import statistics
from yolostream.client.answer import detections_in
from yolostream.client.connection import connect
from yolostream.client.model import Model, describe
from yolostream.client.pending import Pending
from yolostream.client.transport.buffers import GrpcFallback, Slot
from yolostream.client.transport.choice import Transport, choose, new_slot
from yolostream.client.transport.pool import SlotPool
from yolostream.client.triton_errors import is_about_shared_memory, translated
from yolostream.detections import Detections
from yolostream.errors import DeadlineExceeded, ServerUnavailable
from yolostream.image import AnyImage, check, size_of
from yolostream.interruption import defer_signals

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
        transport: how frames travel. `auto` takes memory where client and server share it, the
            GPU's or this machine's, and gRPC everywhere else.

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
        try:
            self.model: Model = describe(self._client, model, url=url, timeout_s=timeout_s)
            self.transport: Transport = choose(
                self._client, self.model, transport, url=url, timeout_s=timeout_s
            )
        except BaseException:
            self._client.close()
            raise
        self._places = SlotPool(
            GrpcFallback(new_slot(self.transport, self._client, self.model, timeout_s=timeout_s))
            for _ in range(max_in_flight)
        )
        self._closed = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by class id, from the model's labels.txt."""
        return self.model.labels

    def detect(self, frame: AnyImage) -> Detections:
        """Find the objects in one frame.

        Args:
            frame: uint8 [H, W, 3], RGB, in the host's memory or a GPU's; without `shrink`, and
                from GPU memory to GPU memory, at most 8192 pixels on a side.

        Raises:
            FrameError: `frame` is not that.
            ServerUnavailable: the server went away.
            ModelUnavailable: the model was unloaded.
            DeadlineExceeded: no answer within `timeout_s`.
            Overloaded: the server's queue is full.
            ServerError: anything else that the server reports.
        """
        taken: list[Slot] = []
        try:
            taken.append(self._free_slot_for(frame))
            tensor = self._write(frame, taken[0])
            # Not `submit`: waiting in the caller's own thread takes a quarter less processor time.
            with self._translated(taken[0]):
                result = self._client.infer(
                    self.model.name, [tensor], client_timeout=self.timeout_s
                )
            return self._detections(result, frame)
        finally:
            self._places.release(taken)

    def submit(self, frame: AnyImage) -> Pending:
        """Send one frame and return at once; wait only while `max_in_flight` are on their way.

        Raises:
            FrameError: `frame` is not uint8 [H, W, 3].
            DeadlineExceeded: no place became free within `timeout_s`.
        """
        taken: list[Slot] = []
        try:
            taken.append(self._free_slot_for(frame))
            started = time.perf_counter()
            tensor = self._write(frame, taken[0])
            pending = Pending(shrink_s=time.perf_counter() - started)
            # A call that gRPC was interrupted in is one that it waits for ever to close.
            with defer_signals():
                self._send(tensor, pending, taken, frame)
                taken = []  # The answer gives the place back.
        except BaseException:
            self._places.release(taken)
            raise
        return pending

    def _write(self, frame: AnyImage, slot: Slot) -> InferInput:
        height, width = size_of(frame)
        if self._shrink:
            height, width = self.model.shrunk(height, width)
        with translated(self.url, self.model.name):
            tensor = slot.write(frame, height=height, width=width)
        self._places.is_read(slot)
        return tensor

    def _send(
        self, tensor: InferInput, pending: Pending, taken: list[Slot], frame: AnyImage
    ) -> None:
        slot = taken[0]

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
            self._places.release(taken)
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
                    slot.reset()
                raise
            except ValueError as error:
                raise ServerUnavailable(f"the connection to {self.url} is closed") from error

    def stream(
        self, frames: Iterable[AnyImage], *, in_flight: int = 4
    ) -> Iterator[tuple[AnyImage, Detections]]:
        """Find the objects in each frame, several on their way at once, answers in order.

        Frames are taken only as fast as answers come: nothing queues up.

        Args:
            frames: uint8 [H, W, 3] each, RGB; sizes and places may differ.
            in_flight: frames of this stream on their way at once.

        Raises:
            YolostreamError: see `detect`.
        """
        pending: deque[tuple[AnyImage, Pending]] = deque()
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
        self._closed = True
        self._places.close(timeout_s=self.timeout_s)
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

    def _free_slot_for(self, frame: AnyImage) -> Slot:
        check(frame)
        if self._closed:
            raise ServerUnavailable("this detector is closed: make a new one")
        try:
            return self._places.free.get(timeout=self.timeout_s)
        except queue.Empty:
            raise DeadlineExceeded(
                f"no place for a frame within {self.timeout_s:g} s: {self.url} is too slow"
            ) from None

    def _detections(self, result: InferResult, frame: AnyImage) -> Detections:
        height, width = size_of(frame)
        return detections_in(result, height=height, width=width, labels=self.labels)
