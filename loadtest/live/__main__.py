"""How `yolostream run` holds: a command for each figure."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from yolostream.server import embedded
from yolostream.server.environment import ServerEnvironment

from loadtest.endtoend.plan import counts
from loadtest.gpu.model_folders import ENSEMBLE
from loadtest.gpu.profiles import PROFILES
from loadtest.live import age, capacity, overload, viewers
from loadtest.live.setting import Setting
from loadtest.live.table import table
from loadtest.repository import MODELS, REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import writing
from tools.command import one_line_errors

app = typer.Typer(help=__doc__, no_args_is_help=True)

_STARTED = "by default one is started."
Url = Annotated[str | None, typer.Option(help=f"gRPC address of a Triton; {_STARTED}")]
ProfileOption = Annotated[
    embedded.Profile | None, typer.Option(help="By default what the machine allows.")
]
Model = Annotated[str, typer.Option(help="The ensemble.")]
ModelRepository = Annotated[Path, typer.Option(help="Where it lies.")]
Environment = Annotated[Path, typer.Option(help="Virtual environment of the server.")]
Seconds = Annotated[float, typer.Option(min=1, help="Length of each window.")]
Output = Annotated[Path | None, typer.Option(help="Where the figures go.")]

_GPU_CAMERAS, _CPU_CAMERAS = "8,24,48,64,96", "1,2"
_RAW = REPOSITORY / "output" / "live"


def _setting(
    url: str | None,
    profile: embedded.Profile | None,
    model: str,
    repository: Path,
    environment: Path,
    seconds: float,
) -> Setting:
    chosen = profile or embedded.choose_profile(ServerEnvironment.check(environment))
    return Setting(url, chosen, model, repository, environment, seconds, _RAW)


def _measured(
    name: str, output: Path | None, setting: Setting, measure: Callable[[Setting], dict[str, Any]]
) -> None:
    """Measure, write the figures, and say them."""
    with writing(output or RESULTS_FOLDER / f"live_{name}.json", tool="loadtest.live") as figures:
        figures |= {"profile": setting.profile, **measure(setting)}
    typer.echo(table({name: json.loads(json.dumps(figures))}))


@app.command("age")
def age_command(
    url: Url = None,
    profile: ProfileOption = "cpu",
    model: Model = ENSEMBLE,
    model_repository: ModelRepository = MODELS,
    server_environment: Environment = SERVER_ENVIRONMENT,
    seconds: Seconds = 30.0,
    output: Output = None,
) -> None:
    """One camera at 5 frames/s: how old its frames are when their objects are known."""
    with one_line_errors():
        setting = _setting(url, profile, model, model_repository, server_environment, seconds)
        _measured("age", output, setting, age.measure)


@app.command("capacity")
def capacity_command(
    url: Url = None,
    profile: ProfileOption = None,
    model: Model = ENSEMBLE,
    model_repository: ModelRepository = MODELS,
    server_environment: Environment = SERVER_ENVIRONMENT,
    seconds: Seconds = 12.0,
    cameras: Annotated[
        str | None,
        typer.Option(
            help=f"Numbers to try; by default {_GPU_CAMERAS}, and without a GPU {_CPU_CAMERAS}."
        ),
    ] = None,
    output: Output = None,
) -> None:
    """The most cameras at 30 frames/s that are followed: four minutes at most."""
    with one_line_errors():
        setting = _setting(url, profile, model, model_repository, server_environment, seconds)
        usual = _GPU_CAMERAS if PROFILES[setting.profile].on_gpu else _CPU_CAMERAS
        numbers = counts(cameras or usual)
        _measured("capacity", output, setting, partial(capacity.measure, numbers=numbers))


@app.command("overload")
def overload_command(
    url: Url = None,
    profile: ProfileOption = None,
    model: Model = ENSEMBLE,
    model_repository: ModelRepository = MODELS,
    server_environment: Environment = SERVER_ENVIRONMENT,
    seconds: Seconds = 20.0,
    fits: Annotated[
        int | None, typer.Option(min=1, help="Cameras that the machine takes; see 'capacity'.")
    ] = None,
    output: Output = None,
) -> None:
    """Three times the cameras that fit: a fair share for each, and no old frames."""
    with one_line_errors():
        setting = _setting(url, profile, model, model_repository, server_environment, seconds)
        _measured("overload", output, setting, partial(overload.measure, fits=fits))


@app.command("viewers")
def viewers_command(
    url: Url = None,
    profile: ProfileOption = None,
    model: Model = ENSEMBLE,
    model_repository: ModelRepository = MODELS,
    server_environment: Environment = SERVER_ENVIRONMENT,
    seconds: Seconds = 20.0,
    output: Output = None,
) -> None:
    """What one viewer of a camera costs, and twenty."""
    with one_line_errors():
        setting = _setting(url, profile, model, model_repository, server_environment, seconds)
        _measured("viewers", output, setting, viewers.measure)


if __name__ == "__main__":
    app()
