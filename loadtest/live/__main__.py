"""How `yolostream run` holds, in figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from yolostream.server import embedded
from yolostream.server.environment import ServerEnvironment

from loadtest.endtoend.plan import counts
from loadtest.gpu.model_folders import ENSEMBLE
from loadtest.gpu.profiles import PROFILES
from loadtest.live import age, capacity, overload, page, viewers
from loadtest.live.running import Setting
from loadtest.live.table import section
from loadtest.repository import MODELS, REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import writing
from tools.command import one_line_errors

app = typer.Typer(add_completion=False)

Figure = Literal["age", "capacity", "overload", "page", "viewers"]
_SECONDS: dict[Figure, float] = {"age": 30.0, "capacity": 12.0, "overload": 20.0, "viewers": 20.0}
"""Windows; the page is opened so many times instead."""
_LENGTHS = ", ".join(f"{seconds:g} for {figure}" for figure, seconds in _SECONDS.items())

_GPU_CAMERAS, _CPU_CAMERAS = "8,24,48,64,96", "1,2"
_RAW = REPOSITORY / "output" / "live"


def _usual_profile(figure: Figure, environment: Path) -> embedded.Profile:
    if figure == "age":
        return "cpu"
    return embedded.choose_profile(ServerEnvironment.check(environment))


def _measured(
    figure: Figure, setting: Setting, cameras: str | None, fits: int | None
) -> dict[str, Any]:
    match figure:
        case "age":
            return age.measure(setting)
        case "capacity":
            usual = _GPU_CAMERAS if PROFILES[setting.profile].on_gpu else _CPU_CAMERAS
            return capacity.measure(setting, numbers=counts(cameras or usual))
        case "overload":
            return overload.measure(setting, fits=fits)
        case "page":
            return page.measure(setting)
        case "viewers":
            return viewers.measure(setting)


@app.command(no_args_is_help=True)
def main(
    figure: Annotated[Figure, typer.Argument(help="What is measured.", show_default=False)],
    url: Annotated[
        str | None, typer.Option(help="gRPC address of a Triton; by default one is started.")
    ] = None,
    profile: Annotated[
        embedded.Profile | None,
        typer.Option(help="By default what the machine allows, and for the age cpu."),
    ] = None,
    model: Annotated[str, typer.Option(help="The ensemble.")] = ENSEMBLE,
    model_repository: Annotated[Path, typer.Option(help="Where it lies.")] = MODELS,
    server_environment: Annotated[
        Path, typer.Option(help="Virtual environment of the server.")
    ] = SERVER_ENVIRONMENT,
    seconds: Annotated[
        float | None, typer.Option(min=1, help=f"Length of each window; by default {_LENGTHS}.")
    ] = None,
    cameras: Annotated[
        str | None,
        typer.Option(
            help="For the capacity, numbers to try; by default "
            f"{_GPU_CAMERAS}, and without a GPU {_CPU_CAMERAS}."
        ),
    ] = None,
    fits: Annotated[
        int | None,
        typer.Option(
            min=1, help="For the overload, cameras that the machine takes; see the capacity."
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """How `yolostream run` holds.

    age: one camera at 5 frames/s, and how old its frames are when their objects are known.

    capacity: the most cameras at 30 frames/s that are followed; four minutes at most.

    overload: three times the cameras that fit; a fair share for each, and no old frames.

    page: how long the first moving picture takes after opening, in Chromium.

    viewers: what one viewer of a camera costs, and twenty.
    """
    if cameras is not None and figure != "capacity":
        raise typer.BadParameter(f"--cameras {cameras} is for the capacity, and not for {figure}")
    if fits is not None and figure != "overload":
        raise typer.BadParameter(f"--fits {fits} is for the overload, and not for {figure}")
    with one_line_errors():
        setting = Setting(
            url,
            profile or _usual_profile(figure, server_environment),
            model,
            model_repository,
            server_environment,
            seconds or _SECONDS.get(figure, 0.0),
            _RAW,
        )
        place = output or RESULTS_FOLDER / f"live_{figure}.json"
        with writing(place, tool="loadtest.live") as figures:
            figures |= {"profile": setting.profile} | _measured(figure, setting, cameras, fits)
        typer.echo(section({figure: json.loads(json.dumps(figures))}))


if __name__ == "__main__":
    app()
