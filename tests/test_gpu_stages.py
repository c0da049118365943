"""Compares the stages on a GPU with those on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from gpu import needs_gpu
from stage_cases import (
    MAX_BATCH,
    SIDE,
    SUPPRESSION_CASES,
    assert_letterboxed,
    assert_suppressed,
    batches_of_mixed_frames,
    thresholds,
)
from version_folder import part

pytestmark = needs_gpu


@pytest.fixture(scope="module")
def cuda_letterbox():
    letterbox = part("preprocess", "letterbox_cuda").CudaLetterbox
    return letterbox((3, SIDE, SIDE), max_batch=MAX_BATCH)


def cuda_nms(**options):
    return part("nms", "nms_cuda").CudaNms(thresholds(**options), max_batch=MAX_BATCH)


@pytest.mark.parametrize("where", ["host", "device", "both"])
@pytest.mark.parametrize("frames", batches_of_mixed_frames())
def test_a_batch_of_mixed_sizes_is_letterboxed_as_by_the_cpu_stage(cuda_letterbox, frames, where):
    import cupy

    on_device = {"host": 0, "device": 1, "both": 2}[where]
    sent = [
        cupy.asarray(frame[np.newaxis])
        if on_device and index % on_device == 0
        else frame[np.newaxis]
        for index, frame in enumerate(frames)
    ]
    images, letterboxes = cuda_letterbox(sent)
    assert_letterboxed(frames, images.get(), letterboxes.get())


@pytest.mark.parametrize("class_agnostic", [False, True], ids=["of a class", "of any class"])
@pytest.mark.parametrize("case", SUPPRESSION_CASES.values(), ids=SUPPRESSION_CASES)
def test_rows_are_those_of_the_cpu_stage(case, class_agnostic):
    import cupy

    predictions, letterboxes = case()
    # Two requests with different numbers of images, in separate memory.
    lengths = [1, len(predictions) - 1] if len(predictions) > 1 else [1]
    ends = np.cumsum(lengths)[:-1]
    found = cuda_nms(class_agnostic=class_agnostic)(
        [cupy.asarray(part) for part in np.split(predictions, ends)],
        [cupy.asarray(part) for part in np.split(letterboxes, ends)],
    )
    cupy.cuda.get_current_stream().synchronize()
    assert_suppressed(found, predictions, letterboxes, class_agnostic=class_agnostic)


def test_a_full_batch_has_the_same_results_twice():
    import cupy

    predictions, letterboxes = SUPPRESSION_CASES["700 candidates"]()
    wanted = np.arange(MAX_BATCH) % len(predictions)
    stage = cuda_nms()
    for _ in range(2):
        found = stage([cupy.asarray(predictions[wanted])], [cupy.asarray(letterboxes[wanted])])
        cupy.cuda.get_current_stream().synchronize()
        assert_suppressed(found, predictions[wanted], letterboxes[wanted])
