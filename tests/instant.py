"""A real Triton with a model that takes no time, for tests of the client only."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from yolostream.server import embedded
from yolostream.server.access import Access

MODEL = "instant"
OTHER, BROKEN = "other", "broken"


ANY_PORTS = embedded.Ports()
OPEN = Access()
REPOSITORY = Path(__file__).with_name("instant_repository")


def relabeled(folder: Path, *labels: str) -> Path:
    """Copy the repository into `folder`, with other class names."""
    copy = shutil.copytree(REPOSITORY, folder / "-".join(labels))
    (copy / MODEL / "labels.txt").write_text("\n".join(labels) + "\n")
    return copy


def with_others(folder: Path) -> Path:
    """Copy the repository into `folder`, and add two ensembles.

    The input of `other` has half the size; `broken` fails on every frame.
    """
    copy = shutil.copytree(REPOSITORY, folder / "with_others")
    for name in (OTHER, BROKEN):
        for model in (MODEL, f"{MODEL}_answer"):
            target = copy / model.replace(MODEL, name)
            shutil.copytree(copy / model, target)
            config = (target / "config.pbtxt").read_text().replace(MODEL, name)
            (target / "config.pbtxt").write_text(config.replace("3, 640, 640", "3, 320, 320"))
    code = copy / f"{BROKEN}_answer" / "1" / "model.py"
    code.write_text(
        code.read_text().replace("frames = ", "raise ValueError('broken')\n        frames = ")
    )
    return copy


def serve_instant(
    ports: embedded.Ports = ANY_PORTS,
    repository: Path = REPOSITORY,
    host: str = embedded.LOOPBACK,
    access: Access = OPEN,
    models: Sequence[str] = (MODEL,),
) -> AbstractContextManager[embedded.EmbeddedTriton]:
    return embedded.serve(
        repository,
        environment=Path(__file__).parents[1] / ".venv-server",
        models=models,
        profile="cpu",
        host=host,
        ports=ports,
        access=access,
        # No test needs the default, which makes a stop wait for two seconds.
        stop_timeout_s=0,
    )
