"""The command line."""

from __future__ import annotations

import logging
import sys
from typing import NoReturn

import typer

from yolostream.cli import detect, doctor, install_server, run, serve, token
from yolostream.cli.messages import (
    PrintNotes,
    interruptible,
    make_stderr_lossy,
    print_error,
)
from yolostream.errors import YolostreamError
from yolostream.interruption import ignore_stop_signals
from yolostream.redaction import print_traceback, redact_argument

app = typer.Typer(
    help="Object detection on video streams, served by NVIDIA Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    detect.detect,
    run.run,
    serve.serve,
    install_server.install_server,
    token.token,
    doctor.doctor,
):
    app.command()(interruptible()(command))

_UsageError: type[typer.BadParameter] = typer.BadParameter.__base__  # type: ignore[assignment]
"""Of all that is wrong with arguments. Typer has no name for it that its versions share."""


def main() -> NoReturn:
    """Run the command line; a known error is one line and an exit code of its own."""
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
