"""The client: sends frames to one or more Triton servers and returns their detections."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from yolostream.client.access import Access, Tls
from yolostream.client.addresses import split
from yolostream.client.batch import batch_of
from yolostream.client.ensemble import Ensemble, Transport
from yolostream.client.model import Model
from yolostream.client.pending import Pending
from yolostream.client.request import Request
from yolostream.client.servers import Servers
from yolostream.client.statistics import StepTotals, total
from yolostream.client.transport.choice import choose, new_buffer
from yolostream.client.transport.pool import SlotPool
from yolostream.client.triton_errors import translated
from yolostream.detections import Detections
from yolostream.image import AnyImage

DEFAULT_URL = "127.0.0.1:8001"
DEFAULT_MODEL = "yolov7"


class Detector:
    """Detects objects with a Triton ensemble. Any number of threads may share one detector.

    Args:
        url: gRPC address of the server: `host:port`, or `grpcs://host:port` with TLS. `http://` and
            `https://` mean the same, with the port of gRPC. Several addresses, as a sequence or
            separated by commas, share the frames. `dns:///name:port` stands for every address that
            the name resolves to.
        model: name of the ensemble.
        max_in_flight: largest number of requests in flight, over all threads and servers. A request
            has one frame or one batch. `submit` blocks while the number is reached.
        timeout_s: seconds after which a frame without an answer fails with `DeadlineExceeded`.
        downscale: downscale frames to the network's input size before sending, and keep their
            aspect ratio. Boxes differ by at most half a pixel of that input. A 1080p frame is then
            0.69 MB instead of 6.2 MB on the wire.
        transport: how frames are sent. `auto` uses GPU memory or this machine's shared memory where
            client and server share it, and gRPC messages everywhere else.
        token: the server's token (`yolostream serve --token-file`). Without TLS it is sent in the
            clear, so use it only with TLS or with servers on this machine.
        tls: certificates, if gRPC's public root certificates are not enough.

    Raises:
        AccessDenied: the token is missing or wrong, or a file of `tls` cannot be read.
        ServerUnavailable: no server answers at `url`, or its certificate cannot be verified.
        ModelUnavailable: the server does not have the model, or the model is not ready.
    """

    def __init__(
        self,
        url: str | Sequence[str] = DEFAULT_URL,
        model: str = DEFAULT_MODEL,
        *,
        max_in_flight: int = 8,
        timeout_s: float = 30.0,
        downscale: bool = True,
        transport: Transport = "auto",
        token: str | None = None,
        tls: Tls | None = None,
    ) -> None:
        self.timeout_s = timeout_s
        self._downscale = downscale
        urls = split(url)
        self._pool = SlotPool(
            max_in_flight, partial(new_buffer, timeout_s=timeout_s), url=",".join(urls)
        )
        self._servers = Servers(
            urls,
            partial(
                _connected,
                model=model,
                transport=transport,
                timeout_s=timeout_s,
                access=Access(token, tls),
            ),
            self._pool.in_flight,
        )
        # One thread per request costs less than gRPC's asynchronous calls, whose answers all pass
        # through one thread. Ctrl-C interrupts only the main thread, so it never interrupts a call.
        self._senders = ThreadPoolExecutor(max_in_flight, thread_name_prefix="yolostream-sender")
        # A second pool: calls of `detect_async` that wait for a slot must not block the senders.
        self._async_calls = ThreadPoolExecutor(max_in_flight, "yolostream-async")
        try:
            # At exit Python joins a pool's threads only if the pool has registered one of them.
            # Ctrl-C might come before that, so the first thread is started here.
            self._senders.submit(bool).result()
        except BaseException:
            self._disconnect()
            raise

    @property
    def url(self) -> str:
        """The addresses that were given, separated by commas."""
        return self._servers.url

    @property
    def model(self) -> Model:
        """The model's description. It is read again after a server was unreachable."""
        return self._servers.first.model

    @property
    def transport(self) -> Transport:
        """How frames are sent to the first server; it may differ for other servers."""
        return self._servers.first.transport

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by class id, from the model's labels.txt."""
        return self.model.labels

    def detect(self, frame: AnyImage, *, size: tuple[int, int] | None = None) -> Detections:
        """Find the objects in one frame.

        Args:
            frame: uint8 [H, W, 3], RGB, in host memory or GPU memory. If it is sent without
                downscaling (`downscale` is off, or it stays in GPU memory), it may have at most
                8192 pixels on a side.
            size: height and width of the original frame, if the caller has downscaled it to
                `frame`; boxes are in the original's pixels.

        Raises:
            FrameError: `frame` has another type or shape.
            ServerUnavailable: the connection to the server is lost.
            ModelUnavailable: the model was unloaded.
            DeadlineExceeded: no answer came within `timeout_s`.
            Overloaded: the server's queue is full.
            ForkError: this process was forked after the detector was made.
            ServerError: any other error of the server.
        """
        sizes = None if size is None else [size]
        batch = batch_of([frame], sizes, self.model, downscale=self._downscale)
        lease = self._pool.lend(timeout_s=self.timeout_s)
        try:
            # `submit` would hand the request to another thread, and cost a thread switch.
            request = Request(self._servers, batch, lease, timeout_s=self.timeout_s)
            (found,) = request.answer()
            return found
        finally:
            lease.release()

    async def detect_async(
        self, frame: AnyImage, *, size: tuple[int, int] | None = None
    ) -> Detections:
        """Find the objects in one frame, for asyncio: runs `detect` in a thread of this detector.

        The event loop is never blocked, not even while `max_in_flight` is reached. A call that is
        cancelled while it waits for a slot sends nothing. A call that is cancelled later keeps its
        slot until the server has answered.

        Args:
            frame: see `detect`; the caller must not change it before the answer has arrived.
            size: see `detect`.

        Raises:
            YolostreamError: see `detect`.
        """
        return await asyncio.wrap_future(self._async_calls.submit(self.detect, frame, size=size))

    def submit(self, frame: AnyImage, *, size: tuple[int, int] | None = None) -> Pending:
        """Send one frame without waiting for the answer.

        The call blocks only while `max_in_flight` is reached. See `detect` for the arguments and
        `submit_batch` for the errors.
        """
        (pending,) = self.submit_batch([frame], sizes=None if size is None else [size])
        return pending

    def submit_batch(
        self,
        frames: Sequence[AnyImage],
        *,
        sizes: Sequence[tuple[int, int]] | None = None,
        traceparent: str | None = None,
    ) -> list[Pending]:
        """Send frames in one request without waiting for the answer.

        One request for several frames costs less than one for each. The call blocks only while
        `max_in_flight` is reached.

        Args:
            frames: see `detect`. At most `model.max_batch_size`, all in host memory or all on one
                GPU, and of equal size after downscaling.
            sizes: height and width of each original frame, if the caller has downscaled them to
                `frames`; see `detect`.
            traceparent: the caller's span in the format of W3C Trace Context; a Triton that exports
                traces makes its spans children of that one.

        Returns:
            One `Pending` per frame, in order. If the request fails, each of them has its error.

        Raises:
            FrameError: `frames` have another type or shape, or cannot be one batch.
            ServerUnavailable: the server cannot be reached, or this detector is closed.
            DeadlineExceeded: `max_in_flight` was reached for longer than `timeout_s`.
            ForkError: this process was forked after the detector was made.
        """
        if len(frames) == 0:
            return []
        batch = batch_of(frames, sizes, self.model, downscale=self._downscale)
        lease = self._pool.lend(timeout_s=self.timeout_s)
        try:
            started = time.perf_counter()
            request = Request(
                self._servers, batch, lease, timeout_s=self.timeout_s, traceparent=traceparent
            )
            downscale_s = (time.perf_counter() - started) / len(frames)
            pending = [Pending(downscale_s=downscale_s) for _ in frames]
            self._senders.submit(request.settle, pending)
        except BaseException:
            if lease.take_over():
                lease.release()
            raise
        return pending

    def reserve(self, frames: int) -> None:
        """Allocate memory for batches in advance, so that the first requests need not wait for it.

        Call it before the first frame. It helps only if `downscale` is on.

        Args:
            frames: frames per batch.

        Raises:
            ServerUnavailable: the connection to the server is lost.
        """
        height, width = self.model.input_size
        for ensemble in self._servers.connected:
            with translated(ensemble.url, ensemble.model.name):
                self._pool.reserve(ensemble, frames, height=height, width=width)

    def stream(
        self, frames: Iterable[AnyImage], *, in_flight: int = 4
    ) -> Iterator[tuple[AnyImage, Detections]]:
        """Find the objects in each frame, with several requests in flight.

        The next frame is read only when fewer than `in_flight` wait for their answers.

        Args:
            frames: uint8 [H, W, 3] each, RGB, of any sizes, in host memory or GPU memory.
            in_flight: largest number of frames of this stream in flight.

        Yields:
            Each frame with its detections, in order.

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

    def statistics(self) -> dict[str, StepTotals]:
        """Triton's statistics of each step of the ensemble, in the order of execution.

        With several servers, these are sums over the servers.

        Raises:
            ServerError: the server denies access to its statistics, or cannot be reached.
        """
        self._pool.check_process()
        asked = self._servers.connected or [self._servers.first]
        return total([one.statistics(timeout_s=self.timeout_s) for one in asked])

    def close(self, *, timeout_s: float | None = None) -> None:
        """Wait for the requests in flight, then close the connection and free shared memory.

        In a fork of the process that made the detector this does nothing, because the connection
        and the memory belong to the parent process.

        Args:
            timeout_s: seconds for all of this; by default the `timeout_s` of a frame.
        """
        if self._pool.is_forked:
            return
        self._pool.close(timeout_s=self.timeout_s if timeout_s is None else timeout_s)
        self._disconnect()

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _disconnect(self) -> None:
        self._senders.shutdown(wait=False)
        self._async_calls.shutdown(wait=False)
        self._servers.close()


def _connected(
    url: str, *, model: str, transport: Transport, timeout_s: float, access: Access
) -> Ensemble:
    """Connect to one server, and choose the transport of its frames."""
    ensemble = Ensemble(url, model, timeout_s=timeout_s, access=access)
    try:
        ensemble.transport = choose(ensemble, transport, timeout_s=timeout_s)
    except BaseException:
        ensemble.close()
        raise
    return ensemble
