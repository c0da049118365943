"""Sends the frames of all streams. Frames that are ready together become one request."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from yolostream.client.detector import Detector
from yolostream.client.pending import Pending
from yolostream.errors import YolostreamError
from yolostream.frame import Frame
from yolostream.image import size_of
from yolostream.pipeline.request_trace import begin_request
from yolostream.pipeline.stream import Stream

_POLL_S = 0.2

Batch = list[tuple[Stream, Frame]]


@dataclass(frozen=True)
class Batching:
    """How frames of several sources are combined into requests."""

    size: int = 1
    """Most frames in one request."""
    wait_s: float = 0.002
    """How long a frame waits for those of other sources."""


class Dispatcher:
    """A thread that takes frames from the streams in turn and sends them.

    While the detector has no free slot, frames collect in the mailboxes. So batches grow by
    themselves when the server is busy.

    Args:
        detector: sends the frames, and limits the requests in flight.
        batching: how frames are combined into requests.
    """

    def __init__(self, detector: Detector, batching: Batching) -> None:
        self._detector = detector
        self._batching = batching
        self._streams: deque[Stream] = deque()
        self._leaving: list[tuple[Stream, Dispatcher]] = []
        # Streams are added while others are being served.
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._is_closed = False
        self._defect: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs: until it was closed and all streams have ended, or it has failed."""
        return self._thread.is_alive()

    def add(self, stream: Stream) -> None:
        """Send the frames of another stream, until it has ended."""
        stream.on_ready = self.wake
        with self._lock:
            self._streams.append(stream)
            if self._defect is not None:
                self._give_up(self._defect)
        self.wake()

    def hand_over(self, stream: Stream, to: Dispatcher) -> None:
        """Let another dispatcher send the frames of this stream, from the next frame on.

        No frame is lost or sent twice. Answers stay in order, because the frames that were taken
        here are sent before the other dispatcher takes one.
        """
        with self._lock:
            self._leaving.append((stream, to))
        self.wake()

    def close(self) -> None:
        """Accept no more streams; end when all have ended."""
        self._is_closed = True
        self.wake()

    def wake(self) -> None:
        """Make the thread look for frames to send."""
        self._ready.set()

    def _run(self) -> None:
        try:
            while self._streams or not self._is_closed:
                self._send_ready()
        except Exception as error:
            # A defect, or a lack of memory. The streams must fail, because nothing sends their
            # frames any more.
            with self._lock:
                self._defect = error
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        while self._streams:
            stream = self._streams.popleft()
            stream.fail(error)
            stream.end()

    def _send_ready(self) -> None:
        # Cleared before looking for frames, so that a frame that comes meanwhile ends the wait.
        self._ready.clear()
        batch = self._next_batch()
        for frames in _grouped(batch):
            self._send(frames)
        self._transfer_leaving()
        if not self._end_exhausted() and not batch:
            self._ready.wait(_POLL_S)

    def _transfer_leaving(self) -> None:
        with self._lock:
            leaving = [one for one in self._leaving if one[0] in self._streams]
            self._leaving.clear()
            for stream, _ in leaving:
                self._streams.remove(stream)
        for stream, to in leaving:
            to.add(stream)

    def _next_batch(self) -> Batch:
        batch: Batch = []
        self._take_into(batch)
        if batch and len(batch) < min(self._batching.size, len(self._streams)):
            time.sleep(self._batching.wait_s)
            self._take_into(batch)
        return batch

    def _take_into(self, batch: Batch) -> None:
        """Take one frame of each stream that has one, up to the size of a batch.

        A batch never has two frames of a stream. They could have different sizes, and so be sent in
        different requests, out of order.
        """
        taken = [stream for stream, _ in batch]
        with self._lock:
            for _ in range(len(self._streams)):
                if len(batch) == self._batching.size:
                    return
                stream = self._streams[0]
                self._streams.rotate(-1)
                if stream not in taken and (frame := stream.take()) is not None:
                    batch.append((stream, frame))

    def _send(self, batch: Batch) -> None:
        images, sizes = zip(*((frame.image, frame.size) for _, frame in batch), strict=True)
        traceparent = begin_request((frame.trace for _, frame in batch), len(batch))
        try:
            pendings = self._detector.submit_batch(images, sizes=sizes, traceparent=traceparent)
        except YolostreamError as error:
            # Each stream gets the error where it waits for the answer.
            pendings = [Pending(downscale_s=0.0) for _ in batch]
            for pending in pendings:
                pending.answer(error)
        for (stream, frame), pending in zip(batch, pendings, strict=True):
            stream.expect(frame, pending)

    def _end_exhausted(self) -> bool:
        """End the streams whose frames are all sent; return whether there were any."""
        with self._lock:
            ended = [stream for stream in self._streams if stream.mailbox.is_exhausted]
            for stream in ended:
                self._streams.remove(stream)
        for stream in ended:
            stream.end()
        return bool(ended)


def _grouped(batch: Batch) -> list[Batch]:
    """Group frames that fit into one request: those of equal size in the same kind of memory."""
    groups: dict[tuple[tuple[int, int], bool], Batch] = {}
    for stream, frame in batch:
        kind = size_of(frame.image), isinstance(frame.image, np.ndarray)
        groups.setdefault(kind, []).append((stream, frame))
    return list(groups.values())
