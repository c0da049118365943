"""Traces of frames: sampling, attributes, and links between frames of one request."""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass

import pytest
from yolostream import frame_trace, frame_traces
from yolostream.errors import ServerUnavailable
from yolostream.frame_trace import Trace, span
from yolostream.frame_traces import FrameTraces, Sampling
from yolostream.pipeline.request_trace import begin_request

SECRET = "rtsp://guard:canary@192.0.2.1/stream1"


def follow(sampling: Sampling, *, source: str = "gate") -> tuple[FrameTraces, list[Trace]]:
    kept: list[Trace] = []
    return FrameTraces(source, sampling, kept.append), kept


@dataclass
class Clock:
    """A fake of the module `time`, whose time tests set."""

    now_s: float = 1e9

    def time_ns(self) -> int:
        return round(self.now_s * 1e9)

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (frame_trace, frame_traces):
        monkeypatch.setattr(module, "time", clock)
    return clock


def indices(kept: list[Trace]) -> list[object]:
    return [trace.root.attributes["yolostream.frame.index"] for trace in kept]


def begun(traces: FrameTraces, index: int = 0, *, ago_s: float = 0.0):
    return traces.begin(frame_trace.time.time_ns() - round(ago_s * 1e9), index)


def test_the_first_and_every_nth_frame_are_traced() -> None:
    traces, kept = follow(Sampling(every=10))
    for index in range(25):
        begun(traces, index).release()
    assert indices(kept) == [0, 10, 20]
    assert {trace.root.attributes["yolostream.traced"] for trace in kept} == {"sampled"}
    assert len({trace.root.id.trace for trace in kept}) == 3


def test_a_trace_ends_when_its_last_holder_releases_it() -> None:
    traces, kept = follow(Sampling(every=1))
    trace = begun(traces)
    trace.hold()
    with span(trace, "track"):
        pass
    trace.release()
    assert not kept
    with span(trace, "write jsonl"):
        pass
    trace.release()
    (whole,) = kept
    assert [part.name for part in whole.parts] == ["capture", "track", "write jsonl"]
    for part in whole.parts:
        assert whole.root.start_ns <= part.start_ns <= part.end_ns <= whole.root.end_ns
    assert pickle.loads(pickle.dumps(whole)) == whole


def test_a_failed_frame_is_traced_without_its_error_message() -> None:
    traces, kept = follow(Sampling(every=100))
    begun(traces).release()
    failing = begun(traces, 1)
    begin_request([failing], 1)
    failing.answered(time.time_ns(), ServerUnavailable(f"no server answers at {SECRET}"))
    failing.release()
    assert kept[1].root.attributes["yolostream.traced"] == "failed"
    assert kept[1].root.error == "ServerUnavailable"
    assert "canary" not in repr(kept)


def test_at_most_one_failed_or_slow_frame_per_second_is_traced(clock: Clock) -> None:
    traces, kept = follow(Sampling(every=1000, slow_s=0.05))
    begun(traces).release()
    for index in range(1, 21):
        trace = begun(traces, index)
        clock.now_s += 0.06
        trace.release()
        failing = begun(traces, index)
        with pytest.raises(OSError, match="full"), span(failing, "write jsonl"):
            raise OSError("full")
        failing.release()
    # Frame 1 is the first slow frame, and frame 18 the first one a second later.
    assert indices(kept) == [0, 1, 18]
    assert {trace.root.attributes["yolostream.traced"] for trace in kept[1:]} == {"slow"}


def test_dropped_frames_and_frames_that_waited_for_their_camera_are_not_slow(clock: Clock) -> None:
    traces, kept = follow(Sampling(every=1000, slow_s=0.05))
    begun(traces).release()
    begun(traces, 1, ago_s=10).release()
    waiting = begun(traces, 2)
    clock.now_s += 0.06
    waiting.dropped("stale")
    assert indices(kept) == [0]


def test_a_dropped_frame_has_the_reason() -> None:
    traces, kept = follow(Sampling(every=1))
    begun(traces).dropped("superseded")
    (whole,) = kept
    assert whole.root.attributes["yolostream.dropped"] == "superseded"
    assert [part.name for part in whole.parts] == ["capture", "wait"]
    assert not whole.root.error


def test_a_request_is_traced_if_one_of_its_frames_is_sampled() -> None:
    sampled, _ = follow(Sampling(every=1))
    others, _ = follow(Sampling(every=2))
    begun(others).release()
    assert begin_request([None, begun(others, 1)], 2) is None
    assert begin_request([None], 1) is None
    traceparent = begin_request([None, begun(others, 2), begun(sampled)], 3)
    assert traceparent is not None
    version, trace_id, span_id, flags = traceparent.split("-")
    assert (version, len(trace_id), len(span_id), flags) == ("00", 32, 16, "01")


def test_frames_of_one_request_are_linked() -> None:
    kept: list[Trace] = []
    cameras = [FrameTraces(name, Sampling(every=1), kept.append) for name in "abc"]
    frames = [begun(traces) for traces in cameras]
    traceparent = begin_request(frames, 3)
    for trace in frames:
        trace.answered(time.time_ns(), None)
        trace.release()
    first, second, third = (
        next(part for part in whole.parts if part.name == "request") for whole in kept
    )
    assert traceparent == first.id.traceparent
    assert first.links == (second.id, third.id)
    assert second.links == third.links == (first.id,)
    assert first.attributes == {"yolostream.batch.size": 3}
