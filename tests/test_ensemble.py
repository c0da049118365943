"""The ensemble on a real Triton, called with Triton's own client."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from repository import config, parameters
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

OUTPUTS = ("num_detections", "detection_boxes", "detection_scores", "detection_classes")
FULL_BATCH = config("yolov7").max_batch_size
# The supervisor checks the server with a frame every 10 s, and every second while frames fail.
FRAMES_OF_THE_SUPERVISOR = range(6)


@pytest.fixture(scope="module")
def client(triton):
    with InferenceServerClient(triton.url) as client:
        yield client


def frames_input(frames, name="frames", datatype="UINT8"):
    tensor = InferInput(name, list(frames.shape), datatype)
    tensor.set_data_from_numpy(frames)
    return tensor


def infer(client, frames, model="yolov7"):
    answer = client.infer(model, [frames_input(frames)])
    return {name: answer.as_numpy(name) for name in OUTPUTS}


@pytest.fixture(scope="module")
def street(demo_frames):
    """Frames with objects, uint8 [N, 360, 640, 3]."""
    return np.stack([frame[::2, ::2] for frame in demo_frames("mb1_1", range(0, 300, 40))])


def test_the_answer_has_the_tensors_of_the_contract(client, street):
    answer = infer(client, street)
    count = len(street)
    assert answer["num_detections"].shape == (count, 1)
    assert answer["detection_boxes"].shape == (count, 300, 4)
    assert answer["detection_scores"].shape == answer["detection_classes"].shape == (count, 300)
    assert all(value.dtype == np.float32 for value in answer.values())
    for row in range(count):
        used = int(answer["num_detections"][row, 0])
        scores = answer["detection_scores"][row]
        y1, x1, y2, x2 = answer["detection_boxes"][row, :used].T
        assert used > 0, "every frame of the demo clip has objects"
        assert (scores[:used] > float(parameters("nms")["confidence_threshold"])).all()
        assert (np.diff(scores) <= 0).all()
        assert (scores[used:] == 0).all()
        assert (answer["detection_boxes"][row, used:] == 0).all()
        assert (answer["detection_classes"][row, used:] == 0).all()
        assert ((y1 >= 0) & (y1 <= y2) & (y2 <= 1) & (x1 >= 0) & (x1 <= x2) & (x2 <= 1)).all()
        assert set(answer["detection_classes"][row, :used]) <= set(range(80))


def test_row_i_of_a_batch_equals_the_frame_alone(client, street):
    together = infer(client, street)
    for row, frame in enumerate(street):
        alone = infer(client, frame[np.newaxis])
        for name in OUTPUTS:
            np.testing.assert_allclose(together[name][row], alone[name][0], atol=2e-5, err_msg=name)


def test_concurrent_requests_of_any_size_and_batch_get_their_own_answers(client, street):
    rng = np.random.default_rng(0)
    requests = []
    for number in range(24):
        batch = street[rng.choice(len(street), rng.integers(1, 4))]
        height, width = rng.integers(100, 361), rng.integers(100, 641)
        requests.append(np.ascontiguousarray(batch[:, :height, :width]) if number % 2 else batch)
    alone = [infer(client, frames) for frames in requests]

    together = in_parallel(client, requests)

    for expected, got in zip(alone, together, strict=True):
        assert not isinstance(got, Exception), got
        for name in OUTPUTS:
            np.testing.assert_allclose(got[name], expected[name], atol=2e-5, err_msg=name)


def in_parallel(client, requests, model="yolov7"):
    answers: list = [None] * len(requests)
    done = threading.Semaphore(0)

    def keep(number):
        def callback(result, error):
            answers[number] = error or {name: result.as_numpy(name) for name in OUTPUTS}
            done.release()

        return callback

    for number, frames in enumerate(requests):
        client.async_infer(model, [frames_input(frames)], keep(number))
    for _ in requests:
        assert done.acquire(timeout=60)
    return answers


@pytest.mark.parametrize(
    ("shape", "named"),
    [
        ((1, 8, 8, 4), "[1,8,8,4]"),
        ((1, 8, 8), "[1,8,8]"),
        ((1, 0, 8, 3), "[1, 0, 8, 3]"),
        ((1, 8200, 4, 3), "[1, 8200, 4, 3]"),
        ((FULL_BATCH + 1, 8, 8, 3), str(FULL_BATCH)),
    ],
)
def test_the_shape_of_a_rejected_request_is_named(client, shape, named):
    with pytest.raises(InferenceServerException) as refused:
        infer(client, np.zeros(shape, np.uint8))
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert named in refused.value.message()


def test_frames_of_another_type_are_rejected(client):
    frames = np.zeros((1, 8, 8, 3), np.float32)
    with pytest.raises(InferenceServerException, match="UINT8") as refused:
        client.infer("yolov7", [frames_input(frames, datatype="FP32")])
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"


def test_an_invalid_request_does_not_affect_others_in_its_batch(client, street):
    good = street[:1]
    bad = np.zeros((1, 8200, 4, 3), np.uint8)
    expected = infer(client, good)
    answers = in_few_runs(client, [good, bad, good, bad, good], most=5)
    for answer in answers[::2]:
        for name in OUTPUTS:
            np.testing.assert_allclose(answer[name], expected[name], atol=2e-5)
    for answer in answers[1::2]:
        assert answer.status() == "StatusCode.INVALID_ARGUMENT"
        assert "[1, 8200, 4, 3]" in answer.message()


def in_few_runs(client, frames, *, most):
    """Send single frames until `preprocess` needs at most `most` runs for them; return the answers.

    A request with a full batch keeps the stage busy, so that the others wait and are batched.
    """
    blocker = np.zeros((FULL_BATCH, 1080, 1920, 3), np.uint8)
    for _ in range(10):  # On a busy machine, the frames may arrive too late to be batched.
        before = executions(client, "preprocess")
        answers = in_parallel(client, [blocker, *frames])
        count, runs = np.subtract(executions(client, "preprocess"), before)
        assert count - FULL_BATCH - len(frames) in FRAMES_OF_THE_SUPERVISOR
        if runs <= most:
            return answers[1:]
    pytest.fail(f"{runs} runs for the full batch and {len(frames)} frames; at most {most} expected")


def executions(client, model):
    stats = client.get_inference_statistics(model).model_stats[0]
    return stats.inference_count, stats.execution_count


def test_frames_of_different_sizes_are_batched(client):
    small = [np.zeros((1, 100 + i, 100, 3), np.uint8) for i in range(8)]
    in_few_runs(client, small, most=4)


@pytest.mark.parametrize("size", [(640, 640), (1080, 1920), (3, 5)])
def test_a_full_batch_of_noise_is_answered(client, size):
    noise = np.random.default_rng(1).integers(0, 256, (FULL_BATCH, *size, 3), np.uint8)
    answer = infer(client, noise)
    assert all(np.isfinite(value).all() for value in answer.values())


def test_nms_answers_for_arbitrary_bytes(client):
    bytes_ = np.random.default_rng(2).bytes(FULL_BATCH * 25200 * 6 * 4)
    output = np.frombuffer(bytes_, np.float32).reshape(FULL_BATCH, 25200, 6)
    place = np.tile(np.array([0, 140, 640, 360, 1, 2], np.float32), (FULL_BATCH, 1))
    answer = client.infer(
        "nms", [frames_input(output, "output", "FP32"), frames_input(place, "letterbox", "FP32")]
    )
    assert np.isfinite(answer.as_numpy("detection_boxes")).all()


def test_the_next_request_after_an_invalid_one_is_answered(client, street):
    with pytest.raises(InferenceServerException):
        infer(client, np.zeros((1, 0, 0, 3), np.uint8))
    assert infer(client, street[:1])["num_detections"][0, 0] > 0
