"""A second host with a cable that can be unplugged: a network namespace of this machine.

Tests that need it are skipped if it cannot be created, which takes root. With REQUIRE_OTHER_HOST=1
they fail instead.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from needs import skip_where

_SERVER_ENVIRONMENT = Path(__file__).parents[1] / ".venv-server"


@dataclass(frozen=True)
class OtherHost:
    name: str
    number: int

    @property
    def address(self) -> str:
        return f"10.213.{self.number}.2"

    @property
    def url(self) -> str:
        """gRPC address of the server that `serving` runs there."""
        return f"{self.address}:8001"

    def plug(self) -> None:
        self._ip("addr", "add", f"{self.address}/24", "dev", "cable")

    def unplug(self) -> None:
        """Lose all packets to the host, as if it had lost its power."""
        self._ip("addr", "del", f"{self.address}/24", "dev", "cable")

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Run a Triton with the instant model on that host."""
        command = (sys.executable, "-m", "yolostream", "serve", "--profile", "cpu")
        models = Path(__file__).with_name("instant_repository")
        with subprocess.Popen(
            [
                *("ip", "netns", "exec", self.name, *command, "--host", self.address),
                *("--model-repository", models, "--server-environment", _SERVER_ENVIRONMENT),
            ],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stderr is not None
                assert any("is ready" in line for line in process.stderr), "it did not start"
                yield
            finally:
                process.terminate()

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["ip", "-n", self.name, *arguments], check=True, timeout=60)


@contextlib.contextmanager
def other_host() -> Iterator[OtherHost]:
    # A random number, because the interfaces of an earlier namespace disappear with a delay.
    number = random.randint(1, 250)
    host, near = OtherHost(f"yolostream-{number}", number), f"yolostr-{number}"
    subprocess.run(["ip", "netns", "add", host.name], check=True)
    try:
        cable = ("ip", "link", "add", near, "type", "veth", "peer", "cable", "netns", host.name)
        subprocess.run(cable, check=True)
        subprocess.run(["ip", "addr", "add", f"10.213.{number}.1/24", "dev", near], check=True)
        subprocess.run(["ip", "link", "set", near, "up"], check=True)
        for device in ("lo", "cable"):
            host._ip("link", "set", device, "up")
        host.plug()
        yield host
    finally:
        # This also deletes its end of the cable, and with it our end.
        subprocess.run(["ip", "netns", "del", host.name], check=True)


def _missing() -> str:
    """Why this machine cannot have another host; empty if it can."""
    if shutil.which("ip") is None:
        return "no 'ip' command"
    try:
        with other_host():
            return ""
    except subprocess.CalledProcessError as error:
        return str(error)


_MISSING = _missing()

needs_other_host = skip_where(
    _MISSING and f"network namespaces ({_MISSING})", variable="REQUIRE_OTHER_HOST"
)
