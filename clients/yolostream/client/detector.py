"""The client: frames in, detections out, over one gRPC channel."""

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
    """Detects objects through a Triton ensemble. One may be shared by any number of threads.

    Args:
        url: gRPC address, `host:port`, or `grpcs://host:port` for one with TLS (`http://` and
            `https://` mean the same: the port is that of gRPC); or several, as a sequence or
            separated by commas, whose servers share the frames. `dns:///name:port` is every address
            that a name has.
        model: name of the ensemble.
        max_in_flight: requests on their way at once, over all threads and servers; each carries one
            frame, or one batch. `submit` waits until there are fewer.
        timeout_s: seconds until a frame without an answer fails with `DeadlineExceeded`.
        downscale: make frames fit the network's input before they are sent (aspect kept). The boxes
            are the same to half a pixel of that input, and a 1080p frame is 0.69 MB on the wire
            instead of 6.2 MB.
        transport: how frames travel. `auto` takes memory where client and server share it, the
            GPU's or this machine's, and gRPC everywhere else.
        token: what the server asks for (`yolostream serve --token-file`). It is only as secret as
            the connection: give it to servers on this machine, and to those with TLS.
        tls: how the server is known, where gRPC's public root certificates do not do.

    Raises:
        AccessDenied: the server wants a token, or another one; or a file of `tls` cannot be read.
        ServerUnavailable: nobody answers at `url`, or nobody with a certificate that `tls` knows.
        ModelUnavailable: the server has no such model, or it is not ready.
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
        # Each thread waits for its own answer, which costs less than gRPC's one thread for all of
        # them. And Ctrl-C interrupts only the main thread, so it never interrupts a call.
        self._senders = ThreadPoolExecutor(max_in_flight, thread_name_prefix="yolostream-sender")
        # Not those: the answers of `submit` would wait for them.
        self._async_calls = ThreadPoolExecutor(max_in_flight, "yolostream-async")
        try:
            # At exit Python wakes the threads of a pool only if it has registered one of them.
            # Ctrl-C might come before a first thread is registered, so one is started here.
            self._senders.submit(bool).result()
        except BaseException:
            self._disconnect()
            raise

    @property
    def url(self) -> str:
        """What was given; several are separated by commas."""
        return self._servers.url

    @property
    def model(self) -> Model:
        """What is served; read again after the server was away."""
        return self._servers.first.model

    @property
    def transport(self) -> Transport:
        """How frames travel; to others of several servers it may be another way."""
        return self._servers.first.transport

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by class id, from the model's labels.txt."""
        return self.model.labels

    def detect(self, frame: AnyImage, *, size: tuple[int, int] | None = None) -> Detections:
        """Find the objects in one frame.

        Args:
            frame: uint8 [H, W, 3], RGB, in the host's memory or a GPU's; without `downscale`, and
                from GPU memory to GPU memory, at most 8192 pixels on a side.
            size: height and width of the picture that `frame` was downscaled from, where the caller
                did that; boxes are in the pixels of that picture.

        Raises:
            FrameError: `frame` is not that.
            ServerUnavailable: the server went away.
            ModelUnavailable: the model was unloaded.
            DeadlineExceeded: no answer within `timeout_s`.
            Overloaded: the server's queue is full.
            ForkError: this process was forked after the detector was made.
            ServerError: anything else that the server reports.
        """
        sizes = None if size is None else [size]
        batch = batch_of([frame], sizes, self.model, downscale=self._downscale)
        lease = self._pool.lend(timeout_s=self.timeout_s)
        try:
            # Not `submit`: waiting in this thread saves waking it from another one.
            request = Request(self._servers, batch, lease, timeout_s=self.timeout_s)
            (found,) = request.answer()
            return found
        finally:
            lease.release()

    async def detect_async(
        self, frame: AnyImage, *, size: tuple[int, int] | None = None
    ) -> Detections:
        """Find the objects in one frame, for asyncio: `detect`, in a thread of this detector's own.

        The event loop is free meanwhile, also while `max_in_flight` requests are on their way: a
        call waits its turn. A call that is cancelled before its turn sends nothing. One that is
        cancelled later gives its place back once the server is done with the frame.

        Args:
            frame: see `detect`; it must not change until the answer is there.
            size: see `detect`.

        Raises:
            YolostreamError: see `detect`.
        """
        return await asyncio.wrap_future(self._async_calls.submit(self.detect, frame, size=size))

    def submit(self, frame: AnyImage, *, size: tuple[int, int] | None = None) -> Pending:
        """Send one frame and return at once; wait only while `max_in_flight` are on their way.

        It is a batch of one: see `detect` for the arguments, and `submit_batch` for the errors.
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
        """Send frames in one request, which is cheaper than one for each, and return at once.

        It waits only while `max_in_flight` requests are on their way.

        Args:
            frames: see `detect`; at most `model.max_batch_size`, all in the host's memory or all
                on one GPU, and of one size once they are downscaled.
            sizes: height and width, frame by frame, of the pictures that the caller downscaled to
                `frames`; see `detect`.
            traceparent: of the caller's span, as W3C's Trace Context writes it; a Triton that
                exports traces adds its own spans to that one.

        Returns:
            One for each frame, in order. An error of the request is the error of each.

        Raises:
            FrameError: `frames` are not that.
            ServerUnavailable: the server is away, or this detector is closed.
            DeadlineExceeded: `max_in_flight` requests were on their way for `timeout_s`.
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
        """Make room for batches of so many frames, so that the first ones need not wait for it.

        For frames that are downscaled to the network's input; to be called before the first one.

        Raises:
            ServerUnavailable: the server went away.
        """
        height, width = self.model.input_size
        for ensemble in self._servers.connected:
            with translated(ensemble.url, ensemble.model.name):
                self._pool.reserve(ensemble, frames, height=height, width=width)

    def stream(
        self, frames: Iterable[AnyImage], *, in_flight: int = 4
    ) -> Iterator[tuple[AnyImage, Detections]]:
        """Find the objects in each frame, several on their way at once, answers in order.

        Frames are taken only as fast as answers come: nothing queues up.

        Args:
            frames: uint8 [H, W, 3] each, RGB, of any sizes, in host memory or a GPU's.
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

    def statistics(self) -> dict[str, StepTotals]:
        """Triton's totals for each step of the ensemble, in the order a frame passes them.

        Of several servers, the sums.

        Raises:
            ServerError: the server does not tell, or is away.
        """
        self._pool.check_process()
        asked = self._servers.connected or [self._servers.first]
        return total([one.statistics(timeout_s=self.timeout_s) for one in asked])

    def close(self, *, timeout_s: float | None = None) -> None:
        """Wait for the frames on their way, then give back the connection and shared memory.

        In a fork of the process that made the detector it does nothing: all of that is the other's.

        Args:
            timeout_s: for all of that; by default as long as one frame may take.
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
    """Connect to one server, and find out how frames reach it."""
    ensemble = Ensemble(url, model, timeout_s=timeout_s, access=access)
    try:
        ensemble.transport = choose(ensemble, transport, timeout_s=timeout_s)
    except BaseException:
        ensemble.close()
        raise
    return ensemble
