"""The same ensemble with other settings for batching requests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from yolostream.errors import ModelUnavailable

from loadtest.repository import MODELS
from tools.model_folders.files import CONFIG, configs_of, read_config

UNBATCHED, BATCHED = "unbatched", "joined"
"""No dynamic batching; and that of the default profile, which waits for larger batches.

Result files call them so.
"""


def write_variants(ensemble: str, folder: Path) -> dict[str, str]:
    """Write a model repository with a variant of the ensemble for each setting.

    The variants share its other steps, and its network's file is copied.

    Args:
        ensemble: In the repository's own `model_repository`.
        folder: Existing and empty; a server takes it as a second repository.

    Returns:
        Name of the variant by setting.

    Raises:
        ModelUnavailable: There is no such ensemble.
        RepositoryError: A configuration is not to be read.
    """
    network = _network_of(ensemble)
    waiting = read_config(MODELS / network / CONFIG).dynamic_batching

    def unbatch(config: Any) -> None:
        config.ClearField("dynamic_batching")

    def batch(config: Any) -> None:
        config.dynamic_batching.CopyFrom(waiting)

    edits = {UNBATCHED: unbatch, BATCHED: batch}
    return {
        setting: _write_variant(ensemble, network, setting, edit, folder)
        for setting, edit in edits.items()
    }


def _network_of(ensemble: str) -> str:
    """The step between the one that takes frames and the one that gives detections."""
    path = MODELS / ensemble / CONFIG
    steps = [*read_config(path).ensemble_scheduling.step] if path.is_file() else []
    if len(steps) != 3:
        raise ModelUnavailable(
            f"no ensemble '{ensemble}' of three steps in {MODELS}: name one, or install it with "
            "tools.install_model"
        )
    return str(steps[1].model_name)


def _write_variant(
    ensemble: str, network: str, setting: str, edit: Callable[[Any], None], folder: Path
) -> str:
    names = {name: f"{name}_{setting}" for name in (ensemble, network)}

    def rewire(config: Any) -> None:
        for step in config.ensemble_scheduling.step:
            step.model_name = names.get(step.model_name, step.model_name)

    for name, change in ((ensemble, rewire), (network, edit)):
        target = folder / names[name]
        shutil.copytree(MODELS / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        for path in configs_of(target):
            config = read_config(target / path)
            config.name = names[name]
            change(config)
            (target / path).write_text(text_format.MessageToString(config), encoding="utf-8")
    return names[ensemble]
