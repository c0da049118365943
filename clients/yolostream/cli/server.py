"""The Triton server that a command starts, and its options."""

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
    typer.Option(
        help="What the models run on. By default a GPU if the server can use one, else the CPU.",
        rich_help_panel=PANEL,
    ),
]
ModelRepository = Annotated[
    Path, typer.Option(help="Folder with the models.", rich_help_panel=PANEL)
]
ServerEnvironment = Annotated[
    Path,
    typer.Option(
        help="Triton's Python environment, or an installation of Triton.", rich_help_panel=PANEL
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
    """Run a Triton server until the block ends, and print its state; see `embedded.serve`."""
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
        turns = ", without MPS: its steps take turns on the GPU" if takes_turns else ""
        stderr.print(
            f"Triton is ready at {server.url} (profile {server.profile or 'default'}{turns})",
            style="dim",
        )
        yield server


@dataclass(frozen=True)
class ServerInUse:
    """The server that a command uses: a running one, or one that was started for the command."""

    url: str
    token: str | None = field(default=None, repr=False)
    triton: embedded.EmbeddedTriton | None = field(default=None, repr=False)
    """The server that was started for the command; None if it uses a running one."""


@contextlib.contextmanager
def served_at(
    url: str | None,
    token: str | None,
    model: str,
    profile: embedded.Profile | None,
    model_repository: Path,
    server_environment: Path,
) -> Iterator[ServerInUse]:
    """The server at `url`, or one that is started here and runs until the block ends.

    Args:
        url: gRPC address of a running server; None starts one.
        token: the token of the running server.
        model: the ensemble to load in the started server.
        profile: see `embedded.serve`, like the others.
        model_repository: see there.
        server_environment: see there.
    """
    if url is not None:
        yield ServerInUse(url, token)
        return
    # A new token, because only this run uses the server.
    access = Access(new_token())
    with started(
        model_repository, server_environment, profile, models=[model], access=access
    ) as triton:
        yield ServerInUse(triton.url, access.token, triton)
