"""The Triton that a command starts, and its options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from yolostream.cli.messages import stderr
from yolostream.server import embedded

REPOSITORY = Path(__file__).resolve().parents[3]
_PANEL = "Embedded Triton (without --url)"


class Profile(StrEnum):
    """Profiles of the embedded Triton; the names are those of `embedded.Profile`."""

    cpu = "cpu"
    onnx_gpu = "onnx-gpu"
    torch_gpu = "torch-gpu"


ProfileOption = Annotated[
    Profile | None,
    typer.Option(help="By default what the machine allows.", rich_help_panel=_PANEL),
]
ModelRepository = Annotated[
    Path, typer.Option(help="The models that it serves.", rich_help_panel=_PANEL)
]
ServerEnvironment = Annotated[
    Path, typer.Option(help="Its Python environment.", rich_help_panel=_PANEL)
]
DEFAULT_MODEL_REPOSITORY = REPOSITORY / "model_repository"
DEFAULT_SERVER_ENVIRONMENT = REPOSITORY / ".venv-server"


@contextlib.contextmanager
def started(
    model_repository: Path,
    server_environment: Path,
    profile: Profile | None,
    *,
    models: Sequence[str] = (),
    host: str = embedded.LOOPBACK,
    ports: embedded.Ports = embedded.Ports(),  # noqa: B008  # frozen
    keep_awake: bool = False,
) -> Iterator[embedded.EmbeddedTriton]:
    """Serve until the block ends, and say so; see `embedded.serve`."""
    stderr.print("Starting Triton ...", style="dim")
    with embedded.serve(
        model_repository,
        environment=server_environment,
        models=models,
        profile=profile.value if profile else None,
        host=host,
        ports=ports,
        keep_awake=keep_awake,
    ) as server:
        turns = (
            "" if server.shares_gpu or server.profile == "cpu" else ", its steps take turns: no MPS"
        )
        stderr.print(
            f"Triton is ready at {server.url} (profile {server.profile}{turns})", style="dim"
        )
        yield server
