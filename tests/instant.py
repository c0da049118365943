"""A real Triton whose model costs nothing, so that only the client's side is looked at."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from yolostream.server import embedded

MODEL = "instant"


ANY_PORTS = embedded.Ports()


def serve_instant(
    ports: embedded.Ports = ANY_PORTS,
) -> AbstractContextManager[embedded.EmbeddedTriton]:
    return embedded.serve(
        Path(__file__).with_name("instant_repository"),
        environment=Path(__file__).parents[1] / ".venv-server",
        models=[MODEL],
        profile="cpu",
        ports=ports,
    )
