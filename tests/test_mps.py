from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from pathlib import Path
from subprocess import PIPE

import pytest
from yolostream.server import mps
from yolostream.server.run_folder import gpu_sharing_of, run_folder


@pytest.fixture(autouse=True)
def no_mps(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)


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
    pipe, log = tmp_path / "mps" / "pipe", tmp_path / "mps" / "log"
    with mps.running(tmp_path / "mps") as variables:
        assert variables == {
            "CUDA_MPS_PIPE_DIRECTORY": str(pipe),
            "CUDA_MPS_LOG_DIRECTORY": str(log),
        }
        assert told.read_text().split() == [str(pipe), "-d"]
        assert pipe.is_dir()
        assert log.is_dir()
    assert told.read_text().split() == [str(pipe), "-d", str(pipe), "quit"]


def test_an_error_in_the_block_ends_it_too(tmp_path, told):
    with pytest.raises(RuntimeError), mps.running(tmp_path / "mps"):
        raise RuntimeError
    assert told.read_text().split()[-1] == "quit"


def test_without_it_the_block_runs_all_the_same(tmp_path):
    with mps.running(tmp_path / "mps") as variables:
        assert variables is None


def test_one_that_does_not_start_is_left_out(tmp_path, told):
    (tmp_path / "code").write_text("1")
    with mps.running(tmp_path / "mps") as variables:
        # A CUDA program would wait for a service behind its pipe.
        assert variables is None
    assert "-d" in told.read_text()


def test_one_that_runs_already_is_used_and_left_alone(tmp_path, told, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/another")
    with mps.running(tmp_path / "mps") as variables:
        assert variables == {}
    assert not told.exists()


@pytest.fixture
def leftover(tmp_path):
    """A process that looks like the service, as `stop_leftover` finds it in the folder `mps`."""
    pipe = tmp_path / "mps" / "pipe"
    pipe.mkdir(parents=True)
    with subprocess.Popen(["/bin/sh", "-c", "read line", mps.CONTROL], stdin=PIPE) as process:
        (pipe / f"{mps.CONTROL}.pid").write_text(str(process.pid))
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.01)  # It is another's until it has become itself.
        yield process
        process.kill()


def test_a_leftover_is_told_to_end(tmp_path, told, leftover):
    mps.stop_leftover(tmp_path / "mps")
    assert told.read_text().split() == [str(tmp_path / "mps" / "pipe"), "quit"]
    assert leftover.poll() is None


def test_one_that_does_not_end_is_killed(tmp_path, told, leftover):
    (tmp_path / "code").write_text("1")
    mps.stop_leftover(tmp_path / "mps")
    assert leftover.wait(60) == -signal.SIGKILL


def test_nobody_else_is_ended_as_a_leftover(tmp_path, told, leftover):
    (tmp_path / "mps" / "pipe" / f"{mps.CONTROL}.pid").write_text("1")
    mps.stop_leftover(tmp_path / "mps")
    mps.stop_leftover(tmp_path / "none")
    assert not told.exists()


def test_it_serves_every_gpu_whichever_its_clients_choose(tmp_path, told, monkeypatch):
    control = tmp_path / "bin" / mps.CONTROL
    control.write_text(f'#!/bin/sh\necho "visible: $CUDA_VISIBLE_DEVICES" > {told}\n')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with mps.running(tmp_path / "mps"):
        assert told.read_text() == "visible: \n"


def test_a_client_here_is_told_how_to_share_the_server_s_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with run_folder() as run:
        (run / "grpc_port").write_text("8001")
        # A server on the CPU has none.
        assert gpu_sharing_of("127.0.0.1:8001") == {}
        (run / "mps" / "pipe").mkdir(parents=True)
        told = gpu_sharing_of("localhost:8001")
        assert told["CUDA_MPS_PIPE_DIRECTORY"] == str(run / "mps" / "pipe")
        assert gpu_sharing_of("127.0.0.1:9001") == {}
        assert gpu_sharing_of("triton.example:8001") == {}
    assert gpu_sharing_of("127.0.0.1:8001") == {}
