"""The same object, the same number, from frame to frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from yolostream.detections import Detections
from yolostream.pipeline import kalman
from yolostream.pipeline.matching import Rows, overlap, pairs

TRACK = np.dtype(
    [
        ("motion", kalman.MOTION),
        # 0 until the object is confirmed.
        ("number", np.int64),
        ("frames_seen", np.int64),
        ("frames_missed", np.int64),
    ]
)


@dataclass(frozen=True)
class TrackerLimits:
    """The original design's limits; scores are 0..1, times in seconds."""

    max_targets: int = 150
    """Objects followed at once in one source; the best ones win."""
    min_confidence: float = 0.25
    """Weaker detections are not followed."""
    start_confidence: float = 0.7
    """A new track starts only with this much; weaker detections only continue one."""
    min_frames: int = 2
    """Consecutive frames before an object gets its number."""
    reassociate_s: float = 1.0
    """An object that comes back within this time keeps its number; 0 turns that off."""


@dataclass(frozen=True)
class _Round:
    """How tracks and detections are matched."""

    margin: float
    """Added to each side of the boxes, in parts of their size."""
    threshold: float
    """Least similarity of a match."""
    by_score: bool
    """Whether a better detection is a more similar one."""


STRONG = 0.6
"""Score of the detections that are matched first."""
# Margins: C-BIoU's small one for what is certain, its large one for what is left.
STRONG_ROUND = _Round(margin=0.3, threshold=0.2, by_score=True)
WEAK_ROUND = _Round(margin=0.5, threshold=0.5, by_score=False)
NEW_ROUND = _Round(margin=0.3, threshold=0.3, by_score=True)


@dataclass(frozen=True)
class _Seen:
    """The detections of one frame that are followed, best first, and the numbers they get."""

    places: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.int64]


class Tracker:
    """ByteTrack's two rounds, strong detections before weak ones, for one source.

    Boxes are matched with a margin around them (C-BIoU, WACV 2023): small fast objects, whose
    boxes in two frames hardly overlap, keep their number. ByteTrack (ECCV 2022, algorithm 1): a
    numbered track takes a strong detection first or, if it was seen in the last frame, a weak one;
    tracks without a number take what strong ones are left, and die if there is none.
    """

    def __init__(self, frame_rate: float, limits: TrackerLimits = TrackerLimits()) -> None:
        self._limits = limits
        self._patience = math.ceil(limits.reassociate_s * frame_rate)
        self._strong = min(STRONG, limits.start_confidence)
        self._tracks = np.zeros(0, TRACK)
        self._count = 0

    @property
    def count(self) -> int:
        """Different objects that got a number so far: the largest number."""
        return self._count

    def update(self, detections: Detections) -> Detections:
        """Number the objects of the next frame.

        Returns:
            The same objects, same order, with `track_ids`: 1-based, -1 where not followed.
        """
        followed = np.flatnonzero(detections.scores >= self._limits.min_confidence)
        followed = followed[: self._limits.max_targets]
        seen = _Seen(
            places=kalman.places_of(detections.boxes[followed]),
            scores=detections.scores[followed],
            numbers=np.zeros(len(followed), np.int64),
        )
        self._follow(seen)
        track_ids = np.full(len(detections), -1, dtype=np.int64)
        track_ids[followed] = np.where(seen.numbers > 0, seen.numbers, -1)
        return replace(detections, track_ids=track_ids)

    def _follow(self, seen: _Seen) -> None:
        """Take the tracks to this frame and fill in the numbers of what is seen there."""
        tracks = self._tracks
        kalman.predict(tracks["motion"])
        tracks["frames_missed"] += 1
        confirmed = tracks["number"] > 0
        is_strong = seen.scores >= self._strong

        strong, weak = np.flatnonzero(is_strong), np.flatnonzero(~is_strong)
        missing, strong = self._match(np.flatnonzero(confirmed), seen, strong, STRONG_ROUND)
        just_missing = missing[tracks["frames_missed"][missing] == 1]
        self._match(just_missing, seen, weak, WEAK_ROUND)
        flashes, strong = self._match(np.flatnonzero(~confirmed), seen, strong, NEW_ROUND)

        alive = tracks["frames_missed"] <= self._patience
        alive[flashes] = False
        self._renew(alive, seen, strong[seen.scores[strong] >= self._limits.start_confidence])

    def _match(self, tracks: Rows, seen: _Seen, found: Rows, how: _Round) -> tuple[Rows, Rows]:
        """Continue tracks with detections; return the tracks and the detections left over."""
        if not len(tracks) or not len(found):
            return tracks, found
        places = self._tracks["motion"]["place"][tracks]
        similarity = overlap(places, seen.places[found], how.margin)
        if how.by_score:
            similarity *= seen.scores[found]
        first, second = pairs(similarity, how.threshold)
        self._continue(tracks[first], seen, found[second])
        return np.delete(tracks, first), np.delete(found, second)

    def _continue(self, rows: Rows, seen: _Seen, found: Rows) -> None:
        """Track `rows[i]` is detection `found[i]`."""
        tracks = self._tracks[rows]
        kalman.correct(tracks["motion"], seen.places[found])
        tracks["frames_seen"] += 1
        tracks["frames_missed"] = 0
        self._confirm(tracks)
        self._tracks[rows] = tracks
        seen.numbers[found] = tracks["number"]

    def _renew(self, alive: npt.NDArray[np.bool_], seen: _Seen, found: Rows) -> None:
        """Forget the dead tracks and start one with each of these detections."""
        if len(found):
            new = np.zeros(len(found), TRACK)
            new["motion"] = kalman.begin(seen.places[found])
            new["frames_seen"] = 1
            self._confirm(new)
            seen.numbers[found] = new["number"]
            self._tracks = np.concatenate([self._tracks[alive], new])
        elif not alive.all():
            self._tracks = self._tracks[alive]

    def _confirm(self, tracks: npt.NDArray[np.void]) -> None:
        """Give the next numbers to the tracks that have been seen often enough."""
        seen_enough = tracks["frames_seen"] >= self._limits.min_frames
        rows = np.flatnonzero(seen_enough & (tracks["number"] == 0))
        tracks["number"][rows] = self._count + 1 + np.arange(len(rows))
        self._count += len(rows)
