from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import (
    MILLISECOND,
    boxes,
    frames_of,
    full_disk,
    gray,
    noise,
    number_of,
    opened,
    play,
    steps,
    write_clip,
)
from yolostream.detections import Detections
from yolostream.errors import OutputError
from yolostream.frame import Frame
from yolostream.outputs.tile import Tile
from yolostream.outputs.tiled import AHEAD, Tiled
from yolostream.sources import Source

NOTHING = Detections(
    boxes=np.zeros((0, 4), np.float32),
    scores=np.zeros(0, np.float32),
    class_ids=np.zeros(0, np.int64),
    labels=(),
)
DEADLINE_S = 60.0


def all_opened(*paths: Path) -> list[Source]:
    return [source for path in paths for source in opened(path)]


def in_threads(works: list[Callable[[], None]]) -> list[Exception]:
    """Run functions in threads, as streams do; return their errors. All of them must end."""
    errors: list[Exception] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(w,), daemon=True) for w in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads), "a thread waits forever"
    return errors


def tile(path: Path, sources: list[Source]) -> Tiled:
    """Play all sources into one tiled video, each from its own thread."""
    tiled = Tiled(path, are_live=[source.is_live for source in sources])

    def play_into(number: int, source: Source) -> None:
        cell = Tile(tiled.cell(number))
        with contextlib.closing(source.open()) as session:
            cell.open(session.frame_rate)
            try:
                for frame in session:
                    cell.write(frame, frame.image, NOTHING)
            finally:
                cell.close()

    works = [lambda n=n, s=s: play_into(n, s) for n, s in enumerate(sources)]
    errors = in_threads(works)
    assert not errors, errors
    return tiled


def opened_tile(tiled: Tiled, number: int) -> Tile:
    tile = Tile(tiled.cell(number))
    tile.open(Fraction(10))
    return tile


def poll(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2)]
)
def test_any_number_of_sources_has_a_grid(
    tmp_path: Path, count: int, columns: int, rows: int
) -> None:
    path = tmp_path / "tiled.mp4"
    clips = [
        write_clip(tmp_path / f"{n}.mp4", [gray(60 + 40 * n, width=64, height=36)] * 2)
        for n in range(count)
    ]
    tiled = tile(path, all_opened(*clips))
    played = play(path)
    assert len(played) == 2
    for _, image in played:
        assert image.shape == (rows * tiled.cell_height, columns * tiled.cell_width, 3)
        levels = [
            [float(cell.mean()) for cell in np.array_split(row, columns, axis=1)]
            for row in np.array_split(image, rows, axis=0)
        ]
        expected = [60 + 40 * n if n < count else 0 for n in range(rows * columns)]
        assert np.ravel(levels) == pytest.approx(expected, abs=4)


def test_the_tiled_video_has_the_format_that_every_browser_plays(tmp_path: Path) -> None:
    path = tmp_path / "tiled.mp4"
    tile(path, all_opened(*(write_clip(tmp_path / f"{n}.mp4", steps(3)) for n in "ab")))
    found = boxes(path)
    assert found.index("moov") < found.index("mdat")
    assert "moof" not in found
    with av.open(str(path)) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.average_rate, stream.frames) == (10, 3)


def test_cells_with_any_rates_and_lengths_are_synchronized(tmp_path: Path) -> None:
    # Clips of 1 s at 4 and 10 frames/s, and of 0.5 s at 6 frames/s.
    clips = [
        write_clip(tmp_path / "a.mp4", steps(4), rate=Fraction(4)),
        write_clip(tmp_path / "b.mp4", steps(10), rate=Fraction(10)),
        write_clip(tmp_path / "c.mp4", steps(3), rate=Fraction(6)),
    ]
    path = tmp_path / "tiled.mp4"
    tile(path, all_opened(*clips))
    played = play(path)
    # The video has the rate of the fastest clip and the length of the longest one.
    assert [at for at, _ in played] == pytest.approx([n / 10 for n in range(10)])
    cells = [
        [middle(image, row, column) for _, image in played]
        for row, column in ((0, 0), (0, 1), (1, 0))
    ]
    assert cells[0] == [n * 4 // 10 for n in range(10)]
    assert cells[1] == list(range(10))
    # The shortest clip keeps its last picture.
    assert cells[2] == [min(2, n * 6 // 10) for n in range(10)]


def middle(image: np.ndarray, row: int, column: int, rows: int = 2, columns: int = 2) -> int:
    """The number of the frame in a cell, read from its center."""
    height, width = image.shape[0] // rows, image.shape[1] // columns
    top, left = row * height, column * width
    return number_of(
        image[top + height // 3 : top + 2 * height // 3, left + width // 3 : left + 2 * width // 3]
    )


def test_a_start_offset_and_a_variable_rate_do_not_shift_a_cell(tmp_path: Path) -> None:
    times = [0, 1, 5, 6]
    clips = [
        write_clip(tmp_path / "even.mp4", steps(7)),
        write_clip(tmp_path / "late.mkv", steps(4), pts=[50 + time for time in times]),
    ]
    path = tmp_path / "tiled.mp4"
    tile(path, all_opened(*clips))
    shown = [middle(image, 0, 1, rows=1) for _, image in play(path)]
    assert shown == [0, 1, 1, 1, 1, 2, 3]


def test_pictures_faster_than_the_tiled_video_cause_no_deadlock(tmp_path: Path) -> None:
    # One tick has three times as many pictures as a cell may be ahead.
    burst = [0, *range(110, 110 + 3 * AHEAD), 500, 600]
    clips = [
        write_clip(tmp_path / "even.mp4", steps(7)),
        write_clip(
            tmp_path / "burst.mkv",
            [gray(20), *[gray(30)] * (len(burst) - 4), *steps(5)[2:]],
            pts=burst,
            time_base=MILLISECOND,
            gop=1,
        ),
    ]
    path = tmp_path / "tiled.mp4"
    tile(path, all_opened(*clips))
    played = play(path)
    assert [at for at, _ in played] == pytest.approx([n / 10 for n in range(7)])
    # The last picture of each tick is shown.
    assert [middle(image, 0, 1, rows=1) for _, image in played] == [0, 0, 2, 2, 2, 3, 4]


def test_a_gap_in_all_cells_is_one_picture(tmp_path: Path) -> None:
    times = [0, 100, 55_000, 55_100]
    clips = [
        write_clip(tmp_path / f"{n}.mkv", steps(4), pts=times, time_base=MILLISECOND) for n in "ab"
    ]
    path = tmp_path / "tiled.mp4"
    tile(path, all_opened(*clips))
    assert [at for at, _ in play(path)] == pytest.approx([time / 1000 for time in times])


def test_cells_keep_the_aspect_ratio_of_their_source(tmp_path: Path) -> None:
    shapes = {"wide": (160, 20), "tall": (36, 96), "tv": (64, 48), "dot": (1, 1)}
    clips = [
        write_clip(tmp_path / f"{name}.mp4", [gray(220, width=w, height=h)])
        for name, (w, h) in shapes.items()
    ]
    path = tmp_path / "tiled.mp4"
    tile(path, all_opened(*clips))
    ((_, image),) = play(path)
    cells = [cell for row in np.split(image, 2) for cell in np.split(row, 2, axis=1)]
    for cell, (width, height) in zip(cells, shapes.values(), strict=True):
        bright = cell.mean(axis=2) > 110
        filled = np.count_nonzero(bright.any(axis=0)), np.count_nonzero(bright.any(axis=1))
        assert filled[0] / filled[1] == pytest.approx(width / height, rel=0.05)
        # The picture touches two opposite borders, so it is as large as possible.
        assert filled[0] >= cell.shape[1] - 4 or filled[1] >= cell.shape[0] - 4


def test_a_source_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "tiled.mp4"
    sources = all_opened(*(write_clip(tmp_path / f"{n}.mp4", steps(AHEAD + 6)) for n in "ab"))
    tiled = Tiled(path, are_live=[False] * len(sources))

    def fails_early() -> None:
        cell = opened_tile(tiled, 0)
        for frame in frames_of(sources[0])[:2]:
            cell.write(frame, frame.image, NOTHING)
        cell.close()

    def goes_on() -> None:
        cell = opened_tile(tiled, 1)
        for frame in frames_of(sources[1]):
            cell.write(frame, frame.image, NOTHING)
        cell.close()

    assert not in_threads([fails_early, goes_on])
    shown = [middle(image, 0, 1, rows=1) for _, image in play(path)]
    assert shown == list(range(AHEAD + 6))


def test_a_full_disk_ends_every_cell(tmp_path: Path) -> None:
    path = tmp_path / "tiled.mp4"
    sources = all_opened(*(write_clip(tmp_path / f"{n}.mp4", steps(1)) for n in "abc"))
    tiled = Tiled(path, are_live=[False] * len(sources), bitrate=20_000_000)
    image = noise(1, width=tiled.cell_width, height=tiled.cell_height)
    # Frame intervals in ticks: in any tick, at least one of the slow cells has no new picture.
    paces = (1, 3, 4)
    begun = [0, 0, 0]

    def fills(number: int, pace: int) -> None:
        cell = opened_tile(tiled, number)
        try:
            for index in range(60):
                if number == 0:
                    # The fast cell is last, so that the disk is full while the others wait for it.
                    poll(lambda i=index: all(map(is_full, begun[1:], paces[1:], [i, i])))
                begun[number] = index
                cell.write(Frame(image, index, pace * index, Fraction(1, 10)), image, NOTHING)
        finally:
            cell.close()

    def is_full(begun: int, pace: int, tick: int) -> bool:
        return begun >= AHEAD + 1 + (tick - 2) // pace

    with full_disk(100_000):
        errors = in_threads([lambda n=n: fills(n, paces[n]) for n in range(3)])
    assert len(errors) == 3
    for error in errors:
        assert isinstance(error, OutputError)
        assert str(path) in str(error)


@pytest.mark.parametrize("threads", [1, 3])
def test_colors_stay_in_their_cells_and_frames_of_the_caller_are_not_kept(
    tmp_path: Path, threads: int
) -> None:
    path = tmp_path / "tiled.mp4"
    sources = all_opened(*(write_clip(tmp_path / f"{n}.mp4", steps(1)) for n in "abc"))
    tiled = Tiled(path, are_live=[False] * len(sources), threads=threads)
    colors = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200]], np.uint8)
    image = np.empty((tiled.cell_height, tiled.cell_width, 3), np.uint8)
    cells = [opened_tile(tiled, number) for number in range(3)]
    for index in range(12):
        for cell, color in zip(cells, np.roll(colors, index, axis=0), strict=True):
            # All frames use the same memory; earlier pictures must not change.
            image[...] = color
            cell.write(Frame(image, index, index, Fraction(1, 10)), image, NOTHING)
    for cell in cells:
        cell.close()
    played = [image for _, image in play(path)]
    assert len(played) == 12
    for index, shown in enumerate(played):
        quarters = [half for row in np.split(shown, 2) for half in np.split(row, 2, axis=1)]
        for quarter, color in zip(quarters[:3], np.roll(colors, index, axis=0), strict=True):
            assert np.abs(quarter.astype(int) - color).max() < 25
        assert quarters[3].max() < 10


def test_cells_without_frames_leave_no_file(tmp_path: Path) -> None:
    path = tmp_path / "tiled.mp4"
    sources = all_opened(*(write_clip(tmp_path / f"{n}.mp4", steps(1)) for n in "ab"))
    tiled = Tiled(path, are_live=[False] * len(sources))
    for number in range(len(sources)):
        tiled.cell(number).close()
    assert not path.exists()


def test_a_live_source_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "tiled.mp4"
    sources = all_opened(*(write_clip(tmp_path / f"{n}.mp4", steps(AHEAD + 4)) for n in "ab"))
    tiled = Tiled(path, are_live=[True, False])

    def file_only() -> None:
        cell = opened_tile(tiled, 1)
        for frame in frames_of(sources[1]):
            cell.write(frame, frame.image, NOTHING)
        cell.close()

    # The live source has not sent a picture yet.
    assert not in_threads([file_only])
    tiled.cell(0).close()
    assert len(play(path)) == AHEAD + 4
