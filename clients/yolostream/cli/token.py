"""`yolostream token`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from yolostream.cli.messages import stderr, stdout
from yolostream.service.tokens import Scope, new_token


def token(
    scope: Annotated[Scope, typer.Argument(help="read: look at cameras; write: change them, too.")],
    file: Annotated[
        Path, typer.Option(help="Keeps what it is known by, and not the token. It may be new.")
    ],
) -> None:
    """Make a token for the API and the page of 'yolostream run', and print it, once."""
    made = new_token(file, scope)
    stderr.print(f"Keep it: {file} only has its digest.", style="dim", highlight=False)
    stdout.print(made, highlight=False, soft_wrap=True)
