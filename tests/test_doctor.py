from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import stat
import sys

import pytest
from conftest import REPOSITORY
from repository import config
from yolostream.client.transport import ownership
from yolostream.doctor import Verdict, examine, gpu, machine
from yolostream.doctor.containers import GPU_IMAGES_GB, containers
from yolostream.server import mps
from yolostream.server.environment import ServerEnvironment

from tools.engine.recipe import Recipe
from tools.engine.sidecar import Sidecar, sidecar_of
from tools.engine.trtexec import Machine

MODELS = REPOSITORY / "model_repository"
SERVER = REPOSITORY / ".venv-server"
DEEPSTREAM = REPOSITORY / "clients" / "deepstream"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program on PATH that prints and ends as told; no other program is found then."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, *, says="", code=0):
        path = folder / name
        channel = "stderr" if code else "stdout"
        text = f"import sys\nsys.{channel}.write({says!r})\nsys.exit({code})\n"
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


def docker_info(**changed):
    """What `docker info` says, as far as it is read."""
    return json.dumps(
        {
            "ServerVersion": "28.2.2",
            "Runtimes": {"runc": {}, "nvidia": {}},
            "DockerRootDir": "/",
            "ClientInfo": {"Plugins": [{"Name": "compose", "Version": "v2.36.2"}]},
            **changed,
        }
    )


def by_part(checks):
    return {check.part: check for check in checks}


def test_a_machine_that_serves_is_good_and_what_it_lacks_is_only_noted(yolostream_cli):
    done = yolostream_cli("doctor", "--json")
    checks = json.loads(done.stdout)
    wrong = [check for check in checks if check["verdict"] == "bad"]
    assert done.returncode == bool(wrong)
    verdicts = {check["part"]: check["verdict"] for check in checks}
    assert verdicts["embedded Triton"] == verdicts["client"] == "good"
    assert {"ports", "/dev/shm", "GPU", "TensorRT plan", "Docker"} <= verdicts.keys()
    assert not done.stderr


def test_what_is_wrong_is_said_with_its_fix_and_by_the_exit_code(yolostream_cli, tmp_path):
    done = yolostream_cli(
        "doctor", "--server-environment", tmp_path, env={**os.environ, "COLUMNS": "300"}
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if str(tmp_path) in line]
    assert "✗" in line
    assert "run 'yolostream install-server'" in line


def test_every_problem_of_the_deepstream_files_is_a_check(tmp_path):
    shutil.copytree(DEEPSTREAM, tmp_path / "clients" / "deepstream")
    (tmp_path / "model_repository").symlink_to(MODELS)
    (tmp_path / "videos").symlink_to(REPOSITORY / "videos")
    folder = tmp_path / "clients" / "deepstream"
    sound = examine(MODELS, SERVER, folder)
    assert "DeepStream files" in by_part(sound)
    path = folder / "config_infer_yolov7.txt"
    path.write_text(path.read_text() + "nonsense: 1\n")
    checks = examine(MODELS, SERVER, folder)
    assert "DeepStream files" not in by_part(checks)
    assert any(c.verdict == Verdict.bad and path.name in c.part + c.found for c in checks)


def test_ports_tell_free_ones_from_a_triton_and_from_strangers(triton):
    http, grpc, metrics = (
        int(address.removesuffix("/metrics").rpartition(":")[2])
        for address in (triton.http_url, triton.url, triton.metrics_url)
    )
    assert "Triton 2." in machine.ports([http, grpc, metrics]).found
    with socket.socket() as stranger, socket.socket() as free:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        taken = stranger.getsockname()[1]
        free.bind(("127.0.0.1", 0))
        unused = free.getsockname()[1]
        free.close()
        assert machine.ports([unused]).found == f"{unused} are free"
        check = machine.ports([unused, taken])
        assert (check.verdict, check.found) == (Verdict.note, f"taken: {taken}")
        assert "--help" in check.fix


def test_shared_memory_tells_what_the_dead_left_from_what_the_living_hold(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(ownership, "SHARED_MEMORY", tmp_path)
    living = ownership.OwnedFile()
    assert "left over" not in machine.shared_memory().found
    ownership.OwnedFile().file.close()
    assert "; left over: 1" in machine.shared_memory().found
    living.close()


def test_too_little_shared_memory_is_wrong(monkeypatch):
    monkeypatch.setattr(machine, "SHARED_MEMORY_BYTES", shutil.disk_usage("/dev/shm").total + 1)
    check = machine.shared_memory()
    assert check.verdict == Verdict.bad
    assert "--shm-size" in check.fix


def test_on_a_gpu_every_process_has_room_in_shared_memory(monkeypatch):
    monkeypatch.setattr(machine, "HOST_REGION_BYTES", shutil.disk_usage("/dev/shm").total)
    monkeypatch.setattr(machine, "gpu_numbers", list)
    on_cpu = machine.shared_memory()
    monkeypatch.setattr(machine, "gpu_numbers", lambda: [0])
    assert (on_cpu.verdict, machine.shared_memory().verdict) == (Verdict.good, Verdict.bad)
    for profile in ("onnx-gpu", "cudnn-gpu", "torch-gpu"):
        models = [config(model, profile) for model in ("preprocess", "yolov7_fp16", "nms")]
        processes = sum(group.count for model in models for group in model.instance_group)
        assert processes <= machine.GPU_PROCESSES


@pytest.mark.parametrize(
    ("driver", "verdict", "fix"),
    [
        ("580.65.06", Verdict.good, ""),
        ("560.35.03", Verdict.note, "the profiles for a GPU need driver 580"),
        ("535.86.10", Verdict.note, "driver 580, the containers 560"),
    ],
)
def test_a_gpu_is_told_with_its_driver(program, driver, verdict, fix):
    program("nvidia-smi", says=f"NVIDIA H200, 9.0, {driver}, 143771 MiB\n" * 2)
    first, second = machine.gpus()
    assert first == second
    assert first.verdict == verdict
    assert all(word in first.found for word in ("NVIDIA H200", "9.0", driver, "143771 MiB"))
    assert fix in first.fix


@pytest.fixture
def on_gpu(monkeypatch):
    """As on a machine with a GPU and a server environment that has what is told."""

    def make(**has):
        monkeypatch.setattr(gpu, "gpu_numbers", lambda: [0])
        environment = dataclasses.replace(ServerEnvironment.check(SERVER), **has)
        monkeypatch.setattr(ServerEnvironment, "check", lambda folder: environment)
        return by_part(gpu.gpu_profiles(SERVER))

    return make


def test_a_gpu_without_its_packages_is_told_how_to_get_them(program, on_gpu):
    checks = on_gpu(has_onnxruntime_gpu=False, has_torch=False)
    assert {check.verdict for check in checks.values()} == {Verdict.note}
    assert "install-server --profile onnx-gpu" in checks["profiles onnx-gpu, cudnn-gpu"].fix
    assert "install-server --profile torch-gpu" in checks["profile torch-gpu"].fix
    assert "nvidia-compute-utils" in checks["MPS"].fix


def test_a_gpu_with_its_packages_serves_all_profiles(program, on_gpu, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    for name in ("clang", mps.CONTROL):
        program(name)
    checks = on_gpu(has_onnxruntime_gpu=True, has_torch=True)
    assert {check.verdict for check in checks.values()} == {Verdict.good}
    assert "clang" in checks["profile torch-gpu"].found
    monkeypatch.setenv(mps.PIPES, "somewhere")
    assert "runs" in on_gpu()["MPS"].found


def test_pytorch_without_a_compiler_is_told_what_to_install(program, on_gpu, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    check = on_gpu(has_torch=True)["profile torch-gpu"]
    assert check.verdict == Verdict.note
    assert "apt install gcc libc6-dev python3." in check.fix
    monkeypatch.setenv("CC", sys.executable)
    assert on_gpu(has_torch=True)["profile torch-gpu"].verdict == Verdict.good


def test_without_gpu_or_server_the_profiles_are_one_note(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "gpu_numbers", list)
    (check,) = gpu.gpu_profiles(SERVER)
    assert (check.verdict, "--gpus all" in check.fix) == (Verdict.note, True)
    monkeypatch.setattr(gpu, "gpu_numbers", lambda: [0])
    (check,) = gpu.gpu_profiles(tmp_path)
    assert check.verdict == Verdict.note
    assert "install-server --profile onnx-gpu" in check.fix


def test_no_gpu_is_a_note_and_a_broken_driver_is_wrong(program):
    (check,) = machine.gpus()
    assert check.verdict == Verdict.note
    program("nvidia-smi", says="Driver/library version mismatch\n", code=18)
    (check,) = machine.gpus()
    assert (check.verdict, check.found) == (Verdict.bad, "Driver/library version mismatch")


def test_containers_are_noted_part_by_part(program, monkeypatch):
    (check,) = containers()
    assert (check.part, check.verdict) == ("Docker", Verdict.note)

    program("docker", says="Cannot connect to the Docker daemon\n", code=1)
    (check,) = containers()
    assert check.found == "Cannot connect to the Docker daemon"
    assert check.verdict == Verdict.note

    free_gb = shutil.disk_usage("/").free / 1e9
    program("docker", says=docker_info())
    checks = by_part(containers())
    room = checks.pop("room for images")
    assert {check.verdict for check in checks.values()} == {Verdict.good}
    assert (room.verdict == Verdict.good) == (free_gb >= GPU_IMAGES_GB)

    program(
        "docker", says=docker_info(Runtimes={}, ClientInfo={"Plugins": None}, DockerRootDir="/none")
    )
    checks = by_part(containers())
    for part in ("Compose", "Container Toolkit", "room for images"):
        assert checks[part].verdict == Verdict.note, part
    program("docker-compose")
    assert "COMPOSE=docker-compose" in by_part(containers())["Compose"].fix


def test_without_a_gpu_the_images_need_less_room(program, monkeypatch):
    monkeypatch.setitem(containers.__globals__, "IMAGES_GB", 0)
    monkeypatch.setitem(containers.__globals__, "GPU_IMAGES_GB", 10**6)
    program("docker", says=docker_info(Runtimes={}))
    assert by_part(containers())["room for images"].verdict == Verdict.good
    program("docker", says=docker_info())
    room = by_part(containers())["room for images"]
    assert room.verdict == Verdict.note
    assert "without DeepStream" in room.fix


UNREACHABLE = {
    "Docker 20.10": (
        json.dumps({"ServerErrors": ["Cannot connect to the daemon"], "ClientInfo": {}}),
        "Cannot connect to the daemon",
    ),
    "podman": (
        json.dumps({"host": {}, "version": {"Version": "4.3.1"}}),
        "not report a Docker Engine",
    ),
    "a template that is not known": ("{{json .}}", "no JSON object"),
    "a list": ("[]", "no JSON object"),
    "nothing": ("", "no JSON object"),
}


@pytest.mark.parametrize(("says", "found"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_docker_that_ends_well_without_an_engine_is_noted(program, says, found):
    program("docker", says=says)
    (check,) = containers()
    assert (check.part, check.verdict) == ("Docker", Verdict.note)
    assert found in check.found
    assert "start Docker" in check.fix


def test_an_engine_that_says_nothing_but_its_version_is_noted_part_by_part(program):
    program("docker", says=json.dumps({"ServerVersion": "20.10.24", "ClientInfo": None}))
    checks = by_part(containers())
    assert checks["Docker"].found == "engine 20.10.24"
    for part in ("Compose", "Container Toolkit"):
        assert checks[part].verdict == Verdict.note
    assert "/var/lib/docker" in checks["room for images"].found


def test_the_plan_is_told_by_what_the_builder_wrote_beside_it(tmp_path):
    assert machine.plan(tmp_path).found == "not built"
    plan = tmp_path / "yolov7_fp16" / "1" / "model.plan"
    plan.parent.mkdir(parents=True)
    plan.touch()
    assert machine.plan(tmp_path).verdict == Verdict.note
    Sidecar(
        recipe=Recipe("0" * 64, (3, 640, 640), 1, 16, 16),
        machine=Machine("NVIDIA H200", "9.0", "10.3.0"),
        build_seconds=1.0,
        plan_bytes=0,
        plan_sha256="0" * 64,
        tool_version="0",
        built_at="2026-01-01T00:00:00+00:00",
    ).write(sidecar_of(plan))
    check = machine.plan(tmp_path)
    assert check.verdict == Verdict.good
    assert check.found == "built for NVIDIA H200 and TensorRT 10.3.0"
