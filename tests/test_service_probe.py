"""What the service says of an address, whatever is there."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from api import Api, check_problem, serve_api
from clips import steps, write_clip
from loopback import LOOPBACK, reserved_port
from rtsp_camera import needs_rtsp, rtsp_camera
from web_camera import web_camera
from yolostream.service import probing
from yolostream.service.web import probe

CANARY = "cAnArY7"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with serve_api() as api:
        yield api


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", steps(24), rate=12)


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Takes connections, and says nothing."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield f"rtsp://{LOOPBACK}:{listener.getsockname()[1]}/x"


def asked(api: Api, source: str, **more: str) -> dict:
    answer = api.ask("POST", "/api/v1/probe", json={"source": source, **more})
    assert answer.status_code == 200, answer.text
    assert CANARY not in answer.text
    return answer.json()


def kind(api: Api, source: str, **more: str) -> str:
    return asked(api, source, **more)["error"]["kind"]


@needs_rtsp
def test_a_camera(api: Api, clip: Path) -> None:
    with rtsp_camera(clip, user="me", password=f"p@:/{CANARY}") as camera:
        bare = f"rtsp://{LOOPBACK}:{camera.port}/street"
        login = {"username": "me", "password": f"p@:/{CANARY}"}
        video = {"codec": "h264", "width": 64, "height": 48, "frames_per_second": 12.0}
        assert asked(api, bare, **login) == {"video": video, "error": None}
        assert kind(api, bare) == "auth_failed"
        assert kind(api, bare, **{**login, "password": CANARY}) == "auth_failed"
        assert kind(api, f"rtsp://{LOOPBACK}:{camera.port}/nothing", **login) == "not_found"


def test_what_can_be_wrong(api: Api, clip: Path, tmp_path: Path) -> None:
    with reserved_port() as port:
        assert kind(api, f"rtsp://u:{CANARY}@{LOOPBACK}:{port}/x") == "refused"
    with web_camera(denies=404) as camera:
        assert kind(api, camera.url) == "not_found"
    with web_camera(denies=401) as camera:
        assert kind(api, camera.url, username="u", password=CANARY) == "auth_failed"
    text = tmp_path / "text"
    text.write_text("no video at all\n" * 1000)
    with web_camera({"text": text}) as camera:
        assert kind(api, camera.url.replace("/cam", "/text")) == "unreadable"


def test_what_a_web_server_sends_opens_no_file(api: Api, clip: Path, tmp_path: Path) -> None:
    playlist, script = tmp_path / "list.m3u8", tmp_path / "list.ffconcat"
    playlist.write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\nfile://{clip}\n#EXT-X-ENDLIST\n"
    )
    script.write_text(f"ffconcat version 1.0\nfile '{clip}'\n")
    with web_camera({"list.m3u8": playlist, "list.ffconcat": script}) as camera:
        for name in ("list.m3u8", "list.ffconcat"):
            answer = asked(api, camera.url.replace("/cam", f"/{name}"))
            assert answer["video"] is None, answer


def test_it_takes_no_longer_than_it_may(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "LIMIT_S", 0.5)
    with silent() as source:
        assert kind(api, source) == "timeout"


def test_a_few_at_once(api: Api) -> None:
    statuses: list[int] = []

    def ask() -> None:
        answer = requests.post(api.url + "/api/v1/probe", json={"source": source}, timeout=120)
        statuses.append(answer.status_code)

    with silent() as source:
        threads = [threading.Thread(target=ask) for _ in range(probe.MAX_CONCURRENT + 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(statuses) == [200] * probe.MAX_CONCURRENT + [429] * 3


def test_a_question_that_is_none(api: Api) -> None:
    for question in ({}, {"source": 1}, {"source": "rtsp://h/x", "extra": CANARY}):
        answer = api.ask("POST", "/api/v1/probe", data=json.dumps(question))
        check_problem(answer, 422, "invalid-request")
        assert CANARY not in answer.text
