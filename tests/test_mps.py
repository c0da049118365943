from __future__ import annotations

import os

import pytest
from yolostream import mps

PLACES = ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")


@pytest.fixture(autouse=True)
def no_mps(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in PLACES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def told(tmp_path):
    """What a stand-in for the control program was told: where its pipe is, and what to do."""
    words = tmp_path / "told"
    control = tmp_path / "bin" / mps.CONTROL
    control.parent.mkdir()
    control.write_text(
        "#!/bin/sh\n"
        f'echo "$CUDA_MPS_PIPE_DIRECTORY $*" $(/bin/cat) >> {words}\n'
        f"exit $(/bin/cat {tmp_path}/code 2>/dev/null || echo 0)\n"
    )
    control.chmod(0o755)
    return words


def test_it_runs_inside_the_block_in_folders_of_its_own(tmp_path, told):
    with mps.running(tmp_path / "mps") as runs:
        assert runs
        assert told.read_text().split() == [str(tmp_path / "mps" / "pipe"), "-d"]
        assert os.environ["CUDA_MPS_LOG_DIRECTORY"] == str(tmp_path / "mps" / "log")
    assert told.read_text().split()[-1] == "quit"
    assert not set(PLACES) & set(os.environ)


def test_without_it_the_block_runs_all_the_same(tmp_path):
    with mps.running(tmp_path / "mps") as runs:
        assert not runs
        assert not set(PLACES) & set(os.environ)


def test_one_that_does_not_start_is_left_out(tmp_path, told):
    (tmp_path / "code").write_text("1")
    with mps.running(tmp_path / "mps") as runs:
        assert not runs
        # A CUDA program would wait for a server behind this pipe.
        assert not set(PLACES) & set(os.environ)
    assert "quit" not in told.read_text()


def test_one_that_runs_already_is_used_and_left_alone(tmp_path, told, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/another")
    with mps.running(tmp_path / "mps") as runs:
        assert runs
    assert not told.exists()


def test_a_leftover_is_told_to_end(tmp_path, told):
    pipe = tmp_path / "mps" / "pipe"
    pipe.mkdir(parents=True)
    pid = pipe / f"{mps.CONTROL}.pid"
    pid.write_text("1")
    mps.stop_leftover(tmp_path / "mps")
    assert not told.exists(), "process 1 is no such service"
    mps.stop_leftover(tmp_path / "none")
