"""The parts of the pipeline that need no server."""

from __future__ import annotations

import threading
import time
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from clips import gray
from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.pipeline.continuity import Continuity
from yolostream.pipeline.filters import DetectionFilter
from yolostream.pipeline.mailbox import Admission, Mailbox
from yolostream.pipeline.sink import CAPACITY, Result, Sink
from yolostream.pipeline.timing import Durations
from yolostream.pipeline.workers import SOURCES_A_WORKER, workers_for

TIME_BASE = Fraction(1, 90000)
NOTHING = Detections(
    boxes=np.zeros((0, 4), np.float32),
    scores=np.zeros(0, np.float32),
    class_ids=np.zeros(0, np.int64),
    labels=(),
)


def frame(index: int, *, age_s: float = 0.0, pts: int | None = None, at: float = 0.0) -> Frame:
    decoded_at = at or time.monotonic() - age_s
    pts = 3000 * index if pts is None else pts
    return Frame(gray(0), index, pts, TIME_BASE, decoded_at=decoded_at)


@pytest.mark.parametrize("set_by_s", [-3600.0, 3600.0])
def test_setting_the_system_clock_does_not_change_the_age_of_frames(
    set_by_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    continuity = Continuity()
    wall = time.time
    continuity.begin()
    first = continuity.placed(frame(0))
    monkeypatch.setattr(time, "time", lambda: wall() + set_by_s)
    assert 0 <= first.age_s < 60
    continuity.begin()
    second = continuity.placed(frame(0))
    assert 0 < second.pts_seconds - first.pts_seconds < 60


def mailbox(policy: str, capacity: int, *, max_age_s: float = 10.0) -> tuple[Mailbox, Counter]:
    dropped: Counter[str] = Counter()
    admission = Admission(policy, capacity, max_age_s)  # type: ignore[arg-type]  # a literal
    return Mailbox(
        admission, on_frame=lambda: None, on_drop=lambda _, c: dropped.update([c])
    ), dropped


def indices(box: Mailbox) -> list[int]:
    taken = iter(box.take, None)
    return [one.index for one in taken]


def test_a_live_mailbox_keeps_the_newest_frame_and_never_blocks() -> None:
    box, dropped = mailbox("newest", 1)
    assert all(box.put(frame(n)) for n in range(5))
    assert indices(box) == [4]
    assert dropped == {"superseded": 4}


def test_a_frame_that_is_too_old_is_not_sent() -> None:
    box, dropped = mailbox("newest", 3, max_age_s=0.5)
    for n, age_s in enumerate((0.9, 0.6, 0.0)):
        box.put(frame(n, age_s=age_s))
    assert indices(box) == [2]
    assert dropped == {"stale": 2}


def test_the_mailbox_of_a_file_blocks_the_reader_and_loses_no_frame() -> None:
    box, dropped = mailbox("block", 2)
    reader = threading.Thread(target=lambda: [box.put(frame(n)) for n in range(6)])
    reader.start()
    taken = []
    deadline = time.monotonic() + 60
    while len(taken) < 6:
        assert time.monotonic() < deadline
        if (one := box.take()) is not None:
            taken.append(one.index)
    reader.join(60)
    assert taken == list(range(6))
    assert not dropped


@pytest.mark.parametrize("policy", ["block", "newest"])
def test_a_closed_mailbox_does_not_block_the_reader(policy: str) -> None:
    box, _ = mailbox(policy, 1)
    box.put(frame(0))
    closer = threading.Timer(0.1, box.close)
    closer.start()
    closer.join()
    assert not box.put(frame(1))
    assert not box.is_exhausted
    box.close(discard=True)
    assert box.is_exhausted
    assert box.take() is None


def test_numbers_and_times_continue_when_a_source_is_opened_again() -> None:
    continuity = Continuity()
    continuity.begin()
    first = [continuity.placed(frame(n, at=100 + n / 30)) for n in range(3)]
    assert [f.index for f in first] == [0, 1, 2]
    # After an outage of two seconds, the clock of the source starts anew.
    continuity.begin()
    second = [continuity.placed(frame(n, pts=7 + 3000 * n, at=102.1 + n / 30)) for n in range(2)]
    assert [f.index for f in second] == [3, 4]
    gap_s = second[0].pts_seconds - first[-1].pts_seconds
    assert gap_s == pytest.approx(102.1 - (100 + 2 / 30), abs=1e-3)
    assert second[1].pts - second[0].pts == pytest.approx(3000, abs=1)


def test_numbers_and_times_increase_over_many_sessions() -> None:
    continuity = Continuity()
    seen = []
    for session in range(5):
        continuity.begin()
        seen += [continuity.placed(frame(n, at=200.0 + session)) for n in range(2)]
    assert [f.index for f in seen] == list(range(10))
    assert (np.diff([f.pts for f in seen]) > 0).all()


class Recorder:
    """An output that records the indices of frames; tests can block it or make it fail."""

    kind = "recorder"
    draws = False
    lost = 0

    def __init__(self, *, pause: threading.Event | None = None, fails_at: int = -1) -> None:
        self.indices: list[int] = []
        self.closed = 0
        self._pause, self._fails_at = pause, fails_at

    def write(self, frame: Frame, annotated: object, detections: object) -> None:
        if self._pause is not None:
            self._pause.wait(100)
        if frame.index == self._fails_at:
            raise OutputError("cannot write it (No space left on device): free space")
        self.indices.append(frame.index)

    def close(self) -> None:
        self.closed += 1


def result(index: int) -> Result:
    return Result(frame(index), gray(0), NOTHING)


def test_a_sink_writes_everything_in_order_and_closes_once() -> None:
    output = Recorder()
    sink = Sink(output, name="sink", drops=False)
    for n in range(20):
        sink.put(result(n))
    sink.close()
    sink.join(60)
    assert output.indices == list(range(20))
    assert output.closed == 1
    assert sink.ages.counts.sum() == 20


def test_a_slow_sink_drops_results_of_a_camera_and_does_not_block() -> None:
    pause = threading.Event()
    output = Recorder(pause=pause)
    sink = Sink(output, name="sink", drops=True)
    started = time.monotonic()
    for n in range(50):
        sink.put(result(n))
    assert time.monotonic() - started < 50
    pause.set()
    sink.close()
    sink.join(60)
    assert len(output.indices) + sink.counts.dropped == 50
    assert CAPACITY <= len(output.indices) <= CAPACITY + 1


def test_a_failed_sink_keeps_earlier_results_and_does_not_block() -> None:
    output = Recorder(fails_at=3)
    sink = Sink(output, name="sink", drops=False)
    for n in range(20):
        sink.put(result(n))
    sink.close()
    sink.join(60)
    assert output.indices == [0, 1, 2]
    assert output.closed == 1
    assert isinstance(sink.error, OutputError)


def test_percentiles_are_accurate_to_a_few_percent() -> None:
    durations = Durations()
    values = np.random.default_rng(1).lognormal(-4, 1, 5000)
    for value in values:
        durations.add(float(value))
    for percent in (50, 99):
        expected = np.percentile(values, percent)
        assert durations.percentile_s(percent) == pytest.approx(expected, rel=0.05)
    assert np.isnan(Durations().percentile_s(50))
    both = durations + durations
    assert both.counts.sum() == 10_000
    assert both.percentile_s(50) == durations.percentile_s(50)


def test_a_filter_selects_by_classes_and_scores() -> None:
    found = Detections(
        boxes=np.zeros((3, 4), np.float32),
        scores=np.array([0.9, 0.5, 0.3], np.float32),
        class_ids=np.array([0, 1, 0]),
        labels=("car", "bus"),
    )
    assert DetectionFilter()(found) is found
    assert DetectionFilter(0.4)(found).scores.tolist() == pytest.approx([0.9, 0.5])
    assert DetectionFilter(classes="car")(found).class_ids.tolist() == [0, 0]


def test_a_filter_uses_the_class_names_of_each_result(caplog) -> None:
    wanted = DetectionFilter(classes="car")

    def kept(*labels: str) -> list[int]:
        found = Detections(
            np.zeros((2, 4), np.float32), np.ones(2, np.float32), np.array([0, 1]), labels
        )
        return wanted(found).class_ids.tolist()

    assert kept("car", "bus") == [0]
    assert kept("bus", "car") == [1]
    assert kept("bus", "cat") == []
    assert kept("bus", "cat") == []
    (record,) = caplog.records
    assert "the model has no class 'car'" in record.getMessage()


@pytest.mark.parametrize(
    ("sources", "cores", "expected"), [(1, 16, 1), (8, 16, 2), (48, 16, 8), (48, 2, 1), (3, 1, 1)]
)
def test_the_number_of_workers_depends_on_sources_and_cores(
    monkeypatch: pytest.MonkeyPatch, sources: int, cores: int, expected: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert SOURCES_A_WORKER == 4
    assert workers_for(sources) == expected
