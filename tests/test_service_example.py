"""The example, the schema and the unit that come along hold what they promise."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from conftest import REPOSITORY
from running import check
from yolostream.errors import ConfigurationError
from yolostream.service import configuration_file
from yolostream.service.schema import schema
from yolostream.service.settings import CameraDefaults

EXAMPLE = REPOSITORY / "cameras.example.yaml"
SCHEMA = REPOSITORY / "docs" / "cameras.schema.json"
LIMITS = {"Rotation", "Segments", "Hls", "Retention"}
UNIT = REPOSITORY / "packaging" / "yolostream.service"


def test_the_schema_is_that_of_the_code() -> None:
    assert SCHEMA.read_text() == schema(), "run 'make reference'"


def test_the_example_names_the_schema() -> None:
    first = EXAMPLE.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=docs/cameras.schema.json"


def test_every_key_has_a_description_for_editors() -> None:
    def keys(section: dict) -> list[tuple[str, dict]]:
        return list(section.get("properties", {}).items())

    whole = json.loads(schema())
    # Of limits of outputs, which are not only for files, pydantic finds no words.
    ours = [one for name, one in whole["$defs"].items() if name not in LIMITS]
    described = [*keys(whole), *(key for one in ours for key in keys(one))]
    sections = {"server", "web", "log", "outputs", "defaults", "cameras", "certificate", "key"}
    lack = [name for name, one in described if "description" not in one and name not in sections]
    assert not lack


def test_the_example_is_right(yolostream_cli) -> None:
    finished = yolostream_cli("run", "--check", EXAMPLE, cwd=REPOSITORY)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "cameras: 1, enabled: 1\n"


def test_what_the_example_only_mentions_is_right_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv("GATE_PASSWORD", "x")
    text = re.sub(r"^( *)# (?=( *)[a-z_]+:( |$))", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE)
    text = text.replace("  token_file: /etc/yolostream/triton.token\n", "")
    configuration = configuration_file.parse(text, "example")
    assert set(configuration.cameras) == {"street", "gate", "yard"}
    # The values that stand there as usual are the usual ones.
    chosen = {"confidence": 0.25, "classes": "person,car", "fps": 10}
    assert configuration.defaults == CameraDefaults.model_validate(chosen)


def test_check_tells_what_is_wrong(yolostream_cli, tmp_path) -> None:
    path = tmp_path / "cameras.yaml"
    path.write_text("cameras:\n  gate:\n    source: rtsp://192.0.2.1/a\n    confidance: 1\n")
    finished = yolostream_cli("run", "--check", path)
    check(finished, ConfigurationError.exit_code, f"{path}:4:", "is it confidence?")
    path.write_text("cameras:\n  a: {source: udp://h:1}\n  b: {source: udp://h:1, enabled: no}\n")
    finished = yolostream_cli("run", "--check", path)
    assert finished.returncode == 0
    assert finished.stdout == "cameras: 2, enabled: 1\n"
    assert "a and b have the same source" in finished.stderr


def test_systemd_understands_the_unit(tmp_path) -> None:
    unit = tmp_path / UNIT.name
    # Only the program is not where it will be.
    unit.write_text(re.sub("^ExecStart=.*", "ExecStart=/bin/true", UNIT.read_text(), flags=re.M))
    try:
        finished = subprocess.run(
            ["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        pytest.skip("needs systemd-analyze")
    assert finished.returncode == 0, finished.stderr
    assert unit.name not in finished.stderr
