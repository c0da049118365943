"""A password is looked for in all that a service says, answers and writes."""

from __future__ import annotations

import contextlib
import stat
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from instant import serve_instant
from loopback import LOOPBACK, reserved_port
from rtsp_camera import needs_rtsp, rtsp_camera
from running import poll
from watching import Service, Site, street
from yolostream.errors import YolostreamError
from yolostream.server import processes
from yolostream.service import configuration_file
from yolostream.service.control import Control
from yolostream.service.runtime_store import RuntimeStore
from yolostream.service.settings import CameraSettings

CANARY = "cAnArY7"


def command_lines(pid: int) -> str:
    """Of a process and all that it has started."""
    below = "".join(command_lines(child) for child in processes.children(pid))
    return " ".join(processes.arguments(pid)) + below


def answers(service: Service, *paths: str) -> str:
    said = ""
    for path in paths:
        with (
            contextlib.suppress(urllib.error.HTTPError),
            urllib.request.urlopen(service.address + path, timeout=60) as answer,
        ):
            said += answer.read().decode(errors="replace") + str(answer.headers)
    return said


@needs_rtsp
@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_password_is_shown_anywhere(tmp_path: Path, log_format: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY)
    clip = street(tmp_path)
    with (
        serve_instant() as triton,
        rtsp_camera(clip, user="me", password=CANARY) as camera,
        reserved_port() as closed,
    ):
        site = Site(tmp_path, triton.url)
        bare = camera.url.replace(f"me:{CANARY}@", "")
        away = f"rtsp://{LOOPBACK}:{closed}/street"
        cameras: dict[str, object] = {
            "address": {"source": camera.url},
            "fields": {"source": bare, "username": "me", "password": CANARY},
            "variable": {"source": bare, "username": "me", "password": "${CAMERA_PASSWORD}"},
            "file": {"source": bare, "username": "me", "password_file": str(secret)},
            "away": {"source": away, "username": "me", "password": CANARY},
            "query": {"source": f"{away}?password={CANARY}"},
            "denied": {"source": bare, "username": "me", "password": f"{CANARY}no"},
        }
        site.write(cameras)
        with site.running("--log-format", log_format, CAMERA_PASSWORD=CANARY) as service:
            for name in ("address", "fields", "variable", "file"):
                # So the right password went there.
                service.wait_for_frames(name)
            poll(lambda: service.cameras()["denied"]["state"] == "auth_failed", what="denial")
            poll(lambda: service.cameras()["away"]["trouble"] != "", what="its trouble")
            site.path.write_text(site.path.read_text().replace("username", "usernam"))
            service.wait_for("stays as it was")
            seen = {
                "/proc": command_lines(service.process.pid),
                "answers": answers(service, "/api/v1/cameras", "/openapi.json", "/metrics", "/x"),
            }
            assert service.stop()[0] == 0
            seen["stderr"] = "\n".join(service.said)
            seen["stdout"] = service.process.stdout.read()
    files = [path for path in site.out.rglob("*") if path.is_file()]
    assert len(files) >= 4
    for path in files:
        seen[str(path)] = path.name + path.read_bytes().decode(errors="replace")
    assert not [where for where, words in seen.items() if CANARY in words]


def test_the_file_of_the_api_is_for_its_owner_and_has_variables_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", CANARY)
    text = "{source: 'rtsp://192.0.2.1/a', username: me, password: '${CAMERA_PASSWORD}'}"
    configuration = configuration_file.parse(f"cameras: {{gate: {text}}}", "cameras.yaml")
    path = tmp_path / "runtime.yaml"

    class Nobody:
        def put(self, name: str, task: object, *, enabled: bool) -> None:
            pass

    control = Control(Nobody(), configuration, store=RuntimeStore(path))  # type: ignore[arg-type]
    own = control.own_settings("gate")
    control.put("gate", own.model_copy(update={"fps": 5.0}))
    assert CANARY not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "settings",
    [
        {"source": "rtsp://192.0.2.9/${CAMERA_PASSWORD}"},
        {"source": "rtsp://192.0.2.9/a", "username": "x", "password": "${CAMERA_PASSWORD}"},
        {"source": "rtsp://192.0.2.9/a", "username": "${CAMERA_PASSWORD}"},
        {"source": "rtsp://192.0.2.9/a", "username": "me", "password_file": "/etc/shadow"},
    ],
)
def test_the_api_gets_no_secrets_of_the_machine(
    settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", CANARY)
    configuration = configuration_file.parse(
        "cameras: {gate: {source: 'rtsp://192.0.2.1/a', username: me, password_file: /etc/hosts}}",
        "cameras.yaml",
    )

    class Nobody:
        def put(self, name: str, task: object, *, enabled: bool) -> None:
            pass

    control = Control(Nobody(), configuration)  # type: ignore[arg-type]
    with pytest.raises(YolostreamError, match="secrets of this machine"):
        control.put("gate", CameraSettings.model_validate(settings))
