"""Pictures for who watches, on a thread that nobody waits for."""

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
    """A channel that keeps what it is given, and may be held up or break."""

    def __init__(self) -> None:
        self.levels: list[int] = []
        self.times: list[float] = []
        self.opened: list[tuple[int, int]] = []
        self.closed = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.error: Exception | None = None

    def open(self, height: int, width: int) -> Recorder:
        self.opened.append((height, width))
        return self

    def write(self, planes, time_s: float) -> None:
        self.may_go_on.wait()
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
    recorder.may_go_on.set()
    made.close()


def show(output: LiveOutput, number: int, *, width: int = 64) -> None:
    image = gray(10 * number, width=width)
    output.write(Frame(image, number, 100 * number, MILLISECOND), image, NOTHING)


def test_of_what_comes_while_it_is_held_up_the_newest_is_shown(recorder, output):
    show(output, 1)
    poll(lambda: recorder.levels, what="the first")
    recorder.may_go_on.clear()
    for number in range(2, 20):
        show(output, number)
    recorder.may_go_on.set()
    newest = int(planes_of(gray(190))[0, 0])
    poll(lambda: recorder.levels[-1] == newest, what="the newest")
    assert output.dropped >= 16
    assert len(set(recorder.levels)) <= 3


def test_without_frames_the_times_go_on(recorder, output):
    show(output, 20)
    poll(lambda: len(recorder.levels) > 7, what="repetitions")
    assert recorder.times == sorted(recorder.times)
    assert recorder.times[-1] - recorder.times[0] > 2.4
    # First the picture, then, dimmed, that the camera is away.
    assert recorder.levels[0] > recorder.levels[-1] > 16
    assert recorder.opened == [(48, 64)]


def test_before_the_first_frame_nothing_is_opened(recorder, output):
    threading.Event().wait(1.2)
    assert recorder.opened == []


def test_another_size_opens_another_channel_at_once(recorder, output):
    for number, width in enumerate((64, 64, 65, 64)):
        seen = len(recorder.levels)
        show(output, number, width=width)
        poll(lambda seen=seen: len(recorder.levels) > seen, what="a picture")
    # Even sides, as the encoder takes them.
    poll(lambda: recorder.opened == [(48, 64), (48, 66), (48, 64)], what="three sizes")
    assert recorder.closed == 2
    assert output.trouble == ""


def test_what_breaks_is_opened_again_later(recorder, output):
    recorder.error = OutputError("the server broke off")
    show(output, 1)
    poll(lambda: output.trouble == "the server broke off", what="the trouble")
    recorder.error = None
    poll(lambda: recorder.levels, what="pictures again")
    assert len(recorder.opened) >= 2
    assert recorder.closed >= 1


def test_what_nobody_foresaw_is_told_by_the_next_frame(recorder, output):
    recorder.error = ZeroDivisionError("of ours")
    show(output, 1)
    poll(lambda: recorder.closed == 1, what="its end")
    with pytest.raises(ZeroDivisionError, match="of ours"):
        show(output, 2)


def test_an_end_that_nobody_takes_is_not_waited_for(recorder, output):
    show(output, 1)
    recorder.may_go_on.clear()
    closing = threading.Thread(target=output.close)
    closing.start()
    closing.join(60)
    assert not closing.is_alive()
