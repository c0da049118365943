"""The load test that searches for the largest number of cameras that a server can serve."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import numpy as np
import psutil
import pytest
from conftest import REPOSITORY
from instant import MODEL, serve_instant
from running import poll
from yolostream import Detector, errors
from yolostream.server.step_processes import StepProcesses

from loadtest.camera import MAX_IN_FLIGHT, Camera, clip_frames
from loadtest.cameras import (
    ANSWERED,
    DROPPED,
    FRAMES_PER_PROCESS,
    LATE,
    Cameras,
    CameraSettings,
)
from loadtest.capacity import MAX_CAMERAS, _answer, capacity, section
from loadtest.errors import LoadTestError
from loadtest.overload import _recovery_s, overload, said
from loadtest.search import Bound
from loadtest.server import Target
from loadtest.step import Step, bound_by, measure

BOUND = Bound(frames_per_second=10, latency_s=0.2)
STEP = Step(
    cameras=4,
    frames=40,
    outcomes={LATE: 40},
    p50_ms=100.0,
    p99_ms=300.0,
    lost=0.0,
    broken_by="p99 age 300 ms",
    sent_late_p99_ms=1.0,
    generator_cpu_ms_per_frame=1.0,
    server_cores=1.0,
    other_cores=0.0,
    machine_busy=0.5,
    gpu_busy=None,
    queue_ms={"preprocess": 1.0, "yolov7_fp16": 2.0},
    compute_ms={"preprocess": 3.0, "yolov7_fp16": 60.0},
)


@pytest.fixture
def connected(instant):
    with Detector(instant.url, MODEL, max_in_flight=MAX_IN_FLIGHT) as detector:
        yield detector


def settings(url, bound=BOUND) -> CameraSettings:
    return CameraSettings(url, MODEL, bound.frames_per_second, bound.latency_s)


def target(server) -> Target:
    return Target(server.url, (server.process.pid,))


def run_capacity(*arguments, **options):
    command = [sys.executable, "-m", "loadtest.capacity", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def camera_processes():
    children = psutil.Process().children()
    return [child for child in children if "loadtest.camera" in child.cmdline()]


def test_a_camera_keeps_its_rate_while_the_server_is_paused(instant, connected, monkeypatch):
    # The server must stay paused, so its supervisor must not restart it.
    monkeypatch.setattr(StepProcesses, "fault", lambda steps: None)
    rate = 20
    records = []
    one = CameraSettings(instant.url, MODEL, frames_per_second=rate, bound_s=0.5)
    frames = clip_frames(connected.model)
    camera = Camera(connected, frames, one, on_record=records.append)
    stop = threading.Event()
    thread = threading.Thread(target=camera.run, args=(stop,))
    started = time.perf_counter()
    thread.start()
    poll(lambda: ANSWERED in {record.outcome for record in list(records)}, what="an answer")
    instant.process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)
    instant.process.send_signal(signal.SIGCONT)
    resumed = time.perf_counter()
    poll(
        lambda: any(
            record.outcome == ANSWERED and record.scheduled_s > resumed for record in list(records)
        ),
        what="answers in time again",
    )
    ended = time.perf_counter()
    stop.set()
    thread.join()

    due = [record.scheduled_s for record in sorted(records, key=lambda r: r.scheduled_s)]
    assert np.allclose(np.diff(due), 1 / rate), "each frame has its scheduled time"
    assert due[-1] - due[0] > ended - started - 0.5
    outcomes = Counter(record.outcome for record in records)
    assert set(outcomes) == {ANSWERED, LATE, DROPPED}
    assert outcomes[DROPPED] > rate, "frames are dropped for most of the 1.5 s"
    assert all(record.sent_s is None for record in records if record.outcome == DROPPED)
    slowest = max(record.latency_s for record in records if record.latency_s is not None)
    assert slowest > 1, "the latency counts from the scheduled time"


def test_an_idle_server_answers_every_frame(instant):
    bound = Bound(frames_per_second=5, latency_s=5)
    with (
        Cameras(settings(instant.url, bound)) as cameras,
        cameras.showing(3) as records,
    ):
        poll(lambda: len(records) >= 3 * 5, what="fifteen frames")
    assert {record.outcome for record in records} == {ANSWERED}


def test_the_load_generator_sends_a_hundred_frames_per_second_with_little_cpu_time(
    instant, connected
):
    bound = Bound(frames_per_second=10, latency_s=1)
    with Cameras(settings(instant.url, bound)) as cameras:
        step = measure(target(instant), connected, cameras, bound, count=10, seconds=2)
    assert step.frames == pytest.approx(200, abs=30)
    assert 0 < step.generator_cpu_ms_per_frame < 4
    assert step.compute_ms.keys() == {"instant_answer"}


def test_many_cameras_are_distributed_among_processes(instant):
    bound = Bound(frames_per_second=FRAMES_PER_PROCESS / 2, latency_s=1)
    with Cameras(settings(instant.url, bound)) as cameras:
        with cameras.showing(5) as records:
            assert len(camera_processes()) == 3
            poll(lambda: len(records) >= FRAMES_PER_PROCESS, what="frames of all")
        assert {record.outcome for record in records} <= {ANSWERED, DROPPED}
        before = len(records)
        with cameras.showing(1) as fewer:
            poll(lambda: ANSWERED in {record.outcome for record in list(fewer)}, what="an answer")
        assert len(records) == before, "cameras that have ended record no frames"
    assert camera_processes() == []


def test_cameras_that_cannot_start_raise_the_reason(capfd):
    with (
        Cameras(settings("127.0.0.1:1")) as cameras,
        pytest.raises(LoadTestError, match=f"exit code {errors.ServerUnavailable.exit_code}"),
        cameras.showing(1),
    ):
        pass
    assert "no Triton answers at 127.0.0.1:1" in capfd.readouterr().err


def test_frames_are_downscaled_before_the_measurement(connected):
    frames = clip_frames(connected.model)
    assert {(frame.shape, frame.dtype) for frame in frames} == {((360, 640, 3), np.dtype("uint8"))}


@pytest.mark.parametrize("truth", [0, 1, 2, 3, 11, 64, MAX_CAMERAS])
def test_the_search_finds_the_largest_number_and_tries_the_next_one(truth):
    tried = []

    def holds(cameras):
        tried.append(cameras)
        return cameras <= truth

    assert capacity(holds) == truth
    assert truth == MAX_CAMERAS or truth + 1 in tried
    assert truth == 0 or tried.count(truth) > 1, "the answer must hold twice"


def test_one_failed_attempt_does_not_change_the_result_of_the_search():
    failures = {4}

    def holds(cameras):
        if cameras in failures:
            failures.discard(cameras)
            return False
        return cameras <= 5

    assert capacity(holds) == 5


def test_a_number_that_does_not_hold_again_is_not_the_answer():
    answers = {3: iter([True, False, False])}

    def holds(cameras):
        return next(answers[cameras]) if cameras in answers else cameras < 3

    assert capacity(holds) == 2


@pytest.mark.parametrize(
    ("changes", "resource"),
    [
        ({"machine_busy": 0.97}, "yolov7_fp16 on the CPU"),
        ({"machine_busy": 0.97, "other_cores": 1.5}, "other programs on the CPU"),
        ({"machine_busy": 0.97, "server_cores": None}, "the time that yolov7_fp16 takes"),
        ({"gpu_busy": 0.95, "machine_busy": 0.97}, "yolov7_fp16 on the GPU"),
        ({"queue_ms": {"preprocess": 80.0, "yolov7_fp16": 2.0}}, "the queue of preprocess"),
        ({"p50_ms": 400.0}, "the wire"),
        ({"sent_late_p99_ms": 90.0}, "the load generator, which sends late"),
    ],
)
def test_the_limiting_resource_is_named(changes, resource):
    assert bound_by(dataclasses.replace(STEP, **changes), BOUND) == resource


def test_the_reason_is_that_of_the_nearest_larger_number_that_was_tried():
    # The search goes down by more than one if a number does not hold a second time.
    tried = [dataclasses.replace(STEP, cameras=cameras) for cameras in (64, 60)]
    held = dataclasses.replace(STEP, cameras=58, broken_by="")
    answer = _answer(58, [*tried, held], BOUND)
    assert answer["broken_by"] == STEP.broken_by
    assert answer["sentence"].startswith("58 cameras at 10 fps; 60 break it: p99 age 300 ms; bound")


def test_a_quick_run_reports_the_number_of_cameras_and_the_limit(triton, tmp_path):
    output = tmp_path / "capacity.json"
    done = run_capacity(
        *("--url", triton.url, "--quick", "--frames-per-second", 25, "--output", output)
    )
    printed, progress = done.communicate(timeout=120)
    assert done.returncode == 0, progress
    result = json.loads(output.read_text())
    figures = result["figures"]
    assert result["partial"] is False
    assert printed == figures["sentence"] + "\n"
    assert f"**{figures['sentence']}.**" in section(result)
    assert printed.startswith(f"{figures['cameras']} camera")
    assert "; the next one breaks it: " in printed
    beyond = [s for s in figures["steps"] if s["cameras"] == figures["cameras"] + 1]
    assert beyond[-1]["broken_by"] == figures["broken_by"] != ""
    assert figures["bound_ms"] == 200
    held = figures["steps"][-1]
    assert held["cameras"] == figures["cameras"] or figures["cameras"] == 0
    for step in figures["steps"]:
        assert set(step["compute_ms"]) == {"preprocess", "yolov7_fp16", "nms"}
        assert sum(step["outcomes"].values()) == step["frames"] > 0


# With other tests, a step of the server may get no CPU time for a second, which restarts it.
@pytest.mark.alone
def test_an_overload_is_rejected_with_a_message_and_survived(triton, demo_frames):
    with Detector(triton.url) as detector:
        result = overload(
            target(triton),
            detector,
            CameraSettings(triton.url, detector.model.name, frames_per_second=50, bound_s=0.2),
            capacity=2,
            seconds=1,
        )
        assert len(detector.detect(demo_frames("mb1_1", [120])[0])) > 0
    assert result["cameras"] == 6
    assert result["outcomes"]["Overloaded"] > 0
    assert "queue is full" in result["messages"]["Overloaded"]
    assert len(result["server_memory_mb"]) == 2
    assert min(result["server_memory_mb"]) > 0
    assert "% Overloaded" in said(result)


def test_an_overload_ends_with_the_last_frame_that_was_not_answered_in_time():
    assert _recovery_s([(0.5, LATE), (1.5, DROPPED), (1.6, ANSWERED), (4.9, ANSWERED)]) == 1.5
    assert _recovery_s([(0.1, ANSWERED), (4.9, ANSWERED)]) == 0
    assert _recovery_s([(0.5, ANSWERED), (4.9, LATE)]) is None


def test_a_killed_camera_process_is_an_error(instant):
    bound = Bound(frames_per_second=100, latency_s=1)
    with Cameras(settings(instant.url, bound)) as cameras:
        showing = cameras.showing(1)
        showing.__enter__()
        (process,) = camera_processes()
        process.kill()
        with pytest.raises(LoadTestError, match="exit code -9"):
            showing.__exit__(None, None, None)


def test_without_a_server_or_its_model_the_old_figures_are_kept(instant, tmp_path):
    output = tmp_path / "capacity.json"
    output.write_text("old")
    for arguments, error in (
        (("--url", "127.0.0.1:1"), errors.ServerUnavailable),
        (("--url", instant.url, "--model", "nope"), errors.ModelUnavailable),
    ):
        done = run_capacity(*arguments, "--output", output)
        _, complaint = done.communicate(timeout=60)
        assert done.returncode == error.exit_code
        assert complaint.startswith("error: ")
        assert "Traceback" not in complaint
    assert output.read_text() == "old"


def test_the_measurements_before_the_end_of_a_server_are_kept(tmp_path):
    output = tmp_path / "capacity.json"
    with serve_instant() as server:
        running = run_capacity(
            *("--url", server.url, "--model", MODEL, "--quick", "--bound-ms", 1000),
            *("--output", output),
        )
        first = running.stderr.readline()
        server.process.kill()
        _, complaint = running.communicate(timeout=120)
    assert "1 camera" in first
    assert running.returncode == errors.ServerUnavailable.exit_code, complaint
    result = json.loads(output.read_text())
    assert result["partial"] is True
    assert len(result["figures"]["steps"]) >= 1
    assert "partial" in complaint
