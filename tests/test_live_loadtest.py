"""The figures of the live load tests, computed from Prometheus metrics, and their limits."""

from __future__ import annotations

import json
import math

import pytest
from clips import gray, opened, write_clip

from loadtest import clips
from loadtest.live.many_cameras import capacity_figures, overload_figures
from loadtest.live.scrape import Scrape, quantile, read
from loadtest.live.table import section
from tests.faults.growth import Sample, growth, is_flat, lives, medians
from tests.faults.written import boxes_of, by_number, by_pictures, compared


def metrics(*, street: int, yard: int, old: int = 0, dropped: int = 0) -> str:
    """Metrics of two cameras. Only `old` frames of `street` take longer than 0.1 s."""
    return f"""
# TYPE yolostream_frames_completed_total counter
yolostream_frames_completed_total{{camera="street"}} {street}
yolostream_frames_completed_total{{camera="yard"}} {yard}
# TYPE yolostream_frames_submitted_total counter
yolostream_frames_submitted_total{{camera="street"}} {street}
yolostream_frames_submitted_total{{camera="yard"}} {yard}
# TYPE yolostream_frames_decoded_total counter
yolostream_frames_decoded_total{{camera="street"}} {street + dropped}
yolostream_frames_decoded_total{{camera="yard"}} {yard}
# TYPE yolostream_frames_dropped_total counter
yolostream_frames_dropped_total{{camera="street",reason="superseded"}} {dropped}
# TYPE yolostream_frame_age_seconds histogram
yolostream_frame_age_seconds_bucket{{camera="street",le="0.1"}} {street - old}
yolostream_frame_age_seconds_bucket{{camera="street",le="0.2"}} {street}
yolostream_frame_age_seconds_bucket{{camera="street",le="+Inf"}} {street}
# TYPE yolostream_stage_seconds histogram
yolostream_stage_seconds_bucket{{stage="request",le="+Inf"}} {street + yard}
yolostream_stage_seconds_count{{stage="request"}} {street + yard}
yolostream_stage_seconds_sum{{stage="request"}} {0.05 * (street + yard)}
"""


def window(**after: int) -> Scrape:
    return read(metrics(**after)).since(read(metrics(street=100, yard=200)))


def test_a_window_is_the_difference_between_two_scrapes():
    seen = window(street=400, yard=440, old=3)
    assert seen.by_camera("frames_completed_total") == {"street": 300, "yard": 240}
    assert seen.ages() == [(0.1, 297), (0.2, 300), (math.inf, 300)]
    assert seen.age_s(0.5) == pytest.approx(0.1 * 150 / 297)
    assert 0.1 < seen.age_s(0.995) < 0.2
    assert seen.age_s(1) == pytest.approx(0.2)


def test_quantiles_without_frames_and_beyond_the_last_limit():
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(quantile([(0.1, 0.0), (math.inf, 0.0)], 0.5))
    assert quantile([(0.1, 5.0), (math.inf, 10.0)], 0.99) == 0.1


def test_cameras_hold_if_no_frame_is_dropped_or_old():
    well = window(street=400, yard=500)
    assert capacity_figures(well, 2, 10, 5)["breaks"] == ""
    assert capacity_figures(well, 2, 10, 5)["cores"] == 0.5
    reasons = {
        "10 of 610 frames left out": (window(street=400, yard=500, dropped=10), 2),
        "20.0 frames/s each": (well, 3),
        "p99 age 175 ms": (window(street=400, yard=500, old=12), 2),
    }
    for reason, (seen, cameras) in reasons.items():
        assert capacity_figures(seen, cameras, 10, 5)["breaks"] == reason


def test_the_figures_of_an_overload():
    figures = overload_figures(window(street=400, yard=440, dropped=600), 10)
    assert figures["each"] == {"street": 30.0, "yard": 24.0}
    assert (figures["fairness"], figures["request_ms"], figures["age_bar_ms"]) == (0.8, 50, 550)
    assert figures["dropped"] == {"superseded": 600}


def test_a_slower_clip_has_the_same_pictures(tmp_path):
    fast = write_clip(tmp_path / "fast.mp4", [gray(20 + 9 * n) for n in range(20)])
    slow = clips.slower(fast, tmp_path / "slow.mp4", rate=2)
    (before,), (after,) = opened(fast), opened(slow)
    quick, late = (list(source.open()) for source in (before, after))
    assert [frame.image.mean() for frame in quick] == [frame.image.mean() for frame in late]
    assert late[-1].pts_seconds == pytest.approx(5 * quick[-1].pts_seconds)


def aging(memory_mb, *, pids=lambda at_s: 1) -> list[Sample]:
    """Samples of a process over 100 s, one per second."""
    return [Sample(at, pids(at), memory_mb(at), 20 + (at >= 95)) for at in range(100)]


def test_growth_compares_the_last_tenth_with_the_second_one():
    # The memory grows in the first tenth, and has one outlier in the last one.
    flat = aging(lambda at: 50 if at < 10 else 500 if at == 93 else 100)
    assert growth(flat, 100)["memory"] == 1
    slow = growth(aging(lambda at: 100 + at), 100)
    assert slow == {"memory": round(194.5 / 114.5, 3), "files": round(20.5 / 20, 3)}
    assert [one["memory_mb"] for one in medians(aging(lambda at: at), 100)][:2] == [4.5, 14.5]
    assert is_flat({"parent": {"memory": 1.03, "files": 1.0}, "worker": {"memory": 0.5}})
    assert not is_flat({"parent": {"memory": 1.0, "files": 1.0}, "worker": {"memory": 1.031}})


def test_unknown_growth_is_not_flat():
    grown = growth(aging(lambda at: 100)[:50], 100)
    assert math.isnan(grown["memory"])
    assert not is_flat({"worker": grown})


def test_each_successive_process_has_its_age():
    seen = lives(aging(lambda at: at, pids=lambda at: 1 if at < 30 else 2))
    assert seen == [{"age_s": 29, "memory_mb": 29}, {"age_s": 69, "memory_mb": 99}]


def record(frame: int, *objects: tuple[float, float]) -> dict:
    """A record of a frame, with objects given by their left edge and score."""
    found = [
        {"class_id": 0, "confidence": score, "box": [left, 10.0, left + 50, 60.0]}
        for left, score in objects
    ]
    return {"frame": frame, "detections": found}


TRUTH = [boxes_of(record(0, (100 * number, 0.9), (40, 0.55))) for number in range(3)]


@pytest.mark.parametrize(
    ("objects", "right"),
    [
        ([(100, 0.9), (40, 0.55)], True),
        ([(100.9, 0.9)], True),  # an object with a medium score may be missing
        ([(100, 0.9), (700, 0.3)], True),  # an object with a low score may be added
        ([(200, 0.9), (40, 0.55)], False),  # the boxes of another frame
        ([(100, 0.9), (700, 0.6)], False),
        ([], False),
    ],
)
def test_lines_of_a_file_are_right_if_their_boxes_are_those_of_the_frame(objects, right):
    assert by_number(TRUTH)(record(4, *objects)) is right


def test_lines_of_a_camera_are_right_if_their_boxes_are_those_of_any_of_its_pictures(tmp_path):
    lines = [record(17, (0, 0.9)), record(18, (200, 0.9)), record(19, (300, 0.9))]
    text = "\n".join([*map(json.dumps, lines), '{"frame": 20, "det'])
    (tmp_path / "a.jsonl").write_text(text)
    seen = compared(tmp_path, by_pictures(TRUTH))
    assert (seen.right, seen.wrong, seen.torn) == (2, [lines[2]], 1)


def test_the_table_shows_which_limits_were_met():
    age = {"frames_per_s": 5, "age_ms": {"p50": 40.0, "p99": 401.0}, "bar_ms": 400.0}
    assert section({"age": age}).endswith("| at most 400 ms | **401 ms (p50 40), missed** |")
    age["age_ms"]["p99"] = 400.0
    assert section({"age": age}).endswith("| 400 ms (p50 40), met |")


def test_the_table_names_the_process_that_grew():
    figures = {
        "minutes": 60.0,
        "faults": 100,
        "growth_bar": 1.03,
        "growth": {
            "parent": {"memory": 1.0, "files": 1.03},
            "worker": {"memory": 1.0, "files": 1.031},
        },
        "lost_for_good": ["yard (camera: hangs)"],
        "right_answers": 7,
        "wrong_answers": 0,
        "right_lines": 2,
        "wrong_lines": 1,
    }
    memory, files, of_worker, files_of_worker, lost, wrong = section(
        {"endurance": figures}
    ).splitlines()[2:]
    for line in (memory, of_worker):
        assert line.endswith("| at most 1.030 | 1.000, met |")
    assert files.endswith("| at most 1.030 | 1.030, met |")
    assert files_of_worker.endswith("| at most 1.030 | **1.031, missed** |")
    assert lost.endswith("| at most 0 | **1, missed** |")
    assert wrong.endswith("wrong boxes among those of 10 frames | at most 0 | **1, missed** |")
