"""The Triton that a command starts, and its options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from yolostream import bundled
from yolostream.access_token import new_token
from yolostream.cli.messages import stderr
from yolostream.server import embedded, installing
from yolostream.server.access import Access

PANEL = "Embedded Triton (without --url)"


ProfileOption = Annotated[
    embedded.Profile | None,
    typer.Option(help="By default what the machine allows.", rich_help_panel=PANEL),
]
ModelRepository = Annotated[
    Path, typer.Option(help="The models that it serves.", rich_help_panel=PANEL)
]
ServerEnvironment = Annotated[
    Path,
    typer.Option(
        help="Its Python environment, or an installation of Triton.", rich_help_panel=PANEL
    ),
]
DEFAULT_MODEL_REPOSITORY = bundled.MODEL_REPOSITORY
DEFAULT_SERVER_ENVIRONMENT = installing.default_folder()


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
    access: Access = Access(),  # noqa: B008  # frozen
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
        access=access,
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


@dataclass(frozen=True)
class ServerInUse:
    """The server of a command: one that runs somewhere, or one that was started for it."""

    url: str
    token: str | None = field(default=None, repr=False)
    triton: embedded.EmbeddedTriton | None = field(default=None, repr=False)
    """The one that was started."""


@contextlib.contextmanager
def served_at(
    url: str | None,
    token: str | None,
    model: str,
    profile: embedded.Profile | None,
    model_repository: Path,
    server_environment: Path,
) -> Iterator[ServerInUse]:
    """The server at `url`, with its `token`; without, a Triton that runs until the block ends."""
    if url is not None:
        yield ServerInUse(url, token)
        return
    # It is for this run alone.
    access = Access(new_token())
    with started(
        model_repository, server_environment, profile, models=[model], access=access
    ) as triton:
        yield ServerInUse(triton.url, access.token, triton)
