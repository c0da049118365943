"""Runs the command line, and checks its output, files and processes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

DEADLINE_S = 60.0

Finished = subprocess.CompletedProcess[str]


def poll(condition: Callable[[], bool], *, what: str, deadline_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for: {what}"
        time.sleep(0.02)


def errors_of(finished: Finished) -> list[str]:
    assert "Traceback" not in finished.stderr + finished.stdout
    return [line for line in finished.stderr.splitlines() if line.startswith("error:")]


def check(finished: Finished, code: int, *words: str) -> None:
    """Check that there is exactly one error line, with these words, and this exit code."""
    errors = errors_of(finished)
    assert len(errors) == 1, finished.stderr
    for word in words:
        assert word in errors[0]
    assert finished.returncode == code


def lines(path: Path) -> list[dict]:
    """The records of a JSON Lines file, whose last line must be complete."""
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def has_lines(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= count


@contextlib.contextmanager
def started(tmp_path: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a command with its own temporary folder, so that its leftovers can be found."""
    (tmp_path / "tmp").mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "yolostream", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> Finished:
    out, err = process.communicate(timeout=DEADLINE_S)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def processes_of(folder: Path) -> list[int]:
    """The processes that have `folder` in their environment."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def check_nothing_left(tmp_path: Path) -> None:
    poll(lambda: not processes_of(tmp_path / "tmp"), what="the server's processes to end")
    assert not list((tmp_path / "tmp").glob("yolostream-*"))
