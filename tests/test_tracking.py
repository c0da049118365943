from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from yolostream.detections import Detections
from yolostream.pipeline.tracking import Tracker, TrackerLimits

Box = tuple[float, float, float, float]
FRAME_RATE = 10.0


def found(boxes: Sequence[Box], *, scores: Sequence[float] | None = None) -> Detections:
    count = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(count, 4),
        scores=np.array([0.9] * count if scores is None else scores, np.float32),
        class_ids=np.zeros(count, np.int64),
        labels=("car",),
    )


def car(frame: int, *, lane: int = 0, speed: float = 4.0) -> Box:
    """Drives to the right, each lane far from the next."""
    left, top = 20 + speed * frame, 100.0 * lane
    return (left, top, left + 60, top + 40)


def ids(tracker: Tracker, detections: Detections) -> list[int]:
    tracked = tracker.update(detections)
    assert tracked.track_ids is not None
    assert tracked.track_ids.dtype == np.int64
    assert len(tracked.track_ids) == len(detections)
    return tracked.track_ids.tolist()


def test_moving_objects_keep_their_numbers_which_start_at_one() -> None:
    tracker = Tracker(FRAME_RATE)
    seen = [ids(tracker, found([car(n), car(n, lane=1), car(n, lane=2)])) for n in range(20)]
    # Not followed before they are confirmed.
    assert seen[0] == [-1, -1, -1]
    assert sorted(seen[1]) == [1, 2, 3]
    assert seen[2:] == [seen[1]] * 18


def test_object_is_confirmed_after_as_many_frames_as_asked() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(min_frames=4))
    assert [ids(tracker, found([car(n)])) for n in range(6)] == [[-1]] * 3 + [[1]] * 3


def test_flash_of_one_frame_takes_no_number() -> None:
    tracker = Tracker(FRAME_RATE)
    assert ids(tracker, found([car(0, lane=5)])) == [-1]
    for n in range(5):
        last = ids(tracker, found([car(n)]))
    assert last == [1]


def test_object_that_comes_back_soon_keeps_its_number() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(10):
        before = ids(tracker, found([car(n)]))
    for _ in range(5):
        assert ids(tracker, found([])) == []
    assert before == [1]
    assert ids(tracker, found([car(15)])) == [1]


def test_object_that_comes_back_late_gets_a_new_number() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(10):
        ids(tracker, found([car(n, speed=0)]))
    # The limit is a second: ten frames here.
    for _ in range(15):
        ids(tracker, found([]))
    assert ids(tracker, found([car(25, speed=0)])) == [-1]
    assert ids(tracker, found([car(26, speed=0)])) == [2]


def test_time_to_come_back_is_in_seconds_at_any_frame_rate() -> None:
    for frame_rate, kept in ((5.0, False), (25.0, True)):
        tracker = Tracker(frame_rate)
        for n in range(5):
            ids(tracker, found([car(n, speed=0)]))
        # Ten frames are two seconds of the one, and less than half of the other.
        for _ in range(10):
            ids(tracker, found([]))
        assert (ids(tracker, found([car(0, speed=0)])) == [1]) == kept


def test_nobody_comes_back_where_that_is_turned_off() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(reassociate_s=0.0))
    for n in range(5):
        ids(tracker, found([car(n, speed=0)]))
    ids(tracker, found([]))
    assert ids(tracker, found([car(0, speed=0)])) == [-1]


def test_weak_detections_are_not_followed() -> None:
    limits = TrackerLimits(min_confidence=0.3, start_confidence=0.5)
    tracker = Tracker(FRAME_RATE, limits)
    for n in range(4):
        seen = ids(tracker, found([car(n), car(n, lane=1)], scores=[0.9, 0.2]))
        # Enough to be followed, not to start.
        assert ids(Tracker(FRAME_RATE, limits), found([car(n)], scores=[0.4])) == [-1]
    assert seen == [1, -1]


def test_weaker_detection_continues_a_track_but_starts_none() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(4):
        ids(tracker, found([car(n)]))
    for n in range(4, 10):
        seen = ids(tracker, found([car(n), car(n, lane=1)], scores=[0.3, 0.3]))
    assert seen == [1, -1]


def test_only_the_best_are_followed_where_there_are_too_many() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(max_targets=2))
    for n in range(4):
        cars = [car(n, lane=lane) for lane in range(4)]
        seen = ids(tracker, found(cars, scores=[0.9, 0.8, 0.7, 0.6]))
    assert sorted(seen[:2]) == [1, 2]
    assert seen[2:] == [-1, -1]


def test_objects_followed_at_once_never_exceed_the_limit() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(max_targets=3))
    for n in range(12):
        # Every frame another three are the best.
        order = np.roll(np.arange(6), n // 3 * 3)
        cars = [car(n, lane=int(lane)) for lane in order]
        seen = ids(tracker, found(cars, scores=np.linspace(0.95, 0.5, 6).tolist()))
        assert sum(number > 0 for number in seen) <= 3


def test_rows_keep_their_order_and_everything_else() -> None:
    tracker = Tracker(FRAME_RATE)
    by_lane: dict[int, set[int]] = {lane: set() for lane in range(4)}
    for n in range(12):
        # The order changes from frame to frame, as scores do.
        lanes = np.random.default_rng(n).permutation(4).tolist()
        scores = [0.95, 0.9, 0.85, 0.8]
        detections = found([car(n, lane=lane) for lane in lanes], scores=scores)
        tracked = tracker.update(detections)
        assert np.array_equal(tracked.boxes, detections.boxes)
        assert np.array_equal(tracked.scores, detections.scores)
        assert detections.track_ids is None
        for lane, number in zip(lanes, tracked.track_ids.tolist(), strict=True):
            if number > 0:
                by_lane[lane].add(number)
    numbers = sorted(tuple(seen) for seen in by_lane.values())
    assert numbers == [(1,), (2,), (3,), (4,)]


def test_empty_frames_are_fine_at_any_time() -> None:
    tracker = Tracker(FRAME_RATE)
    assert ids(tracker, found([])) == []
    assert ids(tracker, found([])) == []
    assert ids(tracker, found([car(0)])) == [-1]
    assert ids(tracker, found([car(1)])) == [1]
    assert ids(tracker, found([])) == []


def test_trackers_count_on_their_own() -> None:
    first, second = Tracker(FRAME_RATE), Tracker(FRAME_RATE)
    for n in range(3):
        one = ids(first, found([car(n), car(n, lane=1)]))
        other = ids(second, found([car(n)]))
    assert sorted(one) == [1, 2]
    assert other == [1]
