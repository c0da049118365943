from __future__ import annotations

import pytest
from version_folder import part

launches = part("yolov7_fp16", "launches").launches


@pytest.mark.parametrize("largest", [1, 8, 16])
@pytest.mark.parametrize("images", range(1, 17))
def test_all_images_are_launched_once_with_little_padding(images, largest):
    sizes = [size for size in (1, 2, 4, 8, 16) if size <= largest]
    split = list(launches(images, sizes))
    covered = [image for start, size in split for image in range(start, min(start + size, images))]
    assert covered == list(range(images))
    # Each launch writes its outputs from the first row on, so earlier launches must be larger.
    assert [size for _, size in split] == sorted((size for _, size in split), reverse=True)
    assert sum(size for _, size in split) <= 4 / 3 * images


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (9, [(0, 8), (8, 1)]),
        (11, [(0, 8), (8, 4)]),
        (12, [(0, 16)]),
        (16, [(0, 16)]),
        (7, [(0, 8)]),
        (5, [(0, 4), (4, 1)]),
    ],
)
def test_one_nearly_full_launch_is_preferred_to_two(images, expected):
    assert list(launches(images, (1, 2, 4, 8, 16))) == expected
