"""The replay of DeepStream's scaler, held to NVIDIA's own on a GPU."""

from __future__ import annotations

import os

import pytest
from gpu import needs_gpu

from tests.nvbufsurftransform.cases import CASES, FULL_FRAME
from tests.nvbufsurftransform.differences import Difference
from tests.nvbufsurftransform.isolated import Crash, outcomes
from tests.nvbufsurftransform.library import INSTALL, missing
from tests.nvinferserver.errors import PipelineFailed
from tests.nvinferserver.scaling import (
    BILINEAR,
    CUBIC,
    LANCZOS,
    NEAREST,
    NPP_NEAREST,
    SUPER,
)

_MISSING = missing()
if os.environ.get("REQUIRE_DEEPSTREAM") == "1" and _MISSING:
    raise ImportError(f"REQUIRE_DEEPSTREAM=1, but {_MISSING} is not installed: {INSTALL}")
pytestmark = [
    needs_gpu,
    pytest.mark.skipif(
        bool(_MISSING),
        reason=f"needs {_MISSING} ({INSTALL}); REQUIRE_DEEPSTREAM=1 makes this a failure",
    ),
]

ENDS = [case for case in CASES if case.number == SUPER and case.mode == FULL_FRAME]
ANSWERS = [case for case in CASES if case not in ENDS]
EXACT = [case for case in ANSWERS if case.number in (NEAREST, BILINEAR)]
UNCHANGED = [
    case
    for case in ANSWERS
    if case.number in (CUBIC, LANCZOS, NPP_NEAREST) and case.mode == FULL_FRAME
]
WHOLE_LEVELS, OTHER_LEVELS = 1, 3
"""Most by which known filters may be off, for whole scales and for others."""
MEAN_LEVELS = 0.05
SHIFT = 0.1
"""Pixels of the tensor."""


@pytest.fixture(scope="module")
def real():
    return dict(zip(CASES, outcomes([case.request()] for case in CASES), strict=True))


@pytest.fixture
def difference(real):
    def between(case):
        outcome = real[case]
        assert not isinstance(outcome, Crash), outcome
        return Difference.of(outcome[0], case.replayed())

    return between


@pytest.mark.parametrize("case", EXACT, ids=str)
def test_a_known_filter_is_replayed_level_for_level(case, difference):
    whole = all(scale == round(scale) for scale in case.scales)
    off = difference(case)
    assert max(off.largest) <= (WHOLE_LEVELS if whole else OTHER_LEVELS)
    assert max(off.mean) <= MEAN_LEVELS


@pytest.mark.parametrize("case", UNCHANGED, ids=str)
def test_a_frame_of_the_tensor_s_size_is_replayed_level_for_level(case, difference):
    assert max(difference(case).largest) <= WHOLE_LEVELS


@pytest.mark.parametrize("case", ANSWERS, ids=str)
def test_the_replay_puts_a_picture_where_the_library_does(case, difference):
    assert max(map(abs, difference(case).shift)) <= SHIFT


@pytest.mark.parametrize("case", ENDS, ids=str)
def test_super_ends_the_process_where_nothing_shrinks(case, real):
    assert isinstance(real[case], Crash)
    with pytest.raises(PipelineFailed):
        case.replayed()
