"""Changing several files of a model repository as one: all of them, or none."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.errors import RepositoryError
from tools.model_folders.files import Files

# Triton takes every folder of a repository for a model, hidden ones too; inside a model it looks
# only at those with a number. This one is always there, and on the same file system.
_STAGED_IN = "preprocess"


@dataclass(frozen=True)
class Change:
    """One file that changes.

    Attributes:
        path: Relative to the repository.
        content: What it will hold; None if it goes.
        is_new: Nothing is there yet.
    """

    path: Path
    content: bytes | None
    is_new: bool

    def __str__(self) -> str:
        """What happens to which file."""
        kind = "remove" if self.content is None else "new" if self.is_new else "replace"
        return f"{kind:<8} {self.path}"


def changes_to(repository: Path, files: Files) -> list[Change]:
    """What has to change so that `files` are there; nothing if they are.

    A TensorRT plan goes when the ONNX file changes that it was built from.

    Raises:
        RepositoryError: What is there cannot be read.
    """
    stale, changed = [], []
    with _refusals(repository):
        for path, content in files.items():
            present = _content(repository / path)
            if present == content:
                continue
            changed.append(Change(path, content, is_new=present is None))
            if path.name == "model.onnx":
                plans = (path.with_name("model.plan"), path.with_name("model.plan.json"))
                stale += [Change(p, None, False) for p in plans if (repository / p).exists()]
    # First, so that no plan ever lies beside an ONNX file that it was not built from.
    return [*stale, *changed]


def apply(changes: Sequence[Change], repository: Path) -> None:
    """Make the changes, or leave everything as it was.

    A process that is killed outright while files are moved leaves each of them old or new; doing
    it again completes them.

    Raises:
        RepositoryError: The disk is full, or the repository is not to be written to.
    """
    with (
        _refusals(repository),
        tempfile.TemporaryDirectory(
            prefix=".install-", dir=repository / _STAGED_IN, ignore_cleanup_errors=True
        ) as staging,
    ):
        new, old = Path(staging, "new"), Path(staging, "old")
        for change in changes:
            for folder in (new, old):
                (folder / change.path).parent.mkdir(parents=True, exist_ok=True)
            if change.content is not None:
                (new / change.path).write_bytes(change.content)
            if not change.is_new:
                shutil.copy2(repository / change.path, old / change.path)
        _swap(changes, repository, new=new, old=old)


def _swap(changes: Sequence[Change], repository: Path, *, new: Path, old: Path) -> None:
    """Move the new files in; if that fails anywhere, put the old ones back."""
    made = {change.path.parts[0] for change in changes} - set(os.listdir(repository))
    try:
        for change in changes:
            target = repository / change.path
            if change.content is None:
                target.unlink()
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(new / change.path, target)
    except BaseException:
        for change in changes:
            if change.is_new:
                (repository / change.path).unlink(missing_ok=True)
            else:
                os.replace(old / change.path, repository / change.path)
        for folder in made:
            shutil.rmtree(repository / folder, ignore_errors=True)
        raise


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _refusals(repository: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RepositoryError(f"cannot change {repository}, which is as it was: {error}") from error
