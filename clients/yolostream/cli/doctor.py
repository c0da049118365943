"""`yolostream doctor`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from yolostream.bundled import CLONE
from yolostream.cli.messages import stdout
from yolostream.cli.server import (
    DEFAULT_MODEL_REPOSITORY,
    DEFAULT_SERVER_ENVIRONMENT,
    ModelRepository,
    ServerEnvironment,
)
from yolostream.doctor import Verdict, examine
from yolostream.doctor.check import show


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    model_repository: ModelRepository = DEFAULT_MODEL_REPOSITORY,
    server_environment: ServerEnvironment = DEFAULT_SERVER_ENVIRONMENT,
    leases: Annotated[
        str | None,
        typer.Option(
            metavar="kubernetes:NAME | FOLDER",
            help="Also check this store of leases; the same value as for 'yolostream run'.",
        ),
    ] = None,
) -> None:
    """Check this machine and the DeepStream files for what is missing or wrong.

    The exit code is 1 if something is wrong. Missing optional parts are only noted.
    """
    deepstream = CLONE and CLONE / "clients" / "deepstream"
    checks = examine(model_repository, server_environment, deepstream, leases=leases)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(check) for check in checks], indent=2))
    else:
        show(checks, stdout)
    if any(check.verdict == Verdict.bad for check in checks):
        raise typer.Exit(1)
