"""The times of pictures, for sources with invalid timestamps."""

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

Timestamps = list[int | None]


def placed(timestamps: Timestamps, rate: Fraction = RATE) -> list[int]:
    """The times in milliseconds of pictures in a file with these timestamps."""
    timeline = Timeline(MS, rate)
    return [timeline.place(one) for one in timestamps]


def seen(pictures: list[tuple[float, int | None]]) -> list[int]:
    """The times in milliseconds of live pictures; each has its arrival in seconds and timestamp."""
    timeline = Timeline(MS, RATE)
    return [timeline.place(timestamp, arrived) for arrived, timestamp in pictures]


def steady(begin: int, count: int, step: int = 40) -> list[int]:
    return list(range(begin, begin + count * step, step))


# Valid timestamps, which are not changed


@pytest.mark.parametrize("begin", [0, 1, -3000, 5_000_000, 2**33])
def test_a_source_may_start_anywhere(begin) -> None:
    assert placed(steady(begin, 30)) == steady(begin, 30)


@pytest.mark.parametrize("seed", range(20))
def test_variable_intervals_are_kept(seed) -> None:
    chance = random.Random(seed)
    longest = round(1000 * LONGEST_GAP_S)
    steps = [chance.choice([1, 2, 7, 16, 17, 33, 40, 500, 5000, longest]) for _ in range(400)]
    timestamps = list(itertools.accumulate(steps, initial=chance.randrange(-HOUR, HOUR)))
    assert placed(timestamps) == timestamps


def test_one_picture_per_minute_is_valid() -> None:
    timestamps = [0, 60_000, 120_000, 180_000, 660_000, 720_000]
    assert placed(timestamps, Fraction(1, 60)) == timestamps


# Invalid timestamps, which are replaced without changing those after them


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
def test_after_a_jump_times_continue_by_the_usual_interval(leap) -> None:
    timestamps = steady(9000, 20) + steady(9800 + leap, 20)
    assert placed(timestamps) == steady(9000, 40)


def test_intervals_after_a_jump_are_those_of_the_source() -> None:
    timestamps = [*steady(0, 12), *(HOUR + step for step in (0, 40, 5040, 5080))]
    assert np.diff(placed(timestamps)).tolist() == [40] * 12 + [40, 5000, 40]


def test_one_invalid_timestamp_does_not_change_others() -> None:
    timestamps = [*steady(0, 10), 2**40, *steady(440, 10)]
    assert placed(timestamps) == steady(0, 21)


def test_a_gap_in_a_file_is_kept_up_to_a_limit() -> None:
    longest = round(1000 * LONGEST_GAP_S)
    assert placed([0, 40, 40 + longest]) == [0, 40, 40 + longest]
    assert placed([0, 40, 41 + longest]) == [0, 40, 80]


@pytest.mark.parametrize(
    "timestamps",
    [
        # RTSP without RTCP: horgh/videostreamer#5.
        pytest.param([*steady(0, 9), None, *steady(400, 9)], id="one"),
        # Recorders without timestamps: PyAV-Org/PyAV#1105 and #1521.
        pytest.param([None] * 19, id="all"),
        pytest.param([0, None, None, 120, None, None, 240, None, None], id="two of three"),
        # PyAV-Org/PyAV#493: zeros for a while.
        pytest.param([*steady(0, 9), *[0] * 8, *steady(680, 9)], id="zeros"),
        # Muxers of MP4 write equal timestamps after a gap of ten hours.
        pytest.param([*steady(0, 9), *[320] * 10], id="squeezed"),
        # pytorch/audio#2841: always the same negative number.
        pytest.param([-7] * 19, id="one for all"),
    ],
)
def test_a_picture_without_a_timestamp_follows_after_the_usual_interval(timestamps) -> None:
    times = placed(timestamps)
    assert times == steady(times[0], len(timestamps))


def test_a_timestamp_one_tick_after_the_last_one_is_replaced() -> None:
    timeline = Timeline(MS / 90, RATE)
    times = [timeline.place(timestamp) for timestamp in (0, 3600, 7200, 7201, 7202, 7203)]
    assert times == steady(0, 6, 3600)


def test_the_first_timestamp_continues_the_times_before_it() -> None:
    assert placed([None, None, HOUR, HOUR + 40, HOUR + 50]) == [0, 40, 80, 120, 130]


def test_the_usual_interval_is_that_of_the_source() -> None:
    # A container may declare 1000 pictures per second: muaz-khan/RecordRTC#264.
    timestamps = [*steady(0, 12), None, -HOUR]
    assert placed(timestamps, Fraction(1000)) == steady(0, 14)
    assert placed(timestamps, Fraction(1, 360)) == steady(0, 14)


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([0, 2, 3, 1], id="two back"),  # cdgriffith/FastFlix#297
        pytest.param([0, 1, 1, 3], id="twice the same"),  # nixxquality/WebMConverter#117
        pytest.param([0, 4, 2, 1, 3, 8, 6, 5, 7], id="decoding order"),
        pytest.param([0, 7, 1, 2, 3, 4, 5, 6], id="seven back"),
    ],
)
def test_unordered_timestamps_do_not_delay_pictures(order) -> None:
    timestamps = [40 * (turn * len(order) + one) for turn in range(50) for one in order]
    times = placed(timestamps)
    steps = np.diff(times)
    assert steps.min() >= 20
    assert abs(times[-1] - timestamps[-1]) <= 40 * MAX_DISORDER
    assert times[-1] == pytest.approx(timestamps[-1], rel=0.03)


def test_a_lasting_small_step_back_is_a_jump() -> None:
    # The step back is within the limit for unordered timestamps; later intervals are kept again.
    uneven = list(itertools.accumulate([10, 90] * 20))
    timestamps = [*steady(0, 10), *(200 + one for one in uneven)]
    steps = np.diff(placed(timestamps))
    assert steps.min() >= 10
    assert steps[-20:].tolist() == [10, 90] * 10


@pytest.mark.parametrize("seed", range(200))
def test_intervals_are_plausible_for_random_timestamps(seed) -> None:
    chance = random.Random(seed)
    timestamps: Timestamps = [chance.randrange(-HOUR, HOUR)]
    for _ in range(300):
        last = next(one for one in reversed(timestamps) if one is not None)
        kinds: Timestamps = [last + 40] * 6
        kinds += [last + chance.randrange(0, 200), last - chance.randrange(0, 400), None, last]
        kinds += [chance.randrange(-(2**40), 2**40), last + 1]
        timestamps.append(chance.choice(kinds))
    units = 90  # ticks of MPEG-TS per millisecond
    for arrivals in (None, itertools.accumulate(chance.random() / 10 for _ in timestamps)):
        timeline = Timeline(MS / units, RATE)
        times = [
            timeline.place(None if one is None else units * one, arrived)
            for one, arrived in zip(timestamps, arrivals or [None] * len(timestamps), strict=True)
        ]
        steps = np.diff(times) / units
        # Half of the limit is possible if such a short interval has become the usual one.
        assert steps.min() >= 1000 * SHORTEST_STEP_S / 2
        assert steps.max() <= 1000 * LONGEST_GAP_S


# Live sources


def test_delayed_live_pictures_keep_their_timestamps() -> None:
    frozen = [(0.0, 0), (0.1, 40), (4.1, 80), (4.1, 120), (4.1, 160), (4.2, 4200)]
    assert seen(frozen) == [0, 40, 80, 120, 160, 4200]


@pytest.mark.parametrize("leap", [-HOUR, HOUR, -400])
def test_a_jump_of_a_live_clock_is_replaced_by_the_time_that_passed(leap) -> None:
    times = seen([(0.0, 5000), (0.04, 5040), (0.13, 5080 + leap), (0.17, 5120 + leap)])
    assert times == [5000, 5040, 5130, 5170]


def test_a_live_gap_is_kept_if_as_much_time_has_passed() -> None:
    assert seen([(0.0, 0), (3600.0, HOUR)]) == [0, HOUR]
    leap = round(1000 * MAX_LEAP_S)
    assert seen([(0.0, 0), (0.1, leap)]) == [0, leap]
    assert seen([(0.0, 0), (0.1, leap + 200)]) == [0, 100]


def test_live_pictures_without_timestamps_have_their_arrival_times() -> None:
    arrivals = [100.0, 100.1, 100.5, 107.0]
    assert seen([(arrived, None) for arrived in arrivals]) == [0, 100, 500, 7000]
