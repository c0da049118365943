"""All runs against one server, whose own rate is measured first and last."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tritonclient.grpc import InferenceServerClient
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.server.embedded import Profile
from yolostream.sources import nvdec

from loadtest.clips import material
from loadtest.endtoend import plan
from loadtest.endtoend.client import Client, usual_confidence
from loadtest.endtoend.plan import Length, Scenario
from loadtest.errors import LoadTestError
from loadtest.gpu.bench import Bench
from loadtest.perf.load import Load, Point
from loadtest.perf.report import line
from loadtest.repository import NMS
from loadtest.result_file import say
from loadtest.search import most
from loadtest.server import Target
from loadtest.table import Figures

ON_GPU = tuple(
    Point(by, concurrency, batch)
    for by in ("system", "cuda")
    for concurrency, batch in ((64, 1), (8, 8))
)
ON_CPU = (Point("system", 8), Point("system", 4, batch=2))
"""What the server's own rate is asked with. The queue on a CPU holds 32 frames and rejects more."""
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    bench: Bench
    profile: Profile
    sources: tuple[int, ...]
    """Numbers of sources, smallest first."""
    seconds: float
    """Length of each run."""
    tries: int
    """How often a number of cameras that does not hold is measured."""
    clips: Path
    """Folder for the clips."""


def measure(setting: Setting, figures: Figures) -> None:
    """Measure everything, and add each figure to `figures`; a failed run has an `error`."""
    figures |= {
        **setting.bench.facts(),
        "profile": setting.profile,
        "decoders": ("cpu",) if nvdec.missing() else ("gpu", "cpu"),
        "seconds": setting.seconds,
        "warm_up_s": plan.WARM_UP_S,
        "own_rate": {"asked_by": "perf_analyzer"},
    }
    with (
        setting.bench.serving(setting.profile, figures) as (target, load),
        connect(target.url) as connection,
    ):
        _ask(setting, load, "first", figures["own_rate"])
        _run_all(setting, figures, target, connection)
        _ask(setting, load, "last", figures["own_rate"])


def failures(figures: Figures) -> list[str]:
    """The runs that failed, and why."""
    runs = figures.get("runs", {})
    return [f"{name}: {run['error']}" for name, run in runs.items() if "error" in run]


def _ask(setting: Setting, load: Load, part: str, own: Figures) -> None:
    """Let perf_analyzer ask for the server's own rate; every other rate is divided by it.

    `own` gets `frames_per_s`, the mean of the `first` and the `last` time. Each of these has the
    `frames_per_s` of its best point, and `points`, what was measured, by label.
    """
    bench, points = setting.bench, {}
    for point in ON_CPU if setting.profile == "cpu" else ON_GPU:
        raw = bench.raw / f"server-{part}" / point.label
        points[point.label] = load.measure(point, raw, window_s=bench.lengths.window_s)
        say(f"the server alone, {point.label}: {line(points[point.label])}")
    rates = [one["frames_per_s"] for one in points.values() if "frames_per_s" in one]
    if not rates:
        raise LoadTestError(f"the server alone could not be measured: {points}")
    own[part] = {"frames_per_s": round(max(rates), 2), "points": points}
    asked = [own[name]["frames_per_s"] for name in ("first", "last") if name in own]
    own["frames_per_s"] = round(sum(asked) / len(asked), 2)


def _run_all(
    setting: Setting, figures: Figures, target: Target, connection: InferenceServerClient
) -> None:
    length = Length(setting.seconds, figures["own_rate"]["frames_per_s"])
    scenarios = list(plan.files(setting.sources, figures["decoders"], length))
    live = plan.cameras(1, figures["decoders"][0], setting.seconds)
    say("making the clips, unless an earlier run made them")
    longest = max(scenario.frames_each for scenario in (live, *scenarios))
    clips = material(setting.clips, frames=longest, full_hd=setting.profile != "cpu")
    objects = usual_confidence(target.url, clips)
    say(f"objects: {objects}")
    figures |= {"material": clips.words, "objects": objects, "runs": {}}
    client = Client(
        url=target.url,
        server_pids=target.pids,
        answered=partial(_answered, connection, target.url),
        material=clips,
        confidence=objects["confidence"],
        seconds=setting.seconds,
        raw=setting.bench.raw,
    )
    for number, scenario in enumerate(scenarios, start=1):
        say(f"run {number} of {len(scenarios)}, then the cameras")
        _run(client, scenario, figures)
    _search_cameras(setting, client, figures)
    if live.name not in figures["runs"]:
        _run(client, live, figures)


def _answered(connection: InferenceServerClient, url: str) -> int:
    """Frames that the last step of the ensemble has answered so far."""
    with translated(url, NMS):
        told = connection.get_inference_statistics(NMS, client_timeout=_TIMEOUT_S)
    return sum(version.inference_count for version in told.model_stats)


def _run(
    client: Client, scenario: Scenario, figures: Figures, *, suffix: str = ""
) -> dict[str, Any]:
    run = client.measure(scenario, suffix=suffix)
    figures["runs"][f"{scenario.name}{suffix}"] = run
    told = (
        run.get("error")
        or f"{run['frames_per_s']:.1f} frames/s, {run['client_cpu_ms']:.2f} ms of processor time a "
        f"frame, {run['memory_mb']:.0f} MB, p99 age of the worst source "
        f"{run['age_ms']['worst_p99']} ms"
    )
    say(f"{scenario.name}{suffix}: {told}")
    return run


def _search_cameras(setting: Setting, client: Client, figures: Figures) -> None:
    """Find the most cameras."""
    steps: list[dict[str, Any]] = []

    def holds(number: int) -> bool:
        scenario = plan.cameras(number, figures["decoders"][0], setting.seconds)
        for suffix in ("", "-again")[: setting.tries]:
            broken_by = plan.breaks(_run(client, scenario, figures, suffix=suffix))
            steps.append({"sources": number, "broken_by": broken_by})
            say(f"{number} at 30 fps: {broken_by or 'hold'}")
            if not broken_by:
                return True
        return False

    figures["cameras"] = {"steps": steps}
    figures["cameras"]["most"] = most(holds, setting.sources, edge=plan.EDGE)
