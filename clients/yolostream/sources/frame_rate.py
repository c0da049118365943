"""The frame rate of a video."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av

from yolostream.sources.timeline import LONGEST_GAP_S

_DEFAULT = Fraction(30)
_MIN, _MAX = Fraction(1), Fraction(1000)
"""Frames per second. An average outside of this range is implausible: one gap of an hour in the
timestamps is enough to spoil it."""


def frame_rate_of(stream: av.VideoStream, *, has_clock: bool) -> Fraction:
    """Frames per second; gaps where something was cut out do not count.

    Args:
        stream: a stream of an open container.
        has_clock: whether its timestamps come from the source; see `opening.has_clock`.
    """
    guess = stream.guessed_rate
    if guess is None or guess > _MAX:
        # FFmpeg may have taken the rate of the clock for the frame rate.
        guess = _DEFAULT
    average = stream.average_rate or guess
    if average > _MAX or not has_clock:
        # Without a clock, FFmpeg makes timestamps up at 25 frames/s, whatever the stream says.
        return guess
    # In some containers, only keyframes are indexed.
    is_indexed = len(stream.index_entries) == stream.frames
    if average >= _MIN or not is_indexed or stream.time_base is None:
        return average
    times = [entry.timestamp for entry in stream.index_entries]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    plausible = [step for step in steps if 0 < step * stream.time_base <= LONGEST_GAP_S]
    return len(plausible) / (sum(plausible) * stream.time_base) if plausible else average
