"""Frames are sent in the order of their source, in batches if possible, and none is lost."""

from __future__ import annotations

import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from clips import gray
from running import poll
from yolostream.client.pending import Pending
from yolostream.detections import Detections
from yolostream.errors import ServerUnavailable
from yolostream.frame import Frame
from yolostream.pipeline.dispatcher import Batching, Dispatcher
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.stream import Stream

NOTHING = Detections(
    boxes=np.zeros((0, 4), np.float32),
    scores=np.zeros(0, np.float32),
    class_ids=np.zeros(0, np.int64),
    labels=(),
)

AWAY = ServerUnavailable("the server is away")


class Source:
    is_live = is_video = reopens = False

    def __init__(self, name: str) -> None:
        self.name = name


class Answering:
    """A detector that answers after a delay, and records the sizes of its batches."""

    def __init__(self, *, delay_s: float = 0.0, error: Exception | None = None) -> None:
        self.batches: list[int] = []
        self._delay_s, self._error = delay_s, error

    def submit_batch(self, frames, *, sizes, traceparent=None):
        if self._error is not None:
            raise self._error
        self.batches.append(len(frames))
        time.sleep(self._delay_s)
        pendings = [Pending(downscale_s=0.0) for _ in frames]
        for pending in pendings:
            pending.answer(NOTHING)
        return pendings


class Dying(Answering):
    """A detector whose server dies at one frame, but answers the frame after that one."""

    url = "127.0.0.1:8001"

    def __init__(self, dies_with: int) -> None:
        super().__init__()
        self._dies_with = dies_with
        self._sent = 0

    def submit_batch(self, frames, *, sizes, traceparent=None):
        pending = Pending(downscale_s=0.0)
        pending.answer(AWAY if self._sent == self._dies_with else NOTHING)
        self._sent += 1
        return [pending]

    def detect(self, frame, *, size):
        raise AWAY


class Recorder:
    kind = "recorder"
    draws = False
    lost = 0

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.closed = threading.Event()

    def write(self, frame: Frame, annotated: object, detections: object) -> None:
        self.indices.append(frame.index)

    def close(self) -> None:
        self.closed.set()


class Session:
    frame_rate, frame_count = Fraction(10), None


def frame(index: int, *, side: int = 32) -> Frame:
    return Frame(gray(0, width=side, height=side), index, index, Fraction(1, 10))


def running(detector, numbers: dict[str, list[Frame]], *, size: int = 8, **planned):
    """Start streams that each have a reading thread; return them with their outputs."""
    dispatcher = Dispatcher(detector, Batching(size))
    outputs = {name: Recorder() for name in numbers}
    streams = []
    for name, output in outputs.items():
        plan = Plan(
            Source(name),
            lambda session, output=output: [lambda: output],
            track=False,
            **planned,
        )
        stream = Stream(plan, detector, on_ready=dispatcher.wake)
        stream.opened(Session())
        streams.append(stream)

    def read(stream: Stream, frames: list[Frame]) -> None:
        for one in frames:
            stream.mailbox.put(one)
        stream.mailbox.close()

    for stream, frames in zip(streams, numbers.values(), strict=True):
        threading.Thread(target=read, args=(stream, frames), daemon=True).start()
        dispatcher.add(stream)
    dispatcher.close()
    return streams, outputs


def join(streams: list[Stream]) -> None:
    for stream in streams:
        stream.join(60)
        assert not stream.is_alive


def test_frames_of_any_sizes_are_answered_in_the_order_of_their_source() -> None:
    numbers = {name: [frame(n, side=32 + 16 * (n % 3)) for n in range(30)] for name in "abc"}
    streams, outputs = running(Answering(), numbers)
    join(streams)
    assert all(output.indices == list(range(30)) for output in outputs.values())


def test_a_batch_has_one_frame_of_each_source_and_grows_while_the_server_is_busy() -> None:
    detector = Answering(delay_s=0.01)
    streams, _ = running(detector, {name: [frame(n) for n in range(40)] for name in "abcd"})
    join(streams)
    assert max(detector.batches) == 4
    assert np.mean(detector.batches) > 2
    alone = Answering()
    streams, _ = running(alone, {"a": [frame(n) for n in range(40)]})
    join(streams)
    assert set(alone.batches) == {1}


def test_a_source_that_ends_is_finished_while_others_are_busy() -> None:
    detector = Answering(delay_s=0.005)
    long = [frame(n) for n in range(2000)]
    streams, outputs = running(detector, {"short": long[:5], "a": long, "b": long}, size=1)
    assert outputs["short"].closed.wait(60)
    assert not outputs["a"].closed.is_set()
    for stream in streams:
        stream.stop.set()
        stream.mailbox.close(discard=True)
    join(streams)


@pytest.mark.parametrize("is_interrupted", [False, True])
def test_a_file_has_no_gap_if_the_server_does_not_return(is_interrupted: bool) -> None:
    patience_s = 60.0 if is_interrupted else 0.0
    numbers = {"a": [frame(n) for n in range(9)]}
    (stream,), outputs = running(Dying(dies_with=3), numbers, server_patience_s=patience_s)
    if is_interrupted:
        poll(lambda: len(outputs["a"].indices) == 3, what="three frames")
        stream.stop.set()
        stream.mailbox.close(discard=True)
    join([stream])
    assert outputs["a"].indices == [0, 1, 2]
    assert stream.snapshot().state == ("ended" if is_interrupted else "failed")


@pytest.mark.parametrize("error", [MemoryError("no memory"), RuntimeError("a defect")])
def test_a_defect_while_sending_ends_every_source_as_failed(error: Exception) -> None:
    streams, outputs = running(
        Answering(error=error), {name: [frame(n) for n in range(9)] for name in "ab"}
    )
    join(streams)
    for stream in streams:
        assert stream.snapshot().state == "failed"
        assert error in stream.snapshot().errors
    assert all(output.closed.is_set() for output in outputs.values())


class Quiet:
    """A stream without frames."""

    def __init__(self) -> None:
        self.mailbox = self
        self.is_exhausted = False
        self.on_ready = None
        self.ended = threading.Event()

    def take(self) -> None:
        return None

    def end(self) -> None:
        self.ended.set()


def test_a_stream_wakes_the_dispatcher_that_it_was_handed_over_to():
    first, second = Dispatcher(None, Batching()), Dispatcher(None, Batching())
    stream = Quiet()
    first.add(stream)
    assert stream.on_ready == first.wake
    first.hand_over(stream, second)
    poll(lambda: stream.on_ready == second.wake, what="the second dispatcher to have the stream")
    first.close()
    poll(lambda: not first.is_alive, what="the dispatcher without streams to end")
    stream.is_exhausted = True
    stream.on_ready()
    assert stream.ended.wait(60)
    second.close()
