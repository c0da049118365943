"""One server, and every run against it: its own rate first and last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tritonclient.grpc import InferenceServerClient
from yolostream.client.connection import connect
from yolostream.sources import nvdec

from loadtest.endtoend import peer, plan
from loadtest.endtoend.client import Client
from loadtest.endtoend.confidence import usual_confidence
from loadtest.endtoend.material import Material, material
from loadtest.endtoend.peer import Peer
from loadtest.endtoend.plan import Length, Scenario
from loadtest.endtoend.server_rate import OwnRate, own_rate
from loadtest.endtoend.setting import Setting
from loadtest.gpu.bench import FULL, QUICK, say
from loadtest.gpu.model_folders import ENSEMBLE, NMS
from loadtest.gpu.nvidia_smi import facts
from loadtest.gpu.watch import batches_of, frames_of
from loadtest.machine import machine
from loadtest.search import most
from loadtest.server import Target, served
from loadtest.table import Figures


def measure(setting: Setting, figures: Figures) -> None:
    """Measure everything, and add each thing to `figures` when it is done, a failure as `error`.

    Raises:
        YolostreamError: The server does not start or answer, or a file is something else.
    """
    beside = _peer(setting)
    repository = setting.repository(figures)
    decoders = ("cpu",) if nvdec.missing() else ("gpu", "cpu")
    figures |= {
        "profile": setting.profile,
        "gpu": facts(setting.environment),
        "decoders": decoders,
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
        figures["triton"] = machine(target.url)["triton"]
        clips = _measure_at(setting, figures, target, connection)
    # The peer has the machine to itself.
    if beside is not None:
        figures["peer"] = beside.measure(clips, _peer_sources(setting))


def failures(figures: Figures) -> list[str]:
    """The runs that failed, and why."""
    peers = figures.get("peer", {}).get("runs", {})
    runs = {**figures.get("runs", {}), **{f"peer-{name}": run for name, run in peers.items()}}
    return [f"{name}: {run['error']}" for name, run in runs.items() if "error" in run]


def _peer(setting: Setting) -> Peer | None:
    """Make the peer ready, if one is wanted; what it lacks is reported before all measuring."""
    if setting.peer is None:
        return None
    _peer_sources(setting)
    beside = Peer(
        python=setting.peer,
        on_gpu=setting.on_gpu,
        seconds=setting.seconds,
        scratch=setting.work / "peer",
        raw=setting.raw / setting.run,
    )
    beside.ready()
    return beside


def _peer_sources(setting: Setting) -> tuple[int, ...]:
    return peer.chosen(setting.sources, on_gpu=setting.on_gpu)


def _measure_at(
    setting: Setting, figures: Figures, target: Target, connection: InferenceServerClient
) -> Material:
    """Measure everything that needs the server; returns what was read."""
    raw = setting.raw / setting.run
    own = own_rate(
        target.url,
        on_gpu=setting.on_gpu,
        window_s=(QUICK if setting.quick else FULL).window_s,
        environment=setting.environment,
        work=setting.work,
    )
    _measure_own(own, "first", raw, figures)
    length = Length(setting.seconds, figures["own_rate"]["frames_per_s"])
    decoders = figures["decoders"]
    scenarios = list(_scenarios(setting.sources, decoders, length))
    client = _client(setting, figures, target, connection, scenarios)
    for number, scenario in enumerate(scenarios, start=1):
        say(f"run {number} of {len(scenarios)}, then the cameras")
        _run(client, scenario, figures)
    _search_cameras(setting, client, figures)
    live = plan.cameras(1, decoders[0], setting.seconds)
    if live.name not in figures["runs"]:
        _run(client, live, figures)
    _measure_own(own, "last", raw, figures)
    return client.material


def _measure_own(rate: OwnRate, part: str, raw: Path, figures: Figures) -> None:
    """Ask the server for its own rate; that of the whole is the mean of all that was asked."""
    own = figures.setdefault("own_rate", {})
    asked = rate.measure(raw / f"server-{part}")
    own |= {"asked_by": asked.pop("asked_by"), "lack": asked.pop("lack"), part: asked}
    rates = [own[name]["frames_per_s"] for name in ("first", "last") if name in own]
    own["frames_per_s"] = round(sum(rates) / len(rates), 2)


def _scenarios(
    sources: Sequence[int], decoders: Sequence[str], length: Length
) -> Iterator[Scenario]:
    yield from plan.all_out(sources, decoders, length)
    yield plan.all_objects(sources, decoders[0], length)
    yield from plan.annotated(decoders[0], length)


def _client(
    setting: Setting,
    figures: Figures,
    target: Target,
    connection: InferenceServerClient,
    scenarios: Sequence[Scenario],
) -> Client:
    """Make ready what is read, and what counts as an object; both are told in `figures`."""
    longest = max(
        plan.cameras(1, "cpu", setting.seconds).frames_each,
        *(scenario.frames_each for scenario in scenarios),
    )
    say("making the clips, where they are not there from before")
    clips = material(setting.raw / "clips", frames=longest, full_hd=setting.on_gpu)
    objects = usual_confidence(target.url, ENSEMBLE, clips.paths)
    say(f"objects: {objects}")
    figures |= {"material": clips.words, "objects": objects, "runs": {}}
    return Client(
        url=target.url,
        server_pids=target.pids,
        answered=partial(_answered, connection, target.url),
        material=clips,
        confidence=objects["confidence"],
        seconds=setting.seconds,
        raw=setting.raw / setting.run,
    )


def _answered(connection: InferenceServerClient, url: str) -> int:
    """Frames that the last step of the ensemble has seen."""
    sizes = batches_of(connection, NMS, url)
    return frames_of({str(size): count for size, count in sizes.items()})


def _run(
    client: Client, scenario: Scenario, figures: Figures, *, again: bool = False
) -> dict[str, Any]:
    suffix = "-again" if again else ""
    run = client.measure(scenario, suffix=suffix)
    figures["runs"][f"{scenario.name}{suffix}"] = run
    say(f"{scenario.name}{suffix}: {_line(run)}")
    return run


def _search_cameras(setting: Setting, client: Client, figures: Figures) -> None:
    """Find the most cameras; a number that does not hold is tried once more, unless in a hurry."""
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
