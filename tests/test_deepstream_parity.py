"""DeepStream, replayed, sees what the Python client sees; and the page says what was measured."""

from __future__ import annotations

import json

import numpy as np
import pytest
from letterbox import FILL

from tests.deepstream_parity.front_ends import GRAY, MODES, reach
from tests.deepstream_parity.material import clips
from tests.deepstream_parity.measure import MODEL, measure
from tests.deepstream_parity.table import (
    AGREEING_BAR,
    AP_BAR,
    PAGE,
    RESULTS,
    accuracy_difference,
    meets_bars,
    parity_table,
    with_parity,
)
from tools.served_onnx import read_served_onnx

FIGURES = json.loads(RESULTS.read_text())
AS_THE_CLIENT = [mode for mode in MODES if mode != "A"]
"""Gray around the picture, as in training; DeepStream itself can only pad with black."""


@pytest.fixture(scope="module")
def measured(triton):
    return measure(triton.url, clips(every=75))


def pairs(part, mode):
    return [pair for pair in part["pairs"] if pair["mode"] == mode]


def test_the_page_quotes_the_measured_figures():
    page = PAGE.read_text()
    assert with_parity(page, parity_table(FIGURES)) == page


def test_the_figures_are_those_of_the_model_that_is_served():
    assert read_served_onnx(MODEL).sha256 == FIGURES["model_sha256"], (
        f"measure again: {FIGURES['command']}"
    )


def test_the_gray_of_the_control_is_that_of_the_ensemble():
    assert GRAY == FILL


@pytest.mark.parametrize("mode", AS_THE_CLIENT)
def test_with_gray_around_the_picture_deepstream_met_the_bars(mode):
    assert meets_bars(FIGURES, mode)


def test_black_around_the_picture_cost_two_hundredths_of_ap_and_one_of_ap50_at_most():
    for part in FIGURES["material"].values():
        black, client = part["accuracy"]["A"], part["accuracy"]["shrunk"]
        assert abs(black["AP"] - client["AP"]) <= 2 * AP_BAR
        assert abs(black["AP50"] - client["AP50"]) <= AP_BAR


@pytest.mark.parametrize("mode", AS_THE_CLIENT)
def test_deepstream_sees_what_the_client_sees(measured, mode):
    for pair in pairs(measured, mode):
        assert pair["client_boxes"] > 50, "too little to see"
        assert pair["agreeing"] >= AGREEING_BAR
        assert accuracy_difference(measured, mode, pair["client"]) <= AP_BAR


def test_black_around_the_picture_moves_boxes_and_loses_few(measured):
    (recorded,) = {pair["agreeing"] for pair in pairs(FIGURES["material"]["demo clips"], "A")}
    for pair in pairs(measured, "A"):
        boxes = pair["client_boxes"] + pair["deepstream_boxes"]
        assert pair["unpaired"] <= 0.1 * boxes
        assert pair["median_iou"] >= 0.95
        assert pair["agreeing"] == pytest.approx(recorded, abs=0.1)


@pytest.mark.parametrize(
    ("mode", "right", "bottom"), [("A", 1278, 720), ("B", 1279, 719), ("B shrunk", 1278, 718)]
)
def test_where_boxes_end(mode, right, bottom):
    full, half = np.zeros((720, 1280, 3), np.uint8), np.zeros((360, 640, 3), np.uint8)
    assert reach(full, MODES[mode]).tolist() == [right, bottom, right, bottom]
    assert reach(half, MODES[mode]).tolist() == [value / 2 for value in (right, bottom) * 2]
