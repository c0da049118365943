"""Which execution plan is chosen for a convolution, with a fake of cuDNN."""

from __future__ import annotations

import sys
import types

import pytest
from version_folder import part

CudnnError = part("yolov7_fp16", "planned.errors").CudnnError


class Cudnn:
    """A fake of `cudnn.Context`: a plan is its own name.

    Attributes:
        microseconds: What each plan takes; None if the GPU refuses it.
        compiled: The plans that were compiled.
    """

    def __init__(self, **microseconds):
        self.microseconds, self.compiled = microseconds, []

    def configurations(self, graph, mode):
        if not self.microseconds:
            raise CudnnError(f"no engine for {graph.activation}")
        return list(self.microseconds)

    def plan(self, configuration):
        self.compiled.append(configuration)
        if self.microseconds[configuration] is None:
            raise CudnnError(f"{configuration} needs another GPU")
        return configuration

    def load(self, content):
        if content.decode() not in self.microseconds:
            raise CudnnError("a plan of another version")
        return content.decode()


@pytest.fixture
def tuning(monkeypatch):
    """The module, on a machine whose GPU is a fake of compute capability 7.5."""
    device = types.SimpleNamespace(compute_capability="75", use=lambda: None)
    cupy = types.ModuleType("cupy")
    error = type("CUDARuntimeError", (RuntimeError,), {})
    pool = types.SimpleNamespace(free_all_blocks=lambda: None)
    cupy.get_default_memory_pool = lambda: pool
    cupy.cuda = types.SimpleNamespace(
        Device=lambda: device, runtime=types.SimpleNamespace(CUDARuntimeError=error)
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    name = "yolov7_fp16_version_1.planned.tuning"
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = part("yolov7_fp16", "planned.tuning")
    monkeypatch.setattr(module.convolutions, "graph_of", lambda context, spec: spec)
    monkeypatch.setattr(module.cudnn, "name_of", str)
    monkeypatch.setattr(module.cudnn, "bytes_of", str.encode)
    monkeypatch.setattr(module, "_Scratch", lambda specs: None)
    timed = property(lambda self: lambda spec, plan, scratch: self._context.microseconds[plan])
    monkeypatch.setattr(module.Tuner, "_timed", timed)
    yield module
    del sys.modules[name]


def spec(tuning, activation="silu"):
    one = tuning.convolutions.Map(16, 8, 8, 16)
    pads, pair = (0, 0, 0, 0), (1, 1)
    return tuning.Spec(1, one, one, pair, pair, pads, pair, activation, 0.0, None)


def plans(tuning, cudnn, path, *specs):
    return tuning.Tuner(cudnn, stream=None, path=path).plans(specs)


def test_the_fastest_plan_is_chosen_and_kept_for_the_next_start(tuning, tmp_path):
    one, path = spec(tuning), tmp_path / "network.zip"
    first, second = (Cudnn(slow=20, wrong=None, fast=10, late=15) for _ in range(2))
    assert plans(tuning, first, path, one, one) == {one: "fast"}
    assert sorted(first.compiled) == ["fast", "late", "slow", "wrong"]
    assert plans(tuning, second, path, one) == {one: "fast"}
    assert second.compiled == []


def test_only_new_convolutions_are_compiled(tuning, tmp_path):
    one, other, path = spec(tuning), spec(tuning, "relu"), tmp_path / "network.zip"
    plans(tuning, Cudnn(fast=10), path, one)
    second = Cudnn(fast=10)
    assert plans(tuning, second, path, one, other) == {one: "fast", other: "fast"}
    assert second.compiled == ["fast"]


def test_a_kept_plan_that_cudnn_refuses_is_replaced(tuning, tmp_path):
    one, path = spec(tuning), tmp_path / "network.zip"
    plans(tuning, Cudnn(old=10), path, one)
    assert plans(tuning, Cudnn(new=10), path, one) == {one: "new"}
    assert plans(tuning, Cudnn(new=10), path, one) == {one: "new"}


@pytest.mark.parametrize(
    ("cudnn", "reason"), [(Cudnn(), "no configuration"), (Cudnn(fast=None), "needs another GPU")]
)
def test_a_gpu_without_a_plan_is_named_with_its_compute_capability(cudnn, reason, tuning, tmp_path):
    with pytest.raises(CudnnError, match=r"compute capability is 7\.5 .*'onnx-gpu'") as raised:
        plans(tuning, cudnn, tmp_path / "network.zip", spec(tuning))
    assert reason in str(raised.value)
    assert str(raised.value).count("onnx-gpu") == 1


def test_a_missing_cudnn_is_named_with_the_fix(monkeypatch):
    cudnn = part("yolov7_fp16", "planned.cudnn")
    monkeypatch.setattr(cudnn, "_LIBRARY", "libcudnn-that-is-not-here.so.9")
    message = r"cuDNN 9 cannot be loaded .*--profile cudnn-gpu'.*'onnx-gpu'"
    with pytest.raises(CudnnError, match=message):
        cudnn.Library()
