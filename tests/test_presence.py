"""Checks whether a camera is present, without opening it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clips import steps, write_clip
from loopback import LOOPBACK, reserved_port
from rtsp_camera import needs_rtsp, rtsp_camera
from web_camera import web_camera
from yolostream.sources import Presence, Video
from yolostream.sources.presence import presence_at


@contextlib.contextmanager
def listener(*, hangs_up: bool) -> Iterator[str]:
    """`host:port` of a server that accepts connections and never answers."""
    taken = []

    def take() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                if hangs_up:
                    connection.close()
                else:
                    taken.append(connection)

    with socket.create_server((LOOPBACK, 0)) as server:
        thread = threading.Thread(target=take)
        thread.start()
        yield f"{LOOPBACK}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


@needs_rtsp
@pytest.mark.parametrize("user", ["", "guard"])
def test_a_camera_answers_without_the_right_password(tmp_path: Path, user: str) -> None:
    clip = write_clip(tmp_path / "clip.mp4", steps(3))
    with rtsp_camera(clip, user=user, password="right" if user else "") as camera:
        assert presence_at(camera.url.replace("right", "wrong")) == Presence.ANSWERS
        camera.freeze()
        assert presence_at(camera.url) == Presence.SILENT
        camera.resume()


def test_a_web_camera_answers() -> None:
    with web_camera() as camera:
        assert presence_at(camera.url) == Presence.ANSWERS


@pytest.mark.parametrize("hangs_up", [True, False])
@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers_is_silent(scheme: str, hangs_up: bool) -> None:
    with listener(hangs_up=hangs_up) as host:
        assert presence_at(f"{scheme}://user:password@{host}/street") == Presence.SILENT
        # An encrypted connection is not checked, so the camera counts as present.
        assert presence_at(f"rtsps://{host}/street") == Presence.ANSWERS


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http"])
def test_a_port_that_refuses_connections_is_absent(scheme: str) -> None:
    with reserved_port() as port:
        assert presence_at(f"{scheme}://{LOOPBACK}:{port}/street") == Presence.ABSENT


@pytest.mark.parametrize("address", ["udp://127.0.0.1:5000", "rtsp://[::1", "rtsp://h:x/y"])
def test_addresses_that_cannot_be_checked_count_as_present(address: str) -> None:
    assert presence_at(address) == Presence.ANSWERS


def test_a_device_is_present_if_its_file_exists(tmp_path: Path) -> None:
    (tmp_path / "video0").touch()
    assert Video(str(tmp_path / "video0"), "cam", is_live=True).presence() == Presence.ANSWERS
    assert Video(str(tmp_path / "video1"), "cam", is_live=True).presence() == Presence.ABSENT
