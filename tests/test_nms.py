from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nms import Thresholds, non_maximum_suppression, to_frame

PARITY = np.load(Path(__file__).parent / "data" / "nms_parity.npz")
DEFAULT = Thresholds(confidence=0.25, iou=0.45, max_detections=300)


def rows(*values):
    return np.array(values, np.float32).reshape(-1, 6)


@pytest.mark.parametrize("percent", [25, 50])
@pytest.mark.parametrize("image", [0, 1])
def test_rows_equal_those_of_the_official_suppression(percent, image):
    thresholds = Thresholds(confidence=percent / 100, iou=0.45, max_detections=300)
    kept = non_maximum_suppression(PARITY[f"predictions_{image}"], thresholds)
    np.testing.assert_array_equal(kept, PARITY[f"kept_{percent}_{image}"])


def test_suppression_of_a_prefix_gives_the_result_of_all_candidates():
    # 5,000 boxes are at one place, so the first prefix keeps only one and must be extended.
    rng = np.random.default_rng(0)
    heap = np.zeros((5000, 6), np.float32)
    heap[:, :4] = np.array([100, 100, 200, 200]) + rng.normal(0, 1, (5000, 4))
    heap[:, 4] = rng.uniform(0.5, 0.9, 5000)
    apart = rows([400, 400, 450, 450, 0.3, 0])
    kept = non_maximum_suppression(np.concatenate([heap, apart]), DEFAULT)
    assert len(kept) == 2
    assert kept[0, 4] == heap[:, 4].max()
    np.testing.assert_array_equal(kept[1], apart[0])


def test_classes_do_not_suppress_each_other():
    kept = non_maximum_suppression(
        rows([0, 0, 10, 10, 0.9, 2], [0, 0, 10, 10, 0.8, 7], [0, 0, 10, 10, 0.7, 2]), DEFAULT
    )
    assert kept[:, 5].tolist() == [2, 7]


def test_class_agnostic_suppression_keeps_only_the_best_box():
    # A car that was also found as a truck, a second car that touches it, and a distant bus.
    found = rows(
        [0, 0, 100, 60, 0.6, 2],
        [2, 1, 99, 61, 0.37, 7],
        [95, 0, 190, 60, 0.5, 2],
        [400, 300, 500, 400, 0.9, 5],
    )
    of_a_class = non_maximum_suppression(found, DEFAULT)
    of_any = non_maximum_suppression(found, replace(DEFAULT, class_agnostic=True))
    assert of_a_class[:, 5].tolist() == [5, 2, 2, 7]
    np.testing.assert_array_equal(of_any, of_a_class[:3])


def test_both_thresholds_are_strict():
    # Two boxes of 100 pixels that share 62 have an IoU of 62 / 138 = 0.449; with 63, 0.4599.
    below, above = [3.8, 0, 13.8, 10, 0.8, 0], [3.7, 0, 13.7, 10, 0.8, 0]
    first = [0, 0, 10, 10, 0.9, 0]
    assert len(non_maximum_suppression(rows(first, below), DEFAULT)) == 2
    assert len(non_maximum_suppression(rows(first, above), DEFAULT)) == 1
    assert len(non_maximum_suppression(rows([0, 0, 10, 10, 0.25, 0]), DEFAULT)) == 0


def test_the_best_boxes_come_first_up_to_the_maximum():
    spread = np.zeros((400, 6), np.float32)
    spread[:, 0] = spread[:, 1] = np.arange(400) * 20
    spread[:, 2:4] = spread[:, :2] + 10
    spread[:, 4] = np.linspace(0.3, 0.9, 400)
    kept = non_maximum_suppression(spread, DEFAULT)
    np.testing.assert_array_equal(kept, spread[::-1][:300])


@pytest.mark.parametrize("seed", range(3))
def test_arbitrary_bytes_are_handled(seed):
    noise = np.random.default_rng(seed).bytes(25200 * 6 * 4)
    with np.errstate(invalid="ignore"):
        kept = non_maximum_suppression(np.frombuffer(noise, np.float32).reshape(-1, 6), DEFAULT)
    assert np.isfinite(kept).all()
    assert len(kept) <= 300


def test_no_candidates_give_no_boxes():
    assert non_maximum_suppression(np.zeros((25200, 6), np.float32), DEFAULT).shape == (0, 6)


def test_boxes_are_clipped_to_the_frame():
    content_rect = np.array([0, 140, 640, 360], np.float32)
    boxes = to_frame(
        np.array([[-5, 100, 320, 320], [600, 480, 700, 600]], np.float32), content_rect
    )
    np.testing.assert_allclose(boxes, [[0, 0, 0.5, 0.5], [340 / 360, 600 / 640, 1, 1]], atol=1e-6)
