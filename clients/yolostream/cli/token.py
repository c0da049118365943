"""`yolostream token`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolostream.cli.messages import stderr, stdout
from yolostream.service.tokens import Scope, new_token


def token(
    scope: Annotated[
        Scope, typer.Argument(help="'read' may see the cameras; 'write' may also change them.")
    ],
    file: Annotated[
        Path,
        typer.Option(
            help="File of tokens that the new one is added to. It stores only a digest of each, "
            "and is created if it is missing."
        ),
    ],
) -> None:
    """Make a token for the API and the page of 'yolostream run', and print it once."""
    made = new_token(file, scope)
    stderr.print(
        f"Store the token safely: {file} contains only its digest.", style="dim", highlight=False
    )
    stdout.print(made, highlight=False, soft_wrap=True)
