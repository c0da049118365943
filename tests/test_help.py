"""The help of the commands, and their errors about missing packages."""

from __future__ import annotations

import subprocess
import sys

import pytest
from running import check
from yolostream.errors import PackageMissing


@pytest.mark.parametrize("command", ["detect", "run", "serve", "install-server", "doctor"])
def test_every_command_has_a_help_text(command, yolostream_cli):
    shown = yolostream_cli(command, "--help", env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert shown.returncode == 0, shown.stderr
    assert not shown.stderr
    assert f"yolostream {command} [OPTIONS]" in shown.stdout


def test_the_help_of_serve_explains_how_to_serve_a_new_model(yolostream_cli):
    shown = yolostream_cli("serve", "--help", env={"COLUMNS": "300", "NO_COLOR": "1"})
    assert "To serve a model that was installed meanwhile, run this command again" in shown.stdout


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("detect", "av", "video"),
        ("run", "av", "service"),
        # Other packages of the service, such as Typer's, are also installed with the core.
        ("run", "fastapi", "service"),
        ("run", "structlog", "service"),
    ],
)
def test_a_command_without_its_packages_names_the_extra_to_install(command, package, extra):
    program = (
        f"import sys; sys.modules[{package!r}] = None; from yolostream.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, command, "--demo"], capture_output=True, text=True
    )
    check(done, PackageMissing.exit_code, package, f"pip install 'yolostream[{extra}]'")
