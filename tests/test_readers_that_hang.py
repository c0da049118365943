"""Readers that hang, for example in a driver, a decoder or a name server."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import pytest
from clips import gray
from running import poll
from test_dispatcher import Answering, Recorder
from yolostream.errors import SourceError
from yolostream.frame import Frame
from yolostream.pipeline import capture, runner
from yolostream.pipeline.plan import Plan
from yolostream.pipeline.status import Status
from yolostream.pipeline.supervision import Limits
from yolostream.sources import Presence

# Short limits, so that the tests do not wait.
HASTY = Limits(stale_after_s=0.3, camera_patience_s=60, wait_s=(0.01, 0.01))


class Session:
    """Yields two frames, hangs until `hangs` is set, and yields two that must be discarded."""

    frame_rate, frame_count = Fraction(10), None

    def __init__(self, first: int, hangs: threading.Event) -> None:
        self.decoded_at = 0.0
        self.closed = threading.Event()
        self._first = first
        self._hangs = hangs

    def __iter__(self) -> Iterator[Frame]:
        yield from self._frames(0)
        self._hangs.wait()
        yield from self._frames(100)

    def _frames(self, index: int) -> Iterator[Frame]:
        for n in range(2):
            self.decoded_at = time.monotonic()
            yield Frame(gray(0), index + n, index + n, Fraction(1, 10), name=str(self._first))

    def cancel(self) -> None:
        """A hanging session does not react."""

    def close(self) -> None:
        self.closed.set()


@dataclass
class Hanging:
    """A camera whose sessions hang while they are read, or while they are opened."""

    sessions: list[Session] = field(default_factory=list)
    hangs: threading.Event = field(default_factory=threading.Event)
    opens: bool = True
    opened: int = 0
    checks: int = 0
    name: str = "cam"
    is_live: bool = True
    is_video: bool = True
    reopens: bool = True
    presence_now: Presence = Presence.ANSWERS

    def open(self, reading) -> Session:
        self.opened += 1
        if not self.opens:
            self.hangs.wait()
        self.sessions.append(Session(len(self.sessions), self.hangs))
        return self.sessions[-1]

    def presence(self) -> Presence:
        self.checks += 1
        return self.presence_now


@contextlib.contextmanager
def running(
    source: Hanging, monkeypatch: pytest.MonkeyPatch, *before: Hanging
) -> Iterator[tuple[Recorder, list[Status]]]:
    """Run the sources until the block ends; yields the output of `source` and all statuses."""
    monkeypatch.setattr(capture, "GRACE_S", 0.1)
    output, stop = Recorder(), threading.Event()
    plans = [Plan(one, lambda session: [], track=False, limits=HASTY) for one in before]
    plans.append(Plan(source, lambda session: [lambda: output], track=False, limits=HASTY))
    statuses: list[Status] = []

    def run() -> None:
        runner.run(plans, Answering(), should_stop=stop.is_set, on_tick=tick)

    def tick(current: list[Status]) -> None:
        statuses[:] = current

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield output, statuses
    finally:
        stop.set()
        thread.join(30)
        for one in (source, *before):
            one.hangs.set()
    assert not thread.is_alive()


def test_a_hanging_reader_is_abandoned_and_its_late_frames_are_discarded(monkeypatch) -> None:
    source = Hanging()
    with running(source, monkeypatch) as (output, statuses):
        poll(lambda: len(source.sessions) >= 2, what="another reader")
        source.hangs.set()
        poll(lambda: source.sessions[0].closed.is_set(), what="the first reader to wake up")
        poll(lambda: len(source.sessions) >= 4, what="more sessions")
    assert statuses[0].abandoned_readers >= 1
    assert statuses[0].stalls >= 1
    assert output.indices == sorted(set(output.indices))
    # Two frames of the first session were in time; its later ones were discarded.
    assert output.indices[:3] == [0, 1, 2]


@pytest.mark.parametrize("opens", [True, False])
def test_the_number_of_hanging_readers_of_a_source_is_limited(monkeypatch, opens) -> None:
    monkeypatch.setattr("yolostream.pipeline.supervision.CONNECT_TIMEOUT_S", 0.1)
    source = Hanging(opens=opens)
    with running(source, monkeypatch) as (_, statuses):
        poll(lambda: source.opened == capture.MAX_ABANDONED, what="the most that may hang")
        time.sleep(2)
        assert source.opened == capture.MAX_ABANDONED
        assert statuses[0].state == "backoff"
        source.hangs.set()
        poll(lambda: source.opened > capture.MAX_ABANDONED, what="another one")


def test_a_camera_that_answers_again_is_opened_although_an_earlier_attempt_hangs(
    monkeypatch,
) -> None:
    # The timeout must not end the first attempt.
    monkeypatch.setattr("yolostream.pipeline.supervision.CONNECT_TIMEOUT_S", 1000)
    source = Hanging(presence_now=Presence.SILENT, opens=False)
    with running(source, monkeypatch) as (output, statuses):
        # The camera is found to be silent while the first reader waits.
        poll(lambda: source.checks > 1, what="a check of its presence")
        assert source.opened == 1
        source.opens, source.presence_now = True, Presence.ANSWERS
        poll(lambda: len(output.indices) >= 2, what="frames")
        source.hangs.set()
    assert source.opened >= 2
    assert statuses[0].reconnects >= 1


def test_cameras_that_hang_while_they_are_opened_do_not_block_others(monkeypatch) -> None:
    before = [Hanging(opens=False, name=f"dead{n}") for n in range(3 * capture.MAX_OPENING)]
    with running(Hanging(), monkeypatch, *before) as (output, statuses):
        poll(lambda: len(output.indices) >= 2, what="frames of the one that does not")
    assert sum(status.frames_done for status in statuses[:-1]) == 0


class Faulty(Hanging):
    """A camera whose first sessions raise an unexpected error."""

    def open(self, reading) -> Session:
        if self.opened < 3:
            self.opened += 1
            raise ZeroDivisionError("a damaged stream")
        return super().open(reading)


def test_an_unexpected_error_ends_a_session_but_not_the_camera(monkeypatch, caplog) -> None:
    with running(Faulty(), monkeypatch) as (output, statuses):
        poll(lambda: len(output.indices) >= 2, what="frames of a later session")
    assert statuses[0].errors == []
    assert "a session ended unexpectedly" in caplog.text


def test_a_camera_without_any_frame_fails_with_the_unexpected_error() -> None:
    limits = Limits(stale_after_s=0.3, camera_patience_s=0.0, wait_s=(0.1, 0.1))
    (status,) = runner.run([Plan(Faulty(), lambda session: [], limits=limits)], Answering())
    (error,) = status.errors
    assert isinstance(error, SourceError)
    assert str(error) == "ZeroDivisionError: a damaged stream"
