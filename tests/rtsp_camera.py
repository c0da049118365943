"""Real RTSP servers (GStreamer), as cameras that play clips in a loop, or as recorders.

Tests that need one are skipped if GStreamer's RTSP server is not installed. With REQUIRE_RTSP=1
they fail instead.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from loopback import LOOPBACK, reserved_port
from needs import skip_where

# The system's Python: GStreamer's bindings are system packages, which a virtual environment lacks.
_PYTHON = Path("/usr/bin/python3")
_SERVER = (_PYTHON, "-I", Path(__file__).with_name("rtsp_server.py"))


def _missing() -> str:
    """Why this machine cannot run the server; empty if it can."""
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
    """A server process that can be stopped and started again on the same port.

    Args:
        port: the port to listen on.
        arguments: arguments of `rtsp_server.py`.
        names: the names of its streams.
        user: the user that clients must give; empty for no authentication.
        password: the user's password.
    """

    def __init__(
        self, port: int, arguments: Sequence[str], names: Iterable[str], user: str, password: str
    ) -> None:
        login = f"{user}:{password}@" if user else ""
        self.port = port
        self.urls = {name: f"rtsp://{login}{LOOPBACK}:{port}/{name}" for name in names}
        """The URLs of the streams by their names."""
        self.url = next(iter(self.urls.values()))
        """The URL of the first stream."""
        self._command = [*_SERVER, "--port", str(port), "--user", user, "--password", password]
        self._command += arguments
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers. Its clips play from their starts."""
        assert self._process is None
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._process.stdout.readline() != "ready\n":
            self.stop()
            raise RuntimeError("the RTSP server did not start: see what it wrote to stderr")

    def stop(self) -> None:
        """Kill the server: connections are closed, and new ones are refused."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Suspend the server: the kernel still accepts connections, but nothing is answered."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End `freeze`: the delayed frames are sent at once."""
        self._process.send_signal(signal.SIGCONT)


class Camera(RtspServer):
    """A server with a camera for each of `clips`, over TCP and UDP."""

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
    """Run a camera that sends the H.264 of an MP4 file, or one camera for each name in a mapping.

    Every client gets the clip from its start. Several clips of one camera, which may differ in
    size, are played in turn.

    Args:
        clip: an MP4 file; or names of cameras with one or more files each.
        user: a user for Digest authentication, which the URLs contain; empty for none.
        password: the user's password.
        only: "tcp" or "udp", to refuse the other transport; empty accepts both.
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
    """Run a server that records the H.264 that is pushed to its URL as a Matroska file.

    Each picture is written at once. Each push overwrites the file.
    """
    with reserved_port() as port:
        arguments = ["--record", f"street={path}"]
        server = RtspServer(port, arguments, ["street"], user, password)
        try:
            server.start()
            yield server
        finally:
            server.stop()
