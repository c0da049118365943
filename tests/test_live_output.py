"""Live output, which runs in a thread of its own and never blocks the pipeline."""

from __future__ import annotations

import threading
from fractions import Fraction

import pytest
from clips import MILLISECOND, gray
from running import poll
from watched import NOTHING, RATE
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.outputs.live import LiveOutput
from yolostream.outputs.planes import planes_of


class Recorder:
    """A channel that records its pictures; tests can block it or make it fail."""

    def __init__(self) -> None:
        self.levels: list[int] = []
        self.times: list[float] = []
        self.opened: list[tuple[int, int]] = []
        self.closed = 0
        self.may_continue = threading.Event()
        self.may_continue.set()
        self.error: Exception | None = None

    def open(self, height: int, width: int) -> Recorder:
        self.opened.append((height, width))
        return self

    def write(self, planes, time_s: float) -> None:
        self.may_continue.wait()
        if self.error is not None:
            raise self.error
        self.levels.append(int(planes[0, 0]))
        self.times.append(time_s)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def output(recorder):
    made = LiveOutput(recorder.open, name="street", kind="push", frame_rate=Fraction(RATE))
    yield made
    recorder.may_continue.set()
    made.close()


def show(output: LiveOutput, number: int, *, width: int = 64) -> None:
    image = gray(10 * number, width=width)
    output.write(Frame(image, number, 100 * number, MILLISECOND), image, NOTHING)


def test_only_the_newest_frame_is_kept_while_the_channel_is_blocked(recorder, output):
    show(output, 1)
    poll(lambda: recorder.levels, what="the first")
    recorder.may_continue.clear()
    for number in range(2, 20):
        show(output, number)
    recorder.may_continue.set()
    newest = int(planes_of(gray(190))[0, 0])
    poll(lambda: recorder.levels[-1] == newest, what="the newest")
    assert output.dropped >= 16
    assert len(set(recorder.levels)) <= 3


def test_without_frames_pictures_are_repeated_with_later_times(recorder, output):
    show(output, 20)
    poll(lambda: len(recorder.levels) > 7, what="repetitions")
    assert recorder.times == sorted(recorder.times)
    assert recorder.times[-1] - recorder.times[0] > 2.4
    # First the picture is repeated, then a darker placeholder is shown.
    assert recorder.levels[0] > recorder.levels[-1] > 16
    assert recorder.opened == [(48, 64)]


def test_before_the_first_frame_nothing_is_opened(recorder, output):
    threading.Event().wait(1.2)
    assert recorder.opened == []


def test_another_size_opens_another_channel(recorder, output):
    for number, width in enumerate((64, 64, 65, 64)):
        seen = len(recorder.levels)
        show(output, number, width=width)
        poll(lambda seen=seen: len(recorder.levels) > seen, what="a picture")
    # The sides are even, as the encoder requires.
    poll(lambda: recorder.opened == [(48, 64), (48, 66), (48, 64)], what="three sizes")
    assert recorder.closed == 2
    assert output.trouble == ""


def test_a_failed_channel_is_opened_again(recorder, output):
    recorder.error = OutputError("the server broke off")
    show(output, 1)
    poll(lambda: output.trouble == "the server broke off", what="the trouble")
    recorder.error = None
    poll(lambda: recorder.levels, what="pictures again")
    assert len(recorder.opened) >= 2
    assert recorder.closed >= 1


def test_an_unexpected_error_is_raised_at_the_next_frame(recorder, output):
    recorder.error = ZeroDivisionError("a defect")
    show(output, 1)
    poll(lambda: recorder.closed == 1, what="its end")
    with pytest.raises(ZeroDivisionError, match="a defect"):
        show(output, 2)


def test_close_does_not_wait_for_a_blocked_channel(recorder, output):
    show(output, 1)
    recorder.may_continue.clear()
    closing = threading.Thread(target=output.close)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
