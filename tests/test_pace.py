"""Selection of pictures by a limit of their rate."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from yolostream.sources.pace import Pace


def taken(times: list[float], most: float) -> list[float]:
    pace = Pace(lambda: most)
    return [time for time in times if pace.takes(time)]


def at(rate: float, seconds: float = 60.0, jitter_s: float = 0.0) -> list[float]:
    draw = random.Random(1)
    return [n / rate + draw.uniform(0, jitter_s) for n in range(round(rate * seconds))]


@pytest.mark.parametrize(
    ("rate", "most"), [(25, 10), (30, 7), (30, 29.97), (30, 5), (15, 1), (30, 0.5)]
)
def test_pictures_are_taken_evenly_at_the_limit(rate: float, most: float) -> None:
    times = taken(at(rate), most)
    assert len(times) == pytest.approx(60 * most, abs=1)
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) < 1 / most + 1 / rate + 1e-6
    assert min(gaps) > 1 / most - 1 / rate - 1e-6


def test_a_camera_at_the_limit_loses_no_picture_because_of_jitter() -> None:
    times = at(25, jitter_s=0.015)
    assert taken(times, 25) == times
    assert taken(times, 60) == times
    assert taken(times, math.inf) == times


def test_a_pause_is_not_followed_by_more_pictures() -> None:
    times = taken([*at(30, 10), *(100 + time for time in at(30, 10))], 5)
    assert len([time for time in times if time >= 100]) == pytest.approx(50, abs=1)


def test_another_limit_applies_at_once() -> None:
    most = 0.01
    pace = Pace(lambda: most)
    assert [time for time in at(30, 10) if pace.takes(time)] == [0.0]
    most = 10.0
    later = [10 + time for time in at(30, 10)]
    assert sum(map(pace.takes, later)) == pytest.approx(100, abs=2)
