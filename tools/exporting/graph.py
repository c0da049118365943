"""Checks a graph and writes it to a file."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
from yolostream.replacing import refuse_special_file

from tools.errors import ExportError
from tools.exporting.check import (
    ROUNDING,
    ROUNDING_FLOAT16,
    Detect,
    compare,
    compare_alone,
    fixed_pictures,
    runner,
)
from tools.exporting.half import to_fp16
from tools.sanity import sanity_warnings
from tools.served_onnx import read_served_onnx, sides_of


@dataclass(frozen=True)
class Graph:
    """A graph that is not checked yet.

    Attributes:
        model: The graph, in float32.
        names: Class names by class id; empty if the source has none.
        classes: Smallest number of class names.
        reference: Another implementation of the same network, if there is one.
    """

    model: onnx.ModelProto
    names: tuple[str, ...]
    classes: int = 1
    reference: Detect | None = None


def write(graph: Graph, path: Path, *, half: bool = False, metadata: dict[str, str]) -> list[str]:
    """Check a graph, and write it if all checks succeed.

    Args:
        graph: The graph.
        path: File to write.
        half: Convert the graph to float16; input and output stay float32.
        metadata: Strings to store in the file.

    Returns:
        The measured differences and warnings, one sentence each.

    Raises:
        ExportError: A check failed, or the file cannot be written.
        OnnxError: The graph does not follow the contract of `served_onnx`.
    """
    run = runner(graph.model)
    height, width = sides_of(graph.model)
    pictures = fixed_pictures(height, width)
    findings = []
    if graph.reference:
        what = "ONNX Runtime and PyTorch"
        findings.append(compare(run(pictures), graph.reference(pictures), ROUNDING, what=what))
    model, tolerance = graph.model, ROUNDING
    if half:
        model, tolerance = to_fp16(graph.model), ROUNDING_FLOAT16
        what = "float16 and float32"
        wide, run = run, runner(model)
        findings.append(compare(run(pictures), wide(pictures), tolerance, what=what))
    findings.append(compare_alone(run, pictures, tolerance))
    findings += sanity_warnings(model, run(pictures))
    onnx.helper.set_model_props(model, metadata)
    _replace(path, model)
    return findings


def check_target(path: Path) -> None:
    """Check in advance that a file can be written.

    Raises:
        ExportError: The path is a device, a pipe or a folder.
    """
    try:
        refuse_special_file(path)
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> ExportError:
    return ExportError(f"cannot write {path}: {error.strerror}")


def _replace(path: Path, model: onnx.ModelProto) -> None:
    check_target(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            candidate = Path(folder) / path.name
            onnx.save(model, candidate)
            read_served_onnx(candidate)
            os.replace(candidate, path)
    except OSError as error:
        raise _not_written(path, error) from error
