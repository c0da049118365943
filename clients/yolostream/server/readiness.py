"""Waits until a server is ready."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from pathlib import Path

from yolostream.errors import ServerStartError
from yolostream.server.triton_http import TritonHttp

_CHATTER = re.compile(r"I\d{4} |[|+]")


def wait_until_ready(
    process: subprocess.Popen[bytes],
    *,
    server: TritonHttp,
    log: Path,
    timeout_s: float,
    stop: threading.Event,
) -> bool:
    """Wait until a server that was just started is ready.

    Args:
        process: the process of the server.
        server: a client for its HTTP.
        log: its log file.
        timeout_s: seconds until it has to be ready.
        stop: setting it ends the wait.

    Returns:
        Whether it is ready; False if `stop` was set.

    Raises:
        ServerStartError: the server ended, or was not ready in time; the message ends with the last
            lines of its log.
    """
    deadline = time.monotonic() + timeout_s
    while process.poll() is None:
        if server.is_ready():
            return True
        if time.monotonic() > deadline:
            raise ServerStartError(
                f"Triton was not ready after {timeout_s:g} s; its log ends:\n{_tail(log)}"
            )
        if stop.wait(0.1):
            return False
    raise ServerStartError(
        f"Triton ended with code {process.returncode}; its log ends:\n{_tail(log)}"
    )


def _tail(log: Path, lines: int = 15) -> str:
    """The last lines of the log, without those of level "info" ("I1123 ...") and tables."""
    text = log.read_text(errors="replace")
    relevant = [line for line in text.splitlines() if line and not _CHATTER.match(line)]
    return "\n".join(relevant[-lines:])
