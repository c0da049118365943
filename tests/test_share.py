"""The frames in flight of all processes together fit into the queue of a server."""

from __future__ import annotations

import pytest
from yolostream.pipeline.share import (
    MAX_BATCH,
    MAX_IN_FLIGHT_ON_GPU,
    REQUESTS_IN_FLIGHT,
    batch_size,
)


@pytest.mark.parametrize("workers", range(1, MAX_IN_FLIGHT_ON_GPU // REQUESTS_IN_FLIGHT + 1))
def test_the_queue_on_a_gpu_has_room_for_the_frames_of_all_workers(workers):
    size = batch_size(MAX_IN_FLIGHT_ON_GPU, workers, wanted=MAX_BATCH, most=16)
    assert size >= 1
    assert size * REQUESTS_IN_FLIGHT * workers <= MAX_IN_FLIGHT_ON_GPU


def test_requests_have_the_wanted_size_if_there_is_room():
    assert batch_size(80, 2, wanted=8, most=16) == 8
    assert batch_size(80, 2, wanted=8, most=4) == 4
    assert batch_size(80, 8, wanted=1, most=16) == 1
    assert batch_size(80, 1000, wanted=8, most=16) == 1
