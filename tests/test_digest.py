"""Digests, by which frames are told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest
from yolostream.client.digest import MAX_SAMPLES, digests, samples, stride

SIZES = [(360, 640), (640, 640), (640, 360), (1080, 1920), (8192, 8192), (8192, 3), (1, 1), (7, 5)]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def number(frame: np.ndarray) -> int:
    ((low, high),) = digests([frame]).astype(int)
    assert 0 <= min(low, high) <= max(low, high) <= 0xFFFF
    return low | high << 16


@pytest.mark.parametrize("size", SIZES)
def test_the_samples_are_spread_over_rows_columns_and_channels(size):
    height, width = size
    assert math.gcd(stride(height, width), 3 * width) == 1
    positions = np.arange(height * width * 3, dtype=np.uint32)[:: stride(height, width)]
    assert len(positions) == len(samples(np.zeros((*size, 3), np.uint8))) <= MAX_SAMPLES
    assert len(positions) >= min(height * width * 3, MAX_SAMPLES // 2)
    assert len(np.unique(positions % 3)) == 3
    assert len(np.unique(positions // (3 * width))) >= min(height, 100)
    assert len(np.unique(positions % (3 * width))) >= min(3 * width, 100)


@pytest.mark.parametrize("size", SIZES)
def test_a_change_of_any_sample_changes_the_digest(size):
    frame = noise(*size)
    before = number(frame)
    chance = np.random.default_rng(1)
    for index in chance.choice(len(samples(frame)), 20):
        changed = frame.copy()
        samples(changed)[index] ^= np.uint8(chance.integers(1, 256))
        assert number(changed) != before


def test_an_object_that_moves_by_a_pixel_changes_the_digest():
    found = set()
    for top in range(100, 140):
        for left in range(200, 240):
            frame = np.full((360, 640, 3), 114, np.uint8)
            frame[top : top + 24, left : left + 24] = 200
            found.add(number(frame))
    assert len(found) == 40 * 40


def test_thousands_of_frames_have_different_digests():
    assert len({number(noise(36, 64, seed)) for seed in range(3000)}) == 3000


def test_a_digest_does_not_depend_on_the_position_in_the_batch():
    batch = noise(99, 7)[np.newaxis].repeat(3, axis=0)
    batch[1] += np.uint8(1)
    first, second, third = digests(batch)
    assert (first == third).all()
    assert (first != second).any()
    assert (digests([batch[1].copy()])[0] == second).all()
