"""The emulation of DeepStream agrees with DeepStream, and the page has the measured figures."""

from __future__ import annotations

import json

import pytest
from letterbox import FILL

from tests.deepstream_parity.filters import CLIP, emulate
from tests.deepstream_parity.front_ends import CONFIGURATIONS, GRAY, MODES, app_of, reach
from tests.deepstream_parity.material import clips
from tests.deepstream_parity.measure import MODEL, measure
from tests.deepstream_parity.real import BILINEAR_SHIFTS, SHARES, SHARES_1080P
from tests.deepstream_parity.table import (
    AGREEING_BAR,
    AP_BAR,
    PAGE,
    RESULTS,
    accuracy_difference,
    meets_bars,
    with_figures,
)
from tests.nvinferserver.config import read_app
from tools.served_onnx import read_served_onnx

FIGURES = json.loads(RESULTS.read_text())
APPLICATIONS = [path for path in CONFIGURATIONS.glob("*.txt") if "config_" not in path.name]
CLOSE = 0.05
"""Largest difference of the share of equal boxes to that of DeepStream, for some of the frames."""
SAME_FRAMES_CLOSE = 0.005
"""The same for all frames; 0.001 was measured."""
CELLS = [(mode, number) for mode, shares in SHARES.items() for number in shares]
DISTINCT_CELLS = {"A": [0, 1, 2, 3, 4], "B shrunk": [0, 1, 2, 3, 4], "B": [1, 2]}
"""The cells whose pixels differ from those of all other cells."""
DEFAULT_BAR = 0.91


@pytest.fixture(scope="module")
def measured(triton):
    return measure(triton.url, clips(every=75))


@pytest.fixture(scope="module")
def emulated(triton):
    return emulate(triton.url, clips(every=6, names=[CLIP]), DISTINCT_CELLS)


def pairs(part, mode):
    return [pair for pair in part["pairs"] if pair["mode"] == mode]


def test_the_page_has_the_measured_figures():
    page = PAGE.read_text()
    assert with_figures(page, FIGURES) == page


def test_the_figures_are_those_of_the_served_model():
    assert read_served_onnx(MODEL).sha256 == FIGURES["model_sha256"], (
        f"measure again: {FIGURES['command']}"
    )


@pytest.mark.parametrize(("mode", "number"), CELLS)
def test_the_measured_emulation_agrees_with_deepstream(mode, number):
    share = FIGURES["filters"]["modes"][mode][str(number)]["share"]
    assert share == pytest.approx(SHARES[mode][number], abs=SAME_FRAMES_CLOSE)


@pytest.mark.parametrize("mode", BILINEAR_SHIFTS)
def test_the_bilinear_filter_of_the_emulation_shifts_boxes_as_deepstream_does(mode):
    shift = FIGURES["filters"]["modes"][mode]["1"]["shift"]
    assert shift == pytest.approx([BILINEAR_SHIFTS[mode]] * 2, abs=0.2)


@pytest.mark.parametrize("mode", ["A", "B shrunk", "B"])
def test_the_shipped_filter_shifts_no_boxes(mode):
    number = str(app_of(MODES[mode]).infer.preprocess.frame_scaling_filter)
    shift = FIGURES["filters"]["modes"][mode][number]["shift"]
    assert shift == pytest.approx([0, 0], abs=0.1)


@pytest.mark.parametrize(
    ("mode", "number"),
    [(mode, number) for mode, numbers in DISTINCT_CELLS.items() for number in numbers],
)
def test_the_emulation_agrees_with_deepstream(emulated, mode, number):
    assert emulated["client_boxes"] > 300, "too few boxes"
    share = emulated["modes"][mode][str(number)]["share"]
    assert share == pytest.approx(SHARES[mode][number], abs=CLOSE)


@pytest.mark.parametrize("path", APPLICATIONS, ids=lambda path: path.stem)
def test_the_shipped_settings_for_16_to_9_give_the_boxes_of_the_client(path):
    app, shrunk = read_app(path), app_of(MODES["B shrunk"]).infer
    assert app.mux.width * 9 == app.mux.height * 16
    assert app.infer.preprocess == shrunk.preprocess
    assert app.infer.backend.inputs == shrunk.backend.inputs
    number = shrunk.preprocess.frame_scaling_filter
    assert SHARES["B shrunk"][number] >= DEFAULT_BAR
    assert SHARES_1080P["B shrunk"][number] >= DEFAULT_BAR


def test_the_gray_of_the_emulated_padding_is_that_of_the_ensemble():
    assert GRAY == FILL


def test_without_scaling_the_figures_of_deepstream_meet_the_bars():
    assert meets_bars(FIGURES, "B")


def test_the_modes_cost_little_average_precision():
    for part in FIGURES["material"].values():
        for mode in ("A", "B shrunk"):
            ap, client = part["accuracy"][mode], part["accuracy"]["shrunk"]
            assert abs(ap["AP"] - client["AP"]) <= 2 * AP_BAR
            assert abs(ap["AP50"] - client["AP50"]) <= 2 * AP_BAR


def test_without_scaling_deepstream_agrees_with_the_client(measured):
    for pair in pairs(measured, "B"):
        assert pair["client_boxes"] > 50, "too few boxes"
        assert pair["agreeing"] >= AGREEING_BAR
        assert accuracy_difference(measured, "B", pair["client"]) <= AP_BAR


@pytest.mark.parametrize("mode", ["A", "B shrunk"])
def test_with_scaling_boxes_shift_and_few_are_lost(measured, mode):
    for pair in pairs(measured, mode):
        boxes = pair["client_boxes"] + pair["deepstream_boxes"]
        assert pair["unpaired"] <= 0.1 * boxes
        assert pair["median_iou"] >= 0.95


@pytest.mark.parametrize(
    ("mode", "right", "bottom"), [("A", 1278, 720), ("B", 1279, 719), ("B shrunk", 1278, 718)]
)
def test_the_largest_coordinates_of_boxes_by_mode(mode, right, bottom):
    assert reach((1280, 720), MODES[mode]).tolist() == [right, bottom, right, bottom]
    assert reach((640, 360), MODES[mode]).tolist() == [value / 2 for value in (right, bottom) * 2]
