"""Test cases for the CPU and CUDA versions of a stage, and the comparison of their results."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from version_folder import part

MAX_BATCH = 16
SIDE = 640
MAX_DETECTIONS = 300
_DATA = Path(__file__).parent / "data"
_SIZES = [
    *(tuple(case["hw"]) for case in json.loads((_DATA / "letterbox_cases.json").read_text())),
    *((360, 640), (640, 640), (720, 1280), (1080, 1920), (1280, 1280), (1, 1), (3, 700)),
    *((641, 640), (333, 77), (2, 5), (320, 320), (2160, 3840)),
]

digesting = part("preprocess", "digest")
letterboxing = part("preprocess", "letterbox")
suppressing = part("nms", "nms")


def batches_of_mixed_frames():
    """Batches of random frames, uint8 [H, W, 3], of different sizes."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (*size, 3), np.uint8) for size in _SIZES]
    return [frames[start : start + MAX_BATCH] for start in range(0, len(frames), MAX_BATCH)]


def assert_letterboxed(frames, images, letterboxes):
    """Check that results equal those of the CPU; enlarged pixels may differ by one gray level."""
    expected_images, expected_rects = letterboxing.letterbox_all(frames, (3, SIDE, SIDE))
    np.testing.assert_array_equal(letterboxes[:, :4], expected_rects)
    np.testing.assert_array_equal(letterboxes[:, 4:], digesting.digests(frames))
    for frame, image, expected in zip(frames, images, expected_images, strict=True):
        apart = np.abs(image - expected).max() * 255
        # Slightly above 1 and 0 gray levels, because values are scaled to 0..1 and back.
        limit = 1.01 if max(frame.shape[:2]) < SIDE else 0.01
        assert apart < limit, f"{frame.shape}: {apart} gray levels"


def thresholds(*, class_agnostic=False):
    return suppressing.Thresholds(0.25, 0.45, MAX_DETECTIONS, class_agnostic)


def street(seed, *, candidates, frames=3, rows=6300):
    """Predictions with clusters of boxes around a few objects, and their letterboxes.

    All other rows are below the threshold.
    """
    rng = np.random.default_rng(seed)
    predictions = np.zeros((frames, rows, 6), np.float32)
    predictions[..., 4] = rng.uniform(0, 0.2, (frames, rows))
    for frame in predictions:
        where = rng.choice(rows, candidates, replace=False)
        objects = max(1, candidates // 8)
        centers = rng.uniform(0, SIDE, (objects, 2))[rng.integers(0, objects, candidates)]
        sides = rng.uniform(10, 120, (objects, 2))[rng.integers(0, objects, candidates)]
        frame[where, :2] = centers - sides / 2 + rng.normal(0, 3, (candidates, 2))
        frame[where, 2:4] = centers + sides / 2 + rng.normal(0, 3, (candidates, 2))
        frame[where, 4] = rng.uniform(0.2, 1, candidates)
        frame[where, 5] = rng.integers(0, 5, candidates)
    return predictions, rng.uniform(1, 600, (frames, 6)).astype(np.float32)


def equal_scores():
    predictions, letterboxes = street(1, candidates=3000)
    predictions[..., 4] = np.round(predictions[..., 4], 1)
    return predictions, letterboxes


def noise():
    """Arbitrary numbers, including NaN and infinity, as DeepStream sends them to warm up."""
    rng = np.random.default_rng(2)
    predictions = rng.uniform(-50, 700, (2, 6300, 6)).astype(np.float32)
    predictions[..., 4] = rng.uniform(0, 1, (2, 6300))
    predictions[..., 5] = rng.integers(0, 80, (2, 6300))
    predictions[0, ::7, 2] = np.nan
    predictions[1, ::5, 1] = np.inf
    return predictions, np.array(
        [[0, 140, 640, 360, 1, 2], [80, 0, 480, 640, 3, 65535]], np.float32
    )


def reference(image):
    """Predictions for which the results of the official suppression are known."""
    predictions = np.load(_DATA / "nms_parity.npz")[f"predictions_{image}"]
    return predictions[np.newaxis], np.array([[0, 0, 640, 640, 7, 8]], np.float32)


SUPPRESSION_CASES = {
    **{f"{n} candidates": lambda n=n: street(n, candidates=n) for n in (0, 1, 30, 700, 1024, 1025)},
    "5000 candidates": lambda: street(5000, candidates=5000),
    "equal scores": equal_scores,
    "noise": noise,
    "first reference": lambda: reference(0),
    "second reference": lambda: reference(1),
}


def assert_suppressed(found, predictions, letterboxes, *, class_agnostic=False):
    """Check that the results equal those of the CPU stage, row by row."""
    limits = thresholds(class_agnostic=class_agnostic)
    expected = suppressing.detect([predictions], [letterboxes], limits)
    assert expected.num_detections.max() <= MAX_DETECTIONS
    for name in ("num_detections", "boxes", "scores", "classes", "digests"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
