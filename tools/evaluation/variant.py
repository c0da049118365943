"""An ensemble beside the one that is served, for evaluation: it keeps nearly every box.

It shares the network and the letterbox with the ensemble, and has a suppression of its own, so
that other callers get the boxes that they always get.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated
from yolostream.errors import ModelUnavailable

from tools.errors import RepositoryError
from tools.model_folders.files import CONFIG, configs_of, read_config

SUFFIX = "_evaluation"
CONFIDENCE, IOU = "confidence_threshold", "iou_threshold"
_MOST, _CLASS_AGNOSTIC = "max_detections", "class_agnostic"
THRESHOLDS = {CONFIDENCE: "0.001", IOU: "0.65"}
"""Those of YOLOv7's own evaluation, by the name of the parameter."""


@dataclass(frozen=True)
class Thresholds:
    """What a server's suppression keeps.

    Attributes:
        confidence: A box counts above this.
        iou: Overlap above which the weaker of two boxes of a class falls.
        max_detections: Most boxes of one picture.
        class_agnostic: Whether it falls where they are of different classes, too.
    """

    confidence: float
    iou: float
    max_detections: int
    class_agnostic: bool


def write_variant(repository: Path, ensemble: str, folder: Path) -> None:
    """Write a model repository that holds what `ensemble` lacks for evaluation.

    Args:
        repository: Holds the ensemble; only read.
        ensemble: Its name. Its last step is the suppression.
        folder: To write; new or empty. A server takes it as a second `--model-repository`.

    Raises:
        ModelUnavailable: There is no such model.
        RepositoryError: It is no ensemble that ends with a suppression, or `folder` is not empty.
    """
    path = repository / ensemble / CONFIG
    if not path.is_file():
        names = ", ".join(sorted(p.parent.name for p in repository.glob("*/config.pbtxt")))
        raise ModelUnavailable(f"no model '{ensemble}' in {repository}, only {names}")
    steps = read_config(path).ensemble_scheduling.step
    if not steps:
        raise RepositoryError(f"'{ensemble}' in {repository} is no ensemble: name one")
    suppression = steps[-1].model_name

    def rename(config: Any) -> None:
        config.name = ensemble + SUFFIX
        config.ensemble_scheduling.step[-1].model_name = suppression + SUFFIX

    def loosen(config: Any) -> None:
        config.name = suppression + SUFFIX
        for name, value in THRESHOLDS.items():
            if name not in config.parameters:
                raise RepositoryError(
                    f"'{suppression}', the last step of '{ensemble}', has no parameter '{name}'"
                )
            config.parameters[name].string_value = value

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            # A folder in it, because the temporary one is closed to a server of another user.
            whole = Path(scratch) / "models"
            _copy(repository / ensemble, whole / (ensemble + SUFFIX), rename)
            _copy(repository / suppression, whole / (suppression + SUFFIX), loosen)
            os.replace(whole, folder)
    except OSError as error:
        raise RepositoryError(
            f"cannot write {folder} ({error}): name a new or an empty folder"
        ) from error


def served_thresholds(url: str, suppression: str, *, timeout_s: float) -> Thresholds:
    """Ask a server for the thresholds of one of its models.

    Raises:
        ServerError: It does not tell, or is away.
    """
    with translated(url, suppression), connect(url) as client:
        config = client.get_model_config(suppression, client_timeout=timeout_s).config
    values = {name: parameter.string_value for name, parameter in config.parameters.items()}
    return Thresholds(
        confidence=float(values[CONFIDENCE]),
        iou=float(values[IOU]),
        max_detections=int(values[_MOST]),
        # A server's repository may be older than it.
        class_agnostic=values.get(_CLASS_AGNOSTIC) == "true",
    )


def _copy(model: Path, target: Path, edit: Callable[[Any], None]) -> None:
    """Copy a model's folder, and edit its configuration in every profile."""
    shutil.copytree(model, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in configs_of(target):
        config = read_config(target / path)
        edit(config)
        (target / path).write_text(text_format.MessageToString(config), encoding="utf-8")
