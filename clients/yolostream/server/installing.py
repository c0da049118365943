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
    """The user's, by the XDG Base Directory Specification: a relative path is none."""
    said = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return said if said.is_absolute() else Path.home() / ".cache"


def install(folder: Path, profile: Profile) -> None:
    """Install what a profile needs; pip tells stderr how far it is.

    An environment that was there is replaced, once the new one is complete.

    Args:
        folder: of the environment.
        profile: the most that it can serve; those on a GPU serve `cpu`, too.

    Raises:
        ServerStartError: this Python or this machine does not do, or packages cannot be installed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".venv-", dir=folder.parent) as work:
        new = Path(work) / "new"
        _run([sys.executable, "-m", "venv", str(new)], "no virtual environment can be made")
        python = new / "bin" / "python"
        # Before anything is downloaded.
        check_interpreter(python)
        pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps"]
        for name in _LISTS[profile]:
            pip += ["--requirement", str(REQUIREMENTS / f"{name}.txt")]
        _run(pip, f"the packages of the profile {profile} cannot be installed")
        ServerEnvironment.check(new)
        # For make.
        (new / f".{profile}").touch()
        if folder.exists():
            folder.rename(Path(work) / "old")
        new.rename(folder)


def _run(command: list[str], failure: str) -> None:
    ended = subprocess.run(command, stdout=sys.stderr, check=False)
    if ended.returncode != 0:
        raise ServerStartError(f"{failure}: what '{' '.join(command[1:4])}' says above tells why")
