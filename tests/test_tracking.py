from __future__ import annotations

import pickle
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
    """A car that drives to the right; the lanes are far apart."""
    left, top = 20 + speed * frame, 100.0 * lane
    return (left, top, left + 60, top + 40)


def ids(tracker: Tracker, detections: Detections) -> list[int]:
    tracked = tracker.update(detections)
    assert tracked.track_ids is not None
    assert tracked.track_ids.dtype == np.int64
    assert len(tracked.track_ids) == len(detections)
    return tracked.track_ids.tolist()


def test_moving_objects_keep_their_ids_which_start_at_one() -> None:
    tracker = Tracker(FRAME_RATE)
    seen = [ids(tracker, found([car(n), car(n, lane=1), car(n, lane=2)])) for n in range(20)]
    # Objects have no id before they are confirmed.
    assert seen[0] == [-1, -1, -1]
    assert sorted(seen[1]) == [1, 2, 3]
    assert seen[2:] == [seen[1]] * 18


def test_an_object_is_confirmed_after_the_configured_number_of_frames() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(min_frames=4))
    assert [ids(tracker, found([car(n)])) for n in range(6)] == [[-1]] * 3 + [[1]] * 3


def test_an_object_in_one_frame_gets_no_id() -> None:
    tracker = Tracker(FRAME_RATE)
    assert ids(tracker, found([car(0, lane=5)])) == [-1]
    for n in range(5):
        last = ids(tracker, found([car(n)]))
    assert last == [1]


def test_an_object_that_returns_soon_keeps_its_id() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(10):
        before = ids(tracker, found([car(n)]))
    for _ in range(5):
        assert ids(tracker, found([])) == []
    assert before == [1]
    assert ids(tracker, found([car(15)])) == [1]


def test_an_object_that_returns_late_gets_a_new_id() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(10):
        ids(tracker, found([car(n, speed=0)]))
    # The limit is a second, which is ten frames here.
    for _ in range(15):
        ids(tracker, found([]))
    assert ids(tracker, found([car(25, speed=0)])) == [-1]
    assert ids(tracker, found([car(26, speed=0)])) == [2]


def test_the_limit_for_a_return_is_in_seconds_at_any_frame_rate() -> None:
    for frame_rate, kept in ((5.0, False), (25.0, True)):
        tracker = Tracker(frame_rate)
        for n in range(5):
            ids(tracker, found([car(n, speed=0)]))
        # Ten frames are two seconds at one frame rate, and less than half a second at the other.
        for _ in range(10):
            ids(tracker, found([]))
        assert (ids(tracker, found([car(0, speed=0)])) == [1]) == kept


def test_objects_get_a_new_id_if_reassociation_is_off() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(reassociate_s=0.0))
    for n in range(5):
        ids(tracker, found([car(n, speed=0)]))
    ids(tracker, found([]))
    assert ids(tracker, found([car(0, speed=0)])) == [-1]


def test_weak_detections_are_not_tracked() -> None:
    limits = TrackerLimits(min_confidence=0.3, start_confidence=0.5)
    tracker = Tracker(FRAME_RATE, limits)
    for n in range(4):
        seen = ids(tracker, found([car(n), car(n, lane=1)], scores=[0.9, 0.2]))
        # The score is enough to continue a track, but not to start one.
        assert ids(Tracker(FRAME_RATE, limits), found([car(n)], scores=[0.4])) == [-1]
    assert seen == [1, -1]


def test_a_weaker_detection_continues_a_track_but_starts_none() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(4):
        ids(tracker, found([car(n)]))
    for n in range(4, 10):
        seen = ids(tracker, found([car(n), car(n, lane=1)], scores=[0.3, 0.3]))
    assert seen == [1, -1]


def test_only_the_best_objects_are_tracked_if_there_are_too_many() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(max_targets=2))
    for n in range(4):
        cars = [car(n, lane=lane) for lane in range(4)]
        seen = ids(tracker, found(cars, scores=[0.9, 0.8, 0.7, 0.6]))
    assert sorted(seen[:2]) == [1, 2]
    assert seen[2:] == [-1, -1]


def test_the_number_of_tracked_objects_never_exceeds_the_limit() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(max_targets=3))
    for n in range(12):
        # Every three frames, three other objects have the best scores.
        order = np.roll(np.arange(6), n // 3 * 3)
        cars = [car(n, lane=int(lane)) for lane in order]
        seen = ids(tracker, found(cars, scores=np.linspace(0.95, 0.5, 6).tolist()))
        assert sum(number > 0 for number in seen) <= 3


def test_tracking_changes_neither_the_order_nor_other_fields() -> None:
    tracker = Tracker(FRAME_RATE)
    by_lane: dict[int, set[int]] = {lane: set() for lane in range(4)}
    for n in range(12):
        # The order varies from frame to frame, as with scores.
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


def test_empty_frames_are_supported_at_any_time() -> None:
    tracker = Tracker(FRAME_RATE)
    assert ids(tracker, found([])) == []
    assert ids(tracker, found([])) == []
    assert ids(tracker, found([car(0)])) == [-1]
    assert ids(tracker, found([car(1)])) == [1]
    assert ids(tracker, found([])) == []


def test_each_tracker_has_its_own_ids() -> None:
    first, second = Tracker(FRAME_RATE), Tracker(FRAME_RATE)
    for n in range(3):
        one = ids(first, found([car(n), car(n, lane=1)]))
        other = ids(second, found([car(n)]))
    assert sorted(one) == [1, 2]
    assert other == [1]


def test_the_count_is_the_number_of_assigned_ids() -> None:
    tracker = Tracker(FRAME_RATE)
    assert tracker.count == 0
    ids(tracker, found([car(0), car(0, lane=1)]))
    assert tracker.count == 0
    ids(tracker, found([car(1), car(1, lane=1)]))
    assert tracker.count == 2
    # Objects that have left still count.
    for _ in range(30):
        ids(tracker, found([]))
    assert tracker.count == 2


def test_ids_have_no_gaps() -> None:
    tracker = Tracker(FRAME_RATE)
    rng = np.random.default_rng(0)
    given: set[int] = set()
    for n in range(300):
        # Objects appear and disappear, some after one frame.
        lanes = [lane for lane in range(20) if (n + 7 * lane) % 60 < 3 * lane or rng.random() < 0.1]
        given |= set(ids(tracker, found([car(n % 60, lane=lane) for lane in lanes])))
        given.discard(-1)
        assert given == set(range(1, tracker.count + 1))
    assert tracker.count > 20


def test_an_id_is_assigned_at_once_if_one_frame_is_enough() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(min_frames=1))
    assert [ids(tracker, found([car(n)])) for n in range(3)] == [[1]] * 3
    assert tracker.count == 1


def test_a_track_can_start_with_a_weak_detection_if_configured() -> None:
    tracker = Tracker(FRAME_RATE, TrackerLimits(start_confidence=0.4))
    assert ids(tracker, found([car(0)], scores=[0.45])) == [-1]
    assert ids(tracker, found([car(1)], scores=[0.45])) == [1]


def crowd(frame: int, people: int) -> list[Box]:
    """People in close rows who all walk in the same direction."""
    corners = [(20 + 30 * (n % 25) + 3.0 * frame, 60 * (n // 25)) for n in range(people)]
    return [(left, top, left + 28, top + 55) for left, top in corners]


def test_the_people_of_a_crowd_keep_their_ids() -> None:
    tracker = Tracker(FRAME_RATE)
    seen = [ids(tracker, found(crowd(n, 150))) for n in range(20)]
    assert sorted(seen[1]) == list(range(1, 151))
    assert seen[2:] == [seen[1]] * 18


def test_the_best_people_of_a_larger_crowd_are_tracked() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(5):
        seen = ids(tracker, found(crowd(n, 300), scores=np.linspace(0.99, 0.7, 300).tolist()))
    assert sorted(seen[:150]) == list(range(1, 151))
    assert seen[150:] == [-1] * 150
    assert tracker.count == 150


def test_objects_at_the_same_place_get_different_ids() -> None:
    tracker = Tracker(FRAME_RATE)
    for _ in range(5):
        seen = ids(tracker, found([car(0)] * 300))
    assert sorted(seen[:150]) == list(range(1, 151))


def test_boxes_without_area_are_supported() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(5):
        point, line = (50.0, 500.0, 50.0, 500.0), (0.0, 700.0, 1280.0, 700.0)
        seen = ids(tracker, found([point, car(n), line]))
    assert seen == [-1, 1, -1]


def test_crossing_paths_do_not_swap_ids() -> None:
    tracker = Tracker(FRAME_RATE)
    for n in range(40):
        right, down = 20 + 10.0 * n, 220 - 10.0 * n
        seen = ids(
            tracker, found([(right, 200, right + 40, 240), (down + 200, 180, down + 240, 260)])
        )
        if n == 1:
            before = seen
    assert seen == before


def test_lost_objects_are_removed_from_memory() -> None:
    tracker = Tracker(FRAME_RATE)
    rng = np.random.default_rng(0)
    sizes = []
    for n in range(10_000):
        # The objects are at new places every five frames.
        if n % 5 == 0:
            corner = rng.uniform(0, 1000, (3, 2))
        boxes = np.concatenate([corner, corner + 40], axis=1)
        ids(tracker, found(boxes.tolist()))
        if n % 2_000 == 1_000:
            sizes.append(len(pickle.dumps(tracker)))
    assert tracker.count > 5_000
    assert max(sizes) < 2 * sizes[0]
