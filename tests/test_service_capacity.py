"""How many cameras more fit, in words that say what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from yolostream.pipeline.status import Status
from yolostream.service.capacity import OBSERVED_S, Load, capacity_of
from yolostream.service.load_meter import LoadMeter

CALM = Load(
    seconds=60.0,
    cameras=4,
    frames_read=1200,
    frames_done=1195,
    frames_skipped=5,
    processor=0.5,
)


@pytest.mark.parametrize(
    ("load", "more", "words"),
    [
        (replace(CALM, cameras=0), None, "once one is live"),
        (replace(CALM, seconds=20.5), None, "not known yet: 40 s to measure"),
        # 12.5% of the processor for each: 35% are left of the 85 that may be taken.
        (CALM, 2, "About 2 more cameras like these fit: the processor is 50% busy with 4"),
        (replace(CALM, processor=0.6), 1, "About 1 more camera like these fits"),
        (replace(CALM, processor=0.8), 0, "No more cameras fit: the processor is 80% busy with 4."),
        # Nobody knows what would be short far beyond what was measured.
        (replace(CALM, processor=0.05), 4, "At least 4 more cameras like these fit"),
        (replace(CALM, processor=0.0), 4, "At least 4 more"),
        (replace(CALM, processor=None), None, "not known on this machine"),
        (
            replace(CALM, frames_done=600, frames_skipped=600, processor=0.1),
            0,
            "10 of 20 frames per second are processed",
        ),
    ],
)
def test_what_was_measured_says_how_many_fit(load: Load, more: int | None, words: str) -> None:
    capacity = capacity_of(load)
    assert capacity.more == more
    assert words in capacity.words


def live(frames: int, *, late: int = 0) -> Status:
    status = Status("cam", state="live", frames_read=frames + late, frames_done=frames)
    status.dropped["superseded"] = late
    return status


def test_the_meter_measures_the_last_minute() -> None:
    meter = LoadMeter()
    for second in range(200):
        late = 10 * max(0, second - 190)
        meter.sample(float(second), {"a": live(5 * second, late=late), "b": live(second)})
    load = meter.load
    assert load.seconds == pytest.approx(OBSERVED_S, abs=1.5)
    assert load.cameras == 2
    assert load.frames_done == pytest.approx(6 * load.seconds)
    assert load.frames_skipped == 90
    assert load.frames_read == load.frames_done + load.frames_skipped
    assert load.processor is None or 0 <= load.processor <= 1


@pytest.mark.parametrize(
    "after",
    [
        {"a": live(500), "b": live(1)},
        {"a": Status("a", state="backoff", frames_read=500)},
        # Its worker was started again.
        {"a": live(3)},
    ],
    ids=["added", "away", "anew"],
)
def test_other_cameras_are_measured_anew(after: dict[str, Status]) -> None:
    meter = LoadMeter()
    for second in range(100):
        meter.sample(float(second), {"a": live(5 * second)})
    assert meter.load.seconds >= OBSERVED_S
    meter.sample(100.0, after)
    assert meter.load.seconds == 0
    assert capacity_of(meter.load).more is None
