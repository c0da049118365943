"""Measures `yolostream run`: `python -m loadtest.live FIGURE`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from loadtest.live import many_cameras, one_camera
from loadtest.live.running import Setting
from loadtest.live.table import section
from loadtest.options import Environment, Model, Profile, Url, counts, profile_of, workplace
from loadtest.repository import ENSEMBLE, MODELS, REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from loadtest.result_file import writing
from loadtest.server import served

Figure = Literal["age", "capacity", "overload", "page", "viewers"]
_SECONDS = {"age": 30.0, "capacity": 12.0, "overload": 20.0, "page": 0.0, "viewers": 20.0}
_GPU_CAMERAS, _CPU_CAMERAS = "8,24,48,64,96", "1,2"


def main(
    figure: Annotated[Figure, typer.Argument(help="What is measured.", show_default=False)],
    url: Url = None,
    profile: Profile = None,
    model: Model = ENSEMBLE,
    model_repository: Annotated[Path, typer.Option(help="Its model repository.")] = MODELS,
    server_environment: Environment = SERVER_ENVIRONMENT,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Length of each window; by default 12 to 30.")
    ] = None,
    cameras: Annotated[
        str | None,
        typer.Option(
            help=f"Numbers to try for the capacity; by default {_GPU_CAMERAS}, and without a GPU "
            f"{_CPU_CAMERAS}."
        ),
    ] = None,
    fits: Annotated[
        int | None,
        typer.Option(min=1, help="For the overload, the capacity if it is known."),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Where the figures go.")] = None,
) -> None:
    """Measure `yolostream run`.

    age: how old the frames of one camera at 5 frames/s are when their objects are known.

    capacity: the most cameras at 30 frames/s that are followed.

    overload: fairness and age with three times the cameras that fit.

    page: how long the first moving picture takes after the page is opened, in Chromium.

    viewers: what one viewer of a camera costs, and twenty.
    """
    with workplace():
        # The bar of the age is for a machine without a GPU.
        chosen = profile or ("cpu" if figure == "age" else profile_of(None, server_environment))
        on_gpu = chosen != "cpu"
        numbers = counts(cameras or (_GPU_CAMERAS if on_gpu else _CPU_CAMERAS))
        with (
            served(
                url,
                model=model,
                profile=chosen,
                repository=model_repository,
                environment=server_environment,
            ) as target,
            writing(
                output or RESULTS_FOLDER / f"live_{figure}.json", tool="loadtest.live"
            ) as found,
        ):
            length, raw = seconds or _SECONDS[figure], REPOSITORY / "output" / "live"
            setting = Setting(target.url, model, on_gpu, length, raw)
            measures: dict[Figure, Callable[[], dict[str, Any]]] = {
                "age": lambda: one_camera.age(setting),
                "capacity": lambda: many_cameras.capacity(setting, numbers=numbers),
                "overload": lambda: many_cameras.overload(setting, fits=fits),
                "page": lambda: one_camera.page(setting),
                "viewers": lambda: one_camera.viewers(setting),
            }
            found |= {"profile": chosen} | measures[figure]()
        typer.echo(section({figure: json.loads(json.dumps(found))}))


if __name__ == "__main__":
    typer.run(main)
