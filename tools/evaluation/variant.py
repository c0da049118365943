"""The variant of an ensemble for evaluation, which keeps nearly every box.

It uses the same network and letterbox as the ensemble, but has a suppression step of its own. So
the detections of other clients do not change.
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
"""The thresholds of YOLOv7's own evaluation, by parameter."""


@dataclass(frozen=True)
class Thresholds:
    """The parameters of a server's suppression step.

    Attributes:
        confidence: Confidences of detections are above this, 0..1.
        iou: IoU above which the box with the lower score is suppressed, 0..1.
        max_detections: Largest number of detections per picture.
        class_agnostic: Whether boxes of different classes also suppress each other.
    """

    confidence: float
    iou: float
    max_detections: int
    class_agnostic: bool


def write_variant(repository: Path, ensemble: str, folder: Path) -> None:
    """Write a model repository with the variant of an ensemble and its suppression step.

    Args:
        repository: Model repository with the ensemble. It is only read.
        ensemble: Name of the ensemble. Its last step has to be the suppression.
        folder: Target folder, new or empty. It is given to a server as a second
            `--model-repository`.

    Raises:
        ModelUnavailable: There is no such model.
        RepositoryError: The model is not an ensemble that ends with a suppression step, or `folder`
            is not empty.
    """
    path = repository / ensemble / CONFIG
    if not path.is_file():
        names = ", ".join(sorted(p.parent.name for p in repository.glob("*/config.pbtxt")))
        raise ModelUnavailable(f"there is no model '{ensemble}' in {repository}, only {names}")
    steps = read_config(path).ensemble_scheduling.step
    if not steps:
        raise RepositoryError(f"'{ensemble}' in {repository} is not an ensemble: give one")
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
            # A subfolder, because the temporary folder itself is not readable for other users, and
            # the server may run as another user.
            whole = Path(scratch) / "models"
            _copy(repository / ensemble, whole / (ensemble + SUFFIX), rename)
            _copy(repository / suppression, whole / (suppression + SUFFIX), loosen)
            os.replace(whole, folder)
    except OSError as error:
        raise RepositoryError(
            f"cannot write {folder} ({error}): name a new or an empty folder"
        ) from error


def served_thresholds(url: str, suppression: str, *, timeout_s: float) -> Thresholds:
    """Read the parameters of a suppression step from a server.

    Raises:
        ServerError: The server denies access to its models, or cannot be reached.
    """
    with translated(url, suppression), connect(url) as client:
        config = client.get_model_config(suppression, client_timeout=timeout_s).config
    values = {name: parameter.string_value for name, parameter in config.parameters.items()}
    return Thresholds(
        confidence=float(values[CONFIDENCE]),
        iou=float(values[IOU]),
        max_detections=int(values[_MOST]),
        # Repositories of older versions lack this parameter.
        class_agnostic=values.get(_CLASS_AGNOSTIC) == "true",
    )


def _copy(model: Path, target: Path, edit: Callable[[Any], None]) -> None:
    """Copy a model's folder, and edit its configurations of all profiles."""
    shutil.copytree(model, target, ignore=shutil.ignore_patterns("__pycache__"))
    for path in configs_of(target):
        config = read_config(target / path)
        edit(config)
        (target / path).write_text(text_format.MessageToString(config), encoding="utf-8")
