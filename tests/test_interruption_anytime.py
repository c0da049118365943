"""Ctrl-C and SIGTERM at any moment of a command: one line, one exit code, no traceback."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clips import steps, write_clip
from running import Finished, check, errors_of, poll
from yolostream.interruption import EXIT_INTERRUPTED

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def handles_sigterm(pid: int) -> bool:
    """Whether the command runs: before, there is only Python's own start, which nobody changes."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def interrupted(arguments: list[object], number: int, *, after_s: float) -> Finished:
    """A command that gets a signal as from a terminal: its children get it too."""
    process = subprocess.Popen(
        [sys.executable, "-m", "yolostream", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        poll(lambda: handles_sigterm(process.pid), what="the command to run")
        time.sleep(after_s)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return Finished(process.args, process.returncode, out, err)


@pytest.mark.parametrize("command", ["detect", "serve", "doctor", "--help"])
def test_while_modules_are_imported(command, tmp_path):
    arguments = [command] if command != "detect" else [command, tmp_path / "no.mp4"]
    for number in SIGNALS:
        check(interrupted(arguments, number, after_s=0), EXIT_INTERRUPTED, "interrupted")
    for _ in range(5):
        finished = interrupted(arguments, random.choice(SIGNALS), after_s=random.uniform(0.0, 0.4))
        # It may be over, or have said what is wrong, before that.
        assert finished.returncode in (EXIT_INTERRUPTED, 0, 1, 3), finished.stderr
        assert "Traceback" not in finished.stderr
        if finished.returncode == EXIT_INTERRUPTED:
            check(finished, EXIT_INTERRUPTED, "interrupted")


def test_while_workers_are_started(triton, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", steps(4) * 400, rate=20)
    arguments = ["detect", path, path, "--workers", 2, "--url", triton.url]
    arguments += ["--output", tmp_path / "out"]
    for _ in range(8):
        number, after_s = random.choice(SIGNALS), random.uniform(0.3, 2.5)
        finished = interrupted(arguments, number, after_s=after_s)
        *others, last = errors_of(finished)
        assert last.startswith("error: interrupted"), finished.stderr
        assert finished.returncode == EXIT_INTERRUPTED
        # A worker that a busy machine lets start too late is given up, and its cell of the grid.
        assert all("the tiled picture breaks off" in error for error in others), finished.stderr
