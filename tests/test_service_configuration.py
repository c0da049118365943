"""What cameras.yaml may say, and what is said where it is wrong."""
# ruff: noqa: E501  # of a table

from __future__ import annotations

from pathlib import Path

import pytest
from yolostream.errors import ConfigurationError
from yolostream.outputs.parts import Retention
from yolostream.outputs.recording import Recording
from yolostream.outputs.rotation import Rotation
from yolostream.pipeline.filters import DetectionFilter
from yolostream.service import configuration_file
from yolostream.service.advice import advice
from yolostream.service.settings import CameraSettings
from yolostream.sources import Video
from yolostream.sources.address import completed

CANARY = "c4n@ry/pass word"


def parse(text: str):
    return configuration_file.parse(text, "cameras.yaml")


def wrong(text: str) -> list[str]:
    """What is said, without the name of the file."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("cameras.yaml:") for line in lines)
    return [line.removeprefix("cameras.yaml:") for line in lines]


GATE = """\
cameras:
  gate:
    source: rtsp://192.0.2.1/stream1
"""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GATE + "    confidance: 0.5\n",
            "4: cameras.gate.confidance: there is no such key: is it confidence?",
        ),
        ("sever:\n  url: a:1\n" + GATE, "1: sever: there is no such key: is it server?"),
        (
            GATE + "server:\n  tls: {Ca: x}\n  url: a\n",
            "5: server.tls.Ca: there is no such key: is it ca?",
        ),
        (
            GATE + "    confidence: 1.5\n",
            "4: cameras.gate.confidence: 1.5 is wrong: input should be less than or equal to 1",
        ),
        (
            GATE + "    decoder: gpus\n",
            "4: cameras.gate.decoder: gpus is wrong: input should be 'cpu', 'gpu' or 'auto'",
        ),
        (
            GATE + "    enabled: maybe\n",
            "4: cameras.gate.enabled: maybe is wrong: input should be a valid boolean, unable to interpret input",
        ),
        (
            GATE + "    outputs: {jsonl: {max_byte: 5}}\n",
            "4: cameras.gate.outputs.jsonl.max_byte: there is no such key: is it max_bytes?",
        ),
        (
            GATE + "    outputs: {segments: 7}\n",
            "4: cameras.gate.outputs.segments: 7 is wrong: it has to be true, false, or keys with values",
        ),
        (GATE + "    fps: 0\n", "4: cameras.gate.fps: 0 is wrong: input should be greater than 0"),
        ("cameras:\n  gate:\n    fps: 3\n", "2: cameras.gate: the key source is missing: add it"),
        (
            GATE + "  gate:\n    source: rtsp://192.0.2.2/a\n",
            "4: cameras.gate: line 2 has the same key: remove one of them",
        ),
        (
            "cameras: {gate: {source: udp://h:1, fps: 1, fps: 1}}",
            "1: cameras.gate.fps: line 1 has the same key: remove one of them",
        ),
        (
            GATE + "    password: [\n",
            "5: this is not YAML: expected the node content, but found '<stream end>'",
        ),
        (
            "cameras:\n\tgate: 1\n",
            "2: this is not YAML: found character '\\t' that cannot start any token",
        ),
        ("- gate\n", "1: it has to be keys with values, as in 'key: 1'"),
        (
            "cameras:\n  ../gate:\n    source: udp://h:1\n",
            "2: cameras.../gate: the name of a camera is 1 to 64 letters of a to z, digits, '-' and '_', and begins with a letter or digit",
        ),
        (
            f"cameras:\n  {'g' * 300}:\n    source: udp://h:1\n",
            f"2: cameras.{'g' * 300}: the name of a camera is 1 to 64 letters of a to z, digits, '-' and '_', and begins with a letter or digit",
        ),
        (
            GATE + "  yard:\n    source: /there/is/no.mp4\n",
            "5: cameras.yard.source: no such file, folder or glob: /there/is/no.mp4",
        ),
        (
            GATE + "  yard:\n    source: ${NOT_SET_HERE}\n",
            "5: cameras.yard.source: the environment variable NOT_SET_HERE is not set: export it",
        ),
        (
            GATE + "log:\n  level: ${NOT_SET_HERE}\n",
            "5: log.level: the environment variable NOT_SET_HERE is not set: export it",
        ),
        (
            GATE + "    password: x\n",
            "2: cameras.gate: there is a password without a username: add username",
        ),
        (
            "server:\n  url: h:1\n  profile: cpu\n" + GATE,
            "1: server: profile is for a Triton that the service starts, but url names a running one: remove one of them",
        ),
        (
            GATE + "x: &x {x: *x}\n",
            "4: x: there is no such key; the keys are server, web, log, outputs, traces, state, defaults, "
            "cameras",
        ),
        (
            GATE + '  yard: {source: "udp://h:1\\0"}\n',
            "4: cameras.yard.source: the value contains a NUL character: remove it",
        ),
        (
            'outputs: {folder: "a\\0b"}\n' + GATE,
            "1: outputs.folder: the value contains a NUL character: remove it",
        ),
        (
            "web: {address: '127.0.0.1:99999'}\n" + GATE,
            "1: web: there is no port 99999: it has to be at most 65,535",
        ),
        (
            GATE + "    outputs: {jsonl: {max_bytes: 0}}\n",
            "4: cameras.gate.outputs.jsonl: max_bytes is 0: it has to be at least 1",
        ),
        (
            GATE + "    outputs: {segments: {keep: {parts: -1}}}\n",
            "4: cameras.gate.outputs.segments.keep: parts is -1: it has to be at least 0",
        ),
        (
            GATE + "    outputs: {hls: {bitrate: 0}}\n",
            "4: cameras.gate.outputs.hls: bitrate is 0: it has to be at least 10,000, and at most 200,000,000",
        ),
        (
            GATE + "x: !secret x\n",
            "4: this is not YAML: could not determine a constructor for the tag '!secret'",
        ),
    ],
)
def test_an_error_says_line_and_fix(text: str, said: str) -> None:
    assert said in wrong(text)


@pytest.mark.parametrize("bomb", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_of_aliases_take_no_time(bomb: str) -> None:
    lines = ["a0: &a0 {x: 1}"]
    for depth in range(1, 30):
        aliases = ", ".join([f"*a{depth - 1}"] * 9)
        lines.append(f"a{depth}: &a{depth} {bomb.format(aliases)}")
    with pytest.raises(ConfigurationError, match="at most 1,000,000 are read"):
        parse("\n".join(lines))


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_lines() -> None:
    said = wrong(GATE + "    confidance: 1\n    fps: -1\n  yard: {}\nlog: {level: loud}\n")
    assert [line.split(":")[0] for line in said] == ["4", "5", "6", "7"]


@pytest.mark.parametrize(
    "text",
    [
        f"cameras:\n  gate: rtsp://me:{CANARY}@192.0.2.1/stream1\n",
        f"cameras:\n  gate: {{source: 'rtsp://me:{CANARY}@192.0.2.1/stream1', fps: no}}\n",
        f"cameras:\n  rtsp://me:{CANARY}@192.0.2.1/stream1: 1\n",
        f"cameras:\n  gate:\n    rtsp://me:{CANARY}@192.0.2.1/stream1:\n",
        GATE + f"    username: me\n    password: ['{CANARY}']\n",
        GATE + f"    password: {CANARY}\n",
        GATE + f"    username: me\n    passwort: {CANARY}\n",
        GATE + f"    username: me\n    password: {CANARY}\n    password_file: /x\n",
    ],
)
def test_no_error_shows_a_password(text: str) -> None:
    said = "\n".join(wrong(text))
    assert "c4n" not in said
    assert "word" not in said.replace("password", "")


def test_a_password_is_put_into_the_address_at_the_last_moment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(CANARY + "\n")
    monkeypatch.setenv("CAMERA_PASSWORD", CANARY)
    for password in (
        f"password: '{CANARY}'",
        "password: ${CAMERA_PASSWORD}",
        f"password_file: {secret}",
    ):
        camera = parse(GATE + f"    username: me\n    {password}\n").cameras["gate"]
        video = camera.task("gate", None).source
        assert isinstance(video, Video)
        assert completed(video.uri, video.login) == (
            "rtsp://me:c4n%40ry%2Fpass%20word@192.0.2.1/stream1"
        )
        assert "c4n" not in repr(camera) + repr(video) + camera.model_dump_json()


def test_variables_fill_any_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAST", "0.25")
    monkeypatch.setenv("PORT", "8443")
    configuration = parse(
        "web: {address: '127.0.0.1:${PORT}'}\n" + GATE + "    confidence: ${LEAST}"
    )
    assert configuration.cameras["gate"].confidence == 0.25
    assert configuration.web.address == "127.0.0.1:8443"


def test_what_is_written_may_differ_by_camera(tmp_path: Path) -> None:
    configuration = parse(
        "defaults: {outputs: {csv: true}}\n" + GATE + "  yard:\n    source: udp://h:1\n"
        "    outputs: {jsonl: {max_bytes: 5, keep: {parts: 3}}, push: 'rtsp://me:c4n@h/yard'}\n"
    )
    written = {
        name: configuration.resolved(camera).task(name, tmp_path).recording
        for name, camera in configuration.cameras.items()
    }
    assert written["gate"] == Recording(tmp_path, csv=Rotation())
    assert written["yard"] == Recording(
        tmp_path, jsonl=Rotation(5, keep=Retention(parts=3)), push_url="rtsp://me:c4n@h/yard"
    )
    assert "c4n" not in repr(configuration)
    # What the API changes is read as it was written.
    yard = configuration.cameras["yard"]
    assert CameraSettings.model_validate(yard.revealed()) == yard


def test_classes_may_be_a_list() -> None:
    camera = parse(GATE + "    classes: [car, 7, bus]\n    confidence: 0.5\n").cameras["gate"]
    task = camera.task("gate", None)
    assert task.job.detection_filter == DetectionFilter(0.5, "car,7,bus")


def test_an_anchor_may_stand_for_what_cameras_share() -> None:
    text = "cameras:\n  gate: &usual {source: udp://h:1, fps: 5}\n  yard: {<<: *usual, fps: 7}\n"
    assert parse(text).cameras["yard"].fps == 7


@pytest.mark.parametrize("text", ["", "# nothing\n", "cameras: {}\n"])
def test_no_cameras_are_allowed_and_told_of(text: str) -> None:
    configuration = parse(text)
    assert [one for one in advice(configuration, None) if "no cameras" in one]


def test_a_file_that_is_no_list_of_cameras_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_bytes(b"x" * 5_000_000)
    with pytest.raises(ConfigurationError, match="more than 4,000,000 bytes"):
        configuration_file.read(path)


def test_a_file_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match=r"/there/is/no\.yaml.*No such file"):
        configuration_file.read(Path("/there/is/no.yaml"))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_bytes(b"cameras:\n  gate: \xff\n")
    with pytest.raises(ConfigurationError, match=r"cameras\.yaml:2: .*UTF-8"):
        configuration_file.read(path)


def test_what_is_allowed_and_hardly_meant_is_said(tmp_path: Path) -> None:
    token, password = tmp_path / "token", tmp_path / "password"
    for path in (token, password):
        path.write_text("x")
        path.chmod(0o644)
    file = tmp_path / "cameras.yaml"
    file.write_text(
        f"web: {{token_file: {token}}}\n" + GATE + "  yard: {source: 'rtsp://192.0.2.1/stream1', "
        f"username: me, password_file: {password}}}\n"
    )
    said = advice(configuration_file.read(file), file)
    assert len(said) == 3
    assert "gate and yard have the same source" in said[0]
    assert f"chmod 600 {token}" in said[1]
    assert f"chmod 600 {password}" in said[2]
    for path in (token, password):
        path.chmod(0o600)
    assert len(advice(configuration_file.read(file), file)) == 1


@pytest.mark.parametrize(
    ("lines", "has_secret"),
    [
        ("    username: me\n    password: x\n", True),
        ("    outputs: {push: 'rtsp://me:x@192.0.2.9/gate'}\n", True),
        ("defaults:\n  outputs: {push: 'rtsp://me:x@192.0.2.9/all'}\n", True),
        ("    outputs: {push: 'rtsp://me:${PUSH_PASSWORD}@192.0.2.9/gate'}\n", False),
        ("    outputs: {push: 'rtsp://192.0.2.9/gate'}\n", False),
    ],
)
def test_a_file_with_a_password_that_all_users_can_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, has_secret: bool
) -> None:
    monkeypatch.setenv("PUSH_PASSWORD", "x")
    file = tmp_path / "cameras.yaml"
    file.write_text(GATE + lines)
    file.chmod(0o644)
    said = advice(configuration_file.read(file), file)
    assert [f"chmod 600 {file}" in one for one in said] == [True] * has_secret
    file.chmod(0o600)
    assert advice(configuration_file.read(file), file) == []
