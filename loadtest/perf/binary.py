"""The real perf_analyzer: found on PATH, or taken from the wheel that carries it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtest.errors import PerfAnalyzerError
from loadtest.processes import last_words, started
from loadtest.repository import REPOSITORY, SERVER_ENVIRONMENT

_LIST = REPOSITORY / "requirements" / "perf-analyzer.txt"

(VERSION,) = re.findall(r"^tritonclient==(\S+)", _LIST.read_text(), re.MULTILINE)
"""Of tritonclient, whose wheel carries perf_analyzer."""

FOLDER = REPOSITORY / ".venv-perf"

_NAME = "perf_analyzer"
# Neither Debian's packages nor the wheel bring these two in the versions that it is linked to.
_BORROWED = ("libb64.so.0d", "libcudart.so.12")


@dataclass(frozen=True)
class PerfAnalyzer:
    """A binary that starts.

    Attributes:
        path: Of the binary.
        libraries: Folder to look for shared libraries in, after those of the environment.
    """

    path: Path
    libraries: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment to run it in."""
        inherited = os.environ.get("LD_LIBRARY_PATH", "")
        # gRPC reads these two in small letters only.
        direct = os.environ.get("no_grpc_proxy") or os.environ.get("no_proxy", "")  # noqa: SIM112
        return {
            **os.environ,
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [inherited, str(self.libraries)])),
            # A proxy in the environment must not come between it and our own machine.
            "no_grpc_proxy": ",".join(filter(None, [direct, "localhost,127.0.0.1,::1"])),
        }

    def run(self, options: Sequence[str], log: Path, *, timeout_s: float) -> tuple[int, str]:
        """Run it once, in the folder of its log, where it also writes reports.

        Returns:
            Its exit code, negative for a signal, and its words if it failed.
        """
        with (
            log.open("w") as file,
            started(
                [str(self.path), *options], file, env=self.variables, cwd=log.parent
            ) as process,
        ):
            try:
                code = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                return -signal.SIGKILL, f"no end after {timeout_s:.0f} s: stopped"
        if code == -signal.SIGBUS:
            return code, "/dev/shm is full: make it larger, or remove what was left there"
        if code < 0:
            return code, f"ended by {signal.Signals(-code).name}"
        return code, last_words(log.read_text(errors="replace"))


def ready(
    libraries: Path, *, folder: Path = FOLDER, server_environment: Path = SERVER_ENVIRONMENT
) -> PerfAnalyzer:
    """Find perf_analyzer or install it, and make sure that it starts.

    Args:
        libraries: Folder, made if it is missing, to be filled with links to what the binary needs.
        folder: Where it is installed if PATH has none.
        server_environment: Has those libraries, in the nvidia-pytriton wheel.
    """
    on_path = shutil.which(_NAME)
    path = Path(on_path).resolve() if on_path else folder / VERSION / _NAME
    if not path.exists():
        _install(path)
    _link_libraries(libraries, server_environment)
    found = PerfAnalyzer(path, libraries)
    _check(found)
    return found


def _install(path: Path) -> None:
    wheel = f"tritonclient=={VERSION}"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place: an installation that is broken off leaves no half binary behind.
    with tempfile.TemporaryDirectory(prefix=".install-", dir=path.parent) as scratch:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        pip += ["--no-deps", "--no-compile", "--only-binary=:all:", f"--target={scratch}"]
        pip += ["--require-hashes", f"--requirement={_LIST}"]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PerfAnalyzerError(
                f"cannot fetch {wheel}, which carries perf_analyzer ({last_words(done.stderr)}): "
                "connect to a package index, or put a perf_analyzer on PATH"
            )
        os.replace(Path(scratch) / "bin" / _NAME, path)


def _link_libraries(folder: Path, server_environment: Path) -> None:
    """Give the wheel's copies, whose names carry a hash, the names that the binary asks for."""
    folder.mkdir(exist_ok=True)
    for name in _BORROWED:
        stem = name.partition(".")[0]
        for copy in server_environment.glob(
            f"lib/python3*/site-packages/nvidia_pytriton.libs/{stem}-*.so*"
        ):
            (folder / name).symlink_to(copy.resolve())
            break


def _check(found: PerfAnalyzer) -> None:
    try:
        done = subprocess.run(
            [found.path, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            env=found.variables,
            check=False,
        )
        words = last_words(done.stderr) if done.returncode else ""
    except OSError as error:
        words = str(error)
    if words:
        raise PerfAnalyzerError(
            f"{found.path} does not start ({words}): it needs Linux on x86-64 with glibc 2.35 or "
            "newer and the libraries of 'make install'; if it is on PATH, remove it from there"
        )
