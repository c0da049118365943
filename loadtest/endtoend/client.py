"""One run of `detect` in a process of its own, and what it cost."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loadtest.endtoend.material import Material
from loadtest.endtoend.plan import WARM_UP_S, Scenario
from loadtest.endtoend.usage import Watched, children_cpu_s, server_cpu_s, watched
from loadtest.errors import LoadTestError
from loadtest.gpu.model_folders import ENSEMBLE
from loadtest.program import started

_START_S = 90.0
"""That a run may take besides ten times its length."""


@dataclass(frozen=True)
class Client:
    """How `detect` is run.

    Attributes:
        url: gRPC address of the server.
        server_pids: Its processes.
        answered: Frames that it has answered so far.
        material: What is read.
        confidence: Weaker objects are left out; those of `all_objects` are not.
        seconds: About as long as a run takes.
        raw: Folder for summaries and logs.
    """

    url: str
    server_pids: Sequence[int]
    answered: Callable[[], int]
    material: Material
    confidence: float
    seconds: float
    raw: Path

    def measure(self, scenario: Scenario, *, suffix: str = "") -> dict[str, Any]:
        """Run a scenario.

        Args:
            scenario: What.
            suffix: Of its folder's name, where one is run again.

        Returns:
            The scenario, and `figures_of` its run; or `error`, why there are none.
        """
        folder = self.raw / f"{scenario.name}{suffix}"
        folder.mkdir(parents=True)
        before, before_s = self.answered(), children_cpu_s()
        server_before_s = server_cpu_s(self.server_pids)
        try:
            seen = self._run(scenario, folder)
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        except LoadTestError as error:
            return {**asdict(scenario), "error": str(error)}
        finally:
            # Gigabytes, of a whole benchmark.
            shutil.rmtree(folder / "results", ignore_errors=True)
        answered, client_s = self.answered() - before, children_cpu_s() - before_s
        server_s = {
            name: now_s - server_before_s.get(name, 0.0)
            for name, now_s in server_cpu_s(self.server_pids).items()
        }
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
            raise LoadTestError(f"detect ended with {code}: {_reason(log)}")
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
    """What a run comes to.

    Args:
        summary: As `detect --summary` writes it.
        seen: What was seen of it.
        answered: Frames that the server has answered, of its warm-up too.
        client_s: Processor time of the client, its start included.
        server_s: The same of the server, by model and program.

    Returns:
        `frames`; `frames_per_s`, in the middle of the run if it was long enough;
        `whole_frames_per_s`, from the start to the last closed file; `objects_per_frame`;
        `worker_count`; `dropped` and `lost`, frames; `age_ms`, `p50` and `p99` of all frames and
        `worst_p99`, of one source; `request_ms`, `p50` of the usual source and `p99` of the worst;
        `client_cpu_ms`, a frame in the middle of the run, and
        `whole_client_cpu_ms`, start included; `server_cpu_ms`, a frame; and `memory_mb`, the most.
    """
    sources, frames = summary["sources"], max(1, summary["frames"])
    steady, steady_client_ms = seen.steady_frames_per_s, seen.steady_client_ms
    whole_client_ms = 1000 * client_s / max(1, answered)
    return {
        "frames": summary["frames"],
        "frames_per_s": round(steady or summary["frames_per_s"], 2),
        "whole_frames_per_s": round(summary["frames_per_s"], 2),
        "objects_per_frame": round(sum(one["objects"] for one in sources) / frames, 1),
        "worker_count": summary["workers"],
        "dropped": sum(sum(one["dropped"].values()) for one in sources),
        "lost": sum(sum(one["lost"].values()) for one in sources),
        "age_ms": {
            **summary["age_ms"],
            "worst_p99": _percentiles([one["age_ms"] for one in sources])["p99"],
        },
        "request_ms": _percentiles([one["request_ms"] for one in sources]),
        "client_cpu_ms": round(steady_client_ms or whole_client_ms, 3),
        "whole_client_cpu_ms": round(whole_client_ms, 3),
        "server_cpu_ms": {
            name: round(1000 * seconds / max(1, answered), 3) for name, seconds in server_s.items()
        },
        "memory_mb": round(max(seen.memory_mb, default=0.0), 1),
    }


def _percentiles(sources: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    medians = [one["p50"] for one in sources if one["p50"] is not None]
    worst = [one["p99"] for one in sources if one["p99"] is not None]
    if not medians or not worst:
        return {"p50": None, "p99": None}
    return {"p50": round(statistics.median(medians), 2), "p99": round(max(worst), 2)}


def _reason(log: Path) -> str:
    """What it said was wrong."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("error:")]
    return " ".join(told or lines[-1:]) or "it said nothing"
