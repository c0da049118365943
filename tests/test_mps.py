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
def calls(tmp_path):
    """The calls of a fake control program: the folder of its pipe, its arguments and its stdin."""
    path = tmp_path / "calls"
    control = tmp_path / "bin" / mps.CONTROL
    control.parent.mkdir()
    control.write_text(
        "#!/bin/sh\n"
        f'echo "$CUDA_MPS_PIPE_DIRECTORY $*" $(/bin/cat) >> {path}\n'
        f"exit $(/bin/cat {tmp_path}/code 2>/dev/null || echo 0)\n"
    )
    control.chmod(0o755)
    return path


def test_the_daemon_runs_in_the_block_with_folders_of_its_own(tmp_path, calls):
    pipe, log = tmp_path / "mps" / "pipe", tmp_path / "mps" / "log"
    with mps.running(tmp_path / "mps") as variables:
        assert variables == {
            "CUDA_MPS_PIPE_DIRECTORY": str(pipe),
            "CUDA_MPS_LOG_DIRECTORY": str(log),
        }
        assert calls.read_text().split() == [str(pipe), "-d"]
        assert pipe.is_dir()
        assert log.is_dir()
    assert calls.read_text().split() == [str(pipe), "-d", str(pipe), "quit"]


def test_an_error_in_the_block_ends_the_daemon(tmp_path, calls):
    with pytest.raises(RuntimeError), mps.running(tmp_path / "mps"):
        raise RuntimeError
    assert calls.read_text().split()[-1] == "quit"


def test_the_block_runs_without_mps(tmp_path):
    with mps.running(tmp_path / "mps") as variables:
        assert variables is None


def test_the_block_runs_if_the_daemon_does_not_start(tmp_path, calls):
    (tmp_path / "code").write_text("1")
    with mps.running(tmp_path / "mps") as variables:
        # With these variables, a CUDA program would wait for the daemon.
        assert variables is None
    assert "-d" in calls.read_text()


def test_a_daemon_that_runs_already_is_used_and_not_stopped(tmp_path, calls, monkeypatch):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/another")
    with mps.running(tmp_path / "mps") as variables:
        assert variables == {}
    assert not calls.exists()


@pytest.fixture
def leftover(tmp_path):
    """A process that looks like the service, as `stop_leftover` finds it in the folder `mps`."""
    pipe = tmp_path / "mps" / "pipe"
    pipe.mkdir(parents=True)
    with subprocess.Popen(["/bin/sh", "-c", "read line", mps.CONTROL], stdin=PIPE) as process:
        (pipe / f"{mps.CONTROL}.pid").write_text(str(process.pid))
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.01)  # The command line is empty until the program has started.
        yield process
        process.kill()


def test_a_leftover_daemon_gets_the_command_to_quit(tmp_path, calls, leftover):
    mps.stop_leftover(tmp_path / "mps")
    assert calls.read_text().split() == [str(tmp_path / "mps" / "pipe"), "quit"]
    assert leftover.poll() is None


def test_a_leftover_daemon_that_does_not_quit_is_killed(tmp_path, calls, leftover):
    (tmp_path / "code").write_text("1")
    mps.stop_leftover(tmp_path / "mps")
    assert leftover.wait(60) == -signal.SIGKILL


def test_other_processes_are_not_stopped(tmp_path, calls, leftover):
    (tmp_path / "mps" / "pipe" / f"{mps.CONTROL}.pid").write_text("1")
    mps.stop_leftover(tmp_path / "mps")
    mps.stop_leftover(tmp_path / "none")
    assert not calls.exists()


def test_the_daemon_serves_all_gpus(tmp_path, calls, monkeypatch):
    control = tmp_path / "bin" / mps.CONTROL
    control.write_text(f'#!/bin/sh\necho "visible: $CUDA_VISIBLE_DEVICES" > {calls}\n')
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with mps.running(tmp_path / "mps"):
        assert calls.read_text() == "visible: \n"


def test_a_client_on_the_same_machine_shares_the_gpu_of_the_server_by_mps(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with run_folder() as run:
        (run / "grpc_port").write_text("8001")
        # A server on the CPU does not use MPS.
        assert gpu_sharing_of("127.0.0.1:8001") == {}
        (run / "mps" / "pipe").mkdir(parents=True)
        variables = gpu_sharing_of("localhost:8001")
        assert variables["CUDA_MPS_PIPE_DIRECTORY"] == str(run / "mps" / "pipe")
        assert gpu_sharing_of("127.0.0.1:9001") == {}
        assert gpu_sharing_of("triton.example:8001") == {}
    assert gpu_sharing_of("127.0.0.1:8001") == {}
