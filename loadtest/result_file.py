"""One JSON file for each script: what was measured, on which machine, by which command."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from yolostream import __version__
from yolostream.client.connection import connect
from yolostream.client.triton_errors import translated

from loadtest.errors import ResultError
from loadtest.processes import output_of

Content = dict[str, Any]
"""The content of a file: `machine`, `command`, `partial` and `figures`."""
Output = Annotated[Path, typer.Option(help="Where the figures go.")]

_TIMEOUT_S = 10.0
_console = Console(stderr=True)


def say(words: str) -> None:
    """Report progress on stderr."""
    _console.print(words, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def writing(path: Path, *, tool: str, url: str | None = None) -> Iterator[dict[str, Any]]:
    """Write the figures that the block collects. If the block fails, they are marked partial.

    Args:
        path: The file. A block that fails before its first figure leaves it untouched.
        tool: Dotted name of the script, as after `python -m`.
        url: gRPC address of the Triton that is measured.

    Yields:
        The figures, empty, to be filled with what JSON can hold.

    Raises:
        ResultError: `path` cannot be written.
    """
    facts = {"machine": machine(url), "command": shlex.join(["python", "-m", tool, *sys.argv[1:]])}
    figures: dict[str, Any] = {}
    try:
        yield figures
    except BaseException:
        if figures:
            write(path, {**facts, "partial": True, "figures": figures})
            say(f"{path} holds what was measured so far, marked partial")
        raise
    write(path, {**facts, "partial": False, "figures": figures})


def write(path: Path, content: Content) -> None:
    """Write JSON.

    Raises:
        ResultError: `path` cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResultError(f"cannot write {path} ({error.strerror}): name another file") from error


def read(path: Path) -> Content:
    """Read a file that `writing` wrote.

    Raises:
        ResultError: It is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultError(f"{path} is no JSON ({error}): measure it anew") from error
    if not isinstance(content, dict) or not {"machine", "command", "figures"} <= content.keys():
        raise ResultError(f"{path} holds no figures of a benchmark: measure it anew")
    return content


def source(content: Content, link: str) -> str:
    """Say where, with what and by which command the figures of a file were measured."""
    machine, figures = content["machine"], content["figures"]
    gpu = figures.get("gpu", {"gpus": [], "cuda": None, "server_packages": {}})
    facts = [
        *(f"{name} (driver {driver})" for name, driver in gpu["gpus"]),
        f"CUDA {gpu['cuda']}" if gpu["cuda"] else "",
        f"{machine['cores']} cores ({machine['processor']})",
        *(f"{name} {version}" for name, version in gpu["server_packages"].items()),
        f"Triton {machine['triton']}" if "triton" in machine else "",
        f"commit {machine['commit']}",
    ]
    network = f"; {figures['network']['words']}" if "network" in figures else ""
    interrupted = "; interrupted" if content["partial"] else ""
    return (
        f"One run of `{content['command']}` on {', '.join(filter(None, facts))}{network}"
        f"{interrupted}. Raw figures: [{link.rpartition('/')[2]}]({link})."
    )


def machine(url: str | None = None) -> dict[str, object]:
    """The processor, memory, GPUs and versions of this machine, and of the Triton at `url`.

    Raises:
        ServerUnavailable: No server answers at `url`.
    """
    facts: dict[str, object] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": output_of("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("onnxruntime", "tritonclient")},
        "yolostream": __version__,
        "commit": output_of("git", "rev-parse", "--short", "HEAD").strip(),
    }
    if url is not None:
        facts["triton"] = triton_version(url)
    return facts


def triton_version(url: str) -> str:
    """The version of the Triton at a gRPC address.

    Raises:
        ServerUnavailable: No server answers there.
    """
    with translated(url, "server"), connect(url) as client:
        return str(client.get_server_metadata(client_timeout=_TIMEOUT_S).version)


def _processor() -> str:
    names = [
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor()
