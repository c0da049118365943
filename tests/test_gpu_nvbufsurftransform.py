"""The emulation of DeepStream's scaler, compared with NVIDIA's library on a GPU."""

from __future__ import annotations

import pytest
from gpu import needs_gpu
from needs import skip_where

from tests.nvbufsurftransform.cases import CASES, FULL_FRAME
from tests.nvbufsurftransform.differences import Difference, shift
from tests.nvbufsurftransform.isolated import Crash, outcomes
from tests.nvbufsurftransform.library import INSTALL, missing
from tests.nvinferserver.errors import PipelineFailed
from tests.nvinferserver.scaling import SUPER

pytestmark = [
    needs_gpu,
    skip_where(missing() and f"{missing()} ({INSTALL})", variable="REQUIRE_DEEPSTREAM"),
]

ENDS = [case for case in CASES if case.number == SUPER and case.mode == FULL_FRAME]
ANSWERS = [case for case in CASES if case not in ENDS]
SHIFT = 0.01
"""Pixels of the tensor, of phase correlation."""


@pytest.fixture(scope="module")
def real():
    return dict(zip(CASES, outcomes([case.request()] for case in CASES), strict=True))


@pytest.mark.parametrize("case", ANSWERS, ids=str)
def test_the_emulation_agrees_with_the_library(case, real):
    outcome = real[case]
    assert not isinstance(outcome, Crash), outcome
    (image,), replayed = outcome, case.replayed()
    off = Difference.of(image, replayed)
    assert off.is_rounding(case.number), off
    assert max(map(abs, shift(image, replayed))) <= SHIFT


@pytest.mark.parametrize("case", ENDS, ids=str)
def test_the_super_filter_fails_without_downscaling(case, real):
    # With NPP 13.2.0.93, the call returns an error. In DeepStream, the process ended.
    assert isinstance(real[case], Crash)
    with pytest.raises(PipelineFailed):
        case.replayed()
