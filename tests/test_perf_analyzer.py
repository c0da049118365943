"""NVIDIA's perf_analyzer with a real Triton."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from yolostream import Detector
from yolostream.server import embedded

from loadtest.errors import PerfAnalyzerError, ResultError
from loadtest.perf import binary
from loadtest.perf.load import DOWNSCALED, Load, Point, frames, outputs_of
from loadtest.perf.report import read_report
from loadtest.perf_analyzer import section
from loadtest.processes import last_words
from loadtest.repository import MODELS, SERVER_ENVIRONMENT

CAPTURED = REPOSITORY / "tests" / "data" / "perf_analyzer"
ENSEMBLE = "yolov7"


@pytest.fixture(scope="module")
def server():
    """A server for these tests only: perf_analyzer unregisters the shared memory of all clients."""
    with embedded.serve(
        MODELS, environment=SERVER_ENVIRONMENT, models=[ENSEMBLE], profile="cpu"
    ) as embedded_server:
        yield embedded_server


@pytest.fixture(scope="module")
def perf(tmp_path_factory, only_perf_analyzer):
    return binary.ready(tmp_path_factory.mktemp("libraries"))


@pytest.fixture(scope="module")
def load(server, perf, tmp_path_factory):
    folder = tmp_path_factory.mktemp("requests")
    return Load(perf, server.url, folder, outputs_of(server.url))


@pytest.fixture
def start(tmp_path):
    started = []

    def run(*arguments):
        places = ["--raw", tmp_path / "raw", "--output", tmp_path / "figures.json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.perf_analyzer", *map(str, [*arguments, *places])],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_the_frames_that_are_sent_have_objects(load, server, perf, tmp_path):
    with Detector(server.url) as detector:
        found = [len(detector.detect(frame)) for frame in frames(DOWNSCALED)]
    assert min(found) > 0
    assert answers_are(found, load, perf, tmp_path)
    assert not answers_are([count + 1 for count in found], load, perf, tmp_path)


def answers_are(counts, load, perf, folder):
    # perf_analyzer itself compares the answers with these numbers.
    data = json.loads(load.requests(DOWNSCALED).read_text())
    data["validation_data"] = [
        {"num_detections": {"content": [float(count)], "shape": [1]}} for count in counts
    ]
    (folder / "both.json").write_text(json.dumps(data))
    command = [perf.path, "-m", ENSEMBLE, "-u", load.url, "-i", "grpc", "--async"]
    done = subprocess.run(
        [*command, "--input-data", folder / "both.json", "--request-count", str(len(counts))],
        env=perf.variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or "doesn't match expected output" in done.stderr, done.stderr
    return done.returncode == 0


def test_a_quick_sweep_measures_each_transport_and_leaves_no_shared_memory(
    start, server, load, tmp_path
):
    left_by_killed_run = Path("/dev/shm") / load.regions[-1]
    left_by_killed_run.write_bytes(b"left over")
    process = start("--url", server.url, "--quick")
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    written = json.loads((tmp_path / "figures.json").read_text())
    measured = written["figures"]["points"]
    assert not written["partial"]
    assert {point["transport"] for point in measured} >= {"grpc", "system"}
    with_figures = [point for point in measured if "frames_per_s" in point]
    for point in with_figures:
        latency = point["latency_ms"]
        assert point["frames_per_s"] > 0
        assert 0 < latency["p50"] <= latency["p99"]
        assert set(point["stages"]) <= {"preprocess", "yolov7_fp16", "nms"}
    assert any(point["stages"] for point in with_figures)
    assert len(section(written).splitlines()) == 2 + len(with_figures)
    assert not left_regions(load)


def left_regions(load):
    return [name for name in load.regions if (Path("/dev/shm") / name).exists()]


def test_unstable_figures_are_kept_with_the_message_of_perf_analyzer(load, tmp_path):
    measured = load.measure(Point("grpc"), tmp_path / "raw", window_s=0.5, percent=0.001)
    assert measured["words"].startswith("Failed to obtain stable measurement")
    assert measured["frames_per_s"] > 0


def test_a_failed_measurement_has_the_reason(load, tmp_path):
    measured = load.measure(Point("grpc", model="nope"), tmp_path / "raw", window_s=0.5)
    assert "unknown model: 'nope'" in measured["words"]


def test_ctrl_c_keeps_the_measurements_and_leaves_no_shared_memory(start, server, load, tmp_path):
    process = start("--url", server.url, "--quick")
    wait_for_shared_memory(process)
    process.send_signal(signal.SIGINT)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 130, log
    assert json.loads((tmp_path / "figures.json").read_text())["partial"]
    assert "partial" in log
    assert not left_regions(load)


def wait_for_shared_memory(process):
    # Shared memory is measured after gRPC.
    for line in process.stderr:
        if line.startswith(f"{ENSEMBLE}-grpc"):
            return
    raise AssertionError(f"ended with {process.wait()}")


def test_a_server_that_dies_leaves_partial_figures_and_an_exit_code_of_its_own(
    start, load, tmp_path
):
    with embedded.serve(
        REPOSITORY / "model_repository",
        environment=REPOSITORY / ".venv-server",
        models=[ENSEMBLE],
        profile="cpu",
    ) as server:
        process = start("--url", server.url, "--quick")
        wait_for_shared_memory(process)
        os.kill(server.process.pid, signal.SIGKILL)
        _, log = process.communicate(timeout=60)
    assert process.returncode == 8, log
    assert f"no Triton answers at {server.url}" in log
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["partial"]
    assert "words" in written["figures"]["points"][-1]
    assert not left_regions(load)


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--url", "127.0.0.1:1"], 8), (["--model", "nope"], 9)]
)
def test_without_server_or_model_the_old_figures_are_kept(start, tmp_path, arguments, code):
    (tmp_path / "figures.json").write_text("old")
    process = start(*arguments)
    _, log = process.communicate(timeout=60)
    assert process.returncode == code, log
    assert (tmp_path / "figures.json").read_text() == "old"


def test_a_raw_folder_that_cannot_be_created_is_named(load, tmp_path):
    (tmp_path / "raw").write_text("a file")
    with pytest.raises(ResultError, match=r"raw/point .*--raw"):
        load.measure(Point("grpc"), tmp_path / "raw" / "point", window_s=0.5)


def test_a_report_has_the_figures_that_perf_analyzer_printed():
    log = (CAPTURED / "stable.log").read_text()
    report = read_report(CAPTURED)
    assert report["frames_per_s"] == float(re.search(r"Throughput: ([\d.]+) infer", log)[1])
    printed = {
        name: int(value) / 1000 for name, value in re.findall(r"(p50|p99) latency: (\d+) usec", log)
    }
    mean = int(re.search(r"Avg latency: (\d+) usec", log)[1]) / 1000
    assert report["latency_ms"] == {**printed, "mean": mean}
    steps = re.findall(
        r"^  (\w+), version(?:.*\n){4}.*latency: .*\(overhead .*? \+ (.*)\)", log, re.M
    )
    assert report["stages"] == {
        name: {
            part.strip().replace(" ", "_"): int(value) / 1000
            for part, value in re.findall(r"([a-z ]+) (\d+) usec", parts)
        }
        for name, parts in steps
    }


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("unstable", "Failed to obtain stable measurement within 3 measurement windows"),
        ("short_window", "No valid requests recorded within time interval. Please use a larger"),
        ("unknown_model", "unknown model: 'nope' is not found"),
        ("server_gone", "Socket closed"),
    ],
)
def test_a_failure_is_reported_with_the_message_of_perf_analyzer(log, words):
    message = last_words((CAPTURED / f"{log}.log").read_text())
    assert words in message
    assert "Measurement Settings" not in message


def test_missing_libraries_are_named_with_the_fix(perf, tmp_path):
    with pytest.raises(PerfAnalyzerError, match=r"lib\w+\.so.*make install"):
        binary.ready(tmp_path / "libraries", server_environment=tmp_path)


def test_without_a_network_the_missing_package_is_named_and_no_file_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(PerfAnalyzerError, match=f"tritonclient=={binary.VERSION}.*package index"):
        binary.ready(tmp_path, folder=tmp_path / "perf")
    assert not [path for path in (tmp_path / "perf").rglob("*") if path.is_file()]


def test_a_binary_that_needs_a_newer_glibc_is_reported_with_the_required_version(
    tmp_path, monkeypatch
):
    words = "perf_analyzer: /lib/libc.so.6: version `GLIBC_2.99' not found"
    newer = tmp_path / "perf_analyzer"
    newer.write_text(f'#!/bin/sh\necho "{words.replace("`", "")}" >&2\nexit 1\n')
    newer.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(PerfAnalyzerError, match=r"GLIBC_2\.99.*glibc 2\.35"):
        binary.ready(tmp_path / "libraries")
