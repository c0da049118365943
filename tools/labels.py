"""Reads and checks class names, from a text file, a data.yaml or a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from tools.errors import LabelsError


def read_labels(file: Path) -> tuple[str, ...]:
    """Read class names by class id.

    Args:
        file: UTF-8 text with one name per line; Windows line ends and empty lines at the end are
            accepted. Or the `data.yaml` that a YOLO was trained with, whose `names` are used.

    Raises:
        LabelsError: The file cannot be read, or a name is not valid.
    """
    try:
        # Editors on Windows write a byte-order mark.
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LabelsError(f"cannot read class names from {file} as UTF-8: {error}") from error
    if file.suffix.lower() in (".yaml", ".yml"):
        names = _names_in_yaml(text, file)
    else:
        names = tuple(line.strip() for line in text.rstrip().splitlines())
    check_labels(names, file)
    return names


def _names_in_yaml(text: str, file: Path) -> tuple[str, ...]:
    try:
        return names_by_id(yaml.safe_load(text)["names"])
    except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise LabelsError(
            f"{file} has no 'names', a list or a dictionary by class id from 0: give a text file "
            "with one name a line"
        ) from error


def choose_labels(
    own: tuple[str, ...], file: Path | None, *, model: Path, most: int
) -> tuple[str, ...]:
    """Class names by class id: those in `file`, or else those in the model.

    Args:
        own: Class names in the model; may be empty.
        file: See `read_labels`.
        model: The model's file, for messages.
        most: Largest number of names that the ensemble can return to clients.

    Raises:
        LabelsError: There are no names, too many, or another number than the model has; or a name
            is empty or occurs twice.
    """
    if file is None and not own:
        raise LabelsError(
            f"{model} has no class names: give --labels, a file with one name per line"
        )
    names = own if file is None else read_labels(file)
    source = file or model
    if own and len(names) != len(own):
        raise LabelsError(
            f"{source} has {len(names)} names, but {model} has {len(own)} classes: write one line "
            "per class, in the order of the class ids"
        )
    if len(names) > most:
        raise LabelsError(
            f"{source} has {len(names)} names, the ensemble allows {most}: train with at most "
            f"{most} classes, or raise max_detections and the outputs' dims of 'nms' and of the "
            "ensemble together"
        )
    check_labels(names, source)
    return names


def check_labels(names: Sequence[str], source: Path) -> None:
    """Check that each class has a name of its own.

    Raises:
        LabelsError: There are no names, one is empty or not printable, or two are equal.
    """
    if not names:
        raise LabelsError(f"{source} has no class names: write one per line")
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise LabelsError(
                f"name {number} of {source} is empty: the line's number is the class id, so write "
                "a name there"
            )
        if name != name.strip() or not name.isprintable():
            raise LabelsError(
                f"name {number} of {source} is {name!r}: remove control characters, and spaces at "
                "both ends"
            )
        if name in first:
            raise LabelsError(
                f"names {first[name]} and {number} of {source} are both '{name}': "
                "make them different, so that each can be selected"
            )
        first[name] = number


def names_by_id(names: object) -> tuple[str, ...]:
    """Class names in the order of the class ids.

    Args:
        names: A list, or a dictionary by class id from 0, whose keys may be strings.

    Raises:
        ValueError: `names` is something else, or an id is missing.
    """
    if isinstance(names, dict):
        by_id = {str(class_id): name for class_id, name in names.items()}
        names = [by_id.get(str(class_id)) for class_id in range(len(by_id))]
    if not isinstance(names, list | tuple) or not all(isinstance(n, str | int) for n in names):
        raise ValueError(f"{names!r} is neither a list nor a dictionary by class id from 0")
    return tuple(map(str, names))
