"""Changes several files of a model repository as one transaction."""

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

# Triton treats every folder of a repository as a model, even hidden ones. Inside a model's folder
# it reads only folders with a number. The folder of this model always exists.
_STAGED_IN = "preprocess"


@dataclass(frozen=True)
class Change:
    """A change of one file.

    Attributes:
        path: Path relative to the repository.
        content: New content; None to remove the file.
        is_new: Whether the file does not exist yet.
    """

    path: Path
    content: bytes | None
    is_new: bool

    def __str__(self) -> str:
        """The kind of change and the path."""
        kind = "remove" if self.content is None else "new" if self.is_new else "replace"
        return f"{kind:<8} {self.path}"


def changes_to(repository: Path, files: Files) -> list[Change]:
    """The changes that are needed so that the repository has `files`; empty without any.

    If an ONNX file changes, the TensorRT plan that was built from it is removed.

    Raises:
        RepositoryError: A file in the repository cannot be read.
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
    # Plans are removed first, so that a plan never is next to an ONNX file of another network.
    return [*stale, *changed]


def apply(changes: Sequence[Change], repository: Path) -> None:
    """Make all changes, or none if there is an error.

    If the process is killed while files are moved, each file is either old or new. Running it again
    completes the changes.

    Raises:
        RepositoryError: The disk is full, or the repository cannot be written to.
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
    """Move the new files to their places; after an error, restore the old ones."""
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
        raise RepositoryError(
            f"cannot change {repository}, so nothing was changed: {error}"
        ) from error
