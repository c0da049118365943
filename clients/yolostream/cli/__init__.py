"""The command line."""

from __future__ import annotations

import logging
import sys

import typer

from yolostream.cli import detect, doctor, serve
from yolostream.cli.messages import PrintNotes, print_error
from yolostream.errors import YolostreamError
from yolostream.interruption import interrupt_on_stop_signals

app = typer.Typer(
    help="Object detection on video streams, served by NVIDIA Triton.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(detect.detect)
app.command()(serve.serve)
app.command()(doctor.doctor)


def main() -> None:
    """Run the command line; a known error is one line and an exit code of its own."""
    interrupt_on_stop_signals()
    logging.getLogger("yolostream").addHandler(PrintNotes())
    try:
        app()
    except YolostreamError as error:
        print_error(error)
        sys.exit(error.exit_code)
