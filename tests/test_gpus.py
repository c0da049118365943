from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest
from yolostream.server import gpus


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """A folder in place of /dev, which each test fills."""
    monkeypatch.setattr(gpus, "Path", lambda path: tmp_path / Path(path).relative_to("/dev"))
    return tmp_path


@pytest.mark.parametrize(
    ("numbers", "visible", "expected"),
    [
        ([], None, []),
        ([], "0", []),
        ([0], None, [0]),
        # A container with only the fourth GPU of the host: CUDA counts from 0.
        ([3], None, [0]),
        ([0, 1, 2, 3], None, [0, 1, 2, 3]),
        ([0, 1], "1", [0]),
        ([0, 1], "1,0", [0, 1]),
        ([0, 1], "", []),
        ([0, 1], "-1", []),
        ([0, 1], "1,-1,0", [0]),
        ([0, 1], "GPU-8f2c,GPU-11ab", [0, 1]),
    ],
)
def test_gpus_are_numbered_as_by_cuda(devices, monkeypatch, numbers, visible, expected):
    for number in numbers:
        (devices / f"nvidia{number}").touch()
    for other in ("nvidiactl", "nvidia-uvm"):
        (devices / other).touch()
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.gpu_numbers() == expected


def test_large_copies_bypass_the_caches_unless_the_user_has_tuned_glibc(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert gpus.server_variables() == {**gpus.SERVER_MPS_SHARE, **gpus.LARGE_COPIES}
    tunables = "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    assert gpus.server_variables()["GLIBC_TUNABLES"] == tunables


@pytest.mark.skipif(platform.machine() != "x86_64", reason="glibc has this setting only on x86-64")
def test_glibc_accepts_the_setting():
    loader = "/lib64/ld-linux-x86-64.so.2"
    listed = subprocess.run(
        [loader, "--list-tunables"], env=gpus.LARGE_COPIES, capture_output=True, text=True
    )
    assert re.search(r"^glibc.cpu.x86_non_temporal_threshold: 0x100000 ", listed.stdout, re.M)


def test_every_gpu_has_a_memory_pool():
    options = gpus.gpu_memory_options([0, 1])
    assert f"--cuda-memory-pool-byte-size=1:{gpus.GPU_POOL_BYTES}" in options
    assert len(options) == 3
