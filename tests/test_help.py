"""`--help` of every command."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("command", ["detect", "serve", "doctor"])
def test_every_command_says_how_it_is_used(command, yolostream_cli):
    shown = yolostream_cli(command, "--help", env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert shown.returncode == 0, shown.stderr
    assert not shown.stderr
    assert f"yolostream {command} [OPTIONS]" in shown.stdout


def test_serve_says_when_it_serves_a_new_model(yolostream_cli):
    shown = yolostream_cli("serve", "--help", env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert (
        "A model that is installed while it runs is served once you start it again" in shown.stdout
    )
