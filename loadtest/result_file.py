"""One JSON file for each script: what was measured, on which machine, by which command."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from loadtest.errors import ResultError
from loadtest.machine import machine

Content = dict[str, Any]
"""The content of a file: `machine`, `command`, `partial` and `figures`."""

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
    """Write JSON."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ResultError(f"cannot write {path} ({error.strerror}): name another file") from error


def read(path: Path) -> Content:
    """Read a file that `writing` wrote."""
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
