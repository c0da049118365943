"""Class names by class id: from a text file, a model, or whatever a checkpoint keeps them in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from tools.errors import LabelsError


def read_labels(file: Path) -> tuple[str, ...]:
    """Read class names by class id.

    Args:
        file: UTF-8 text, one name a line; line ends of Windows and blank lines at the end do no
            harm. Or the `data.yaml` that a YOLO was trained with, of which `names` is taken.

    Raises:
        LabelsError: It cannot be read, or its names do not do.
    """
    try:
        # Editors on Windows put a mark in front.
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
    """Class names by class id: those of `file`, else those that the model states.

    Args:
        own: Those that the model states; empty where it states none.
        file: See `read_labels`.
        model: The model's file, for messages.
        most: How many the ensemble can tell its callers.

    Raises:
        LabelsError: There are none, `file` and model disagree in number, they are too many, or a
            name is empty or there twice.
    """
    if file is None and not own:
        raise LabelsError(
            f"{model} does not name its classes: give --labels, a file with one name a line"
        )
    names = own if file is None else read_labels(file)
    source = file or model
    if own and len(names) != len(own):
        raise LabelsError(
            f"{source} has {len(names)} names, but {model} has {len(own)} classes: "
            "one line each, in the order of the class ids"
        )
    if len(names) > most:
        raise LabelsError(
            f"{source} has {len(names)} names, the ensemble carries {most}: train with at most "
            f"{most} classes, or raise max_detections and the outputs' dims of 'nms' and of the "
            "ensemble together"
        )
    check_labels(names, source)
    return names


def check_labels(names: Sequence[str], source: Path) -> None:
    """Make sure that each class has a name, and one of its own.

    Raises:
        LabelsError: There are no names, one is empty, or two are the same.
    """
    if not names:
        raise LabelsError(f"{source} has no class names: write one a line")
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise LabelsError(
                f"name {number} of {source} is empty: a line's place is its class id, so name it"
            )
        if name != name.strip() or not name.isprintable():
            raise LabelsError(
                f"name {number} of {source} is {name!r}: without line breaks and blanks around it, "
                "please"
            )
        if name in first:
            raise LabelsError(
                f"names {first[name]} and {number} of {source} are both '{name}': "
                "make them different, or nobody can ask for one of them"
            )
        first[name] = number


def names_by_id(names: object) -> tuple[str, ...]:
    """Class names in order, however they were kept.

    Args:
        names: A list, or a dictionary by class id from 0, whose keys may be text.

    Raises:
        ValueError: They are something else, or an id is left out.
    """
    if isinstance(names, dict):
        by_id = {str(class_id): name for class_id, name in names.items()}
        names = [by_id.get(str(class_id)) for class_id in range(len(by_id))]
    if not isinstance(names, list | tuple) or not all(isinstance(n, str | int) for n in names):
        raise ValueError(f"{names!r} is neither a list nor a dictionary by class id from 0")
    return tuple(map(str, names))
