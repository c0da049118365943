"""Class names of a model that is installed: from a file, or from the model itself."""

from __future__ import annotations

from pathlib import Path

from tools.errors import LabelsError
from tools.labels import check_labels, read_labels
from tools.served_onnx import ServedOnnx


def choose_labels(served: ServedOnnx, file: Path | None, *, most: int) -> tuple[str, ...]:
    """Class names by class id: those of `file`, else those that the model states.

    Args:
        served: The model.
        file: See `read_labels`.
        most: How many the ensemble can tell its callers.

    Raises:
        LabelsError: There are none, `file` and model disagree in number, they are too many, or a
            name is empty or there twice.
    """
    if file is None and not served.names:
        raise LabelsError(
            f"{served.path} does not name its classes: give --labels, a file with one name a line"
        )
    names = served.names if file is None else read_labels(file)
    source = file or served.path
    if served.names and len(names) != len(served.names):
        raise LabelsError(
            f"{source} has {len(names)} names, but {served.path} has {len(served.names)} classes: "
            "one line each, in the order of the class ids"
        )
    if len(names) > most:
        raise LabelsError(f"{source} has {len(names)} names, the ensemble carries {most}")
    check_labels(names, source)
    return names
