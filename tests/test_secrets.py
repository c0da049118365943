"""Searches for a password in all outputs of a command and in all that other users can see."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clips import steps, write_clip
from loopback import LOOPBACK, reserved_port
from rtsp_camera import needs_rtsp, rtsp_camera
from running import processes_of
from yolostream.errors import SourceError

CANARY = "cAnArY7"
# Logins with special characters, which FFmpeg may not parse as part of an address.
LOGINS = (
    f"user:{CANARY}@",
    f":{CANARY}@",
    f"{CANARY}:pw@",
    f"{CANARY}@",
    f"user:p@{CANARY}@",
    f"user:p:{CANARY}@",
    f"user:p/{CANARY}@",
    f"user:p?{CANARY}@",
    f"user:p#{CANARY}@",
    f"user:%{CANARY}@",
    f"user:p {CANARY}@",
    f"user:p%40{CANARY}@",
    f"user:{CANARY}'\"<>@",
)
PATHS = (
    f"/street?user=me&password={CANARY}",
    f"/street?token={CANARY}",
    f"/street?token=my {CANARY}",
    f"/street?key={CANARY}#x",
    f"/street?auth={CANARY}&channel=1",
    f"/street?access_token={CANARY}",
    f"/street?Signature={CANARY}=",
    f"?{CANARY}",
    f"/user=me&password={CANARY}&channel=1&stream=0.sdp",
    f"/user=me_password={CANARY}_channel=1_stream=0.sdp?real_stream",
)


def shapes(host: str, scheme: str) -> list[str]:
    return [
        *(f"{scheme}://{login}{host}/street" for login in LOGINS),
        *(f"{scheme}://{login}{host}" for login in LOGINS),
        *(f"{scheme}://{host}{path}" for path in PATHS),
        f"{scheme.upper()}://user:{CANARY}@{host}/street",
    ]


class Seen:
    """All texts of a command that other users can see, by their location."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.code = -1

    def watch(self, folder: Path, known: str, ended: threading.Event) -> None:
        """Record the command lines of all processes with `folder` in their environment.

        Args:
            known: the command line that the user typed. A child process has the command line of
                its parent until it runs its own program.
        """
        while not ended.wait(0.02):
            for pid in processes_of(folder):
                with contextlib.suppress(OSError):
                    command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
                    if command != known:
                        self.texts[f"/proc {command}"] = command

    def look_into(self, folder: Path) -> None:
        """Record the names and the contents of all files."""
        for path in folder.rglob("*"):
            self.texts[str(path)] = str(path.relative_to(folder))
            if path.is_file() and path.name != "clip.mp4":
                self.texts[str(path)] += path.read_bytes().decode(errors="replace")

    def check(self) -> None:
        """Check that no text contains the canary."""
        leaks = {where: text for where, text in self.texts.items() if CANARY in text}
        assert not leaks, leaks


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Seen]:
    """Runs the command line, and records all texts of it and its processes."""

    def run(*arguments: object, password: str | None = None) -> Seen:
        seen = Seen()
        folder = tmp_path / "tmp"
        folder.mkdir()
        variables = {} if password is None else {"CAM1_PASSWORD": password}
        command = [sys.executable, "-m", "yolostream", *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "TMPDIR": str(folder), **variables},
        )
        ended = threading.Event()
        # The command line that the user typed is visible in any case.
        known = "".join(f"{word}\0" for word in command) if password is None else ""
        watcher = threading.Thread(target=seen.watch, args=(folder, known, ended))
        watcher.start()
        try:
            seen.texts["stdout"], seen.texts["stderr"] = process.communicate(timeout=240)
        finally:
            ended.set()
            process.kill()
            watcher.join()
        seen.code = process.returncode
        seen.look_into(tmp_path)
        return seen

    return run


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "clip.mp4", steps(12), rate=12)


@contextlib.contextmanager
def web_camera(clip: Path, *, lets_in: bool) -> Iterator[str]:
    """`host:port` of an HTTP server that sends the clip, or refuses any login."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if lets_in:
                self.send_response(200)
                self.send_header("Content-Length", str(clip.stat().st_size))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(clip.read_bytes())
            else:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()


def test_a_login_to_a_host_that_refuses_is_not_shown(run, triton, tmp_path):
    with reserved_port() as port:
        addresses = [
            *shapes(f"{LOOPBACK}:{port}", "rtsp"),
            *(shapes(f"{LOOPBACK}:{port}", scheme)[0] for scheme in ("rtsps", "rtmp", "srt")),
            f"rtsp://user:{CANARY}@[::1]:{port}/street",
            f"rtsp://user:{CANARY}",
            f"user:{CANARY}@{LOOPBACK}:{port}/street",
            f"{LOOPBACK}:{port}/user=me&password={CANARY}",
            f"unknown://user:{CANARY}@{LOOPBACK}/street",
        ]
        seen = run(
            *("detect", *addresses, "--url", triton.url, "--output", "out", "--workers", 2),
            *("--summary", "summary.json", "--save", "jsonl"),
        )
    assert seen.code == SourceError.exit_code
    assert len(json.loads((tmp_path / "summary.json").read_text())["sources"]) > 35
    assert sum(where.startswith("/proc") for where in seen.texts) >= 2
    seen.check()


@pytest.mark.parametrize("lets_in", [True, False])
def test_a_login_to_a_web_camera_is_not_shown(run, triton, clip, tmp_path, lets_in):
    with web_camera(clip, lets_in=lets_in) as host:
        # With an unencoded slash in the password, FFmpeg would find another host or none.
        addresses = [
            address
            for address in shapes(host, "http")
            if not set("#/?") & set(address.partition("://")[2].rpartition("@")[0])
        ]
        seen = run(
            *("detect", *addresses, "--url", triton.url, "--output", "out", "--workers", 2),
            *("--summary", "summary.json", "--limit", 5),
        )
    assert len(addresses) > 15
    assert (seen.code == 0) == lets_in, seen.texts["stderr"]
    assert ("401" in seen.texts["stderr"] or "Unauthorized" in seen.texts["stderr"]) != lets_in
    assert len(list((tmp_path / "out").glob("*.mp4"))) == (len(addresses) + 1 if lets_in else 0)
    seen.check()


@needs_rtsp
@pytest.mark.parametrize("password", [CANARY, "another"])
def test_a_login_to_a_real_camera_is_not_shown(run, triton, clip, password):
    with rtsp_camera(clip, user="user", password=password) as camera:
        host = f"{LOOPBACK}:{camera.port}"
        addresses = [
            f"rtsp://user:{CANARY}@{host}/street",
            f"RTSP://user:{CANARY}@{host}/street",
            f"rtsp://user:%63{CANARY[1:]}@{host}/street",
        ]
        seen = run(
            *("detect", *addresses, "--url", triton.url, "--output", "out", "--limit", 5),
            *("--summary", "summary.json"),
        )
    assert (seen.code == 0) == (password == CANARY), seen.texts["stderr"]
    seen.check()


@needs_rtsp
def test_a_password_from_the_environment_is_not_shown(run, clip, tmp_path):
    password = f"p@/?#%:&'{CANARY}"
    with rtsp_camera(clip, user="user", password=password) as camera:
        seen = run(
            *("detect", f"rtsp://user:${{CAM1_PASSWORD}}@{LOOPBACK}:{camera.port}/street"),
            *("--output", "out", "--limit", 5, "--profile", "cpu", "--summary", "summary.json"),
            password=password,
        )
    assert seen.code == 0, seen.texts["stderr"]
    assert (tmp_path / "out" / "street.jsonl").read_text().count("\n") == 5
    seen.check()


@pytest.mark.parametrize(
    "arguments",
    [
        [f"rtsp://user:{CANARY} x@cam/street"],
        ["doctor", f"rtsp://user:{CANARY} x@cam/street"],
        ["detect", "street.mp4", "--stride", f"rtsp://user:{CANARY}@cam/street"],
        ["detect", f"rtsp://user:${{YOLOSTREAM_UNSET}}@cam/{CANARY}=1"],
    ],
)
def test_a_login_in_the_wrong_argument_is_not_shown(yolostream_cli, arguments):
    finished = yolostream_cli(*arguments)
    assert finished.returncode in (2, SourceError.exit_code)
    assert finished.stderr
    assert CANARY not in finished.stdout + finished.stderr


def test_a_login_in_a_traceback_is_not_shown(tmp_path):
    program = (
        "import threading\n"
        "from yolostream.redaction import print_traceback\n"
        "def fail(kind):\n"
        f"    raise kind('rtsp://user:%s@cam/street is away' % '{CANARY}'.swapcase())\n"
        "with print_traceback():\n"
        "    thread = threading.Thread(target=fail, args=(ValueError,))\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "    fail(RuntimeError)\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 1
    assert "ValueError: rtsp://cam/street is away" in finished.stderr
    assert "RuntimeError: rtsp://cam/street is away" in finished.stderr
    assert CANARY.swapcase() not in finished.stderr
