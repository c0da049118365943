"""Tracks objects from frame to frame, so that each keeps its number."""

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
    """Limits of the tracker; scores are 0..1, times in seconds."""

    max_targets: int = 150
    """Most detections of a frame that are tracked: those with the highest scores."""
    min_confidence: float = 0.25
    """Least score of a detection that is tracked."""
    start_confidence: float = 0.7
    """Least score of a detection that starts a track. Weaker ones only continue a track."""
    min_frames: int = 2
    """Consecutive frames after which an object gets its number."""
    reassociate_s: float = 1.0
    """Longest time that a track is kept without a detection; 0 keeps none."""


@dataclass(frozen=True)
class _Round:
    """How tracks and detections are matched in one round."""

    margin: float
    """Added to each side of the boxes, as a fraction of their size."""
    threshold: float
    """Least similarity of a match."""
    by_score: bool
    """Whether the similarity is multiplied by the detection's score."""


STRONG = 0.6
"""Least score of the detections that are matched first."""
# The margins are those of C-BIoU: the small one for strong detections, the large one for weak ones.
STRONG_ROUND = _Round(margin=0.3, threshold=0.2, by_score=True)
WEAK_ROUND = _Round(margin=0.5, threshold=0.5, by_score=False)
NEW_ROUND = _Round(margin=0.3, threshold=0.3, by_score=True)


@dataclass(frozen=True)
class _Seen:
    """The detections of one frame that are tracked, best first, and the numbers that they get."""

    places: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.int64]


class Tracker:
    """Tracks the objects of one source by ByteTrack, with the enlarged boxes of C-BIoU.

    ByteTrack (ECCV 2022, algorithm 1) matches in rounds. A track with a number first takes a strong
    detection. If there is none and it was seen in the last frame, it takes a weak one. A track
    without a number takes one of the remaining strong detections, or is removed.

    C-BIoU (WACV 2023) matches boxes with a margin around them. So small fast objects, whose boxes
    in two frames hardly overlap, keep their numbers.

    Args:
        frame_rate: frames per second.
        limits: limits of scores and times.
    """

    def __init__(self, frame_rate: float, limits: TrackerLimits = TrackerLimits()) -> None:
        self._limits = limits
        self._patience = math.ceil(limits.reassociate_s * frame_rate)
        self._strong = min(STRONG, limits.start_confidence)
        self._tracks = np.zeros(0, TRACK)
        self._count = 0

    @property
    def count(self) -> int:
        """Number of objects so far, which is the largest number."""
        return self._count

    def update(self, detections: Detections) -> Detections:
        """Track the objects of the next frame.

        Args:
            detections: the objects of the frame, by descending scores.

        Returns:
            The same objects in the same order with `track_ids`: int64 [n], from 1, or -1 for an
            object without a number.
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
        """Update the tracks with the detections of a frame, and set `seen.numbers`."""
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
        """Match tracks with detections; return the rows of both that are left over."""
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
        """Continue track `rows[i]` with detection `found[i]`."""
        tracks = self._tracks[rows]
        kalman.correct(tracks["motion"], seen.places[found])
        tracks["frames_seen"] += 1
        tracks["frames_missed"] = 0
        self._confirm(tracks)
        self._tracks[rows] = tracks
        seen.numbers[found] = tracks["number"]

    def _renew(self, alive: npt.NDArray[np.bool_], seen: _Seen, found: Rows) -> None:
        """Remove the tracks that are not alive, and start one with each of these detections."""
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
        """Give numbers to the tracks that were seen in enough frames."""
        seen_enough = tracks["frames_seen"] >= self._limits.min_frames
        rows = np.flatnonzero(seen_enough & (tracks["number"] == 0))
        tracks["number"][rows] = self._count + 1 + np.arange(len(rows))
        self._count += len(rows)
