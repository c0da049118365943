"""What perf_analyzer wrote about one measurement."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

REPORT = "report.csv"

_LATENCIES = {
    "mean": "Avg latency",
    "p50": "p50 latency",
    "p90": "p90 latency",
    "p95": "p95 latency",
    "p99": "p99 latency",
}
_SERVER = {
    "queue": "Server Queue",
    "compute_input": "Server Compute Input",
    "compute_infer": "Server Compute Infer",
    "compute_output": "Server Compute Output",
}


def read_report(folder: Path) -> dict[str, Any]:
    """Read the report of a measurement of one concurrency.

    Returns:
        `frames_per_s`; `latency_ms` of a request as the client saw it (`mean`, `p50`, `p90`,
        `p95`, `p99`); `server_ms`, means of what the server did meanwhile (`queue`,
        `compute_input`, `compute_infer`, `compute_output`); `stages`, the same by step of an
        ensemble, empty for other models.
    """
    row = _only_row(folder / REPORT)
    # perf_analyzer puts the name of the step before that of the file.
    stages = {
        path.name.rpartition("_v")[0]: _milliseconds(_only_row(path), _SERVER)
        for path in sorted(folder.glob(f"*_v*.{REPORT}"))
    }
    return {
        "frames_per_s": float(row["Inferences/Second"]),
        "latency_ms": _milliseconds(row, _LATENCIES),
        "server_ms": _milliseconds(row, _SERVER),
        "stages": stages,
    }


def reason(log: str) -> str:
    """What perf_analyzer said about an end that was not a good one, in its own words."""
    said = [line.strip() for line in log.splitlines()]
    told = [line for line in said if line.startswith(("error:", "Failed", "No valid", "Thread"))]
    return " ".join(told or [line for line in said if line][-1:]) or "it said nothing"


def _only_row(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    return row


def _milliseconds(row: dict[str, str], columns: dict[str, str]) -> dict[str, float]:
    return {name: float(row[column]) / 1000 for name, column in columns.items()}
