"""Selection of classes by their names, which may contain commas, colons and digits."""

from __future__ import annotations

import pytest
from yolostream.pipeline.filters import class_ids

LABELS = ("car", "light, red", "light", "red", "a,b,c", "7", "bus: school")


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        ("car", {0}),
        ("car,light, red", {0, 1}),
        ("light, red,car", {0, 1}),
        ("light , car", {0, 2}),
        ("red,light", {2, 3}),
        ("a,b,c,bus: school", {4, 6}),
        ("0, a,b,c ,red", {0, 3, 4}),
        ("7", {5}),
    ],
)
def test_a_name_with_commas_is_one_class(selection, ids):
    # Names with commas are common: ultralytics/yolov5#7049.
    assert class_ids(selection, LABELS) == ids


@pytest.mark.parametrize("selection", ["a,b", "", "car,", "light, green"])
def test_a_part_of_a_name_is_no_class(selection):
    with pytest.raises(ValueError, match="the model has no class"):
        class_ids(selection, LABELS)
