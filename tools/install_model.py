"""Install a detector into the model repository, next to the others."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.command import one_line_errors
from tools.errors import RepositoryError
from tools.evaluation.variant import SUFFIX
from tools.labels import choose_labels
from tools.model_folders.changes import Change, apply, changes_to
from tools.model_folders.files import REPOSITORY, detector_files, labels_of
from tools.model_folders.tensor_maps import check_tensor_maps
from tools.model_folders.trial import run_once
from tools.onnx_file import content_of
from tools.served_onnx import ServedOnnx, read_served_onnx

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
# Names of the detectors' steps and of the evaluation's ensembles, which are reserved.
_STEP = re.compile(rf"nms|preprocess(_.*)?|.*_fp16|.*{SUFFIX}")


def install(
    path: Path,
    name: str,
    *,
    labels: Path | None = None,
    repository: Path = REPOSITORY,
    dry_run: bool = False,
) -> tuple[ServedOnnx, list[Change], list[str]]:
    """Install an ONNX file as the ensemble `name`. After an error the repository is unchanged.

    Args:
        path: ONNX file from tools.export_onnx. External weights are merged into the installed file.
        name: Name of the ensemble; an existing one is replaced.
        labels: UTF-8 text with one class name per line; by default the names in the ONNX file.
        repository: Model repository with the shipped folders.
        dry_run: Do everything except writing.

    Returns:
        The file's description; the changed files, which are none if the model is up to date; and
        warnings from its first run, one sentence each.

    Raises:
        OnnxError: The file cannot be served.
        LabelsError: There are no class names, or they do not fit.
        RepositoryError: The name is not allowed, or the repository cannot take the model.
    """
    _check_name(name)
    served = read_served_onnx(path)
    model = content_of(path)
    _, most = labels_of(repository)
    names = choose_labels(served.names, labels, model=path, most=most)
    files = detector_files(repository, name, served, model=model, labels=names)
    check_tensor_maps(repository, files, name)
    changes = changes_to(repository, files)
    odd = []
    if changes:
        odd = run_once(model, served, class_count=len(names))
        if not dry_run:
            apply(changes, repository)
    return served, changes, odd


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RepositoryError(
            f"'{name}' is not a valid name: use letters, digits, '_' and '-', beginning with a "
            "letter"
        )
    if _STEP.fullmatch(name):
        raise RepositoryError(f"'{name}' is reserved for a step of the ensembles: use another name")


def _report(options: argparse.Namespace, served: ServedOnnx, changes: Sequence[Change]) -> None:
    if changes:
        done = "would install" if options.dry_run else "installed"
        sizes = (
            f"{served.height}x{served.width} pixels (height x width), {served.rows} rows per frame"
        )
        print(f"{done} {options.name} ({sizes})", *changes, sep="\n  ")
    else:
        print(f"{options.name} is up to date")
    if not options.dry_run:
        elsewhere = options.repository.resolve() != REPOSITORY
        where = f" --model-repository {options.repository}" if elsewhere else ""
        print(f"next: yolostream detect VIDEO --model {options.name}{where}")
        if changes:
            print(
                "a 'yolostream serve' that runs already, or another Triton, serves it after a "
                "restart"
            )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.install_model", description=__doc__)
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL.onnx", help="ONNX file from tools.export_onnx")
    add("name", metavar="NAME", help="name of the ensemble; an existing one is replaced")
    add(
        "--labels",
        type=Path,
        help="file of class names, one per line, or a data.yaml (default: names in the ONNX file)",
    )
    add("--repository", type=Path, default=REPOSITORY, help="model repository to install into")
    add("--dry-run", action="store_true", help="print what would change, and change nothing")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = _arguments(argv)
    with one_line_errors():
        served, changes, odd = install(
            options.model,
            options.name,
            labels=options.labels,
            repository=options.repository,
            dry_run=options.dry_run,
        )
        for sentence in odd:
            print(sentence, file=sys.stderr)
        _report(options, served, changes)


if __name__ == "__main__":
    main()
