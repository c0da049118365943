"""Provides a Docker engine: the one that runs on this machine, or a temporary one.

A temporary engine pulls no images. Its image of Python is built from Debian's packages.

    python3 tests/docker_engine.py --check

exits with 0 if this machine runs an engine or can start a temporary one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PYTHON_IMAGE = "python:3.11-slim-bookworm"
HAPROXY_IMAGE = "haproxy:2.6.12"

_PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,libpython3.11,ca-certificates"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_BRIDGE = Path("/sys/class/net/docker0")
# iptables-save omits empty tables, so restoring its output alone would not empty them again.
_FLUSHED = b"*filter\nCOMMIT\n*nat\nCOMMIT\n"
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 120


@dataclass
class Engine:
    """A running Docker engine."""

    folder: Path | None = None
    """The data of a temporary engine; None for the engine of this machine."""
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    """Environment variables with which `docker` and Compose find the engine."""
    _process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: object) -> str:
        """Run `docker`, which must succeed; return its stdout."""
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-3000:]}"
        return done.stdout.strip()

    def answers(self) -> bool:
        version = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            env=self.environ,
            capture_output=True,
        )
        return version.returncode == 0

    def start(self) -> None:
        assert self.folder is not None
        folder = self.folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("dockerd", "--host", self.environ["DOCKER_HOST"]),
                    *("--data-root", folder / "data", "--exec-root", folder / "exec"),
                    *("--pidfile", folder / "pid"),
                ],
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal must end only the tests, which then stop the engine.
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.answers():
            running = self._process.poll() is None and time.monotonic() < deadline
            assert running, (folder / "log").read_text()[-3000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the engine and its containers, as a shutdown of the machine does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_TIMEOUT_S)


def missing() -> str:
    """What this machine lacks; empty if an engine runs or can be started."""
    if shutil.which("docker") is None:
        return "docker"
    if Engine().answers():
        return ""
    if os.getuid() != 0:
        return "a Docker engine that answers, or root to start one"
    programs = ("dockerd", "mmdebstrap", "iptables-save", "ip")
    return " and ".join(name for name in programs if shutil.which(name) is None)


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """Provide the engine of this machine, or else a temporary one with an image of Python."""
    here = Engine()
    if here.answers():
        yield here
        return
    with started_engine() as engine:
        assert engine.folder is not None
        _build_python_image(engine, engine.folder / "python")
        yield engine


@contextlib.contextmanager
def started_engine() -> Iterator[Engine]:
    """Run a temporary engine without images until the block ends."""
    # Not in /tmp, which is in memory on some machines: images are large.
    folder = Path(tempfile.mkdtemp(prefix="yolostream-docker-", dir="/var/tmp"))
    started = Engine(folder, {**os.environ, "DOCKER_HOST": f"unix://{folder}/socket"})
    try:
        with _network_restored():
            try:
                started.start()
                yield started
            finally:
                started.stop()
    finally:
        _unmount_below(folder)
        shutil.rmtree(folder)


@contextlib.contextmanager
def _network_restored() -> Iterator[None]:
    """Remove the bridge and the firewall rules that an engine leaves when it stops."""
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    rules = subprocess.run(["iptables-save"], capture_output=True, check=True).stdout
    had_bridge, forwarded = _BRIDGE.exists(), forwarding.read_text()
    try:
        yield
    finally:
        subprocess.run(["iptables-restore"], input=_FLUSHED + rules, check=True)
        forwarding.write_text(forwarded)
        if not had_bridge:
            subprocess.run(["ip", "link", "delete", _BRIDGE.name], check=True)


def _build_python_image(engine: Engine, folder: Path) -> None:
    """Build an image of Debian's Python in which pip may install, as in Python's own image."""
    folder.mkdir()
    packed = folder / "debian.tar"
    made = subprocess.run(
        [
            *("mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}"),
            # The result is temporary, so it need not be synchronized to the disk.
            *("--dpkgopt=force-unsafe-io", "--aptopt=Acquire::Languages none"),
            *("bookworm", packed),
        ],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    engine.run("import", packed, PYTHON_IMAGE)
    packed.unlink()
    # The certificates that this machine trusts, because packages may come through a proxy.
    shutil.copy(_CERTIFICATES, folder / "certificates")
    (folder / "pip.conf").write_text(f"[global]\ncert = {_CERTIFICATES}\n")
    (folder / "Dockerfile").write_text(
        f"FROM {PYTHON_IMAGE}\n"
        "RUN rm /usr/lib/python3.11/EXTERNALLY-MANAGED\n"
        f"COPY certificates {_CERTIFICATES}\n"
        "COPY pip.conf /etc/pip.conf\n"
    )
    engine.run("build", "--tag", PYTHON_IMAGE, folder)


def build_haproxy_image(engine: Engine) -> None:
    """Build an image of Debian's HAProxy, of the same version, for a temporary engine."""
    if engine.folder is None:
        return
    folder = engine.folder / "haproxy"
    folder.mkdir()
    (folder / "Dockerfile").write_text(
        f"FROM {PYTHON_IMAGE}\n"
        "RUN apt-get update && apt-get install --yes --no-install-recommends haproxy\n"
    )
    engine.run("build", "--tag", HAPROXY_IMAGE, folder)


def _unmount_below(folder: Path) -> None:
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for path in sorted(mounted, reverse=True):
        if Path(path).is_relative_to(folder):
            subprocess.run(["umount", path], check=True)


if __name__ == "__main__":
    if why := missing():
        sys.exit(f"lacks {why}")
    if not Engine().answers():
        with started_engine():
            pass
