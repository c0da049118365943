"""Several frames in one request, against a real Triton."""

from __future__ import annotations

import asyncio

import cv2
import numpy as np
import pytest
import yolostream
from recording_triton import EnsembleTriton, recording_triton
from repository import config
from tritonclient.grpc import InferenceServerClient
from tritonclient.grpc import service_pb2 as pb
from yolostream import Detector
from yolostream.client.transport.message import request, with_pixels


@pytest.fixture(scope="module", params=["grpc", "shared-memory"])
def by(request, triton):
    with Detector(triton.url, transport=request.param) as detector:
        yield detector


@pytest.fixture(scope="module")
def frames(demo_frames):
    return demo_frames("mb1_1", range(0, 150, 30))


def same(one, other):
    return (
        np.array_equal(one.class_ids, other.class_ids)
        and np.allclose(one.boxes, other.boxes, atol=1e-4)
        and np.allclose(one.scores, other.scores, atol=1e-5)
    )


def results(pending):
    return [one.result(60) for one in pending]


def test_a_batch_has_the_same_results_as_its_frames_alone(by, frames):
    expected = [by.detect(frame) for frame in frames]
    assert all(len(found) > 0 for found in expected)
    # A larger and then a smaller batch: the earlier contents of a buffer must not be detected.
    for count in (1, len(frames), 2):
        found = results(by.submit_batch(frames[:count]))
        assert len(found) == count
        assert all(map(same, found, expected))


def test_frames_of_different_sizes_that_downscale_to_one_size_are_a_batch(by, frames):
    small = cv2.resize(frames[1], (960, 540))
    whole, downscaled = results(by.submit_batch([frames[0], small]))
    assert same(whole, by.detect(frames[0]))
    assert same(downscaled, by.detect(small))


def test_one_array_of_frames_is_a_batch(by, frames):
    batch = np.stack([cv2.resize(frame, (640, 360)) for frame in frames[:2]])
    assert all(map(same, results(by.submit_batch(batch)), map(by.detect, batch)))


def test_an_empty_batch_has_no_results(detector):
    assert detector.submit_batch([]) == []


def test_a_batch_is_one_request(triton, frames):
    with Detector(triton.url, max_in_flight=1) as detector:
        before = detector.statistics()["preprocess"]
        pending = detector.submit_batch(frames)
        results(pending)
        # The health check may send a request, too.
        assert 1 <= detector.statistics()["preprocess"].since(before).requests <= 2 < len(frames)
        assert len({one.request_s > 0 for one in pending}) == 1


def test_different_sizes_are_named_in_an_error_and_occupy_no_slot(by, frames):
    upright = np.ascontiguousarray(frames[0].swapaxes(0, 1))
    for _ in range(20):
        with pytest.raises(yolostream.FrameError, match=r"360x640 and 640x360"):
            by.submit_batch([frames[0], upright])


def test_boxes_are_in_the_pixels_of_the_picture_that_the_caller_downscaled(by, frames):
    height, width = frames[0].shape[:2]
    downscaled = [cv2.resize(frame, (640, 360)) for frame in frames[:2]]
    expected = [by.detect(frame) for frame in frames[:2]]
    sizes = [(height, width), (2 * height, 2 * width)]
    one, twice = results(by.submit_batch(downscaled, sizes=sizes))
    assert same(one, expected[0])
    assert np.allclose(twice.boxes, 2 * expected[1].boxes, atol=1e-3)
    assert same(by.detect(downscaled[0], size=(height, width)), expected[0])
    assert same(by.submit(downscaled[0], size=(height, width)).result(), expected[0])


def test_the_number_of_sizes_must_be_that_of_the_frames(detector, frames):
    with pytest.raises(yolostream.FrameError, match="2 frames came with 1 sizes"):
        detector.submit_batch(frames[:2], sizes=[(720, 1280)])


def test_the_largest_batch_is_that_of_the_ensemble(detector):
    largest = config("yolov7").max_batch_size
    assert detector.model.max_batch_size == largest
    gray = np.full((64, 64, 3), 114, np.uint8)
    with pytest.raises(yolostream.FrameError, match=rf"{largest + 1} frames.*{largest}"):
        detector.submit_batch([gray] * (largest + 1))
    assert len(results(detector.submit_batch([gray] * largest))) == largest


def test_a_batch_with_an_invalid_frame_is_rejected(detector, frames):
    with pytest.raises(yolostream.FrameError, match="float32"):
        detector.submit_batch([frames[0], frames[1].astype(np.float32)])


def test_an_error_of_the_request_is_raised_for_every_frame(triton):
    with Detector(triton.url, downscale=False) as whole:
        for one in whole.submit_batch([np.zeros((8200, 4, 3), np.uint8)] * 3):
            with pytest.raises(yolostream.FrameError, match="8200"):
                one.result(60)


def test_a_pending_frame_is_a_future():
    frame = np.zeros((8, 8, 3), np.uint8)

    async def waited(pending):
        return await asyncio.gather(*map(asyncio.wrap_future, pending))

    with (
        recording_triton(EnsembleTriton) as server,
        Detector(server.url, transport="grpc") as detector,
    ):
        server.hold_s = 2
        pending = detector.submit_batch([frame] * 2)
        called = []
        pending[0].add_done_callback(called.append)
        with pytest.raises(TimeoutError):
            pending[0].result(timeout=0.05)
        assert not pending[0].done()
        assert not pending[0].cancel()
        assert [len(found) for found in asyncio.run(waited(pending))] == [0, 0]
        assert called == pending[:1]
        assert pending[0].request_s >= 2


def test_the_message_is_valid_protobuf_with_all_pixels():
    frames = np.random.default_rng(0).integers(0, 256, (2, 30, 40, 3), np.uint8)
    message = pb.ModelInferRequest.FromString(
        # The second frame has another memory layout.
        with_pixels(request("yolov7", frames.shape), [frames[0], np.asfortranarray(frames[1])])
    )
    assert message.model_name == "yolov7"
    assert list(message.inputs[0].shape) == [2, 30, 40, 3]
    assert message.raw_input_contents == [frames.tobytes()]


def test_reserved_memory_is_used_for_batches_up_to_its_size(triton, frames):
    def regions():
        with InferenceServerClient(triton.url) as client:
            return set(client.get_system_shared_memory_status().regions)

    before = regions()
    with Detector(triton.url, transport="shared-memory", max_in_flight=2) as detector:
        detector.reserve(4)
        reserved = regions()
        assert len(reserved - before) == 2
        results(detector.submit_batch([frames[0]] * 4))
        assert regions() == reserved
    assert regions() == before
