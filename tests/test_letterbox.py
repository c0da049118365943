from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from letterbox import MAX_SIDE, FrameError, check_frames, letterbox

CASES = json.loads((Path(__file__).parent / "data" / "letterbox_cases.json").read_text())


def noise(height, width):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def boxed(frame, size=640):
    out = np.full((3, size, size), np.nan, np.float32)
    content_rect = letterbox(frame, out)
    return out, content_rect


def gray_levels(out):
    return np.rint(out * 255).astype(np.uint8).transpose(1, 2, 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case["hw"])))
def test_pixels_equal_those_of_the_official_letterbox(case):
    frame = noise(*case["hw"])
    left, top, right, bottom = case["ltrb_pad"]
    width, height = case["unpadded_wh"]
    expected = frame
    if frame.shape[:2] != (height, width):
        expected = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    expected = cv2.copyMakeBorder(
        expected, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(114, 114, 114)
    )

    out, _ = boxed(frame)

    np.testing.assert_array_equal(gray_levels(out), expected)
    # The values must equal those of a division by 255 exactly.
    np.testing.assert_array_equal(out, (expected.astype(np.float32) / 255).transpose(2, 0, 1))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case["hw"])))
def test_boxes_are_converted_back_as_by_the_official_scale_coords(case):
    from nms import to_frame

    height, width = case["hw"]
    _, content_rect = boxed(noise(height, width))
    back = to_frame(np.array(case["boxes"], np.float32), content_rect)
    y1, x1, y2, x2 = (back * [height, width, height, width]).T
    np.testing.assert_allclose(np.stack([x1, y1, x2, y2], 1), case["scaled"], atol=2e-3)


def test_a_frame_of_the_input_size_is_unchanged():
    frame = noise(640, 640)
    out, content_rect = boxed(frame)
    np.testing.assert_array_equal(gray_levels(out), frame)
    assert content_rect.tolist() == [0, 0, 640, 640]


def test_downscaling_before_changes_no_pixel():
    frame = noise(720, 1280)
    downscaled = cv2.resize(frame, (640, 360), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(boxed(frame)[0], boxed(downscaled)[0])


@pytest.mark.parametrize("size", [(1, 1), (1, MAX_SIDE), (MAX_SIDE, 1), (2, 3), (37, 100)])
def test_every_pixel_is_written_for_any_size(size):
    out, content_rect = boxed(noise(*size))
    assert np.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 1
    assert (content_rect[2:] > 0).all()


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((1, 0, 10, 3), "[1, 0, 10, 3]"),
        ((1, 10, MAX_SIDE + 1, 3), f"[1, 10, {MAX_SIDE + 1}, 3]"),
    ],
)
def test_invalid_frames_are_refused_with_their_shape(shape, named):
    with pytest.raises(FrameError) as refused:
        check_frames(np.empty(shape, np.uint8))
    assert named in str(refused.value)
