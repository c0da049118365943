"""The options that several command lines have."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from yolostream.server import embedded
from yolostream.server.environment import ServerEnvironment

from loadtest.errors import LoadTestError
from tools.command import one_line_errors

Url = Annotated[
    str | None,
    typer.Option(help="gRPC address of a Triton, host:port. By default one is started here."),
]
Model = Annotated[str, typer.Option(help="The ensemble.")]
Environment = Annotated[Path, typer.Option(help="Virtual environment of the server.")]
Profile = Annotated[
    embedded.Profile | None, typer.Option(help="By default what the machine supports.")
]
Quick = Annotated[bool, typer.Option("--quick", help="Few and short windows: rough figures.")]
Raw = Annotated[Path, typer.Option(help="What perf_analyzer and detect wrote goes into here.")]
Output = Annotated[Path, typer.Option(help="Where the figures go.")]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder; a known error inside the block becomes one line and an exit code."""
    with one_line_errors(), tempfile.TemporaryDirectory(prefix="loadtest-") as folder:
        yield Path(folder)


def new_folder(raw: Path) -> Path:
    """A folder of `raw` for this run, which is not made."""
    return raw / f"{datetime.now():%Y%m%d-%H%M%S}"


def profile_of(profile: embedded.Profile | None, environment: Path) -> embedded.Profile:
    """The profile that was named, or else what machine and environment support."""
    return profile or embedded.choose_profile(ServerEnvironment.check(environment))


def counts(text: str) -> tuple[int, ...]:
    """Parse numbers of sources such as `1,2,8`; returns them sorted."""
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and int(word) > 0 for word in words):
        raise LoadTestError(f"--sources and --cameras take numbers such as 1,2,8, not '{text}'")
    return tuple(sorted({int(word) for word in words}))
