"""The replay of DeepStream's scaler, held to NVIDIA's own on a GPU."""

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
def test_the_replay_gives_what_the_library_gives(case, real):
    outcome = real[case]
    assert not isinstance(outcome, Crash), outcome
    (image,), replayed = outcome, case.replayed()
    off = Difference.of(image, replayed)
    assert off.is_rounding(case.number), off
    assert max(map(abs, shift(image, replayed))) <= SHIFT


@pytest.mark.parametrize("case", ENDS, ids=str)
def test_super_gives_nothing_where_nothing_shrinks(case, real):
    # Of the call an error, with NPP 13.2.0.93; in DeepStream the end of the process was seen.
    assert isinstance(real[case], Crash)
    with pytest.raises(PipelineFailed):
        case.replayed()
