"""All runs against one server, whose own rate is measured first and last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tritonclient.grpc import InferenceServerClient
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.server import embedded
from yolostream.sources import nvdec

from loadtest.clips import material
from loadtest.endtoend import plan
from loadtest.endtoend.client import Client, usual_confidence
from loadtest.endtoend.own_rate import own_rate
from loadtest.endtoend.plan import Length, Scenario
from loadtest.gpu import bench
from loadtest.gpu.nvidia_smi import facts
from loadtest.gpu.profiles import PROFILES
from loadtest.perf import binary, inputs
from loadtest.perf.process import DOWNSCALED
from loadtest.repository import ENSEMBLE, MODELS, NETWORK, NMS, write_repository
from loadtest.result_file import say, triton_version
from loadtest.search import most
from loadtest.server import Target, served
from loadtest.table import Figures

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Setting:
    """What is measured."""

    profile: embedded.Profile
    environment: Path
    """Virtual environment of the server."""
    onnx: Path | None
    """The network, made there if it is missing; by default that of the repository."""
    sources: tuple[int, ...]
    """Numbers of sources, smallest first."""
    seconds: float
    """Length of each run."""
    quick: bool
    """Measure each number of cameras once, and the server's own rate for a shorter time."""
    work: Path
    """Temporary folder."""
    clips: Path
    """Folder for the clips."""
    raw: Path
    """Folder for what perf_analyzer and `detect` write in this run."""

    @property
    def on_gpu(self) -> bool:
        """Whether the server computes on a GPU."""
        return PROFILES[self.profile].on_gpu


def measure(setting: Setting, figures: Figures) -> None:
    """Measure everything, and add each figure to `figures`; a failed run has an `error`.

    Raises:
        YolostreamError: The server does not start or answer, or a file is something else.
    """
    repository = _repository(setting, figures)
    figures |= {
        "profile": setting.profile,
        "gpu": facts(setting.environment),
        "decoders": ("cpu",) if nvdec.missing() else ("gpu", "cpu"),
        "seconds": setting.seconds,
        "warm_up_s": plan.WARM_UP_S,
    }
    say(f"starting Triton with profile {setting.profile}")
    with (
        served(
            None,
            model=ENSEMBLE,
            profile=setting.profile,
            repository=repository,
            environment=setting.environment,
        ) as target,
        connect(target.url) as connection,
    ):
        figures["triton"] = triton_version(target.url)
        _measure_at(setting, figures, target, connection)


def failures(figures: Figures) -> list[str]:
    """The runs that failed, and why."""
    runs = figures.get("runs", {})
    return [f"{name}: {run['error']}" for name, run in runs.items() if "error" in run]


def _repository(setting: Setting, figures: Figures) -> Path:
    """The model repository to serve; `figures` gets the facts of its network."""
    if setting.onnx is None:
        shipped = bench.network(MODELS / NETWORK / "1" / "model.onnx")
        figures["network"] = {**shipped.facts(), "words": "the demo model"}
        return MODELS
    given = bench.network(setting.onnx)
    figures["network"] = given.facts()
    write_repository(setting.work / "models", given.path)
    return setting.work / "models"


def _measure_at(
    setting: Setting, figures: Figures, target: Target, connection: InferenceServerClient
) -> None:
    ask = _own_rate(setting, target.url, figures)
    ask("first")
    length = Length(setting.seconds, figures["own_rate"]["frames_per_s"])
    decoders = figures["decoders"]
    scenarios = [
        *plan.all_out(setting.sources, decoders, length),
        plan.all_objects(setting.sources, decoders[0], length),
        *plan.annotated(decoders[0], length),
    ]
    live = plan.cameras(1, decoders[0], setting.seconds)
    say("making the clips, unless an earlier run made them")
    longest = max(scenario.frames_each for scenario in (live, *scenarios))
    clips = material(setting.clips, frames=longest, full_hd=setting.on_gpu)
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
        raw=setting.raw,
    )
    for number, scenario in enumerate(scenarios, start=1):
        say(f"run {number} of {len(scenarios)}, then the cameras")
        _run(client, scenario, figures)
    _search_cameras(setting, client, figures)
    if live.name not in figures["runs"]:
        _run(client, live, figures)
    ask("last")


def _own_rate(setting: Setting, url: str, figures: Figures) -> Callable[[str], None]:
    """Return a function that adds the `first` and the `last` own rate, and the mean of both."""
    libraries = setting.work / "libraries"
    libraries.mkdir()
    perf = binary.ready(libraries, server_environment=setting.environment)
    load = inputs.loads(perf, url, ENSEMBLE, setting.work)(DOWNSCALED)
    own: dict[str, Any] = {"asked_by": "perf_analyzer"}
    figures["own_rate"] = own

    def ask(part: str) -> None:
        own[part] = own_rate(
            load,
            setting.raw / f"server-{part}",
            on_gpu=setting.on_gpu,
            window_s=(bench.QUICK if setting.quick else bench.FULL).window_s,
        )
        rates = [own[name]["frames_per_s"] for name in ("first", "last") if name in own]
        own["frames_per_s"] = round(sum(rates) / len(rates), 2)

    return ask


def _answered(connection: InferenceServerClient, url: str) -> int:
    """Frames that the last step of the ensemble has answered so far."""
    with translated(url, NMS):
        told = connection.get_inference_statistics(NMS, client_timeout=_TIMEOUT_S)
    return sum(version.inference_count for version in told.model_stats)


def _run(
    client: Client, scenario: Scenario, figures: Figures, *, again: bool = False
) -> dict[str, Any]:
    suffix = "-again" if again else ""
    run = client.measure(scenario, suffix=suffix)
    figures["runs"][f"{scenario.name}{suffix}"] = run
    say(f"{scenario.name}{suffix}: {_line(run)}")
    return run


def _search_cameras(setting: Setting, client: Client, figures: Figures) -> None:
    """Find the most cameras; a number that does not hold is tried once more, unless `quick`."""
    steps: list[dict[str, Any]] = []

    def holds(number: int) -> bool:
        scenario = plan.cameras(number, figures["decoders"][0], setting.seconds)
        for again in (False,) if setting.quick else (False, True):
            broken_by = plan.breaks(_run(client, scenario, figures, again=again))
            steps.append({"sources": number, "broken_by": broken_by})
            say(f"{number} at 30 fps: {broken_by or 'hold'}")
            if not broken_by:
                return True
        return False

    figures["cameras"] = {"steps": steps}
    figures["cameras"]["most"] = most(holds, setting.sources, edge=plan.EDGE)


def _line(run: dict[str, Any]) -> str:
    """A run for people."""
    if "error" in run:
        return str(run["error"])
    return (
        f"{run['frames_per_s']:.1f} frames/s ({run['whole_frames_per_s']:.1f} with start and end), "
        f"{run['client_cpu_ms']:.2f} ms of processor time a frame, {run['memory_mb']:.0f} MB, "
        f"p99 age of the worst source {run['age_ms']['worst_p99']} ms"
    )
