"""The command line."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Annotated, NoReturn

import typer

from yolostream._version import __version__
from yolostream.cli import doctor, install_server, serve, token
from yolostream.cli.messages import (
    PrintNotes,
    interruptible,
    make_stderr_lossy,
    print_error,
)
from yolostream.errors import PackageMissing, YolostreamError
from yolostream.extras import needed
from yolostream.interruption import ignore_stop_signals
from yolostream.redaction import print_traceback, redact_argument

app = typer.Typer(
    help="Object detection on video streams, served by NVIDIA Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"yolostream {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """Declare the options that come before the command."""


def _add(name: str, extra: str) -> None:
    """Add a command; if a package of its extra is missing, one that raises that error."""
    try:
        with needed(extra, f"'yolostream {name}'"):
            command = getattr(importlib.import_module(f"yolostream.cli.{name}"), name)
    except PackageMissing as error:
        _add_missing(name, extra, error)
    else:
        app.command()(interruptible()(command))


def _add_missing(name: str, extra: str, error: PackageMissing) -> None:
    @app.command(
        name,
        help=f"Not installed: it is part of the extra '{extra}'.",
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
    )
    def missing(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        raise error


_add("detect", "video")
_add("run", "service")
for command in (serve.serve, install_server.install_server, token.token, doctor.doctor):
    app.command()(interruptible()(command))

_UsageError: type[typer.BadParameter] = typer.BadParameter.__base__  # type: ignore[assignment]
"""Base of all errors about arguments. Typer has no public name for it in all its versions."""


def main() -> NoReturn:
    """Run the command line. An expected error is printed as one line and sets the exit code."""
    make_stderr_lossy()
    logging.getLogger("yolostream").addHandler(PrintNotes())
    with print_traceback():
        code = _run()
    ignore_stop_signals()
    sys.exit(code)


def _run() -> int:
    try:
        return app(standalone_mode=False) or 0
    except YolostreamError as error:
        print_error(error)
        return error.exit_code
    except _UsageError as error:
        for argument in sys.argv[1:]:
            error.message = error.message.replace(argument, redact_argument(argument))
        error.show()
        return error.exit_code
