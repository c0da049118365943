"""What a command says of itself: how it is used, and what it lacks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from running import check
from yolostream.errors import PackageMissing


@pytest.mark.parametrize("command", ["detect", "run", "serve", "install-server", "doctor"])
def test_every_command_says_how_it_is_used(command, yolostream_cli):
    shown = yolostream_cli(command, "--help", env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert shown.returncode == 0, shown.stderr
    assert not shown.stderr
    assert f"yolostream {command} [OPTIONS]" in shown.stdout


def test_serve_says_when_it_serves_a_new_model(yolostream_cli):
    shown = yolostream_cli("serve", "--help", env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert "To serve a model that was installed meanwhile, run this command again" in shown.stdout


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("detect", "av", "video"),
        ("run", "av", "service"),
        # The core brings others of the service's along, as Typer's.
        ("run", "fastapi", "service"),
        ("run", "structlog", "service"),
    ],
)
def test_a_command_without_its_packages_says_how_to_get_them(command, package, extra):
    program = (
        f"import sys; sys.modules[{package!r}] = None; from yolostream.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command, "--demo"], capture_output=True, text=True
    )
    check(done, PackageMissing.exit_code, package, f"pip install 'yolostream[{extra}]'")
