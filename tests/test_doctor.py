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
    """Makes the only program on PATH, which prints `prints` and exits with `code`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name, *, prints="", code=0):
        path = folder / name
        channel = "stderr" if code else "stdout"
        text = f"import sys\nsys.{channel}.write({prints!r})\nsys.exit({code})\n"
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


def docker_info(**changed):
    """The part of the output of `docker info` that is read."""
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


def test_missing_optional_parts_of_a_working_machine_are_notes(yolostream_cli):
    done = yolostream_cli("doctor", "--json")
    checks = json.loads(done.stdout)
    wrong = [check for check in checks if check["verdict"] == "bad"]
    assert done.returncode == bool(wrong)
    verdicts = {check["part"]: check["verdict"] for check in checks}
    assert verdicts["embedded Triton"] == verdicts["client"] == "good"
    assert {"ports", "/dev/shm", "GPU", "TensorRT plan", "Docker"} <= verdicts.keys()
    assert not done.stderr


def test_an_error_has_a_fix_and_sets_the_exit_code(yolostream_cli, tmp_path):
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


def test_ports_are_free_or_used_by_triton_or_by_another_program(triton):
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


def test_only_shared_memory_without_an_owner_is_left_over(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(ownership, "SHARED_MEMORY", tmp_path)
    living = ownership.OwnedFile()
    assert "left over" not in machine.shared_memory().found
    ownership.OwnedFile().file.close()
    assert "; left over: 1" in machine.shared_memory().found
    living.close()


def test_too_little_shared_memory_is_an_error(monkeypatch):
    monkeypatch.setattr(machine, "SHARED_MEMORY_BYTES", shutil.disk_usage("/dev/shm").total + 1)
    check = machine.shared_memory()
    assert check.verdict == Verdict.bad
    assert "--shm-size" in check.fix


def test_on_a_gpu_shared_memory_needs_room_for_every_process(monkeypatch):
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
def test_a_gpu_is_listed_with_its_driver(program, driver, verdict, fix):
    program("nvidia-smi", prints=f"NVIDIA H200, 9.0, {driver}, 143771 MiB\n" * 2)
    first, second = machine.gpus()
    assert first == second
    assert first.verdict == verdict
    assert all(word in first.found for word in ("NVIDIA H200", "9.0", driver, "143771 MiB"))
    assert fix in first.fix


@pytest.fixture
def on_gpu(monkeypatch):
    """Checks the profiles with a GPU and a server environment with these properties."""

    def make(**has):
        monkeypatch.setattr(gpu, "gpu_numbers", lambda: [0])
        environment = dataclasses.replace(ServerEnvironment.check(SERVER), **has)
        monkeypatch.setattr(ServerEnvironment, "check", lambda folder: environment)
        return by_part(gpu.gpu_profiles(SERVER))

    return make


def test_missing_packages_for_a_gpu_are_noted_with_the_fix(program, on_gpu):
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


def test_a_missing_compiler_for_pytorch_is_noted_with_the_fix(program, on_gpu, monkeypatch):
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


def test_no_gpu_is_a_note_and_a_broken_driver_is_an_error(program):
    (check,) = machine.gpus()
    assert check.verdict == Verdict.note
    program("nvidia-smi", prints="Driver/library version mismatch\n", code=18)
    (check,) = machine.gpus()
    assert (check.verdict, check.found) == (Verdict.bad, "Driver/library version mismatch")


def test_each_missing_part_for_containers_is_a_note(program, monkeypatch):
    (check,) = containers()
    assert (check.part, check.verdict) == ("Docker", Verdict.note)

    program("docker", prints="Cannot connect to the Docker daemon\n", code=1)
    (check,) = containers()
    assert check.found == "Cannot connect to the Docker daemon"
    assert check.verdict == Verdict.note

    free_gb = shutil.disk_usage("/").free / 1e9
    program("docker", prints=docker_info())
    checks = by_part(containers())
    room = checks.pop("room for images")
    assert {check.verdict for check in checks.values()} == {Verdict.good}
    assert (room.verdict == Verdict.good) == (free_gb >= GPU_IMAGES_GB)

    program(
        "docker",
        prints=docker_info(Runtimes={}, ClientInfo={"Plugins": None}, DockerRootDir="/none"),
    )
    checks = by_part(containers())
    for part in ("Compose", "Container Toolkit", "room for images"):
        assert checks[part].verdict == Verdict.note, part
    program("docker-compose")
    assert "COMPOSE=docker-compose" in by_part(containers())["Compose"].fix


def test_without_a_gpu_the_images_need_less_disk_space(program, monkeypatch):
    monkeypatch.setitem(containers.__globals__, "IMAGES_GB", 0)
    monkeypatch.setitem(containers.__globals__, "GPU_IMAGES_GB", 10**6)
    program("docker", prints=docker_info(Runtimes={}))
    assert by_part(containers())["room for images"].verdict == Verdict.good
    program("docker", prints=docker_info())
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


@pytest.mark.parametrize(("prints", "found"), UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_docker_command_that_succeeds_without_an_engine_is_a_note(program, prints, found):
    program("docker", prints=prints)
    (check,) = containers()
    assert (check.part, check.verdict) == ("Docker", Verdict.note)
    assert found in check.found
    assert "start Docker" in check.fix


def test_missing_fields_in_the_output_of_docker_are_notes(program):
    program("docker", prints=json.dumps({"ServerVersion": "20.10.24", "ClientInfo": None}))
    checks = by_part(containers())
    assert checks["Docker"].found == "engine 20.10.24"
    for part in ("Compose", "Container Toolkit"):
        assert checks[part].verdict == Verdict.note
    assert "/var/lib/docker" in checks["room for images"].found


def test_a_plan_is_described_by_its_sidecar(tmp_path):
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
