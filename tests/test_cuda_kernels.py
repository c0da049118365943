"""Compares the CUDA kernels, compiled for the CPU, with the CPU stages."""

from __future__ import annotations

import ctypes
from dataclasses import astuple

import numpy as np
import pytest
from cuda_on_cpu import address, compiled, needs_compiler
from stage_cases import (
    MAX_BATCH,
    MAX_DETECTIONS,
    SIDE,
    SUPPRESSION_CASES,
    assert_letterboxed,
    assert_suppressed,
    batches_of_mixed_frames,
    letterboxing,
    suppressing,
    thresholds,
)
from version_folder import part

pytestmark = needs_compiler

tables = part("preprocess", "frame_table")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    macros = {
        "MAX_BATCH": MAX_BATCH,
        "THREADS": 4,
        "CHUNK": 1024,
        "MAX_DETECTIONS": MAX_DETECTIONS,
    }
    return {
        name: compiled(name, model=model, folder=folder, **macros)
        for name, model in (("letterbox", "preprocess"), ("nms", "nms"))
    }


@pytest.mark.parametrize("frames", batches_of_mixed_frames())
def test_a_batch_of_mixed_sizes_is_letterboxed_as_by_the_cpu_stage(libraries, frames):
    images = np.full((len(frames), 3, SIDE, SIDE), np.nan, np.float32)
    letterboxes = np.full((len(frames), 6), np.nan, np.float32)
    table = tables.FrameTable(MAX_BATCH, (SIDE, SIDE))
    table.fill([frame.ctypes.data for frame in frames], [frame.shape[:2] for frame in frames])
    fill = ctypes.c_float(np.float32(letterboxing.FILL) / np.float32(255))
    libraries["letterbox"].run_letterbox(
        address(table.batch), len(frames), address(images), address(letterboxes), SIDE, SIDE, fill
    )
    assert_letterboxed(frames, images, letterboxes)


@pytest.mark.parametrize("class_agnostic", [False, True], ids=["of a class", "of any class"])
@pytest.mark.parametrize("case", SUPPRESSION_CASES.values(), ids=SUPPRESSION_CASES)
def test_rows_are_those_of_the_cpu_stage(libraries, case, class_agnostic):
    predictions, letterboxes = case()
    frames, rows = predictions.shape[:2]
    table = np.zeros((2, MAX_BATCH), np.uint64)
    table[0, :frames] = [prediction.ctypes.data for prediction in predictions]
    table[1, :frames] = [letterbox.ctypes.data for letterbox in letterboxes]
    limits = np.array(astuple(thresholds(class_agnostic=class_agnostic)), "f4,f4,i4,i4")
    keys, counts = np.zeros((frames, rows), np.uint64), np.zeros(MAX_BATCH, np.int32)
    shapes = (1,), (MAX_DETECTIONS, 4), (MAX_DETECTIONS,), (MAX_DETECTIONS,), (2,)
    found = [np.full((frames, *shape), np.nan, np.float32) for shape in shapes]
    libraries["nms"].run_nms(
        *(address(table), address(limits), frames, rows, address(keys), address(counts)),
        *map(address, found),
    )
    assert_suppressed(
        suppressing.Detections(*found), predictions, letterboxes, class_agnostic=class_agnostic
    )
    assert not counts.any(), "the counters are reset for the next batch"
