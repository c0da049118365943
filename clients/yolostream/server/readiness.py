"""When a server is ready, and why it is not."""

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
    """Wait for a server that was just started.

    Args:
        process: The server.
        server: Asks it.
        log: Where it writes.
        timeout_s: Seconds until it has to be ready.
        stop: Ends the waiting.

    Returns:
        Whether it is ready; False if it was to stop.

    Raises:
        ServerStartError: It ended, or it takes longer; the message ends with the end of its log.
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
    """The last lines, without those of level "info" ("I1123 ...") and of tables."""
    text = log.read_text(errors="replace")
    telling = [line for line in text.splitlines() if line and not _CHATTER.match(line)]
    return "\n".join(telling[-lines:])
