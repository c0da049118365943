"""A Docker engine: the one of this machine, or one that is started here and leaves nothing.

The latter pulls nothing: in place of Python's image it gets the Python of Debian's packages.

    python3 tests/docker_engine.py --check

ends with 0 where there can be one.
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
# An empty table is saved as nothing, and restoring nothing would not empty it again.
_FLUSHED = b"*filter\nCOMMIT\n*nat\nCOMMIT\n"
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 120


@dataclass
class Engine:
    """One that answers."""

    folder: Path | None = None
    """Of one that was started here: on a disk, as images are large. Nobody else uses it."""
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    """What `docker` and Compose need to find it."""
    _process: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: object) -> str:
        """What `docker` says on stdout."""
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
        told = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            env=self.environ,
            capture_output=True,
        )
        return told.returncode == 0

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
                # Ctrl-C ends the tests, and they end it.
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self.answers():
            running = self._process.poll() is None and time.monotonic() < deadline
            assert running, (folder / "log").read_text()[-3000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """End it and its containers, as a machine does that is shut down."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_TIMEOUT_S)


def missing() -> str:
    """Why no engine can be had; empty where one answers, or can be started."""
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
    """The one of this machine, which pulls what it is asked for, or one without that need."""
    here = Engine()
    if here.answers():
        yield here
        return
    with started_engine() as engine:
        assert engine.folder is not None
        _stand_in_for_python(engine, engine.folder / "python")
        yield engine


@contextlib.contextmanager
def started_engine() -> Iterator[Engine]:
    """One without images, until the block ends."""
    # Not /tmp, which is memory on some machines.
    folder = Path(tempfile.mkdtemp(prefix="yolostream-docker-", dir="/var/tmp"))
    started = Engine(folder, {**os.environ, "DOCKER_HOST": f"unix://{folder}/socket"})
    try:
        with _network_as_before():
            try:
                started.start()
                yield started
            finally:
                started.stop()
    finally:
        _unmount_below(folder)
        shutil.rmtree(folder)


@contextlib.contextmanager
def _network_as_before() -> Iterator[None]:
    """Without the bridge and the rules of the firewall that an engine leaves when it ends."""
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


def _stand_in_for_python(engine: Engine, folder: Path) -> None:
    """Debian's Python in a container, where pip may install, as in Python's own image."""
    folder.mkdir()
    packed = folder / "debian.tar"
    made = subprocess.run(
        [
            *("mmdebstrap", "--variant=minbase", f"--include={_PACKAGES}"),
            # It is thrown away, so what has reached the disk does not matter.
            *("--dpkgopt=force-unsafe-io", "--aptopt=Acquire::Languages none"),
            *("bookworm", packed),
        ],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    engine.run("import", packed, PYTHON_IMAGE)
    packed.unlink()
    # Whom this machine trusts: packages may come through a proxy.
    shutil.copy(_CERTIFICATES, folder / "certificates")
    (folder / "pip.conf").write_text(f"[global]\ncert = {_CERTIFICATES}\n")
    (folder / "Dockerfile").write_text(
        f"FROM {PYTHON_IMAGE}\n"
        "RUN rm /usr/lib/python3.11/EXTERNALLY-MANAGED\n"
        f"COPY certificates {_CERTIFICATES}\n"
        "COPY pip.conf /etc/pip.conf\n"
    )
    engine.run("build", "--tag", PYTHON_IMAGE, folder)


def stand_in_for_haproxy(engine: Engine) -> None:
    """Debian's HAProxy, of the same version, where nothing is pulled."""
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
