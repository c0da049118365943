"""Tells systemd how the service is; see sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def tell(*states: str) -> None:
    """Say something, where somebody has asked for it."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    if address.startswith("@"):
        # In Linux's abstract namespace.
        address = f"\0{address[1:]}"
    # A systemd that is away is no reason to end.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto("\n".join(states).encode(), address)


def watchdog_s() -> float | None:
    """Seconds after which we are ended unless we say that we are `ALIVE`; None for no limit."""
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    limit = os.environ.get("WATCHDOG_USEC", "")
    return int(limit) / 1e6 if is_ours and limit.isdigit() and int(limit) else None
