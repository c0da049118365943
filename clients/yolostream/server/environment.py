"""Checks the Python environment that tritonserver runs in."""

from __future__ import annotations

import json
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from yolostream.errors import ServerStartError

STUB_PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")
"""Python versions that nvidia-pytriton has a Python-backend stub for."""

MINIMUM_GLIBC = (2, 35)
"""Version of Ubuntu 22.04, on which the stubs are built."""

_INSTALL = "run 'yolostream install-server'"

# Runs in the server's interpreter, because only that one knows its own paths.
_PROBE = """
import ctypes, importlib.util, json, platform, sys, sysconfig
name = f"libpython{sys.version_info[0]}.{sys.version_info[1]}.so.1.0"
def loads(path):
    try: ctypes.CDLL(path); return True
    except OSError: return False
folders = [sysconfig.get_config_var("LIBDIR") or "", sys.base_prefix + "/lib"]
found = [f for f in folders if loads(f + "/" + name)]
print(json.dumps({
    "python": "%d.%d" % sys.version_info[:2],
    "site_packages": sysconfig.get_path("purelib"),
    "libpython": name,
    "libpython_folder": found[0] if found else ("" if loads(name) else None),
    "missing": [m for m in ("pytriton", "numpy", "cv2", "onnxruntime")
                if importlib.util.find_spec(m) is None],
    "numpy_major": int(__import__("numpy").__version__.split(".")[0])
        if importlib.util.find_spec("numpy") else 0,
    "cupy": bool(importlib.util.find_spec("cupy")),
    "torch": bool(importlib.util.find_spec("torch")),
    "onnxruntime_gpu": bool(importlib.util.find_spec("onnxruntime")) and
        "CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers(),
}))
"""


@dataclass(frozen=True)
class ServerEnvironment:
    """An environment that has everything that the tritonserver from PyPI needs."""

    python: Path
    python_version: str
    site_packages: Path
    libpython_folder: str
    """Folder of libpython3.X.so.1.0; empty if the dynamic loader finds it by itself."""
    numpy_major: int
    """Major version of NumPy."""
    has_onnxruntime_gpu: bool
    """Whether it has the packages of the profiles `onnx-gpu` and `cudnn-gpu`."""
    has_torch: bool
    """Whether it has the packages of the profile `torch-gpu`."""

    @property
    def wheel(self) -> Path:
        """Folder of tritonserver in the nvidia-pytriton wheel."""
        return self.site_packages / "pytriton" / "tritonserver"

    @property
    def libraries(self) -> Path:
        """Folder of shared libraries in the same wheel."""
        return self.site_packages / "nvidia_pytriton.libs"

    @classmethod
    def check(cls, folder: Path) -> ServerEnvironment:
        """Check a virtual environment.

        Raises:
            ServerStartError: something is missing; the message tells what to install.
        """
        python = folder / "bin" / "python"
        if not python.exists():
            raise ServerStartError(f"no server environment at {folder}: {_INSTALL}")
        facts = _probe(python)
        if facts["missing"]:
            raise ServerStartError(f"{python} lacks {facts['missing']}: {_INSTALL}")
        _check_interpreter(facts)
        return cls(
            python=python,
            python_version=facts["python"],
            site_packages=Path(facts["site_packages"]),
            libpython_folder=facts["libpython_folder"] or "",
            numpy_major=facts["numpy_major"],
            has_onnxruntime_gpu=facts["cupy"] and facts["onnxruntime_gpu"],
            has_torch=facts["cupy"] and facts["torch"],
        )


def check_interpreter(python: Path) -> None:
    """Raise `ServerStartError` if this interpreter or this machine cannot run tritonserver."""
    _check_interpreter(_probe(python))


def _probe(python: Path) -> dict[str, Any]:
    probe = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise ServerStartError(f"{python} does not run: {probe.stderr.strip()[-300:]}")
    facts: dict[str, Any] = json.loads(probe.stdout)
    return facts


def _check_interpreter(facts: dict[str, Any]) -> None:
    version, library = facts["python"], facts["libpython"]
    if version not in STUB_PYTHONS:
        raise ServerStartError(
            f"the PyPI tritonserver has no stub for Python {version}: "
            f"make the environment with Python 3.11 to {STUB_PYTHONS[-1]}"
        )
    # The wheel contains the libpython of Python 3.13.
    if facts["libpython_folder"] is None and version != "3.13":
        raise ServerStartError(
            f"{library} is missing, and Triton's Python backend cannot run without it: "
            f"install it ('apt install libpython{version}' on Debian and Ubuntu, "
            "'PYTHON_CONFIGURE_OPTS=--enable-shared' with pyenv)"
        )
    check_glibc(platform.libc_ver())


def check_glibc(libc: tuple[str, str]) -> None:
    """Raise `ServerStartError` if `libc`, from `platform.libc_ver()`, is too old or not glibc."""
    name, version = libc
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if name != "glibc" or numbers < MINIMUM_GLIBC:
        raise ServerStartError(
            f"the PyPI tritonserver needs glibc {'.'.join(map(str, MINIMUM_GLIBC))} or newer, "
            f"this machine has {name or 'none'} {version}: use Ubuntu 22.04, Debian 12 or newer"
        )
