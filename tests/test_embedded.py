"""Start and stop of the Triton from PyPI."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from busy_cores import wait_until_busy
from conftest import REPOSITORY
from running import poll
from yolostream import ServerStartError
from yolostream.server import embedded, tritonserver
from yolostream.server.environment import ServerEnvironment, check_glibc
from yolostream.server.ports import free_ports
from yolostream.server.processes import children
from yolostream.server.run_folder import remove_leftovers

pytestmark = pytest.mark.alone

MODELS = REPOSITORY / "model_repository"
ENVIRONMENT = REPOSITORY / ".venv-server"


_SHARED_MACHINE = "files or processes are left, or another yolostream runs on this machine"


def leftovers():
    folders = set(Path(tempfile.gettempdir()).glob("yolostream-server-*"))
    regions = set(Path("/dev/shm").glob("yolostream-*"))
    return folders | regions


def servers():
    return {p.pid for p in psutil.process_iter(["name"]) if "triton" in (p.info["name"] or "")}


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(triton):
    before = leftovers(), servers()
    yield
    deadline = time.monotonic() + 60
    while (leftovers(), servers()) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (leftovers(), servers()) == before, _SHARED_MACHINE


@pytest.fixture
def light_models(tmp_path):
    """A repository of one model that loads at once."""
    shutil.copytree(MODELS / "nms", tmp_path / "models" / "nms")
    return tmp_path / "models"


def test_the_server_listens_only_on_loopback_and_on_free_ports(light_models):
    with embedded.serve(
        light_models, environment=ENVIRONMENT, profile="cpu", stop_timeout_s=0
    ) as server:
        deadline = time.monotonic() + 60
        while len(addresses := listening(server.process.pid)) < 3 and time.monotonic() < deadline:
            # The port of the metrics opens shortly after the models are ready.
            time.sleep(0.05)
        assert len(addresses) == 3
        assert {address.ip.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}
        with urllib.request.urlopen(server.metrics_url, timeout=60) as metrics:
            assert b"nv_" in metrics.read()


def listening(pid):
    connections = psutil.Process(pid).net_connections("tcp")
    return {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}


def test_an_error_in_the_block_stops_the_server(light_models):
    with (
        pytest.raises(ZeroDivisionError),
        embedded.serve(light_models, environment=ENVIRONMENT, profile="cpu") as server,
    ):
        _ = 1 / 0
    assert server.process.returncode is not None


def test_a_model_that_does_not_load_is_reported_with_the_end_of_the_log(light_models):
    (light_models / "nms" / "1" / "model.py").write_text("raise ImportError('the cause')")
    with (
        pytest.raises(ServerStartError, match="the cause"),
        embedded.serve(light_models, environment=ENVIRONMENT, profile="cpu"),
    ):
        pass


@pytest.mark.parametrize("given", [None, "50"])
def test_the_server_limits_its_share_of_a_gpu_but_not_that_of_its_models(
    light_models, monkeypatch, given
):
    share = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"
    monkeypatch.delenv(share, raising=False)
    if given is not None:
        monkeypatch.setenv(share, given)
    configs, code = light_models / "nms" / "configs", light_models / "nms" / "1" / "model.py"
    shutil.copy(configs / "cpu.pbtxt", configs / "onnx-gpu.pbtxt")
    code_to_print = f"import os\nprint('its share:', os.environ.get('{share}'), flush=True)\n"
    code.write_text(code.read_text() + code_to_print)
    with embedded.serve(light_models, environment=ENVIRONMENT, profile="onnx-gpu") as server:
        assert psutil.Process(server.process.pid).environ()[share] == "25"
        assert f"its share: {given}\n" in server.log.read_text()


def test_thresholds_that_contradict_the_tensors_are_an_error(light_models):
    path = light_models / "nms" / "configs" / "cpu.pbtxt"
    path.write_text(path.read_text().replace('"300"', '"200"'))
    with (
        pytest.raises(ServerStartError, match="max_detections is 200"),
        embedded.serve(light_models, environment=ENVIRONMENT, profile="cpu"),
    ):
        pass


def test_a_server_that_is_not_ready_in_time_is_stopped(light_models):
    with (
        pytest.raises(ServerStartError, match="not ready after 0 s"),
        embedded.serve(light_models, environment=ENVIRONMENT, profile="cpu", start_timeout_s=0),
    ):
        pass


def test_a_port_in_use_is_named(light_models):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with (
            pytest.raises(
                ServerStartError, match=f"127.0.0.1:{port} .* by process {os.getpid()}, "
            ),
            embedded.serve(light_models, environment=ENVIRONMENT, ports=embedded.Ports(grpc=port)),
        ):
            pass


def test_a_port_that_becomes_free_soon_is_waited_for():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        threading.Timer(1, other.close).start()
        assert free_ports(embedded.Ports(grpc=port), "127.0.0.1", patience_s=60).grpc == port


def test_missing_parts_are_named(tmp_path):
    for arguments, named in (
        ({"environment": tmp_path}, "yolostream install-server"),
        (
            {"environment": ENVIRONMENT, "model_repository": tmp_path / "none"},
            "no model repository",
        ),
    ):
        with (
            pytest.raises(ServerStartError, match=named),
            embedded.serve(**{"model_repository": MODELS, **arguments}),
        ):
            pass


def test_an_environment_without_triton_is_reported_with_the_fix():
    # The environment of these tests has only the client.
    with pytest.raises(ServerStartError, match="pytriton"):
        ServerEnvironment.check(Path(sys.prefix))


@pytest.mark.parametrize(
    ("libc", "is_fine"),
    [
        (("glibc", "2.35"), True),
        (("glibc", "2.41"), True),
        (("glibc", "2.31"), False),
        (("", ""), False),
    ],
)
def test_glibc_is_checked_before_anything_starts(libc, is_fine):
    if is_fine:
        check_glibc(libc)
    else:
        with pytest.raises(ServerStartError, match=r"needs glibc 2\.35"):
            check_glibc(libc)


def start_in_another_process(light_models):
    code = f"""
import sys, time
from pathlib import Path
from yolostream.server import embedded
models, environment = Path({str(light_models)!r}), Path({str(ENVIRONMENT)!r})
with embedded.serve(models, environment=environment, profile="cpu") as server:
    print(server.process.pid, flush=True)
    time.sleep(600)
"""
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    return owner, int(owner.stdout.readline())


def test_the_next_start_cleans_up_after_a_killed_owner(light_models):
    owner, server_pid = start_in_another_process(light_models)
    steps = children(server_pid)
    assert steps
    owner.kill()
    owner.wait()
    owner.stdout.close()
    # The kernel ends the server, and its step ends when it notices that; only folders are left.
    poll(lambda: not any(map(is_running, [server_pid, *steps])), what="the server to end")
    remove_leftovers()


def test_the_next_start_ends_a_step_that_was_paused_when_its_owner_was_killed(light_models):
    owner, server_pid = start_in_another_process(light_models)
    (step,) = children(server_pid)
    os.kill(step, signal.SIGSTOP)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    poll(lambda: not is_running(server_pid), what="the server to end")
    assert is_running(step)
    remove_leftovers()
    poll(lambda: not is_running(step), what="the step to end")


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_server_of_a_running_owner_is_kept(light_models):
    owner, server_pid = start_in_another_process(light_models)
    try:
        remove_leftovers()
        assert is_running(server_pid)
    finally:
        owner.send_signal(signal.SIGINT)
        owner.wait(60)
        owner.stdout.close()


@contextlib.contextmanager
def serve_command(models, *options):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "yolostream", "serve", "--model-repository", str(models)),
            *("--http-port", "0", "--grpc-port", "0", "--metrics-port", "0", *options),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    try:
        while "Ctrl-C" not in (line := process.stderr.readline()):
            assert line, "the process ended by itself"
        yield process
    finally:
        process.kill()
        process.stderr.close()
        process.wait()


def test_a_killed_server_that_ends_late_is_reaped(monkeypatch):
    # As one that the driver of a lost GPU holds.
    monkeypatch.setattr(tritonserver, "_KILL_TIMEOUT_S", 0.0)
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    tritonserver.stop(process, patience_s=0)
    # `poll` of the process would reap it by itself.
    poll(lambda: process.returncode == -signal.SIGKILL, what="the process to be reaped")


def test_a_folder_of_another_user_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "yolostream-server-abcd_123").mkdir()
    with monkeypatch.context() as another:
        another.setattr(os, "geteuid", lambda: os.getuid() + 1)
        remove_leftovers()
    assert list(tmp_path.iterdir())
    remove_leftovers()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_serve_runs_until_a_signal_stops_it(light_models, number):
    with serve_command(light_models) as process:
        process.send_signal(number)
        assert process.wait(60) == 0


def test_serve_with_busy_cores_is_stopped_by_a_signal(light_models):
    with serve_command(light_models, "--keep-awake") as process:
        wait_until_busy(os.sched_getaffinity(0), process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
