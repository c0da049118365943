"""How many cameras a server can take, and what keeps it from more.

Run it as `python -m loadtest.capacity`: it searches for the most cameras, each sending at its own
rate, of which the p99 of all frames is not late and less than one frame in a hundred is lost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup
from yolostream import Detector
from yolostream.client.connection import connect
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.client.triton_errors import translated

from loadtest.bound import Bound
from loadtest.camera_process import MAX_LOST
from loadtest.cameras import Cameras
from loadtest.load import Step, bound_by, measure
from loadtest.overload import overload, said
from loadtest.repository import RESULTS_FOLDER
from loadtest.result_file import Content, writing
from loadtest.search import most
from loadtest.server import served
from loadtest.table import Bar, table
from tools.command import one_line_errors

GENERATOR_BAR = Bar("at most", 1, " ms", 1)
"""Processor time of a frame's camera."""
CPU_BOUND = Bound(frames_per_second=10, latency_s=0.200, left_out=MAX_LOST)
GPU_BOUND = Bound(frames_per_second=30, latency_s=0.033, left_out=MAX_LOST)
MAX_CAMERAS = 256
_TIMEOUT_S = 10.0

console = Console(stderr=True)


def main(
    url: Annotated[
        str | None,
        typer.Option(help="gRPC address of a Triton, host:port. By default one is started here."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of the ensemble.")] = DEFAULT_MODEL,
    clip: Annotated[str, typer.Option(help="Demo clip that every camera shows.")] = "mb1_1",
    frames_per_second: Annotated[
        float | None,
        typer.Option(min=0.1, help="Of each camera; by default 10, or 30 with a GPU."),
    ] = None,
    bound_ms: Annotated[
        float | None,
        typer.Option(min=1, help="For the p99 of all frames; by default 200, or 33 with a GPU."),
    ] = None,
    overload_seconds: Annotated[
        float, typer.Option("--overload", help="Then send three times as much, so many seconds.")
    ] = 0.0,
    quick: Annotated[
        bool, typer.Option(help="Short steps: rough figures in half a minute.")
    ] = False,
    output: Annotated[Path, typer.Option(help="Where the figures go.")] = (
        RESULTS_FOLDER / "capacity.json"
    ),
) -> None:
    """Find how many cameras a server can take."""
    with (
        one_line_errors(),
        served(url, model=model) as target,
        Detector(target.url, model, max_in_flight=1) as detector,
        writing(output, tool="loadtest.capacity", url=target.url) as figures,
    ):
        usual = GPU_BOUND if _on_gpu(target.url, detector.model.steps) else CPU_BOUND
        bound = Bound(
            frames_per_second=frames_per_second or usual.frames_per_second,
            latency_s=bound_ms / 1000 if bound_ms else usual.latency_s,
            left_out=usual.left_out,
        )
        facts = {
            "model": model,
            "transport": detector.transport,
            "frames_per_second": bound.frames_per_second,
            "bound_ms": 1000 * bound.latency_s,
        }
        steps: list[Step] = []
        with Cameras(target.url, model, clip=clip, bound=bound) as cameras:

            def holds(count: int) -> bool:
                step = measure(target, detector, cameras, count=count, seconds=1 if quick else 10)
                steps.append(step)
                figures.update(facts, steps=[dataclasses.asdict(step) for step in steps])
                console.print(_progress(step))
                return not step.broken_by

            found = capacity(holds)
        figures.update(_answer(found, steps, bound))
        typer.echo(figures["sentence"])
        if overload_seconds:
            figures["overload"] = overload(
                target,
                detector,
                clip=clip,
                capacity=found,
                bound=bound,
                seconds=overload_seconds,
            )


def capacity(holds: Callable[[int], bool]) -> int:
    """Search for the most cameras that hold, `MAX_CAMERAS` at most.

    Args:
        holds: measures so many cameras. A number that does not hold is tried once more, for a
            machine has hiccups, and the number found has to hold twice.
    """
    doubled = [2**power for power in range(MAX_CAMERAS.bit_length())]
    return most(lambda cameras: holds(cameras) or holds(cameras), doubled, climb=True, twice=True)


def _answer(found: int, steps: list[Step], bound: Bound) -> dict[str, Any]:
    """The capacity, and what was in the way of one camera more."""
    rate = f"{bound.frames_per_second:g} fps"
    cameras = _cameras(found)
    own = steps[-1]
    answer: dict[str, Any] = {
        "cameras": found,
        "generator_cpu_ms_per_frame": own.generator_cpu_ms_per_frame,
        "broken_by": None,
        "bound_by": None,
        "sentence": f"{cameras} at {rate}; more were not tried",
    }
    broken = [step for step in steps if step.broken_by and step.cameras > found]
    if broken:
        # Not always one more: a number that did not hold a second time is lowered in larger steps.
        nearest = min(reversed(broken), key=lambda step: step.cameras)
        reason, resource = nearest.broken_by, bound_by(nearest, bound)
        more = "the next one breaks" if nearest.cameras == found + 1 else f"{nearest.cameras} break"
        answer |= {
            "broken_by": reason,
            "bound_by": resource,
            "sentence": f"{cameras} at {rate}; {more} it: {reason}; bound by {resource}",
        }
    return answer


def _progress(step: Step) -> str:
    p99 = "no answer" if step.p99_ms is None else f"p99 {step.p99_ms:.0f} ms"
    verdict = step.broken_by or "holds"
    return f"{_cameras(step.cameras)}: {p99}, {step.lost:.1%} lost: {verdict}"


def _cameras(count: int) -> str:
    return f"{count} camera" if count == 1 else f"{count} cameras"


def _on_gpu(url: str, models: tuple[str, ...]) -> bool:
    """Whether any of `models` runs on a GPU."""
    with translated(url, models[0]), connect(url) as client:
        return any(
            group.kind == ModelInstanceGroup.KIND_GPU
            for model in models
            for group in client.get_model_config(
                model, client_timeout=_TIMEOUT_S
            ).config.instance_group
        )


def section(content: Content) -> str:
    """How many cameras fit, and what became of too many."""
    figures = content["figures"]
    if "sentence" not in figures:
        return "The search for the number of cameras was interrupted."
    flood = f"{said(figures['overload'])}\n" if "overload" in figures else ""
    own_ms = figures["generator_cpu_ms_per_frame"]
    return (
        f"**{figures['sentence']}.**\n{flood}The cameras themselves took processor time, a frame: "
        f"{GENERATOR_BAR.judged(own_ms)} ({GENERATOR_BAR}).\n\n{_steps(figures['steps'])}"
    )


def _steps(steps: list[dict[str, Any]]) -> str:
    rows = [
        [
            str(step["cameras"]),
            *(
                "" if step[name] is None else f"{step[name]:.0f} ms"
                for name in ("p50_ms", "p99_ms")
            ),
            f"{step['lost']:.1%}",
        ]
        for step in sorted(steps, key=lambda step: int(step["cameras"]))
    ]
    return table(["cameras", "p50", "p99", "frames lost"], rows)


if __name__ == "__main__":
    typer.run(main)
