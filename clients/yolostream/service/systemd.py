"""Notifies systemd of the state of the service; see sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket

READY = "READY=1"
STOPPING = "STOPPING=1"
ALIVE = "WATCHDOG=1"


def notify(*states: str) -> None:
    """Send states to systemd, if it has started this process and waits for them."""
    if not (address := os.environ.get("NOTIFY_SOCKET")):
        return
    if address.startswith("@"):
        # An address in Linux's abstract namespace.
        address = f"\0{address[1:]}"
    # The service continues if systemd cannot be reached.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto("\n".join(states).encode(), address)


def watchdog_s() -> float | None:
    """Seconds without `ALIVE` after which systemd ends the service; None if there is no limit."""
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    limit = os.environ.get("WATCHDOG_USEC", "")
    return int(limit) / 1e6 if is_ours and limit.isdigit() and int(limit) else None
