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
    "cudnn-gpu": ("server-gpu",),
    "torch-gpu": ("server-gpu", "server-torch"),
}


def default_folder() -> Path:
    """The folder of the environment: in the clone of the repository, or else in the user's cache.

    In the cache, its name has the version of Python and a digest of the package lists. So an update
    of yolostream uses a new environment.
    """
    if CLONE is not None:
        return CLONE / ".venv-server"
    lists = b"".join(path.read_bytes() for path in sorted(REQUIREMENTS.glob("server*.txt")))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return _cache() / "yolostream" / f"server-{python}-{hashlib.sha256(lists).hexdigest()[:8]}"


def _cache() -> Path:
    """The user's cache, by the XDG Base Directory Specification, which ignores relative paths."""
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if configured.is_absolute():
        return configured
    # In some containers the user has no home; then `expanduser` returns '~'.
    return Path("/", os.path.expanduser("~"), ".cache")


def install(folder: Path, profile: Profile) -> None:
    """Install the environment for a profile; pip reports its progress on stderr.

    An existing environment is replaced when the new one is complete.

    Args:
        folder: folder of the environment.
        profile: the profile to install for. A GPU profile can also serve `cpu`.

    Raises:
        ServerStartError: this Python or this machine is not supported, packages cannot be
            installed, or the folder cannot be written.
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
    _run([sys.executable, "-m", "venv", str(folder)], "cannot make a virtual environment")
    python = folder / "bin" / "python"
    # Checked before the download.
    check_interpreter(python)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
    pip += ["--no-deps", "--require-hashes"]
    for name in _LISTS[profile]:
        pip += ["--requirement", str(REQUIREMENTS / f"{name}.txt")]
    _run(pip, f"cannot install the packages of the profile '{profile}'")
    ServerEnvironment.check(folder)
    # The Makefile's target.
    (folder / f".{profile}").touch()


def _run(command: list[str], failure: str) -> None:
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise ServerStartError(f"{failure}: see the messages above")
