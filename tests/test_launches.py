from __future__ import annotations

import pytest
from version_folder import part

launches = part("yolov7_fp16", "launches").launches


@pytest.mark.parametrize("images", range(1, 20))
def test_all_images_are_launched_once_and_little_is_computed_for_nothing(images):
    sizes = (1, 2, 4, 8)
    split = list(launches(images, sizes))
    assert [start for start, _ in split] == list(range(0, images, 8))
    for start, size in split:
        left = min(8, images - start)
        assert size in sizes
        assert left <= size < 2 * left
