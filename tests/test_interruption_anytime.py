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
    """Whether the command has set its handlers; before that, Python itself is still starting."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


def interrupted(arguments: list[object], number: int, *, after_s: float) -> Finished:
    """Run a command that gets a signal as from a terminal, like all of its children."""
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
def test_a_command_can_be_interrupted_while_modules_are_imported(command, tmp_path):
    arguments = [command] if command != "detect" else [command, tmp_path / "no.mp4"]
    for number in SIGNALS:
        check(interrupted(arguments, number, after_s=0), EXIT_INTERRUPTED, "interrupted")
    for _ in range(5):
        finished = interrupted(arguments, random.choice(SIGNALS), after_s=random.uniform(0.0, 0.4))
        # The command may have ended before the signal.
        assert finished.returncode in (EXIT_INTERRUPTED, 0, 1, 3), finished.stderr
        assert "Traceback" not in finished.stderr
        if finished.returncode == EXIT_INTERRUPTED:
            check(finished, EXIT_INTERRUPTED, "interrupted")


def test_a_command_can_be_interrupted_while_workers_are_started(triton, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", steps(4) * 400, rate=20)
    arguments = ["detect", path, path, "--workers", 2, "--url", triton.url]
    arguments += ["--output", tmp_path / "out"]
    for _ in range(8):
        number, after_s = random.choice(SIGNALS), random.uniform(0.3, 2.5)
        finished = interrupted(arguments, number, after_s=after_s)
        *others, last = errors_of(finished)
        assert last.startswith("error: interrupted"), finished.stderr
        assert finished.returncode == EXIT_INTERRUPTED
        # On a busy machine, a worker may start too late; then its part of the tiled video ends.
        assert all("the tiled picture breaks off" in error for error in others), finished.stderr
