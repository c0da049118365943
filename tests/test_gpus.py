from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import pytest
from yolostream.server import gpus


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """A /dev of which each test says what is in it."""
    monkeypatch.setattr(gpus, "Path", lambda path: tmp_path / Path(path).relative_to("/dev"))
    return tmp_path


@pytest.mark.parametrize(
    ("there", "visible", "expected"),
    [
        ([], None, []),
        ([], "0", []),
        ([0], None, [0]),
        # A container that got the fourth GPU alone: CUDA counts from 0 there.
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
def test_gpus_are_numbered_as_cuda_does_it(devices, monkeypatch, there, visible, expected):
    for number in there:
        (devices / f"nvidia{number}").touch()
    for other in ("nvidiactl", "nvidia-uvm"):
        (devices / other).touch()
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.gpu_numbers() == expected


def test_large_frames_are_copied_past_the_caches_unless_somebody_tuned_the_c_library(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert gpus.server_variables() == {**gpus.SERVER_MPS_SHARE, **gpus.LARGE_COPIES}
    theirs = "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", theirs)
    assert gpus.server_variables()["GLIBC_TUNABLES"] == theirs


@pytest.mark.skipif(platform.machine() != "x86_64", reason="glibc has it on x86-64 alone")
def test_the_c_library_knows_its_setting():
    loader = "/lib64/ld-linux-x86-64.so.2"
    told = subprocess.run(
        [loader, "--list-tunables"], env=gpus.LARGE_COPIES, capture_output=True, text=True
    )
    assert re.search(r"^glibc.cpu.x86_non_temporal_threshold: 0x100000 ", told.stdout, re.M)


def test_every_gpu_gets_a_pool():
    options = gpus.gpu_memory_options([0, 1])
    assert f"--cuda-memory-pool-byte-size=1:{gpus.GPU_POOL_BYTES}" in options
    assert len(options) == 3
