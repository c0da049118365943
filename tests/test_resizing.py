"""The Resize operators that are computed by repeating pixels, against ONNX's reference."""

from __future__ import annotations

from itertools import product

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from version_folder import part

resizing = part("yolov7_fp16", "resizing")

COORDINATES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners")
ROUNDING = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resized(image, scale, **modes):
    node = onnx.helper.make_node("Resize", ["x", "", "scales"], ["y"], **modes)
    x, y = (onnx.helper.make_tensor_value_info(name, 1, None) for name in "xy")
    scales = onnx.numpy_helper.from_array(np.array([1, 1, scale, scale], np.float32), "scales")
    graph = onnx.helper.make_graph([node], "resize", [x], [y], [scales])
    (result,) = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": image})
    return result


@pytest.mark.parametrize(("coordinates", "rounding"), [*product(COORDINATES, ROUNDING)])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5, 8])
def test_the_resizes_that_are_accepted_repeat_pixels(scale, coordinates, rounding):
    image = np.arange(35, dtype=np.float32).reshape(1, 1, 5, 7)
    modes = {"coordinate_transformation_mode": coordinates, "nearest_mode": rounding}
    repeated = image.repeat(scale, axis=2).repeat(scale, axis=3)
    encoded = {name: value.encode() for name, value in modes.items()}
    if resizing.repeats_pixels(scale, **encoded):
        np.testing.assert_array_equal(resized(image, scale, **modes), repeated)


@pytest.mark.parametrize(
    ("scale", "modes"),
    [
        (2, {}),
        (2, {"coordinate_transformation_mode": b"asymmetric", "nearest_mode": b"floor"}),
        (2, {"coordinate_transformation_mode": b"asymmetric"}),
    ],
)
def test_the_upsampling_of_detectors_is_accepted(scale, modes):
    assert resizing.repeats_pixels(scale, **modes)


@pytest.mark.parametrize(
    ("scale", "modes"), [(2, {"mode": b"linear"}), (1.5, {}), (2, {"nearest_mode": b"ceil"})]
)
def test_other_resizes_are_refused(scale, modes):
    assert not resizing.repeats_pixels(scale, **modes)
