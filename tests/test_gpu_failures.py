"""Failures of a GPU: the errors of the server, and serving with the profile for CPUs."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from gpu import HAS_GPU, needs_gpu, needs_two_gpus
from running import poll
from yolostream import Detector
from yolostream.errors import ServerError, ServerStartError, ServerUnavailable
from yolostream.server import embedded

from tools.agreement import agreement

if HAS_GPU:
    import cupy

pytestmark = needs_gpu

REPOSITORY = Path(__file__).parents[1]
MODELS = REPOSITORY / "model_repository"


def serving(profile, models=MODELS):
    return embedded.serve(
        models, environment=REPOSITORY / ".venv-server", models=["yolov7"], profile=profile
    )


def found(server, frame):
    with Detector(server.url) as detector:
        return len(detector.detect(frame))


def broken(folder, file, part, replacement):
    """A copy of the repository with one change."""
    models = folder / "models"
    shutil.copytree(MODELS, models)
    code = models / file
    whole = code.read_text()
    assert part in whole
    code.write_text(whole.replace(part, replacement, 1))
    return models


@contextlib.contextmanager
def filled(number, *, free_bytes):
    """Allocate the memory of a GPU but for `free_bytes` until the block ends."""
    runtime = cupy.cuda.runtime
    with cupy.cuda.Device(number):
        free, _ = runtime.memGetInfo()
        address = runtime.malloc(free - free_bytes)
        try:
            yield
        finally:
            runtime.free(address)


@pytest.fixture(scope="module")
def frame(demo_frames):
    return demo_frames("mb1_1", [120])[0]


def test_a_step_without_cupy_is_named_and_the_cpu_can_serve_the_repository(tmp_path, frame):
    models = broken(tmp_path, "nms/1/gpu.py", "import cupy\n", "import no_cupy as cupy\n")
    with (
        pytest.raises(
            ServerStartError,
            match=r"nms cannot use GPU 0 \(ModuleNotFoundError: No module named 'no_cupy'\).*gpu",
        ),
        serving("onnx-gpu", models),
    ):
        pass
    with serving("cpu", models) as server:
        assert found(server, frame) > 0


def test_a_full_gpu_is_named_and_the_cpu_can_serve_meanwhile(frame):
    with filled(0, free_bytes=1 << 30):
        with (
            pytest.raises(ServerStartError, match=r"cannot use GPU 0 \(.*free the GPU"),
            serving("onnx-gpu"),
        ):
            pass
        with serving("cpu") as server:
            assert found(server, frame) > 0
    with serving("onnx-gpu") as server:
        assert found(server, frame) > 0


def test_only_a_frame_that_does_not_fit_into_memory_fails(frame):
    large = np.zeros((8192, 8192, 3), np.uint8)
    with (
        serving("onnx-gpu") as server,
        Detector(server.url, downscale=False, transport="grpc") as whole,
    ):
        assert len(whole.detect(frame)) > 0
        with filled(0, free_bytes=64 << 20):
            refused, small = whole.submit(large), whole.submit(frame)
            with pytest.raises(
                ServerError, match=r"no memory for frames \[1, 8192, 8192, 3\]"
            ) as raised:
                refused.result()
            assert type(raised.value) is ServerError
            assert len(small.result()) > 0
        assert len(whole.detect(large)) == 0


def test_a_gpu_that_is_lost_while_serving_is_named_and_the_cpu_can_serve_the_repository(
    tmp_path, frame
):
    # A trap makes the GPU unusable for all processes that share it by MPS, as a lost GPU would be.
    first = "    const int row ="
    models = broken(tmp_path, "nms/1/nms.cu", first, '    asm("trap;");\n' + first)
    with serving("onnx-gpu", models) as server:

        def is_named():
            try:
                found(server, frame)
            except ServerUnavailable:
                # The supervisor notices the loss, too, and restarts the server.
                return False
            except ServerError as error:
                return re.search(r"failed on GPU 0 \(.*restart the server", str(error))
            raise AssertionError("the server answered")

        poll(is_named, what="the error that names the GPU")
    with serving("cpu", models) as server:
        assert found(server, frame) > 0
    with serving("onnx-gpu") as server:
        assert found(server, frame) > 0


def test_without_mps_the_server_works(monkeypatch, frame):
    monkeypatch.setattr("yolostream.server.mps.CONTROL", "no-such-program")
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    with serving("onnx-gpu") as server:
        assert not server.shares_gpu
        assert found(server, frame) > 0


@needs_two_gpus
def test_a_full_gpu_of_two_is_named_and_can_be_left_out(monkeypatch, frame):
    with filled(1, free_bytes=1 << 30):
        with pytest.raises(ServerStartError, match="cannot use GPU 1"), serving("onnx-gpu"):
            pass
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        with serving("onnx-gpu") as server:
            assert found(server, frame) > 0


@needs_two_gpus
def test_two_gpus_give_the_results_of_one(monkeypatch, demo_frames):
    frames = [
        frame for name in ("mb1_1", "mb2_2") for frame in demo_frames(name, range(0, 240, 12))
    ]
    with monkeypatch.context() as one_gpu:
        one_gpu.setenv("CUDA_VISIBLE_DEVICES", "0")
        with serving("onnx-gpu") as server, Detector(server.url) as detector:
            expected = [detector.detect(frame) for frame in frames]
    with serving("onnx-gpu") as server:
        with Detector(server.url, max_in_flight=len(frames)) as detector:
            pending = [detector.submit(frame) for frame in frames]
            answers = [answer.result() for answer in pending]
        for number in (0, 1):
            with cupy.cuda.Device(number), Detector(server.url) as detector:
                assert detector.transport == "cuda-shared-memory"
                answers += [detector.detect(cupy.asarray(frame)) for frame in frames]
    same = agreement(zip(answers, 3 * expected, strict=True))
    assert min(same.boxes) > 300
    # Kernels for other batch sizes round differently, so boxes at the threshold may differ.
    assert same.share >= 0.97, f"{same.share:.3f} of {same.boxes}"


@needs_two_gpus
def test_a_frame_on_a_gpu_that_the_server_does_not_use_is_copied_to_one_that_it_uses(
    monkeypatch, frame
):
    # CUDA must be initialized here before the variable hides the second GPU from it.
    with cupy.cuda.Device(1), monkeypatch.context() as one_gpu:
        on_gpu = cupy.asarray(frame)
        one_gpu.setenv("CUDA_VISIBLE_DEVICES", "0")
        with (
            serving("onnx-gpu") as server,
            Detector(server.url, transport="cuda-shared-memory", downscale=False) as detector,
        ):
            expected = len(detector.detect(frame))
            assert expected > 0
            assert len(detector.detect(on_gpu)) == expected
            assert len(detector.detect(on_gpu[:, ::-1])) > 0
