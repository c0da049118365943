"""One run of `detect` in a process of its own, and what it cost."""

from __future__ import annotations

import contextlib
import json
import math
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from yolostream import Detector
from yolostream.sources import Reading, find_sources

from loadtest.clips import Material
from loadtest.endtoend.plan import WARM_UP_S, Scenario
from loadtest.endtoend.watching import Watched, steady, watched
from loadtest.errors import LoadTestError
from loadtest.processes import last_words, spending, started
from loadtest.repository import ENSEMBLE

WANTED = 20
"""Objects of a frame on average, as in a street."""

_START_S = 90.0
"""Seconds that a run may take in addition to ten times its length."""
_CONFIDENCE_FRAMES, _CONFIDENCE_EVERY = 16, 15


@dataclass(frozen=True)
class Client:
    """How `detect` is run."""

    url: str
    """gRPC address of the server."""
    server_pids: Sequence[int]
    answered: Callable[[], int]
    """Returns the number of frames that the server has answered so far."""
    material: Material
    """The videos."""
    confidence: float
    """Weaker objects are left out, except in `all_objects`."""
    seconds: float
    """The approximate length of a run."""
    raw: Path
    """Folder for summaries and logs."""

    def measure(self, scenario: Scenario, *, suffix: str = "") -> dict[str, Any]:
        """Run a scenario; `suffix` is that of its folder's name.

        Returns:
            The scenario, and what `figures_of` returns, or `error`, why it failed.
        """
        folder = self.raw / f"{scenario.name}{suffix}"
        folder.mkdir(parents=True)
        before, client_before_s = self.answered(), _children_cpu_s()
        try:
            with spending(self.server_pids) as server_s:
                seen = self._run(scenario, folder)
        except LoadTestError as error:
            return {**asdict(scenario), "error": str(error)}
        finally:
            # They are gigabytes in a whole benchmark.
            shutil.rmtree(folder / "results", ignore_errors=True)
        answered, client_s = self.answered() - before, _children_cpu_s() - client_before_s
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return {**asdict(scenario), **figures_of(summary, seen, answered, client_s, server_s)}

    def _run(self, scenario: Scenario, folder: Path) -> Watched:
        log = folder / "detect.log"
        command = [sys.executable, "-m", "yolostream", *self._arguments(scenario, folder)]
        with log.open("w") as file, started(command, file) as process:
            try:
                with watched(process.pid, self.answered) as seen:
                    code = process.wait(_START_S + 10 * self.seconds)
            except subprocess.TimeoutExpired:
                raise LoadTestError("no end: stopped") from None
        if code != 0:
            words = last_words(log.read_text(errors="replace"))
            raise LoadTestError(f"detect ended with {code}: {words}")
        return seen

    def _arguments(self, scenario: Scenario, folder: Path) -> list[str]:
        confidence = 0.0 if scenario.kind == "all_objects" else self.confidence
        return [
            *["detect", *map(str, self.material.of(scenario.sources))],
            *["--url", self.url, "--model", ENSEMBLE, "--output", str(folder / "results")],
            *["--save", "mp4" if scenario.kind == "annotated" else "jsonl"],
            *["--summary", str(folder / "summary.json"), "--confidence", f"{confidence:.4f}"],
            *["--decoder", scenario.decoder, "--limit", str(scenario.frames_each)],
            *(["--workers", str(scenario.workers)] if scenario.workers else []),
            *(["--realtime", "--warm-up", str(WARM_UP_S)] if scenario.kind == "cameras" else []),
        ]


def figures_of(
    summary: dict[str, Any],
    seen: Watched,
    answered: int,
    client_s: float,
    server_s: dict[str, float],
) -> dict[str, Any]:
    """The figures of a run.

    Args:
        summary: As `detect --summary` writes it.
        seen: What was seen while it ran.
        answered: Frames that the server answered, with those of the warm-up.
        client_s: Processor time of the client, with its start.
        server_s: Processor time of the server, by model and program.

    Returns:
        `frames`; `frames_per_s`, in the middle of the run if it was long enough;
        `whole_frames_per_s`, with start and end; `objects_per_frame`; `worker_count`; `dropped` and
        `lost` frames; `age_ms`, `p50` and `p99` of all frames and `worst_p99`, of one source;
        `request_ms`, the median of the sources' `p50`, and the worst `p99`; `client_cpu_ms` of a
        frame in the middle of the run; `server_cpu_ms` of a frame; and `memory_mb`, the maximum.
    """
    sources, each = summary["sources"], 1000 / max(1, answered)
    rate, client_ms = steady(seen.moments) or (summary["frames_per_s"], client_s * each)
    return {
        "frames": summary["frames"],
        "frames_per_s": round(rate, 2),
        "whole_frames_per_s": round(summary["frames_per_s"], 2),
        "objects_per_frame": round(
            sum(one["objects"] for one in sources) / max(1, summary["frames"]), 1
        ),
        "worker_count": summary["workers"],
        "dropped": sum(sum(one["dropped"].values()) for one in sources),
        "lost": sum(sum(one["lost"].values()) for one in sources),
        "age_ms": {
            **summary["age_ms"],
            "worst_p99": _percentiles([one["age_ms"] for one in sources])["p99"],
        },
        "request_ms": _percentiles([one["request_ms"] for one in sources]),
        "client_cpu_ms": round(client_ms, 3),
        "server_cpu_ms": {name: round(spent * each, 3) for name, spent in server_s.items()},
        "memory_mb": round(max(seen.memory_mb, default=0.0), 1),
    }


def _percentiles(sources: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    medians = [one["p50"] for one in sources if one["p50"] is not None]
    worst = [one["p99"] for one in sources if one["p99"] is not None]
    if not medians or not worst:
        return {"p50": None, "p99": None}
    return {"p50": round(statistics.median(medians), 2), "p99": round(max(worst), 2)}


def _children_cpu_s() -> float:
    """Processor time of all children that have ended, and of theirs, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def usual_confidence(url: str, material: Material) -> dict[str, Any]:
    """Find the confidence that leaves `WANTED` objects a frame, with a few frames of each clip.

    Returns:
        `confidence`, 0..1; `wanted`; and `all`, objects of a frame without a confidence.
    """
    scores: list[list[float]] = []
    sources, _ = find_sources([str(path) for path in material.paths], decoder="cpu")
    with Detector(url, ENSEMBLE, max_in_flight=1) as detector:
        for source in sources:
            with contextlib.closing(source.open(Reading(stride=_CONFIDENCE_EVERY))) as session:
                scores += [
                    detector.detect(frame.image).scores.tolist()
                    for frame in islice(session, _CONFIDENCE_FRAMES)
                ]
    return {
        "confidence": threshold(scores, wanted=WANTED),
        "wanted": WANTED,
        "all": round(float(np.mean([len(frame) for frame in scores])), 1),
    }


def threshold(scores: Sequence[Sequence[float]], *, wanted: int) -> float:
    """The confidence that leaves `wanted` objects a frame on average; 0 if there are not so many.

    Args:
        scores: Of the objects of each frame, 0..1.
        wanted: Objects of a frame.
    """
    best_first = sorted((score for frame in scores for score in frame), reverse=True)
    kept = wanted * len(scores)
    if len(best_first) <= kept:
        return 0.0
    return math.floor(1e4 * best_first[kept - 1]) / 1e4
