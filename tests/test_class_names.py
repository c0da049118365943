"""Classes that are asked for by their names, whatever is in those."""

from __future__ import annotations

import pytest
from yolostream.pipeline.filters import class_ids

LABELS = ("car", "light, red", "light", "red", "a,b,c", "7", "bus: school")


@pytest.mark.parametrize(
    ("asked", "ids"),
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
def test_a_name_with_commas_is_one_name(asked, ids):
    # ultralytics/yolov5#7049: names with commas are usual.
    assert class_ids(asked, LABELS) == ids


@pytest.mark.parametrize("asked", ["a,b", "", "car,", "light, green"])
def test_a_part_of_a_name_is_none(asked):
    with pytest.raises(ValueError, match="the model has no class"):
        class_ids(asked, LABELS)
