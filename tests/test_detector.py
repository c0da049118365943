"""The client with a real Triton."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import yolostream
from recording_triton import EnsembleTriton, recording_triton
from repository import config
from yolostream import Detector
from yolostream.client.connection import connect
from yolostream.client.transport.buffers import GrpcBuffer, GrpcFallback
from yolostream.client.transport.ownership import OwnedFile, remove_leftovers
from yolostream.client.transport.pool import SlotPool
from yolostream.server import embedded

SIZES = [(720, 1280), (360, 640), (640, 640), (481, 641), (1280, 720), (37, 900), (1, 1)]


def regions():
    return set(Path("/dev/shm").glob("yolostream-frames-*"))


def same(one, other, atol=1e-3):
    return (
        len(one) == len(other)
        and np.array_equal(one.class_ids, other.class_ids)
        and np.allclose(one.boxes, other.boxes, atol=atol)
        and np.allclose(one.scores, other.scores, atol=1e-5)
    )


@pytest.fixture(scope="module")
def frame(demo_frames):
    return demo_frames("mb1_1", [120])[0]


def test_the_properties_of_the_model_come_from_the_server(detector):
    assert len(detector.labels) == 80
    assert detector.labels[2] == "car"
    assert detector.model.input_size == tuple(config("preprocess").output[0].dims[1:])
    assert detector.model.steps == ("preprocess", "yolov7_fp16", "nms")


def test_detections_are_arrays_of_one_length(detector, frame):
    found = detector.detect(frame)
    count = len(found)
    assert count > 0
    assert found.boxes.shape == (count, 4)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert found.scores.shape == found.class_ids.shape == (count,)
    assert found.class_ids.dtype == np.int64
    assert found.track_ids is None
    height, width = frame.shape[:2]
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [width, height, width, height]).all()
    assert found.names == [detector.labels[i] for i in found.class_ids]
    assert "\n" not in repr(found)
    cars = found[found.class_ids == 2]
    assert set(cars.names) <= {"car"}


def test_boxes_are_in_pixels_of_the_original_with_and_without_downscaling(triton, frame):
    with Detector(triton.url) as downscaling, Detector(triton.url, downscale=False) as whole:
        for height, width in SIZES:
            resized = cv2.resize(frame, (width, height))
            one, other = downscaling.detect(resized), whole.detect(resized)
            # Half a pixel of the network's input, because the downscaled size is rounded.
            assert same(one, other, atol=max(height, width) / 1280)
            assert len(one) > 0 or min(height, width) < 100


def test_both_transports_give_the_same_results(triton, frame):
    with (
        Detector(triton.url, transport="shared-memory") as shared,
        Detector(triton.url, transport="grpc") as grpc,
    ):
        assert (shared.transport, grpc.transport) == ("shared-memory", "grpc")
        assert same(shared.detect(frame), grpc.detect(frame), atol=0)


@pytest.mark.alone
def test_shared_memory_is_used_if_possible_and_removed_at_the_end(triton, frame):
    before = regions()
    with Detector(triton.url, max_in_flight=2) as detector:
        assert detector.transport == "shared-memory"
        for _ in range(5):
            detector.detect(frame)
        assert len(regions() - before) == 1, "one slot is enough, and is reused"
        # A stream uses both slots.
        list(detector.stream([frame] * 6))
        assert len(regions() - before) == 2
    assert regions() == before


@pytest.mark.alone
def test_only_the_shared_memory_of_killed_clients_is_removed(triton, detector, frame):
    detector.detect(frame)
    leftover = Path("/dev/shm/yolostream-frames-leftover")
    leftover.write_bytes(b"x")
    before = regions()
    with connect(triton.url) as client:
        remove_leftovers(client, timeout_s=30)
    assert regions() == before - {leftover}


def test_a_new_client_unregisters_the_shared_memory_of_a_killed_one(triton, detector, frame):
    def registered() -> set[str]:
        return set(client.get_system_shared_memory_status().regions)

    program = f"""
import os, signal
import numpy as np
from yolostream import Detector

detector = Detector("{triton.url}", max_in_flight=3)
for pending in [detector.submit(np.zeros((64, 64, 3), np.uint8)) for _ in range(3)]:
    pending.result()
os.kill(os.getpid(), signal.SIGKILL)
"""
    with connect(triton.url) as client, contextlib.closing(OwnedFile()) as foreign:
        detector.detect(frame)
        living = registered()
        killed = subprocess.run([sys.executable, "-c", program], timeout=120, check=False)
        assert killed.returncode == -signal.SIGKILL
        left = registered() - living
        assert left
        # A client in a container has another /dev/shm, so its file does not exist here.
        os.posix_fallocate(foreign.file.fileno(), 0, 16)
        in_container = "yolostream-frames-000000000000-1"
        client.register_system_shared_memory(in_container, f"/{foreign.name}", 16)
        # Another client may have removed the file already.
        Path("/dev/shm", min(left)).unlink(missing_ok=True)
        with Detector(triton.url):
            assert registered() == living | {in_container}
        client.unregister_system_shared_memory(in_container)
        detector.detect(frame)
        assert registered() == living


def test_a_stream_keeps_the_order_and_limits_the_frames_in_flight(detector, demo_frames):
    frames = demo_frames("mb1_1", range(40))
    taken = []

    def source():
        for number, frame in enumerate(frames):
            taken.append(number)
            yield frame

    expected = [detector.detect(frame) for frame in frames]
    for number, (frame, found) in enumerate(detector.stream(source(), in_flight=4)):
        assert frame is frames[number]
        assert same(found, expected[number])
        assert len(taken) <= number + 4
    assert len(taken) == len(frames)


def test_downscale_time_excludes_the_wait_for_a_slot(triton, frame, monkeypatch):
    with Detector(triton.url, max_in_flight=1) as detector:
        write = GrpcFallback.write
        written_s = []

        def timed(slot, *arguments, **options):
            started = time.perf_counter()
            request = write(slot, *arguments, **options)
            written_s.append(time.perf_counter() - started)
            return request

        monkeypatch.setattr(GrpcFallback, "write", timed)
        pending = [detector.submit(frame) for _ in range(3)]
        for answer in pending:
            answer.result()
        waited_s = sum(answer.request_s for answer in pending[:2])
    # All frames but the first waited for a slot.
    downscale_s = sum(answer.downscale_s for answer in pending)
    assert sum(written_s) <= downscale_s < sum(written_s) + waited_s / 2


def test_many_streams_share_one_detector(triton, demo_frames):
    frames = demo_frames("mb1_1", range(0, 300, 30))
    with Detector(triton.url, max_in_flight=3) as detector:
        expected = [detector.detect(frame) for frame in frames]
        wrong = []

        def run():
            for number, (_, found) in enumerate(detector.stream(frames)):
                if not same(found, expected[number]):
                    wrong.append(number)

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (np.zeros((8, 8), np.uint8), r"\[8, 8\]"),
        (np.zeros((8, 8, 4), np.uint8), r"\[8, 8, 4\]"),
        (np.zeros((0, 8, 3), np.uint8), r"\[0, 8, 3\]"),
        (np.zeros((8, 8, 3), np.float32), "float32"),
        ([[1, 2, 3]], "list"),
    ],
)
def test_invalid_frames_raise_a_frame_error_and_occupy_no_slot(detector, frame, named):
    for _ in range(20):
        with pytest.raises(yolostream.FrameError, match=named):
            detector.submit(frame)


def test_a_frame_that_the_server_rejects_raises_a_frame_error(triton):
    with (
        Detector(triton.url, downscale=False) as whole,
        pytest.raises(yolostream.FrameError, match="8200"),
    ):
        whole.detect(np.zeros((8200, 4, 3), np.uint8))


def test_an_address_without_a_server_is_unavailable():
    with pytest.raises(yolostream.ServerUnavailable, match=r"127\.0\.0\.1:1 .*yolostream serve"):
        Detector("127.0.0.1:1")


def test_an_unknown_model_is_named(triton):
    with pytest.raises(yolostream.ModelUnavailable, match=r"'nope'.* restart the server"):
        Detector(triton.url, "nope")


def test_a_model_that_is_no_ensemble_is_named(triton):
    with pytest.raises(yolostream.ModelUnavailable, match="not an ensemble"):
        Detector(triton.url, "yolov7_fp16")


def test_a_late_answer_is_a_timeout(triton, frame):
    with Detector(triton.url, max_in_flight=1) as detector:
        detector.timeout_s = 0.001
        with pytest.raises(yolostream.DeadlineExceeded, match="in time"):
            detector.detect(frame)


def test_a_full_queue_raises_overloaded(triton, frame):
    queue_size = config("yolov7_fp16", "cpu").dynamic_batching.default_queue_policy.max_queue_size
    with Detector(triton.url, max_in_flight=6 * queue_size, transport="grpc") as detector:
        small = np.zeros((64, 64, 3), np.uint8)
        pending = [detector.submit(small) for _ in range(6 * queue_size)]
        rejected = 0
        for answer in pending:
            try:
                answer.result()
            except yolostream.Overloaded:
                rejected += 1
        assert 0 < rejected < len(pending)
        # The server answers again once its queue has room.
        assert len(detector.detect(frame)) > 0


def test_every_frame_in_flight_fails_if_the_server_dies(frame):
    repository = Path(__file__).parents[1]
    with (
        embedded.serve(
            repository / "model_repository",
            environment=repository / ".venv-server",
            profile="cpu",
            stop_timeout_s=0,
        ) as server,
        Detector(server.url, timeout_s=200) as detector,
    ):
        pending = [detector.submit(frame) for _ in range(4)]
        server.process.kill()
        started = time.monotonic()
        failures = 0
        for answer in pending:
            try:
                answer.result()
            except yolostream.ServerUnavailable:
                failures += 1
        assert failures > 0
        with pytest.raises(yolostream.ServerUnavailable):
            detector.detect(frame)
        assert time.monotonic() - started < 100


def test_a_restarted_server_is_used_again(frame):
    repository = Path(__file__).parents[1]
    serving = partial(
        embedded.serve,
        repository / "model_repository",
        environment=repository / ".venv-server",
        models=["yolov7"],
        profile="cpu",
        stop_timeout_s=0,
    )
    with serving() as server:
        ports = embedded.Ports(grpc=int(server.url.split(":")[1]))
        detector = Detector(server.url, max_in_flight=2)
        expected = detector.detect(frame)
    with detector, serving(ports=ports):
        deadline = time.monotonic() + 120
        while True:
            try:
                assert same(detector.detect(frame), expected)
                break
            except yolostream.ServerUnavailable:
                assert time.monotonic() < deadline


@pytest.mark.alone
def test_a_stream_that_is_left_early_leaves_no_shared_memory(triton, frame):
    before = regions()
    with Detector(triton.url) as detector:
        next(detector.stream([frame] * 8))
    assert regions() == before


@pytest.mark.alone
@pytest.mark.parametrize("method", ["detect", "submit"])
def test_an_interrupt_while_a_slot_is_taken_does_not_delay_closing(
    triton, frame, method, monkeypatch
):
    before = regions()
    with Detector(triton.url, max_in_flight=2, timeout_s=100) as detector:
        detector.detect(frame)
        take = detector._pool.free.get

        def interrupted(**options):
            take(**options)
            raise KeyboardInterrupt

        monkeypatch.setattr(detector._pool.free, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            getattr(detector, method)(frame)
        monkeypatch.undo()
        started = time.monotonic()
    assert time.monotonic() - started < 50
    assert regions() == before


def test_an_interrupt_while_a_frame_is_sent_frees_its_slot_once(triton, frame, monkeypatch):
    with Detector(triton.url, max_in_flight=2) as detector:
        send = detector._senders.submit

        def interrupted(*arguments, **options):
            send(*arguments, **options)
            raise KeyboardInterrupt

        monkeypatch.setattr(detector._senders, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            detector.submit(frame)
        monkeypatch.undo()
        detector.detect(frame)
        time.sleep(0.5)
        assert detector._pool.free.qsize() == 2


def test_a_frame_that_was_interrupted_before_it_was_sent_is_not_sent(triton, frame, monkeypatch):
    with Detector(triton.url, max_in_flight=1) as detector:
        late = []

        def interrupted(*call):
            late.append(call)
            raise KeyboardInterrupt

        monkeypatch.setattr(detector._senders, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            detector.submit(frame)
        monkeypatch.undo()
        ((settle, pending),) = late
        settle(pending)
        assert not pending[0].done()
        assert detector._pool.free.qsize() == 1


def test_a_buffer_is_returned_once_although_several_threads_release_it():
    pool = SlotPool(1, lambda ensemble: GrpcBuffer("yolov7"), url="")
    for _ in range(20):
        lease = pool.lend(timeout_s=1)
        lease.sent()
        start = threading.Barrier(8)
        first = []

        def release(lease=lease, start=start, first=first):
            start.wait()
            first.append(lease.take_over())
            lease.release()

        threads = [threading.Thread(target=release) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert pool.free.qsize() == 1
        assert sum(first) == 1


@pytest.fixture
def _ctrl_c_interrupts():
    # Commands that ran in this process may have left handlers that ignore the signal.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def closes_in_time(detector):
    closing = threading.Thread(target=detector.close, daemon=True)
    closing.start()
    closing.join(30)
    return not closing.is_alive()


@pytest.mark.usefixtures("_ctrl_c_interrupts")
def test_ctrl_c_while_a_frame_is_enqueued_does_not_delay_closing(triton, frame, monkeypatch):
    detector = Detector(triton.url, max_in_flight=2, timeout_s=60)
    detector.submit(frame)
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        detector.submit(frame)
    monkeypatch.undo()
    assert closes_in_time(detector)


@pytest.mark.usefixtures("_ctrl_c_interrupts")
@pytest.mark.parametrize("wait", [Detector.detect, lambda d, frame: d.submit(frame).result()])
def test_ctrl_c_during_the_wait_for_an_answer_does_not_delay_closing(wait):
    with recording_triton(EnsembleTriton) as server:
        detector = Detector(server.url, timeout_s=60, transport="grpc")
        server.hold_s = 2
        threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            wait(detector, np.zeros((8, 8, 3), np.uint8))
        assert closes_in_time(detector)


def test_a_program_that_is_interrupted_at_its_first_frame_ends(triton):
    program = f"""
import threading
import numpy as np
from yolostream import Detector

detector = Detector("{triton.url}", timeout_s=250)
start = threading.Thread.start

def interrupted(thread):
    start(thread)
    raise KeyboardInterrupt

threading.Thread.start = interrupted
for _ in range(3):
    try:
        detector.submit(np.zeros((8, 8, 3), np.uint8))
    except KeyboardInterrupt:
        pass
"""
    subprocess.run([sys.executable, "-c", program], timeout=120, check=True)


def test_close_waits_for_frames_in_flight_until_its_timeout():
    with recording_triton(EnsembleTriton) as server:
        detector = Detector(server.url, timeout_s=60, transport="grpc")
        server.hold_s = 1
        pending = detector.submit_batch([np.zeros((8, 8, 3), np.uint8)] * 2)
        detector.close()
        assert [len(one.result(0)) for one in pending] == [0, 0]
        detector = Detector(server.url, timeout_s=60, transport="grpc")
        server.hold_s = 5
        lost = detector.submit(np.zeros((8, 8, 3), np.uint8))
        detector.timeout_s = 0.5
        detector.close()
        # If close had waited longer, the frame would have its answer.
        with pytest.raises(yolostream.ServerUnavailable, match="closed"):
            lost.result(1)


def test_a_closed_detector_raises_an_error(triton, frame):
    detector = Detector(triton.url, transport="grpc", timeout_s=1)
    detector.close()
    with pytest.raises(yolostream.ServerError):
        detector.detect(frame)


@pytest.mark.parametrize("transport", ["grpc", "shared-memory"])
def test_a_forked_process_cannot_use_the_detector_and_leaves_its_shared_memory(triton, transport):
    program = f"""
import os, signal
import numpy as np
from yolostream import Detector, ForkError

frame = np.zeros((640, 640, 3), np.uint8)
with Detector("{triton.url}", transport="{transport}") as detector:
    detector.detect(frame)
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        for ask in (
            lambda: detector.detect(frame),
            lambda: detector.submit(frame),
            lambda: next(detector.stream([frame])),
            lambda: detector.reserve(1),
            lambda: detector.statistics(),
        ):
            try:
                ask()
            except ForkError as error:
                assert "in each process" in str(error)
            else:
                os._exit(1)
        detector.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    maps = open("/proc/self/maps").read().split()
    mapped = {{word for word in maps if word.startswith("/dev/shm/yolostream-frames-")}}
    assert len(mapped) == (detector.transport == "shared-memory")
    assert all(map(os.path.exists, mapped))
    detector.detect(frame)
assert not any(map(os.path.exists, mapped))
"""
    subprocess.run([sys.executable, "-c", program], timeout=120, check=True)


# With other tests, a step of the server may get no CPU time for a second, which restarts it.
@pytest.mark.alone
def test_two_hundred_clients_can_connect_at_once(triton):
    def connect(_):
        with Detector(triton.url, timeout_s=120) as detector:
            return detector.labels, detector.transport

    with ThreadPoolExecutor(200) as clients:
        found = set(clients.map(connect, range(200)))
    ((labels, transport),) = found
    assert len(labels) == 80
    assert transport == "shared-memory", "no probe of shared memory was rejected"
