"""The picture that is shown while a camera is away."""

from __future__ import annotations

import numpy as np
import pytest
from clips import gray
from yolostream.outputs.placeholder import DIMMED, picture

AWAY = "away since 02:45:10 UTC"


def written(image: np.ndarray) -> np.ndarray:
    """Rows and columns of the text, which is brighter than the dimmed frame."""
    return np.argwhere(image.max(axis=2) > 160)


@pytest.mark.parametrize("size", [(360, 640), (1080, 1920), (640, 360), (48, 64), (120, 1600)])
def test_the_text_is_centered_on_the_dimmed_frame(size):
    height, width = size
    last = gray(200, width=width, height=height)
    image = picture(last, "street", AWAY)
    assert (image.shape, image.dtype) == (last.shape, np.uint8)
    assert np.median(image) == pytest.approx(200 * DIMMED, abs=1)
    assert (last == 200).all()
    rows, columns = written(image).T
    assert 0 < rows.min() < rows.max() < height - 1
    assert 0 < columns.min() < columns.max() < width - 1
    assert abs(columns.min() + columns.max() - width) < 0.1 * width


def test_without_a_frame_the_background_is_black():
    image = picture((360, 640), "street", AWAY)
    assert image.shape == (360, 640, 3)
    assert np.median(image) == 0
    assert len(written(image)) > 500


def test_earlier_boxes_are_not_legible():
    last = gray(100, width=640, height=360)
    last[50:300, 50:52] = last[50:52, 50:400] = 255
    image = picture(last, "", "")
    assert image.max() < 60


@pytest.mark.parametrize("name", ["Hof Süd", "入口", "s" * 200, "", " "])
def test_any_name_fits_into_the_picture(name):
    image = picture((360, 640), name, AWAY)
    columns = written(image)[:, 1]
    assert 0 < columns.min() < columns.max() < 639


def test_different_names_and_reasons_give_different_pictures():
    one, another = (picture((360, 640), name, AWAY) for name in ("street", "yard"))
    assert (one != another).any()
    assert (picture((360, 640), "street", AWAY + "\nrefused") != one).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (15, 640), (640, 15)])
def test_the_smallest_pictures_are_supported(size):
    assert picture((*size,), "street", AWAY).shape == (*size, 3)
    assert picture(gray(9, width=size[1], height=size[0]), "street", AWAY).shape == (*size, 3)
