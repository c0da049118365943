"""When a server is ready, and why it is not."""

from __future__ import annotations

import http.client
import re
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from yolostream.errors import ServerStartError

_CHATTER = re.compile(r"I\d{4} |[|+]")
# A proxy in the environment must not come between us and our own machine.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_until_ready(
    process: subprocess.Popen[bytes],
    *,
    http_url: str,
    log: Path,
    timeout_s: float,
    stop: threading.Event,
) -> bool:
    """Wait for a server that was just started.

    Args:
        process: The server.
        http_url: `host:port` of its HTTP endpoint.
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
        if _is_ready(http_url):
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


def _is_ready(http_url: str) -> bool:
    try:
        with _DIRECT.open(f"http://{http_url}/v2/health/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        # Before Triton listens, a connection from an ephemeral port may connect to itself.
        return False


def _tail(log: Path, lines: int = 15) -> str:
    """The last lines, without those of level "info" ("I1123 ...") and of tables."""
    text = log.read_text(errors="replace")
    telling = [line for line in text.splitlines() if line and not _CHATTER.match(line)]
    return "\n".join(telling[-lines:])
