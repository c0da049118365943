"""How many pictures a second a video has."""

from __future__ import annotations

import itertools
from fractions import Fraction

import av

from yolostream.sources.timeline import LONGEST_GAP_S

_DEFAULT = Fraction(30)
_MIN, _MAX = Fraction(1), Fraction(1000)
"""What is beyond them is looked at twice: a leap of an hour makes nonsense of an average."""


def frame_rate_of(stream: av.VideoStream, *, has_clock: bool) -> Fraction:
    """Pictures a second, without what was cut out between them.

    Args:
        stream: of a container that was opened.
        has_clock: whether its times are the source's; see `opening.has_clock`.
    """
    guess = stream.guessed_rate
    if guess is None or guess > _MAX:
        # It may be that of the clock.
        guess = _DEFAULT
    average = stream.average_rate or guess
    if average > _MAX or not has_clock:
        # The average of times that FFmpeg makes up is 25, whatever the pictures themselves say.
        return guess
    # The index of some containers has keyframes only.
    is_indexed = len(stream.index_entries) == stream.frames
    if average >= _MIN or not is_indexed or stream.time_base is None:
        return average
    times = [entry.timestamp for entry in stream.index_entries]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    plausible = [step for step in steps if 0 < step * stream.time_base <= LONGEST_GAP_S]
    return len(plausible) / (sum(plausible) * stream.time_base) if plausible else average
