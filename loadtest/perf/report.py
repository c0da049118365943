"""What perf_analyzer wrote about one measurement."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

REPORT = "report.csv"

_LATENCIES = {
    "mean": "Avg latency",
    "p50": "p50 latency",
    "p99": "p99 latency",
}
_SERVER = {
    "queue": "Server Queue",
    "compute_input": "Server Compute Input",
    "compute_infer": "Server Compute Infer",
    "compute_output": "Server Compute Output",
}


def read_report(folder: Path) -> dict[str, Any]:
    """Read the report of a measurement.

    Returns:
        `frames_per_s`; `latency_ms` of a request as the client saw it (`mean`, `p50`, `p99`); and
        `stages`, for each step of an ensemble the means of `queue`, `compute_input`,
        `compute_infer` and `compute_output`.
    """
    row = _only_row(folder / REPORT)
    # perf_analyzer writes a file for each step, whose name begins with that of the step.
    stages = {
        path.name.rpartition("_v")[0]: _milliseconds(_only_row(path), _SERVER)
        for path in sorted(folder.glob(f"*_v*.{REPORT}"))
    }
    return {
        "frames_per_s": float(row["Inferences/Second"]),
        "latency_ms": _milliseconds(row, _LATENCIES),
        "stages": stages,
    }


def line(measured: dict[str, Any]) -> str:
    """The result of a measurement for people."""
    if "frames_per_s" not in measured:
        return str(measured["words"])
    latency = measured["latency_ms"]
    return (
        f"{measured['frames_per_s']:.1f} frames/s, p50 {latency['p50']:.2f} ms, "
        f"p99 {latency['p99']:.2f} ms{', unstable' if 'words' in measured else ''}"
    )


def _only_row(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


def _milliseconds(row: dict[str, str], columns: dict[str, str]) -> dict[str, float]:
    return {name: float(row[column]) / 1000 for name, column in columns.items()}
