"""The errors of the benchmarks; their exit codes follow those of `tools.errors`."""

from __future__ import annotations

from yolostream.errors import YolostreamError


class LoadTestError(YolostreamError):
    """Base of every error that a benchmark raises on purpose."""


class PerfAnalyzerError(LoadTestError):
    """perf_analyzer cannot be installed, or does not start."""

    exit_code = 20


class ResultError(LoadTestError):
    """A file of figures is missing, cannot be written, or is something else."""

    exit_code = 21


class GpuError(LoadTestError):
    """There is no GPU, or something is missing that a measurement on one needs."""

    exit_code = 23
