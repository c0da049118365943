"""The report of a run as JSON."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from yolostream.cli.report import Report, per_request
from yolostream.client.statistics import StepTotals
from yolostream.errors import OutputError, YolostreamError
from yolostream.pipeline.status import Status
from yolostream.pipeline.timing import STAGES, Durations
from yolostream.replacing import refuse_special_file


def as_dict(report: Report) -> dict[str, Any]:
    """A report as a JSON object; see docs/outputs.md."""
    return {
        "interrupted": report.interrupted,
        "errors": report.messages,
        "workers": report.workers,
        "frames": report.frames,
        "elapsed_s": _rounded(report.elapsed_s),
        "frames_per_s": _rounded(report.frames_per_second),
        "age_ms": _percentiles(report.ages),
        "sources": [_source(status) for status in report.statuses],
        "stages_ms": {
            stage: _rounded(duration)
            for stage, duration in report.milliseconds()
            if stage in STAGES
        },
        "server_steps": {step: _step(totals) for step, totals in report.steps.items()},
    }


def write(report: Report, path: Path, *, earlier_errors: Sequence[YolostreamError] = ()) -> None:
    """Write a report to a file.

    Args:
        report: the report of a run.
        path: the file to write; its folder is created.
        earlier_errors: errors from before the run, which are put in front of `errors`.

    Raises:
        OutputError: it cannot be written.
    """
    content = as_dict(report)
    content["errors"] = [*map(str, earlier_errors), *content["errors"]]
    try:
        refuse_special_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written beside it and renamed: a full disk then leaves the old file as it was.
        unfinished = path.with_name(f".{path.name}.unfinished")
        with contextlib.ExitStack() as stack:
            stack.callback(unfinished.unlink, missing_ok=True)
            unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            unfinished.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {path} ({error.strerror}): choose another file with --summary"
        ) from error


def _source(status: Status) -> dict[str, Any]:
    """The figures of one source as a JSON object."""
    return {
        "name": status.name,
        "state": status.state,
        "frames": status.frames_done,
        "frames_expected": status.frames_expected,
        "elapsed_s": _rounded(status.elapsed_s),
        "frames_per_s": _rounded(status.frames_per_second),
        "objects": status.objects,
        "tracks": status.tracks,
        "dropped": dict(status.dropped),
        "lost": dict(status.lost),
        "reconnects": status.reconnects,
        "stalls": status.stalls,
        "abandoned_readers": status.abandoned_readers,
        "request_ms": _percentiles(status.timer["request"]),
        "age_ms": _percentiles(status.ages),
    }


def _step(totals: StepTotals) -> dict[str, float]:
    """The figures of one step of the ensemble as a JSON object."""
    return {
        "requests": totals.requests,
        "queue_ms": _rounded(1000 * per_request(totals, totals.queue_s)),
        "compute_ms": _rounded(1000 * per_request(totals, totals.compute_s)),
    }


def _percentiles(durations: Durations) -> dict[str, float | None]:
    """Percentiles in milliseconds; None without durations, because JSON has no NaN."""
    seconds = {f"p{percent}": durations.percentile_s(percent) for percent in (50, 99)}
    return {
        name: None if math.isnan(value) else _rounded(1000 * value)
        for name, value in seconds.items()
    }


def _rounded(value: float) -> float:
    return round(value, 3)
