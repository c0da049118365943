"""Everything that can go wrong with the load tests, as one tree.

YolostreamError
 +-- LoadTestError
      +-- PerfAnalyzerError   perf_analyzer cannot be had, does not start, or fails
      +-- ResultError         a file of figures is missing, or is not what it should be
      +-- GpuError            there is no GPU, or a part that measuring one needs

Each message names the value that was wrong and the fix. Each class carries the exit code of the
script that ends with it; the codes go on where those of `tools.errors` end.
"""

from __future__ import annotations

from yolostream.errors import YolostreamError


class LoadTestError(YolostreamError):
    """Base of every error that a load test raises on purpose."""


class PerfAnalyzerError(LoadTestError):
    """perf_analyzer cannot be had, does not start, or fails."""

    exit_code = 20


class ResultError(LoadTestError):
    """A file of figures is missing, or is not what it should be."""

    exit_code = 21


class GpuError(LoadTestError):
    """There is no GPU, or a part that measuring one needs."""

    exit_code = 23
