"""One JSON file a script: what was measured, on what, by which command."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from yolostream.replacing import refuse_special_file

from loadtest.errors import ResultError
from loadtest.machine import machine

Content = dict[str, Any]
"""Of a file: `machine`, `command`, `partial` and `figures`."""

console = Console(stderr=True)


@contextlib.contextmanager
def writing(path: Path, *, tool: str, url: str | None = None) -> Iterator[dict[str, Any]]:
    """Write the figures that the block collects; what it has when it fails is marked partial.

    Args:
        path: To write. A block that fails before its first figure leaves it untouched.
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
            console.print(f"{path} holds what was measured so far, marked partial")
        raise
    write(path, {**facts, "partial": False, "figures": figures})


def write(path: Path, content: Content) -> None:
    """Write JSON in one step: a reader sees the old file or the new one.

    Raises:
        ResultError: `path` cannot be written.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        refuse_special_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(scratch, path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise ResultError(f"cannot write {path} ({error.strerror}): name another file") from error


def read(path: Path) -> Content:
    """Read a file that `writing` wrote.

    Raises:
        ResultError: There is none, or it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"cannot read {path} ({error.strerror}): measure it first") from error
    except ValueError as error:
        raise ResultError(f"{path} is no JSON ({error}): measure it anew") from error
    if not isinstance(content, dict) or not {"machine", "command", "figures"} <= content.keys():
        raise ResultError(f"{path} holds no figures of a load test: measure it anew")
    return content


def source(content: Content, link: str) -> str:
    """On what, with what, by which command figures were measured.

    Args:
        content: Of their file.
        link: To that file.
    """
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
