"""The times of pictures, whatever a source says of them."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import numpy as np
import pytest
from yolostream.sources.timeline import (
    LONGEST_GAP_S,
    MAX_DISORDER,
    MAX_LEAP_S,
    SHORTEST_STEP_S,
    Timeline,
)

MS = Fraction(1, 1000)
HOUR = 3_600_000
RATE = Fraction(25)

Said = list[int | None]


def placed(said: Said, rate: Fraction = RATE) -> list[int]:
    """Milliseconds of a file's pictures that say these."""
    timeline = Timeline(MS, rate)
    return [timeline.place(one) for one in said]


def seen(pictures: list[tuple[float, int | None]]) -> list[int]:
    """Milliseconds of a live source's pictures that arrive at such seconds and say these."""
    timeline = Timeline(MS, RATE)
    return [timeline.place(said, arrived) for arrived, said in pictures]


def steady(begin: int, count: int, step: int = 40) -> list[int]:
    return list(range(begin, begin + count * step, step))


# What makes sense stays as it is.


@pytest.mark.parametrize("begin", [0, 1, -3000, 5_000_000, 2**33])
def test_a_source_may_start_anywhere(begin) -> None:
    assert placed(steady(begin, 30)) == steady(begin, 30)


@pytest.mark.parametrize("seed", range(20))
def test_true_steps_stay_however_they_vary(seed) -> None:
    chance = random.Random(seed)
    longest = round(1000 * LONGEST_GAP_S)
    steps = [chance.choice([1, 2, 7, 16, 17, 33, 40, 500, 5000, longest]) for _ in range(400)]
    said = list(itertools.accumulate(steps, initial=chance.randrange(-HOUR, HOUR)))
    assert placed(said) == said


def test_a_picture_a_minute_is_no_fault() -> None:
    said = [0, 60_000, 120_000, 180_000, 660_000, 720_000]
    assert placed(said, Fraction(1, 60)) == said


# What does not is mended, and nothing after it is.


@pytest.mark.parametrize(
    "leap",
    [
        pytest.param(HOUR, id="an hour forwards"),  # obsproject/obs-studio#4887
        pytest.param(10 * HOUR, id="ten hours forwards"),
        pytest.param(-80, id="two pictures back"),
        pytest.param(-2000, id="two seconds back"),
        pytest.param(-HOUR, id="an hour back"),  # blakeblackshear/frigate#9676
        pytest.param(-(2**33) // 90, id="the clock of MPEG-TS wraps"),  # videojs/mux.js#104
    ],
)
def test_a_clock_that_was_set_goes_on_by_the_usual_step(leap) -> None:
    said = steady(9000, 20) + steady(9800 + leap, 20)
    assert placed(said) == steady(9000, 40)


def test_steps_after_a_leap_are_those_of_the_source() -> None:
    said = [*steady(0, 12), *(HOUR + step for step in (0, 40, 5040, 5080))]
    assert np.diff(placed(said)).tolist() == [40] * 12 + [40, 5000, 40]


def test_one_time_that_is_nonsense_moves_no_other() -> None:
    said = [*steady(0, 10), 2**40, *steady(440, 10)]
    assert placed(said) == steady(0, 21)


def test_a_gap_in_a_file_is_kept_up_to_a_bound() -> None:
    longest = round(1000 * LONGEST_GAP_S)
    assert placed([0, 40, 40 + longest]) == [0, 40, 40 + longest]
    assert placed([0, 40, 41 + longest]) == [0, 40, 80]


@pytest.mark.parametrize(
    "said",
    [
        # RTSP without RTCP, horgh/videostreamer#5.
        pytest.param([*steady(0, 9), None, *steady(400, 9)], id="one"),
        # A recorder that knows no time, PyAV-Org/PyAV#1105 and #1521.
        pytest.param([None] * 19, id="all"),
        pytest.param([0, None, None, 120, None, None, 240, None, None], id="two of three"),
        # PyAV-Org/PyAV#493: nothing but zeros for a while.
        pytest.param([*steady(0, 9), *[0] * 8, *steady(680, 9)], id="zeros"),
        # What MP4's writers make of what comes ten hours after the last one.
        pytest.param([*steady(0, 9), *[320] * 10], id="squeezed"),
        # pytorch/audio#2841: the same negative number for ever.
        pytest.param([-7] * 19, id="one for all"),
    ],
)
def test_a_picture_without_a_time_comes_a_usual_step_later(said) -> None:
    times = placed(said)
    assert times == steady(times[0], len(said))


def test_a_picture_a_tick_after_the_last_one_has_no_time_of_its_own() -> None:
    timeline = Timeline(MS / 90, RATE)
    times = [timeline.place(said) for said in (0, 3600, 7200, 7201, 7202, 7203)]
    assert times == steady(0, 6, 3600)


def test_the_first_time_that_is_said_follows_those_that_were_not() -> None:
    assert placed([None, None, HOUR, HOUR + 40, HOUR + 50]) == [0, 40, 80, 120, 130]


def test_the_usual_step_is_the_source_s_own() -> None:
    # A container may promise 1000 pictures a second, muaz-khan/RecordRTC#264.
    said = [*steady(0, 12), None, -HOUR]
    assert placed(said, Fraction(1000)) == steady(0, 14)
    assert placed(said, Fraction(1, 360)) == steady(0, 14)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([0, 2, 3, 1], id="two back"),  # cdgriffith/FastFlix#297
        pytest.param([0, 1, 1, 3], id="twice the same"),  # nixxquality/WebMConverter#117
        pytest.param([0, 4, 2, 1, 3, 8, 6, 5, 7], id="to be decoded, not to be shown"),
        pytest.param([0, 7, 1, 2, 3, 4, 5, 6], id="seven back"),
    ],
)
def test_a_disorder_makes_nothing_late(order) -> None:
    said = [40 * (turn * len(order) + one) for turn in range(50) for one in order]
    times = placed(said)
    steps = np.diff(times)
    assert steps.min() >= 20
    assert abs(times[-1] - said[-1]) <= 40 * MAX_DISORDER
    assert times[-1] == pytest.approx(said[-1], rel=0.03)


def test_who_is_late_for_long_was_set_back() -> None:
    # By less than a disorder; the steps that vary are kept again afterwards.
    uneven = list(itertools.accumulate([10, 90] * 20))
    said = [*steady(0, 10), *(200 + one for one in uneven)]
    steps = np.diff(placed(said))
    assert steps.min() >= 10
    assert steps[-20:].tolist() == [10, 90] * 10


@pytest.mark.parametrize("seed", range(200))
def test_steps_are_sane_whatever_is_said(seed) -> None:
    chance = random.Random(seed)
    said: Said = [chance.randrange(-HOUR, HOUR)]
    for _ in range(300):
        last = next(one for one in reversed(said) if one is not None)
        kinds: Said = [last + 40] * 6
        kinds += [last + chance.randrange(0, 200), last - chance.randrange(0, 400), None, last]
        kinds += [chance.randrange(-(2**40), 2**40), last + 1]
        said.append(chance.choice(kinds))
    units = 90  # a millisecond of MPEG-TS
    for arrivals in (None, itertools.accumulate(chance.random() / 10 for _ in said)):
        timeline = Timeline(MS / units, RATE)
        times = [
            timeline.place(None if one is None else units * one, arrived)
            for one, arrived in zip(said, arrivals or [None] * len(said), strict=True)
        ]
        steps = np.diff(times) / units
        # Half of it only where so short a step has become the usual one.
        assert steps.min() >= 1000 * SHORTEST_STEP_S / 2
        assert steps.max() <= 1000 * LONGEST_GAP_S


# Live sources.


def test_a_live_source_s_own_times_are_taken_however_late_it_arrives() -> None:
    frozen = [(0.0, 0), (0.1, 40), (4.1, 80), (4.1, 120), (4.1, 160), (4.2, 4200)]
    assert seen(frozen) == [0, 40, 80, 120, 160, 4200]


@pytest.mark.parametrize("leap", [-HOUR, HOUR, -400])
def test_a_live_clock_that_was_set_costs_the_time_that_passed(leap) -> None:
    times = seen([(0.0, 5000), (0.04, 5040), (0.13, 5080 + leap), (0.17, 5120 + leap)])
    assert times == [5000, 5040, 5130, 5170]


def test_a_live_gap_is_kept_where_as_much_time_has_passed() -> None:
    assert seen([(0.0, 0), (3600.0, HOUR)]) == [0, HOUR]
    leap = round(1000 * MAX_LEAP_S)
    assert seen([(0.0, 0), (0.1, leap)]) == [0, leap]
    assert seen([(0.0, 0), (0.1, leap + 200)]) == [0, 100]


def test_a_live_source_that_says_nothing_has_the_times_of_arrival() -> None:
    arrivals = [100.0, 100.1, 100.5, 107.0]
    assert seen([(arrived, None) for arrived in arrivals]) == [0, 100, 500, 7000]
