"""Checks the machine: the embedded Triton's requirements, and the GPUs."""

from __future__ import annotations

import contextlib
import fcntl
import json
import platform
import shutil
import socket
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np

from yolostream._version import __version__
from yolostream.doctor.check import Check, Verdict, run_command
from yolostream.errors import ServerStartError
from yolostream.server.embedded import LOOPBACK, choose_profile
from yolostream.server.environment import ServerEnvironment
from yolostream.server.gpus import HOST_REGION_BYTES, gpu_numbers

PORTS = (8000, 8001, 8002)
"""Default ports of HTTP, gRPC and metrics of `yolostream serve` and the containers."""
SHARED_MEMORY_BYTES = 256 * 2**20
"""Free space needed in /dev/shm. A full batch of the network's input takes 79 MB in each step."""
GPU_PROCESSES = 7
"""Largest number of processes of one ensemble on a GPU. Each allocates `HOST_REGION_BYTES` in
/dev/shm at its start."""
CONTAINER_DRIVER = 560
"""NVIDIA driver for the images of Triton 24.08 and DeepStream 7.1 (CUDA 12.6)."""
PROFILE_DRIVER = 580
"""NVIDIA driver for CUDA 13, which `make gpu` installs."""

_SHARED_MEMORY = Path("/dev/shm")
_NVIDIA_SMI = ("--query-gpu=name,compute_cap,driver_version,memory.total", "--format=csv,noheader")


def client() -> Check:
    """Report the versions of the client."""
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return Check("client", Verdict.good, f"yolostream {__version__}, {versions}")


def server_environment(folder: Path) -> Check:
    """Check the environment of the embedded Triton, and report the profile that it would serve."""
    part = "embedded Triton"
    try:
        environment = ServerEnvironment.check(folder)
    except ServerStartError as error:
        what, _, fix = str(error).rpartition(": ")
        return Check(part, Verdict.bad, what, fix)
    kind = "onnxruntime-gpu" if environment.has_onnxruntime_gpu else "onnxruntime for the CPU"
    profile = choose_profile(environment)
    found = f"Python {environment.python_version}, {kind}, serves profile '{profile}'"
    return Check(part, Verdict.good, found)


def ports(numbers: Sequence[int] = PORTS) -> Check:
    """Check whether the server's ports are free on loopback, or a Triton uses them.

    Args:
        numbers: ports of HTTP, gRPC and metrics.
    """
    taken = [port for port in numbers if not _is_free(port)]
    if not taken:
        return Check("ports", Verdict.good, f"{_listed(numbers)} are free")
    if triton := _triton_at(numbers[0]):
        return Check("ports", Verdict.good, f"Triton {triton} answers at port {numbers[0]}")
    fix = "stop what uses them, or choose others: 'yolostream serve --help', or .env for containers"
    return Check("ports", Verdict.note, f"taken: {_listed(taken)}", fix)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _triton_at(port: int) -> str | None:
    """Version of the Triton that answers at an HTTP port; None without one."""
    connection = HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/v2")
        answer = json.load(connection.getresponse())
        return str(answer["version"]) if answer["name"] == "triton" else None
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        return None
    finally:
        connection.close()


def shared_memory() -> Check:
    """Check the free space in /dev/shm, and report frames that killed clients left there."""
    usage = shutil.disk_usage(_SHARED_MEMORY)
    left_over = sum(map(_is_left_over, _SHARED_MEMORY.glob("yolostream-frames-*")))
    found = f"{_gigabytes(usage.free)} free of {_gigabytes(usage.total)}"
    if left_over:
        found += f"; left over: {left_over}, which the next client removes"
    # Each GPU has processes of all steps.
    regions = GPU_PROCESSES * HOST_REGION_BYTES * len(gpu_numbers())
    needed = max(SHARED_MEMORY_BYTES, regions)
    if usage.free >= needed:
        return Check("/dev/shm", Verdict.good, found)
    size = f"{-(-needed // 10**9)}g"
    how = (
        f"'mount -o remount,size={size} /dev/shm', 'docker run --shm-size={size}', in Kubernetes "
        "an emptyDir of medium Memory"
    )
    fix = f"make {_gigabytes(needed)} free: {how}"
    return Check("/dev/shm", Verdict.bad, found, fix)


def _is_left_over(region: Path) -> bool:
    """Whether the owner is gone. It holds a lock on the file while it lives."""
    with contextlib.suppress(OSError), region.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    return False


def gpus() -> list[Check]:
    """Report the GPUs and check their driver, with nvidia-smi."""
    nvidia_smi = shutil.which("nvidia-smi")
    if nvidia_smi is None:
        return [Check("GPU", Verdict.note, "no nvidia-smi, so no GPU: the CPU is used")]
    lines, failure = run_command([nvidia_smi, *_NVIDIA_SMI])
    if failure:
        return [Check("GPU", Verdict.bad, failure, "reinstall the NVIDIA driver, or reboot")]
    return [_gpu(line) for line in lines.splitlines()]


def _gpu(line: str) -> Check:
    name, compute_capability, driver, memory = line.split(", ")
    found = f"{name}, compute {compute_capability}, {memory}, driver {driver}"
    number = int(driver.split(".")[0])
    wants = []
    if number < PROFILE_DRIVER:
        wants.append(f"the profiles for a GPU need driver {PROFILE_DRIVER}")
    if number < CONTAINER_DRIVER:
        wants.append(
            f"the containers {CONTAINER_DRIVER}; data-center GPUs also run some older ones"
        )
    return Check("GPU", Verdict.note if wants else Verdict.good, found, ", ".join(wants))


def plan(model_repository: Path) -> Check:
    """Check the TensorRT plan, by the file with its build data."""
    part = "TensorRT plan"
    path = model_repository / "yolov7_fp16" / "1" / "model.plan"
    if not path.exists():
        fix = "'make up' builds it; only containers with a GPU need it"
        return Check(part, Verdict.note, "not built", fix)
    whether = "'python -m tools.build_engine --check' tells whether it fits"
    try:
        machine = json.loads(path.with_name("model.plan.json").read_text())["machine"]
        found = f"built for {machine['gpu']} and TensorRT {machine['tensorrt']}"
    except (OSError, ValueError, LookupError, TypeError):
        return Check(part, Verdict.note, "built for an unknown GPU: no model.plan.json", whether)
    return Check(part, Verdict.good, found, whether)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
