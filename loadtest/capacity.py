"""How many cameras a server can serve, and what limits their number: `python -m loadtest.capacity`.

It searches for the most cameras of which the p99 of all frames is within the bound, and less than
one frame in a hundred is lost. Each camera sends at its own rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from tritonclient.grpc.model_config_pb2 import ModelInstanceGroup
from yolostream import Detector
from yolostream.client.connection import connect
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.client.triton_errors import translated

from loadtest.cameras import Cameras, CameraSettings
from loadtest.options import Model, Output, Quick, Url, workplace
from loadtest.overload import overload, said
from loadtest.repository import RESULTS_FOLDER
from loadtest.result_file import Content, say, writing
from loadtest.search import Bound, most
from loadtest.server import served
from loadtest.step import Step, bound_by, measure
from loadtest.table import Bar, Figures, listed

GENERATOR_BAR = Bar(" ms", 1, at_most=1)
"""Processor time of the load generator for a frame."""
CPU_BOUND = Bound(frames_per_second=10, latency_s=0.200, left_out=0.01)
GPU_BOUND = Bound(frames_per_second=30, latency_s=0.033, left_out=0.01)
MAX_CAMERAS = 256
_TIMEOUT_S = 10.0


def main(
    url: Url = None,
    model: Model = DEFAULT_MODEL,
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
    quick: Quick = False,
    output: Output = RESULTS_FOLDER / "capacity.json",
) -> None:
    """Find how many cameras a server can serve; half a minute with --quick."""
    with (
        workplace(),
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
        settings = CameraSettings(target.url, model, bound.frames_per_second, bound.latency_s)
        steps: list[Step] = []
        with Cameras(settings) as cameras:

            def holds(count: int) -> bool:
                seconds = 1 if quick else 10
                step = measure(target, detector, cameras, bound, count=count, seconds=seconds)
                steps.append(step)
                figures.update(facts, steps=[asdict(step) for step in steps])
                p99 = "no answer" if step.p99_ms is None else f"p99 {step.p99_ms:.0f} ms"
                verdict = step.broken_by or "holds"
                say(f"{_cameras(count)}: {p99}, {step.lost:.1%} lost: {verdict}")
                return not step.broken_by

            found = capacity(holds)
        figures.update(_answer(found, steps, bound))
        typer.echo(figures["sentence"])
        if overload_seconds:
            figures["overload"] = overload(
                target, detector, settings, capacity=found, seconds=overload_seconds
            )


def capacity(holds: Callable[[int], bool]) -> int:
    """Search for the most cameras that hold, `MAX_CAMERAS` at most.

    Args:
        holds: Measures a number of cameras. A number that does not hold is tried once more,
            because a machine has hiccups. The result has to hold twice.
    """
    doubled = [2**power for power in range(MAX_CAMERAS.bit_length())]
    return most(lambda cameras: holds(cameras) or holds(cameras), doubled, climb=True, twice=True)


def _answer(found: int, steps: list[Step], bound: Bound) -> dict[str, Any]:
    """The number of cameras, and what prevents more."""
    sentence = f"{_cameras(found)} at {bound.frames_per_second:g} fps; "
    answer: dict[str, Any] = {
        "cameras": found,
        "generator_cpu_ms_per_frame": steps[-1].generator_cpu_ms_per_frame,
    }
    broken = [step for step in steps if step.broken_by and step.cameras > found]
    if not broken:
        return {**answer, "sentence": f"{sentence}more were not tried"}
    # A number that did not hold a second time is lowered in larger steps, so this may not be
    # `found` + 1.
    nearest = min(reversed(broken), key=lambda step: step.cameras)
    more = "the next one breaks" if nearest.cameras == found + 1 else f"{nearest.cameras} break"
    resource = bound_by(nearest, bound)
    return {
        **answer,
        "broken_by": nearest.broken_by,
        "bound_by": resource,
        "sentence": f"{sentence}{more} it: {nearest.broken_by}; bound by {resource}",
    }


def _cameras(count: int) -> str:
    return f"{count} camera" if count == 1 else f"{count} cameras"


def _on_gpu(url: str, models: tuple[str, ...]) -> bool:
    """Whether any of `models` runs on a GPU."""
    with translated(url, models[0]), connect(url) as client:
        configs = [client.get_model_config(model, client_timeout=_TIMEOUT_S) for model in models]
    groups = [group for config in configs for group in config.config.instance_group]
    return any(group.kind == ModelInstanceGroup.KIND_GPU for group in groups)


def section(content: Content) -> str:
    """The number of cameras, the overload, and a table of the steps, in Markdown."""
    figures = content["figures"]
    flood = f"{said(figures['overload'])}\n" if "overload" in figures else ""
    own_ms = figures["generator_cpu_ms_per_frame"]

    def age(which: str, step: Figures) -> str:
        return "" if step[which] is None else f"{step[which]:.0f} ms"

    columns: dict[str, Callable[[Figures], str]] = {
        "cameras": lambda step: str(step["cameras"]),
        "p50": lambda step: age("p50_ms", step),
        "p99": lambda step: age("p99_ms", step),
        "frames lost": lambda step: f"{step['lost']:.1%}",
    }
    return (
        f"**{figures['sentence']}.**\n{flood}The cameras themselves took processor time, a frame: "
        f"{GENERATOR_BAR.judged(own_ms)} ({GENERATOR_BAR}).\n\n"
        f"{listed(columns, sorted(figures['steps'], key=lambda step: int(step['cameras'])))}"
    )


if __name__ == "__main__":
    typer.run(main)
