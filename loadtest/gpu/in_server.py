"""Runs a program of `server_side` with the server's own Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from loadtest.errors import LoadTestError

_FOLDER = Path(__file__).with_name("server_side")
_TIMEOUT_S = 900.0
"""An engine that is compiled at its first start takes its time."""


def run(environment: Path, program: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a program of `server_side`, and give it arguments as JSON.

    Returns:
        What it says in its last line of output.

    Raises:
        LoadTestError: It fails, or does not end; the message ends with its last words.
    """
    command = command_of(environment, program, arguments)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except OSError as error:
        raise LoadTestError(
            f"cannot start {command[0]} ({error.strerror}): name another --server-environment"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LoadTestError(f"{program} did not end within {_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise LoadTestError(f"{program} in {environment} failed: {_last_words(done.stderr)}")
    return parsed(program, done.stdout)


def command_of(environment: Path, program: str, arguments: dict[str, Any]) -> list[str]:
    """The command line that runs a program."""
    python = environment / "bin" / "python"
    return [str(python), str(_FOLDER / f"{program}.py"), json.dumps(arguments)]


def parsed(program: str, output: str) -> dict[str, Any]:
    """The JSON in the last line; engines may have chattered before.

    Raises:
        LoadTestError: It is none.
    """
    lines = output.strip().splitlines()
    try:
        figures = json.loads(lines[-1] if lines else "")
    except ValueError as error:
        raise LoadTestError(f"{program} ended without figures: {_last_words(output)}") from error
    return dict(figures)


def _last_words(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:]) or "no words"
