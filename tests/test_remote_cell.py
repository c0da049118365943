"""The tiled video of sources that are read in other processes, which may die."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import pytest
from clips import full_disk, gray, noise, play
from yolostream.errors import OutputError
from yolostream.outputs.planes import planes_of
from yolostream.outputs.remote_cell import RemoteCells
from yolostream.outputs.tiled import AHEAD, Tiled

RATE = Fraction(10)


class Source:
    is_live = False

    def __init__(self, name: str) -> None:
        self.name = name


SOURCES = [Source("a"), Source("b")]


@pytest.fixture
def cells(tmp_path: Path) -> RemoteCells:
    tiled = Tiled(tmp_path / "tiled.mp4", are_live=[False, False], bitrate=20_000_000)
    return RemoteCells({s.name: partial(tiled.cell, n) for n, s in enumerate(SOURCES)})


def send(cell, numbers: range, *, image=None) -> threading.Thread:
    """Send pictures at 10 per second of video, from a thread."""

    def run() -> None:
        try:
            cell.open(RATE)
            for number in numbers:
                picture = gray(100, width=cell.width, height=cell.height)
                planes = planes_of(picture if image is None else image(number, cell))
                cell.add(number / 10, planes)
        except OutputError:
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def within(seconds: float, action) -> None:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "the call hangs"


def test_pictures_of_other_processes_are_synchronized(tmp_path, cells) -> None:
    ends = cells.connect(SOURCES)
    threads = [send(cell, range(20)) for cell in ends.values()]
    for thread in threads:
        thread.join(60)
    for cell in ends.values():
        cell.close()
        cell.disconnect()
    within(60, cells.close)
    assert len(play(tmp_path / "tiled.mp4")) == 20
    assert not cells.errors


def test_a_process_that_died_while_a_cell_waited_can_connect_again(tmp_path, cells) -> None:
    ends = cells.connect(SOURCES)
    # The first cell is ahead and waits, and the second has no picture when both are lost.
    send(ends["a"], range(AHEAD + 3))
    time.sleep(0.3)
    for cell in ends.values():
        cell.disconnect()
    again = {}
    within(60, lambda: again.update(cells.connect(SOURCES)))
    threads = [send(cell, range(20)) for cell in again.values()]
    for thread in threads:
        thread.join(60)
    for cell in again.values():
        cell.close()
        cell.disconnect()
    within(60, cells.close)
    assert len(play(tmp_path / "tiled.mp4")) == 20


def test_an_abandoned_source_is_not_waited_for(tmp_path, cells) -> None:
    ends = cells.connect(SOURCES)
    sent = send(ends["a"], range(30))
    ends["b"].disconnect()
    cells.abandon(["b"])
    sent.join(10)
    assert not sent.is_alive()
    ends["a"].close()
    ends["a"].disconnect()
    within(60, cells.close)
    assert len(play(tmp_path / "tiled.mp4")) == 30


def test_a_full_disk_ends_the_processes_with_an_error(cells) -> None:
    ends = cells.connect(SOURCES)
    with full_disk(60_000):
        threads = [
            send(cell, range(400), image=lambda n, c: noise(n, width=c.width, height=c.height))
            for cell in ends.values()
        ]
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        for cell in ends.values():
            cell.disconnect()
        within(60, cells.close)
    assert cells.errors
    assert all("tiled.mp4" in str(error) for error in cells.errors.values())


def test_a_long_gap_of_all_sources_is_one_picture(tmp_path) -> None:
    tiled = Tiled(tmp_path / "tiled.mp4", are_live=[True])
    cell = tiled.cell(0)
    cell.open(RATE)
    planes = planes_of(gray(100, width=cell.width, height=cell.height))
    for time_s in (0.0, 0.1, 0.2, 3600.0, 3600.1, 3600.2):
        cell.add(time_s, planes)
    cell.close()
    times = [moment for moment, _ in play(tmp_path / "tiled.mp4")]
    assert len(times) < 20
    assert times[-1] == pytest.approx(3600.2, abs=0.2)
