"""A real Triton whose model costs nothing, so that only the client's side is looked at."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from yolostream.server import embedded
from yolostream.server.access import Access

MODEL = "instant"


ANY_PORTS = embedded.Ports()
OPEN = Access()
REPOSITORY = Path(__file__).with_name("instant_repository")


def relabeled(folder: Path, *labels: str) -> Path:
    """The repository, copied into `folder`, with other names for its classes."""
    copy = shutil.copytree(REPOSITORY, folder / "-".join(labels))
    (copy / MODEL / "labels.txt").write_text("\n".join(labels) + "\n")
    return copy


def serve_instant(
    ports: embedded.Ports = ANY_PORTS,
    repository: Path = REPOSITORY,
    host: str = embedded.LOOPBACK,
    access: Access = OPEN,
) -> AbstractContextManager[embedded.EmbeddedTriton]:
    return embedded.serve(
        repository,
        environment=Path(__file__).parents[1] / ".venv-server",
        models=[MODEL],
        profile="cpu",
        host=host,
        ports=ports,
        access=access,
    )
