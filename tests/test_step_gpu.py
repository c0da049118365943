"""The CUDA settings of a step, and its errors if its GPU cannot be used; with fakes."""

from __future__ import annotations

import os
import sys
import types

import pytest
from stand_in_gpu import CUDARuntimeError, stand_in_cupy
from stand_in_gpu import Gpu as StandIn
from version_folder import part

CONFIG = {
    "name": "nms",
    "parameters": {
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": {"string_value": "25"},
        "iou_threshold": {"string_value": "0.45"},
    },
}


@pytest.fixture
def cupy(monkeypatch):
    module = stand_in_cupy(StandIn())
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.fixture
def step_gpu(monkeypatch):
    utilities = types.ModuleType("triton_python_backend_utils")
    utilities.TritonModelException = type("TritonModelException", (Exception,), {})
    monkeypatch.setitem(sys.modules, utilities.__name__, utilities)
    # The step changes the environment, which must not outlive the test.
    monkeypatch.setattr(os, "environ", dict(os.environ))
    # The module is imported anew, and removed afterwards.
    monkeypatch.delitem(sys.modules, "nms_version_1.gpu", raising=False)
    yield part("nms", "gpu"), utilities.TritonModelException
    del sys.modules["nms_version_1.gpu"]


def test_cuda_settings_of_the_configuration_are_applied_before_cuda_starts(cupy, step_gpu):
    before_start = {}
    starts = cupy.cuda.Device
    cupy.cuda.Device = lambda number: before_start.update(os.environ) or starts(number)
    step_gpu[0].Gpu(CONFIG, 0)
    assert before_start["CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"] == "25"
    assert "iou_threshold" not in before_start
    assert cupy.cuda.runtime.limits == {cupy.cuda.runtime.cudaLimitStackSize: 256}


def test_missing_cupy_is_an_error_with_the_fix(monkeypatch, step_gpu):
    module, exception = step_gpu
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(exception, match=r"nms cannot use GPU 1 \(ModuleNotFound.*install-server"):
        module.Gpu(CONFIG, 1)


@pytest.mark.parametrize(
    "error",
    [
        CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient"),
        CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"),
    ],
)
def test_a_gpu_that_does_not_start_is_named_with_the_fix(cupy, step_gpu, error):
    module, exception = step_gpu

    def device(number):
        raise error

    cupy.cuda.Device = device
    with pytest.raises(exception, match=r"GPU 0 \(CUDARuntimeError: cudaError") as raised:
        module.Gpu(CONFIG, 0)
    for advice in (
        "install-server --profile onnx-gpu",
        "update the driver",
        "free the GPU",
        "CUDA_VISIBLE_DEVICES",
        "profile 'cpu'",
    ):
        assert advice in str(raised.value)


@pytest.fixture
def two_gpus(monkeypatch):
    module = stand_in_cupy(StandIn(devices=2))
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


def test_cuda_starts_on_every_gpu_and_uses_the_own_one_last(two_gpus, step_gpu):
    used = []
    starts = two_gpus.cuda.Device
    two_gpus.cuda.Device = lambda number: used.append(number) or starts(number)
    step_gpu[0].Gpu(CONFIG, 0)
    assert used == [1, 0]


def test_another_gpu_that_does_not_start_is_named(two_gpus, step_gpu):
    module, exception = step_gpu
    starts = two_gpus.cuda.Device

    def device(number):
        if number == 1:
            raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
        return starts(number)

    two_gpus.cuda.Device = device
    with pytest.raises(exception, match="cannot use GPU 1"):
        module.Gpu(CONFIG, 0)


def test_an_error_of_the_model_is_not_changed(cupy, step_gpu):
    module, exception = step_gpu
    gpu = module.Gpu(CONFIG, 0)
    with pytest.raises(exception, match=r"^nms: max_detections is 600$"), gpu.opening():
        raise ValueError("max_detections is 600")


def test_a_full_gpu_is_a_memory_error(cupy, step_gpu):
    gpu = step_gpu[0].Gpu(CONFIG, 0)
    with pytest.raises(MemoryError, match="nms has no memory left on GPU 0"), gpu.computing():
        raise MemoryError("Out of memory allocating 201,326,592 bytes")


def test_a_lost_gpu_is_named_with_the_fix(cupy, step_gpu):
    module, exception = step_gpu
    gpu = module.Gpu(CONFIG, 0)
    with pytest.raises(exception, match=r"nms failed on GPU 0 .*restart"), gpu.computing():
        raise CUDARuntimeError("cudaErrorDevicesUnavailable")
