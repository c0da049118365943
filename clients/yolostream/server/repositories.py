"""Folders of models, as a server is given them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from yolostream.client.model import detects
from yolostream.errors import ModelUnavailable, ServerStartError

_UNFIT_FOR_TRITON = re.compile(r"[\s()&;|<>$`\\\"']|[^\x00-\x7f]")
"""In a model's path: Triton starts the process of a Python model through a shell, and the Python in
it imports nothing from a path that is not ASCII."""


def check_repositories(repositories: Sequence[Path], models: Sequence[str]) -> None:
    """Look for what Triton would fail of later, and say less about.

    Args:
        repositories: folders of models.
        models: that have to be in one of them.

    Raises:
        ServerStartError: one is no folder, or lies where Triton starts no model.
        ModelUnavailable: none has a folder for one of `models`.
    """
    for folder in repositories:
        if not folder.is_dir():
            raise ServerStartError(f"no model repository at {folder}")
        if unfit := _UNFIT_FOR_TRITON.search(str(folder.resolve())):
            raise ServerStartError(
                f"Triton's Python models do not start in {folder.resolve()}, because of the "
                f"'{unfit[0]}': move the repository to a path of plain letters, without spaces"
            )
    there = {
        config.parent.name for folder in repositories for config in folder.glob("*/config.pbtxt")
    }
    if missing := set(models) - there:
        ensembles = ", ".join(sorted(there))
        raise ModelUnavailable(
            f"no model '{min(missing)}' in {repositories[0]}, only {ensembles}: install it with "
            "tools.install_model"
        )


def ensembles_in(repositories: Sequence[Path]) -> list[str]:
    """Names of this project's ensembles in folders of models."""
    found = []
    for path in (path for folder in repositories for path in folder.glob("*/config.pbtxt")):
        with contextlib.suppress(OSError, text_format.ParseError):
            config = text_format.Parse(path.read_text(), ModelConfig(), allow_unknown_field=True)
            if config.HasField("ensemble_scheduling") and detects(config):
                found.append(path.parent.name)
    return sorted(found)
