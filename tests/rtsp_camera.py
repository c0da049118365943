"""Real RTSP cameras: GStreamer's server with clips that play in real time, for ever.

Or the other way round: it records what is pushed to it.

Tests that need one are skipped by name, and fail where REQUIRE_RTSP=1 promises the server.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from loopback import LOOPBACK, reserved_port
from needs import skip_where

# GStreamer's bindings come from the system's packages, which no virtual environment sees.
_PYTHON = Path("/usr/bin/python3")
_SERVER = (_PYTHON, "-I", Path(__file__).with_name("rtsp_server.py"))


def _missing() -> str:
    """Why there can be no camera on this machine; empty where there can."""
    if not _PYTHON.exists():
        return f"no {_PYTHON}"
    check = subprocess.run([*_SERVER, "--check"], capture_output=True, text=True, timeout=60)
    return check.stderr.strip().rpartition("\n")[2] if check.returncode else ""


_MISSING = _missing()

needs_rtsp = skip_where(
    _MISSING and f"GStreamer's RTSP server, whose packages .ci/run installs ({_MISSING})",
    variable="REQUIRE_RTSP",
)
"""Marks a test, or a whole file as its `pytestmark`."""


Clips = Path | Sequence[Path]


class RtspServer:
    """A process that can be stopped and started again; it keeps its port.

    Args:
        port: where it answers.
        arguments: for `rtsp_server.py`.
        names: of what it has.
        user: what it asks for, and `password`; empty lets everybody in.
        password: the same.
    """

    def __init__(
        self, port: int, arguments: Sequence[str], names: Iterable[str], user: str, password: str
    ) -> None:
        login = f"{user}:{password}@" if user else ""
        self.port = port
        self.urls = {name: f"rtsp://{login}{LOOPBACK}:{port}/{name}" for name in names}
        """By name."""
        self.url = next(iter(self.urls.values()))
        """The first one's."""
        self._command = [*_SERVER, "--port", str(port), "--user", user, "--password", password]
        self._command += arguments
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Switch it on; returns when it answers. Its clips begin anew."""
        assert self._process is None
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise RuntimeError("the RTSP server did not start: see what it wrote to stderr")

    def stop(self) -> None:
        """Pull the plug: connections are closed, and new ones refused."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Let all of it hang: connections stay open, new ones open, and nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `freeze`: what was not sent in the meantime comes at once."""
        self._process.send_signal(signal.SIGCONT)


class Camera(RtspServer):
    """One server with a camera for each of `clips`, over TCP and UDP."""

    def __init__(
        self, port: int, clips: Mapping[str, Clips], user: str, password: str, only: str
    ) -> None:
        arguments = ["--only", only] if only else []
        for name, paths in clips.items():
            each = [paths] if isinstance(paths, Path) else paths
            arguments.append(f"{name}={','.join(map(str, each))}")
        super().__init__(port, arguments, clips, user, password)


@contextlib.contextmanager
def rtsp_camera(
    clip: Path | Mapping[str, Clips], *, user: str = "", password: str = "", only: str = ""
) -> Iterator[Camera]:
    """A running camera that shows the H.264 of an MP4 file, or several by name, as encoded.

    Everybody who connects sees the clip from its start; several of one name, which may differ in
    size, are shown in turns. With a `user` Digest is asked for, and the URLs contain both. `only`
    is "tcp" or "udp", where the other one is refused.
    """
    clips = clip if isinstance(clip, Mapping) else {"street": clip}
    with reserved_port() as port:
        camera = Camera(port, clips, user, password, only)
        try:
            camera.start()
            yield camera
        finally:
            camera.stop()


@contextlib.contextmanager
def rtsp_recorder(path: Path, *, user: str = "", password: str = "") -> Iterator[RtspServer]:
    """A running server that takes H.264 pushed to its URL into a Matroska file.

    The file grows with each picture, and begins anew with each push.
    """
    with reserved_port() as port:
        arguments = ["--record", f"street={path}"]
        server = RtspServer(port, arguments, ["street"], user, password)
        try:
            server.start()
            yield server
        finally:
            server.stop()
