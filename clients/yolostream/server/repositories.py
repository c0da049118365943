"""Checks model repositories before a server is started."""

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
"""Characters that the path of a Python model must not have. Triton starts the model's process
through a shell, and the Python in it imports nothing from a path that is not ASCII."""


def check_repositories(repositories: Sequence[Path], models: Sequence[str]) -> None:
    """Check for problems that Triton would report later and less clearly.

    Args:
        repositories: model repositories.
        models: names of models, each of which has to be in one of the repositories.

    Raises:
        ServerStartError: a repository is not a folder, or Triton cannot start models from its path.
        ModelUnavailable: no repository has a folder for one of `models`.
    """
    for folder in repositories:
        if not folder.is_dir():
            raise ServerStartError(f"there is no model repository at {folder}: check the path")
        if unfit := _UNFIT_FOR_TRITON.search(str(folder.resolve())):
            raise ServerStartError(
                f"Triton cannot start Python models from {folder.resolve()}, because of the "
                f"'{unfit[0]}': move the repository to a path of ASCII letters, without spaces"
            )
    there = {
        config.parent.name for folder in repositories for config in folder.glob("*/config.pbtxt")
    }
    if missing := set(models) - there:
        ensembles = ", ".join(sorted(there))
        raise ModelUnavailable(
            f"there is no model '{min(missing)}' in {repositories[0]}, only {ensembles}: install "
            "it with tools.install_model"
        )


def ensembles_in(repositories: Sequence[Path]) -> list[str]:
    """Names of this project's ensembles in model repositories, sorted."""
    found = []
    for path in (path for folder in repositories for path in folder.glob("*/config.pbtxt")):
        with contextlib.suppress(OSError, text_format.ParseError):
            config = text_format.Parse(path.read_text(), ModelConfig(), allow_unknown_field=True)
            if config.HasField("ensemble_scheduling") and detects(config):
                found.append(path.parent.name)
    return sorted(found)
