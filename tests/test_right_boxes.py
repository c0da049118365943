"""A client gets the boxes of its own frame or an error, whatever happens to the server."""

from __future__ import annotations

import numpy as np
import pytest
import yolostream
from recording_triton import EnsembleTriton, recording_triton
from yolostream import Detector

from tests.faults.pauses import PARTS, one_pause
from tests.faults.service import new_detector, serving
from tests.faults.traffic import Traffic, different_frames

FRAME = np.random.default_rng(0).integers(0, 256, (36, 64, 3), np.uint8)
OTHER = FRAME + np.uint8(1)


class OneBehind(EnsembleTriton):
    """Answers the first `times` requests with the digest of another frame."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def frames_of(self, request):
        frames = super().frames_of(request)
        self.times -= 1
        return frames + np.uint8(1) if self.times >= 0 else frames


def test_a_frame_with_the_answer_of_another_is_sent_again():
    with (
        recording_triton(lambda: OneBehind(1)) as server,
        Detector(server.url, transport="grpc") as detector,
    ):
        assert len(detector.detect(FRAME)) == 0
        first, second = server.inferences
        assert first == second


@pytest.mark.parametrize("ask", ["detect", "submit"])
def test_repeated_answers_of_other_frames_are_an_error(ask):
    with (
        recording_triton(lambda: OneBehind(100)) as server,
        Detector(server.url, transport="grpc") as detector,
    ):
        with pytest.raises(yolostream.ServerUnavailable, match="boxes of another frame"):
            detector.detect(FRAME) if ask == "detect" else detector.submit(FRAME).result(60)
        assert len(server.inferences) == 2


def test_each_frame_of_a_batch_is_checked():
    class LastRowOfAnother(EnsembleTriton):
        def frames_of(self, request):
            frames = super().frames_of(request).copy()
            frames[-1] += np.uint8(1)
            return frames

    with (
        recording_triton(LastRowOfAnother) as server,
        Detector(server.url, transport="grpc") as detector,
    ):
        for pending in detector.submit_batch([FRAME, OTHER, FRAME]):
            assert isinstance(pending.exception(30), yolostream.ServerUnavailable)


def test_an_answer_without_the_declared_digest_is_an_error():
    class Silent(EnsembleTriton):
        def ModelInfer(self, request, context):  # noqa: N802  # the protocol's name
            response = super().ModelInfer(request, context)
            if not request.outputs:
                response.outputs.pop()
                response.raw_output_contents.pop()
            return response

    with (
        recording_triton(Silent) as server,
        Detector(server.url, transport="grpc") as detector,
        pytest.raises(yolostream.ServerUnavailable, match="boxes of another frame"),
    ):
        detector.detect(FRAME)


def test_a_server_that_has_lost_a_step_is_unavailable():
    class LostAStep(EnsembleTriton):
        def ModelInfer(self, request, context):  # noqa: N802  # the protocol's name
            if request.outputs:
                return super().ModelInfer(request, context)
            context.abort(13, "in ensemble 'yolov7', Stub process 'nms_0_0' is not healthy.")

    with (
        recording_triton(LostAStep) as server,
        Detector(server.url, transport="grpc") as detector,
        pytest.raises(yolostream.ServerUnavailable, match="a step of 'yolov7'"),
    ):
        detector.detect(FRAME)


@pytest.mark.parametrize("transport", ["grpc", "shared-memory"])
@pytest.mark.parametrize("downscale", [True, False])
def test_a_real_server_returns_the_digest_of_the_frame(triton, transport, downscale):
    rng = np.random.default_rng(1)
    with Detector(triton.url, transport=transport, downscale=downscale) as detector:
        assert detector.model.has_digests
        for size in ((360, 640), (1080, 1920), (1, 1), (3, 700), (640, 640)):
            frames = [rng.integers(0, 256, (*size, 3), np.uint8) for _ in range(3)]
            detector.detect(frames[0])
            for pending in detector.submit_batch(frames):
                pending.result(60)


@pytest.mark.alone
@pytest.mark.timeout(900)
def test_pauses_cause_errors_and_no_wrong_answers():
    with (
        serving() as service,
        new_detector(service.url, timeout_s=20.0) as detector,
        Traffic(detector, different_frames(detector, 8)) as traffic,
    ):
        lost = {part: one_pause(service, traffic, part, 1.3)[1] for part in PARTS}
    assert traffic.wrong == []
    assert traffic.right > 50
    # If a step continued after a pause, each of its answers would belong to an earlier frame.
    assert lost.items() >= {"group": True, "preprocess": True, "nms": True}.items()
