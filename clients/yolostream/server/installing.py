"""Installs the Python environment of tritonserver."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from yolostream.bundled import CLONE, REQUIREMENTS
from yolostream.errors import ServerStartError
from yolostream.server.environment import ServerEnvironment, check_interpreter
from yolostream.server.tritonserver import Profile

_LISTS: dict[Profile, tuple[str, ...]] = {
    "cpu": ("server",),
    "onnx-gpu": ("server-gpu",),
    "torch-gpu": ("server-gpu", "server-torch"),
}


def default_folder() -> Path:
    """Where the environment is: beside a clone's own, else in the user's cache.

    There its name has Python's version and a digest of the packages, so that none is taken for
    another after an update.
    """
    if CLONE is not None:
        return CLONE / ".venv-server"
    lists = b"".join(path.read_bytes() for path in sorted(REQUIREMENTS.glob("server*.txt")))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _cache() / "yolostream" / f"server-{python}-{hashlib.sha256(lists).hexdigest()[:8]}"


def _cache() -> Path:
    """The user's, by the XDG Base Directory Specification: a relative path counts as none."""
    said = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A user without a home, as in some containers, has '~' for one.
    return said if said.is_absolute() else Path("/", os.path.expanduser("~"), ".cache")


def install(folder: Path, profile: Profile) -> None:
    """Install what a profile needs; pip tells stderr how far it is.

    An environment that was there is replaced, once the new one is complete.

    Args:
        folder: of the environment.
        profile: the most that it can serve; those on a GPU serve `cpu`, too.

    Raises:
        ServerStartError: this Python or this machine does not do, packages cannot be installed, or
            the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".venv-", dir=folder.parent) as work:
            new = Path(work) / "new"
            _fill(new, profile)
            if folder.exists():
                folder.rename(Path(work) / "old")
            new.rename(folder)
    except OSError as error:
        raise ServerStartError(
            f"{folder} cannot be written ({error.strerror}): choose another --server-environment"
        ) from error


def _fill(folder: Path, profile: Profile) -> None:
    _run([sys.executable, "-m", "venv", str(folder)], "no virtual environment can be made")
    python = folder / "bin" / "python"
    # Before anything is downloaded.
    check_interpreter(python)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
    for name in _LISTS[profile]:
        pip += ["--requirement", str(REQUIREMENTS / f"{name}.txt")]
    _run(pip, f"the packages of the profile '{profile}' cannot be installed")
    ServerEnvironment.check(folder)
    # For make.
    (folder / f".{profile}").touch()


def _run(command: list[str], failure: str) -> None:
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise ServerStartError(f"{failure}: what is said above tells why")
