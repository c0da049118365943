"""The log of the command line: repeated messages, and a stderr that cannot be written."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest
from clips import steps, write_clip
from instant import MODEL, serve_instant
from yolostream.cli import messages
from yolostream.cli.messages import PrintNotes


@pytest.fixture
def log():
    log, handler = logging.getLogger("yolostream.test_messages"), PrintNotes()
    log.addHandler(handler)
    yield log
    log.removeHandler(handler)


def test_a_message_is_repeated_only_after_an_interval(log, monkeypatch, capsys) -> None:
    def count() -> int:
        return capsys.readouterr().err.count("the server is away")

    log.warning("the server is away")
    log.warning("the server is away")
    assert count() == 1
    monkeypatch.setattr(messages, "_ONCE_IN_S", 0.0)
    log.warning("the server is away")
    assert count() == 1


def closed_pipe() -> int:
    """The writing end of a pipe without a reader."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("stderr", [closed_pipe, lambda: os.open("/dev/full", os.O_WRONLY)])
def test_a_stderr_that_cannot_be_written_costs_no_result(tmp_path, stderr) -> None:
    # The second clip is truncated, so an error is written to stderr, too.
    whole = write_clip(tmp_path / "whole.mp4", steps(8))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(write_clip(tmp_path / "long.mp4", steps(8) * 20).read_bytes()[:-2000])
    command = (sys.executable, "-m", "yolostream", "detect", str(whole), str(cut))
    target = stderr()
    with serve_instant() as server:
        done = subprocess.run(
            [*command, "--url", server.url, "--model", MODEL, "--output", str(tmp_path / "out")],
            stdout=subprocess.PIPE,
            stderr=target,
            check=False,
            timeout=120,
        )
    os.close(target)
    assert len((tmp_path / "out" / "whole.jsonl").read_text().splitlines()) == 8
    assert done.returncode == 3
    assert b"whole" in done.stdout
