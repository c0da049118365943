"""The Triton that a command starts, and its options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from yolostream.cli.messages import stderr
from yolostream.server import embedded

REPOSITORY = Path(__file__).resolve().parents[3]
_PANEL = "Embedded Triton (without --url)"


ProfileOption = Annotated[
    embedded.Profile | None,
    typer.Option(help="By default what the machine allows.", rich_help_panel=_PANEL),
]
ModelRepository = Annotated[
    Path, typer.Option(help="The models that it serves.", rich_help_panel=_PANEL)
]
ServerEnvironment = Annotated[
    Path,
    typer.Option(
        help="Its Python environment, or an installation of Triton.", rich_help_panel=_PANEL
    ),
]
DEFAULT_MODEL_REPOSITORY = REPOSITORY / "model_repository"
DEFAULT_SERVER_ENVIRONMENT = REPOSITORY / ".venv-server"


@contextlib.contextmanager
def started(
    model_repository: Path,
    server_environment: Path,
    profile: embedded.Profile | None,
    *,
    models: Sequence[str] = (),
    host: str = embedded.LOOPBACK,
    ports: embedded.Ports = embedded.Ports(),  # noqa: B008  # frozen
    keep_awake: bool = False,
    options: Sequence[str] = (),
    once: bool = False,
) -> Iterator[embedded.EmbeddedTriton]:
    """Serve until the block ends, and say so; see `embedded.serve`."""
    stderr.print("Starting Triton ...", style="dim")
    with embedded.serve(
        model_repository,
        environment=server_environment,
        models=models,
        profile=profile,
        host=host,
        ports=ports,
        keep_awake=keep_awake,
        options=options,
        once=once,
    ) as server:
        takes_turns = server.profile not in (None, "cpu") and not server.shares_gpu
        turns = ", its steps take turns: no MPS" if takes_turns else ""
        stderr.print(
            f"Triton is ready at {server.url} (profile {server.profile or 'default'}{turns})",
            style="dim",
        )
        yield server


@contextlib.contextmanager
def served_at(
    url: str | None,
    model: str,
    profile: embedded.Profile | None,
    model_repository: Path,
    server_environment: Path,
) -> Iterator[str]:
    """Address of the server at `url`; without one, of a Triton that runs until the block ends."""
    if url is not None:
        yield url
        return
    with started(model_repository, server_environment, profile, models=[model]) as triton:
        yield triton.url
