"""The ensemble on a GPU, compared with the ensemble on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gpu import needs_gpu
from yolostream import Detector
from yolostream.errors import ServerError
from yolostream.server import embedded
from yolostream.server.environment import ServerEnvironment

from tools.agreement import agreement

pytestmark = needs_gpu

REPOSITORY = Path(__file__).parents[1]
ENVIRONMENT = REPOSITORY / ".venv-server"
# float16 weights change scores by thousandths, so boxes with scores at the threshold may differ.
SAME_SHARE = 0.97


@pytest.fixture(scope="module", params=["onnx-gpu", "cudnn-gpu", "torch-gpu"])
def on_gpu(request):
    if request.param == "torch-gpu" and not ServerEnvironment.check(ENVIRONMENT).has_torch:
        pytest.skip("the environment of the server has no PyTorch: make gpu TORCH=1")
    with (
        embedded.serve(
            REPOSITORY / "model_repository",
            environment=ENVIRONMENT,
            models=["yolov7"],
            profile=request.param,
        ) as server,
        Detector(server.url, max_in_flight=20) as detector,
    ):
        yield detector


@pytest.fixture(scope="module")
def frames(demo_frames):
    return [frame for name in ("mb1_1", "mb2_2") for frame in demo_frames(name, range(0, 240, 12))]


def test_the_boxes_agree_with_those_of_the_cpu(on_gpu, detector, frames):
    # The GPU gets all frames at once, in batches; the CPU gets them one by one.
    pending = [on_gpu.submit(frame) for frame in frames]
    found = agreement(
        (answer.result(), detector.detect(frame))
        for answer, frame in zip(pending, frames, strict=True)
    )
    assert min(found.boxes) > 100
    assert found.share >= SAME_SHARE, f"{found.share:.3f} of {found.boxes}"


def test_a_batch_can_have_frames_of_different_sizes(on_gpu, frames):
    sizes = [(720, 1280), (360, 640), (1, 1), (333, 77), (640, 640)] * 4
    cut = [np.ascontiguousarray(frames[0][:height, :width]) for height, width in sizes]
    alone = [on_gpu.detect(frame) for frame in cut]
    together = [answer.result() for answer in [on_gpu.submit(frame) for frame in cut]]
    for one, other in zip(alone, together, strict=True):
        assert len(one) == len(other)
        # The kernels for other batch sizes round in another order.
        np.testing.assert_allclose(one.scores, other.scores, atol=0.02)


def test_the_largest_frame_is_served_or_fails_alone(on_gpu, frames):
    with Detector(on_gpu.url, downscale=False, transport="grpc") as whole:
        large = whole.submit(np.zeros((8192, 8192, 3), np.uint8))
        small = whole.submit(frames[0])
        assert len(small.result()) > 0
        found, refusal = 0, "8192"
        try:
            found = len(large.result())
        except ServerError as error:
            refusal = str(error)
        assert found == 0
        assert "8192" in refusal
    assert len(on_gpu.detect(frames[0])) > 0
