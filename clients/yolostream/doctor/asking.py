"""Asking other programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

TIMEOUT_S = 20


def ask(command: Sequence[str]) -> tuple[str, str]:
    """Run a program to its end.

    Returns:
        What it printed, and what went wrong; one of the two is empty.
    """
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {TIMEOUT_S} s"
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip().splitlines()
        return "", said[-1] if said else f"ended with code {answer.returncode}"
    return answer.stdout, ""
