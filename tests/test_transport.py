"""Transports of frames to the server: choice, registration and release, without a GPU."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import stand_in_gpu
import yolostream
from recording_triton import EnsembleTriton, recording_triton
from repository import config
from stand_in_gpu import DeviceArray, Gpu, stand_in_cupy
from tritonclient.grpc import service_pb2 as pb
from yolostream import Detector, gpu_memory
from yolostream.client.transport.choice import PREFERENCE
from yolostream.client.transport.ownership import OwnedFile

TO_DEVICE, FROM_ANYWHERE = 1, 4
BLOCK = 2 << 20


@pytest.fixture
def with_gpu(monkeypatch):
    """Installs fake GPUs in this process."""

    def install(**features) -> Gpu:
        gpu = Gpu(**features)
        cupy = stand_in_cupy(gpu)
        cupy.__spec__ = types.SimpleNamespace(name="cupy")  # type: ignore[assignment]
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        # The module keeps the CuPy that it imported first.
        monkeypatch.delitem(sys.modules, "yolostream.client.transport.cuda", raising=False)
        return gpu

    yield install
    sys.modules.pop("yolostream.client.transport.cuda", None)


@pytest.fixture
def without_cupy(monkeypatch):
    def find_spec(name: str, package: str | None = None):
        return None if name == "cupy" else found(name, package)

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setitem(sys.modules, "cupy", None)


class GpuTriton(EnsembleTriton):
    """Accepts regions of GPU memory, and records the pictures of all frames."""

    def __init__(self, gpus=(0, 1), **settings) -> None:
        super().__init__(**settings)
        self.gpus = gpus
        self.regions: dict[str, pb.CudaSharedMemoryRegisterRequest] = {}
        self.registered = 0
        self.pictures: list[np.ndarray] = []

    def ModelConfig(self, request, context):  # noqa: N802  # the protocol's names
        found = config(request.name)
        for group in found.instance_group:
            # Triton fills in this field.
            group.gpus[:] = self.gpus
        return pb.ModelConfigResponse(config=found)

    def CudaSharedMemoryRegister(self, request, context):  # noqa: N802
        self.regions[request.name] = request
        self.registered += 1
        return pb.CudaSharedMemoryRegisterResponse()

    def CudaSharedMemoryStatus(self, request, context):  # noqa: N802
        known = {name: {"name": name} for name in self.regions}
        return pb.CudaSharedMemoryStatusResponse(regions=known)

    def CudaSharedMemoryUnregister(self, request, context):  # noqa: N802
        del self.regions[request.name]
        return pb.CudaSharedMemoryUnregisterResponse()

    def ModelInfer(self, request, context):  # noqa: N802
        region = request.inputs[0].parameters["shared_memory_region"].string_param
        if region and region not in self.regions:
            context.abort(3, f"Unable to find shared memory region: '{region}'")
        return super().ModelInfer(request, context)

    def frames_of(self, request):
        (tensor,) = request.inputs
        if region := tensor.parameters["shared_memory_region"].string_param:
            address = int.from_bytes(self.regions[region].raw_handle, "little")
            size = tensor.parameters["shared_memory_byte_size"].int64_param
            frames = np.frombuffer(ctypes.string_at(address, size), np.uint8).reshape(tensor.shape)
        else:
            frames = super().frames_of(request)
        self.pictures.extend(frames)
        return frames


@contextlib.contextmanager
def gpu_triton(**settings):
    with recording_triton(GpuTriton, **settings) as server:
        yield server


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_auto_prefers_gpu_memory_if_the_server_supports_it(with_gpu):
    with_gpu()
    with gpu_triton() as server, Detector(server.url) as detector:
        assert detector.transport == PREFERENCE[0] == "cuda-shared-memory"


def test_only_the_gpu_memory_of_killed_clients_is_unregistered(with_gpu):
    with_gpu()
    with gpu_triton() as server, contextlib.closing(OwnedFile()) as living:
        with OwnedFile().file as killed:
            dead = Path(killed.name).name.removeprefix(".")
        in_container = "yolostream-frames-000000000000-1"
        for name in (dead, living.name, in_container):
            server.regions[name] = pb.CudaSharedMemoryRegisterRequest(name=name)
        with Detector(server.url):
            assert set(server.regions) == {living.name, in_container}


def test_a_server_without_a_gpu_gets_frames_in_shared_memory(triton, with_gpu, demo_frames):
    gpu = with_gpu()
    with Detector(triton.url) as detector:
        assert detector.transport == "shared-memory"
        assert len(detector.detect(demo_frames("mb1_1", [120])[0])) > 0
    assert not gpu.allocated


def test_cuda_shared_memory_with_a_server_without_a_gpu_is_an_error(triton, with_gpu):
    with_gpu()
    with pytest.raises(
        yolostream.ServerUnavailable, match=rf"{triton.url}.*GPU memory.*run Triton on this"
    ):
        Detector(triton.url, transport="cuda-shared-memory")


def test_without_cupy_auto_falls_back_and_the_explicit_choice_is_an_error(triton, without_cupy):
    with Detector(triton.url) as detector:
        assert detector.transport == "shared-memory"
    with pytest.raises(yolostream.ServerUnavailable, match=r"cupy.*yolostream\[gpu\]"):
        Detector(triton.url, transport="cuda-shared-memory")


def test_without_a_gpu_the_error_names_the_driver(triton, with_gpu):
    with_gpu(devices=0)
    with Detector(triton.url) as detector:
        assert detector.transport == "shared-memory"
    with pytest.raises(yolostream.ServerUnavailable, match=r"cudaErrorNoDevice.*driver"):
        Detector(triton.url, transport="cuda-shared-memory")


def test_a_region_is_registered_once_and_grows_with_the_frames(with_gpu):
    gpu = with_gpu()
    with (
        gpu_triton() as server,
        Detector(server.url, max_in_flight=1, downscale=False) as detector,
    ):
        probed = server.registered
        for _ in range(3):
            detector.detect(noise(480, 640))
        assert server.registered == probed + 1
        detector.detect(noise(1080, 1920))
        assert server.registered == probed + 2
        (region,) = server.regions.values()
        assert (region.byte_size, region.device_id) == (3 * BLOCK, 0)
        assert len(gpu.allocated) == 1
        # A smaller frame uses the same region.
        detector.detect(noise(480, 640))
        assert server.registered == probed + 2
    assert not server.regions
    assert not gpu.allocated


def test_a_frame_in_host_memory_is_downscaled_before_its_upload(with_gpu):
    gpu = with_gpu()
    frame = noise(720, 1280)
    with gpu_triton() as server, Detector(server.url) as detector:
        detector.detect(frame)
    with gpu_triton() as other, Detector(other.url, transport="grpc") as detector:
        detector.detect(frame)
    assert server.pictures[-1].shape == (360, 640, 3)
    assert np.array_equal(server.pictures[-1], other.pictures[-1])
    assert set(gpu.copies) == {TO_DEVICE}


def test_a_frame_on_the_gpu_is_not_copied_to_the_host_or_downscaled(with_gpu):
    gpu = with_gpu()
    frame = noise(720, 1280)
    with gpu_triton() as server, Detector(server.url) as detector:
        # The second picture is a view with negative strides.
        for picture in (frame, frame[:, ::-1]):
            gpu.copies.clear()
            found = detector.detect(DeviceArray(picture))
            assert np.array_equal(server.pictures[-1], picture)
            assert gpu.copies == [FROM_ANYWHERE]
        assert len(found) == 0
        # Boxes are in pixels of the given frame.
        server.answers["num_detections"] = np.float32(1)
        server.answers["detection_boxes"] = np.float32(0.5)
        assert detector.detect(DeviceArray(frame)).boxes[0].tolist() == [640, 360, 640, 360]


def test_the_region_is_on_the_gpu_of_the_frame(with_gpu):
    gpu = with_gpu(devices=2)
    with gpu_triton() as server, Detector(server.url, max_in_flight=1) as detector:
        detector.detect(DeviceArray(noise(64, 64), device=1))
        assert [region.device_id for region in server.regions.values()] == [1]
        # A frame in host memory uses the existing region.
        detector.detect(noise(64, 64))
        assert [region.device_id for region in server.regions.values()] == [1]
        detector.detect(DeviceArray(noise(64, 64), device=0))
        assert [region.device_id for region in server.regions.values()] == [0]
    assert not gpu.allocated
    assert gpu.current == 0


def test_no_region_is_on_a_gpu_that_the_server_does_not_use(with_gpu):
    # Such a region would crash the server.
    gpu = with_gpu(devices=2)
    gpu.current = 1
    frame = noise(64, 64)
    with gpu_triton(gpus=[0]) as server, Detector(server.url) as detector:
        for picture in (frame, DeviceArray(frame, device=1), DeviceArray(frame[:, ::-1], device=1)):
            detector.detect(picture)
            expected = picture if isinstance(picture, np.ndarray) else picture.array
            assert np.array_equal(server.pictures[-1], expected)
            assert [region.device_id for region in server.regions.values()] == [0]


@pytest.mark.parametrize("transport", ["grpc", "shared-memory"])
def test_a_frame_on_the_gpu_is_copied_to_the_host_for_other_transports(
    triton, with_gpu, demo_frames, transport
):
    with_gpu()
    (frame,) = demo_frames("mb1_1", [120])
    with Detector(triton.url, transport=transport) as detector:
        one, other = detector.detect(frame), detector.detect(DeviceArray(frame))
    assert len(one) > 0
    assert np.array_equal(one.boxes, other.boxes)


def test_with_a_full_gpu_frames_are_sent_without_shared_memory(with_gpu):
    gpu = with_gpu()
    with gpu_triton() as server, Detector(server.url, max_in_flight=1) as detector:
        gpu.free_bytes = 0
        frame = noise(360, 640)
        detector.detect(frame)
        assert np.array_equal(server.pictures[-1], frame)
        detector.detect(DeviceArray(frame))
        assert np.array_equal(server.pictures[-1], frame)
    assert not server.regions


def test_a_region_that_the_server_lost_is_registered_again(with_gpu):
    with_gpu()
    with gpu_triton() as server, Detector(server.url, max_in_flight=1) as detector:
        detector.detect(noise(64, 64))
        server.regions.clear()
        with pytest.raises(yolostream.ServerUnavailable, match="send it again"):
            detector.detect(noise(64, 64))
        detector.detect(noise(64, 64))


@pytest.mark.parametrize("on_gpu", [False, True])
def test_the_frames_of_a_batch_are_contiguous_in_one_region(with_gpu, monkeypatch, on_gpu):
    gpu = with_gpu()
    waits = []
    monkeypatch.setattr(stand_in_gpu._Stream, "synchronize", lambda stream: waits.append(stream))
    frames = list(np.random.default_rng(0).integers(0, 256, (3, 360, 640, 3), np.uint8))
    with gpu_triton() as server, Detector(server.url, max_in_flight=1) as detector:
        server.pictures.clear()
        gpu.copies.clear()
        waits.clear()
        batch = [DeviceArray(frame) for frame in frames] if on_gpu else frames
        found = detector.submit_batch(batch, sizes=[(720, 1280)] * 3)
        assert [len(one.result(60)) for one in found] == [0, 0, 0]
        assert np.array_equal(server.pictures, frames)
        assert gpu.copies == ([FROM_ANYWHERE] * 3 if on_gpu else [TO_DEVICE])
        assert len(waits) == 1
        assert len(server.regions) == 1
        # A single frame uses the same region.
        registered = server.registered
        detector.detect(batch[2])
        assert np.array_equal(server.pictures[-1], frames[2])
        assert server.registered == registered


def test_a_region_grows_to_the_next_power_of_two_of_a_batch(with_gpu):
    with_gpu()
    frame = noise(1024, 2048)
    with (
        gpu_triton() as server,
        Detector(server.url, max_in_flight=1, downscale=False) as detector,
    ):
        sizes = []
        for count in (1, 2, 3, 4, 5):
            for one in detector.submit_batch([frame] * count):
                one.result(60)
            (region,) = server.regions.values()
            sizes.append(region.byte_size // frame.nbytes)
        assert sizes == [1, 2, 4, 4, 8]


def test_the_frames_of_a_batch_must_be_on_one_device(with_gpu):
    with_gpu(devices=2)
    frame = noise(8, 8)
    here, on_other_gpu = DeviceArray(frame, device=0), DeviceArray(noise(8, 8), device=1)
    with gpu_triton() as server, Detector(server.url, max_in_flight=1) as detector:
        with pytest.raises(yolostream.FrameError, match="some in GPU memory"):
            detector.submit_batch([frame, here])
        with pytest.raises(yolostream.FrameError, match="GPU 0 and GPU 1"):
            detector.submit_batch([here, on_other_gpu])
        with pytest.raises(yolostream.FrameError, match="8x8 and 8x16"):
            detector.submit_batch([here, DeviceArray(noise(8, 16))])
        # The errors have occupied no slot.
        detector.detect(frame)


def test_batches_recover_from_a_full_gpu_and_a_restarted_server(with_gpu):
    gpu = with_gpu()
    frames = [noise(64, 64)] * 2
    with gpu_triton() as server, Detector(server.url, max_in_flight=1) as detector:
        detector.submit_batch(frames)[0].result(60)
        server.regions.clear()
        for one in detector.submit_batch(frames):
            with pytest.raises(yolostream.ServerUnavailable, match="send it again"):
                one.result(60)
        gpu.free_bytes = 0
        server.pictures.clear()
        for one in detector.submit_batch(frames):
            one.result(60)
        assert np.array_equal(server.pictures, frames)
    assert not server.regions


@pytest.mark.parametrize(
    ("picture", "named"),
    [
        (np.zeros((8, 8), np.uint8), r"\[8, 8\]"),
        (np.zeros((8, 8, 4), np.uint8), r"\[8, 8, 4\]"),
        (np.zeros((0, 8, 3), np.uint8), r"\[0, 8, 3\]"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
    ],
)
def test_invalid_frames_on_the_gpu_are_named(detector, picture, named):
    with pytest.raises(yolostream.FrameError, match=named):
        detector.submit(DeviceArray(picture))


def test_a_frame_on_the_gpu_needs_cupy(detector, without_cupy):
    with pytest.raises(yolostream.FrameError, match="cupy is not installed"):
        detector.detect(DeviceArray(noise(8, 8)))
    # The errors have occupied no slot.
    assert len(detector.detect(noise(8, 8))) == 0


def test_a_missing_requirement_is_described_in_one_line(with_gpu):
    with_gpu(devices=0)
    assert "\n" not in gpu_memory.missing()
    with_gpu()
    assert gpu_memory.missing() == ""
