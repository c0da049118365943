"""Another host on one cable, which can be unplugged: a network namespace of this machine.

Tests that need one are skipped by name where one may not make it (it takes root), and fail where
REQUIRE_OTHER_HOST=1 promises it.
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
        """Of the server that `serving` runs there."""
        return f"{self.address}:8001"

    def plug(self) -> None:
        self._ip("addr", "add", f"{self.address}/24", "dev", "cable")

    def unplug(self) -> None:
        """Let whatever is sent there vanish, as a host does that has lost its power."""
        self._ip("addr", "del", f"{self.address}/24", "dev", "cable")

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """The instant model, in that host."""
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
    # One that is gone keeps its cable for some moments more.
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
        # Its end of the cable goes with it, and ours with that.
        subprocess.run(["ip", "netns", "del", host.name], check=True)


def _missing() -> str:
    """Why there can be no other host on this machine; empty where there can."""
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
