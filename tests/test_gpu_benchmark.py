"""The benchmark of the GPU path: its parts without a GPU, and a whole run on the CPU."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
from conftest import REPOSITORY

from loadtest import machine, servers
from loadtest.errors import GpuError, LoadTestError
from loadtest.gpu import bench, engine, measuring, table
from loadtest.gpu.bench import POINTS, ROWS, rows_of
from loadtest.perf.binary import PerfAnalyzer
from loadtest.perf.load import Load
from loadtest.processes import program_of
from loadtest.repository import (
    ENSEMBLE,
    MODELS,
    NETWORK,
    NMS,
    PREPROCESS,
    SERVER_ENVIRONMENT,
    STEPS,
    write_repository,
)
from loadtest.result_file import source

ONNX = MODELS / NETWORK / "1" / "model.onnx"

BARE = {
    "1": {"frames_per_s": 800.0, "windows": [800.0], "p50_ms": 1.25},
    "16": {"frames_per_s": 2000.0, "windows": [2000.0], "p50_ms": 8.0},
}


def perf_row(frames_per_s, p50_ms=10.0):
    step = {"queue": 0.5, "compute_input": 0.1, "compute_infer": 2.0, "compute_output": 0.2}
    return {
        "frames_per_s": frames_per_s,
        "latency_ms": {"mean": p50_ms, "p50": p50_ms, "p99": 2 * p50_ms},
        "stages": dict.fromkeys(STEPS, step),
        "watched": {"batch_sizes": {name: {"8": 3, "16": 1} for name in STEPS}},
    }


@pytest.fixture
def figures():
    return {
        "bare": BARE,
        "triton": "2.51.0",
        "rows": {
            "one_stream": perf_row(300.0, 3.25),
            "one_stream_awake": perf_row(400.0, 2.5),
            "four_in_flight": perf_row(600.0),
            "streams": perf_row(1800.0),
            "batches": perf_row(1000.0),
            "full_hd_system_batches": perf_row(1400.0),
            "full_hd_cuda": {"words": "CUDA shared memory failed"},
            "cameras": {"cameras": 50, "steps": []},
            "stages": {"preprocess_us": 20.0, "nms_us": 25.5},
            "memory": {"after_work_gb": 3.25},
        },
    }


@pytest.fixture
def content(figures):
    return {
        "machine": {"cores": 16, "processor": "AMD EPYC", "commit": "fa5c0d9"},
        "command": "python -m loadtest.gpu",
        "partial": False,
        "figures": {
            "gpu": {
                "gpus": [["NVIDIA H200", "580.1"]],
                "cuda": "13.0",
                "server_packages": {"cupy-cuda13x": "14.2.0"},
            },
            "network": {"sha256": "", "words": "YOLOv7 at 640"},
            "profiles": {"onnx-gpu": figures},
        },
    }


def of(profiles):
    return {"figures": {"profiles": profiles}}


def asked(figures):
    return [check for check in table.CHECKS if check.asked(figures)]


def heading(row):
    (check,) = (check for check in asked({"rows": {row: {}}}) if check not in asked({}))
    return check.heading


def test_the_ratios_are_computed_from_one_run(figures):
    found = {check.title.split(":")[0]: check.of(figures) for check in asked(figures)}
    assert {title: value for title, value in found.items() if value is not None} == pytest.approx(
        {
            "one stream, one request in flight": 2.0,
            "the same, with `yolostream serve --keep-awake`": 1.25,
            "one stream, 4 in flight": 0.75,
            "64 streams, one frame a request": 0.9,
            "8 frames a request, 8 in flight": 0.5,
            "1080p frames sent whole through shared memory, 8 a request": 0.7,
            "cameras at 30 fps with p99 below 33 ms": 0.75,
            "the same, as a number": 50,
            "`preprocess` + `nms`, GPU time a frame at batch 16": 45.5,
            "GPU memory of all processes, after the work": 3.25,
            "the bare engine at its best batch": 2000.0,
            "its time for one frame": 1.25,
        }
    )


def test_the_table_shows_whether_each_bar_is_met(content):
    lines = table.section(content).splitlines()
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in lines}
    expected = {
        "one_stream": ["at most 2.50 ms", "2.00 ms, met |"],
        "four_in_flight": ["at least 0.80", "**0.75, missed** |"],
        "full_hd_cuda": ["at least 0.70", "**failed** |"],
        "stages": ["at most 60 µs", "46 µs, met |"],
        "memory": ["at most 4.00 GB", "3.25 GB, met |"],
    }
    assert {key: cells[heading(key)] for key in expected} == expected
    assert heading("full_hd_system") not in cells
    caption = source(content, "../loadtest/results/gpu.json")
    assert (
        "NVIDIA H200 (driver 580.1), CUDA 13.0, 16 cores (AMD EPYC), cupy-cuda13x 14.2.0" in caption
    )
    assert caption.endswith(
        "; YOLOv7 at 640. Raw figures: [gpu.json](../loadtest/results/gpu.json)."
    )


def test_some_bars_apply_only_to_some_profiles(figures):
    slow = {**figures, "bare": {"1": BARE["1"]}}
    slow["rows"] = {**figures["rows"], "memory": {"after_work_gb": 5.0}}
    text = table.section(of({"onnx-gpu": slow, "torch-gpu": {**slow, "bare": BARE}}))
    lines = dict(line.strip("| ").split(" | ", 1) for line in text.splitlines()[2:])
    cameras = "the same, as a number (the bar is for the fastest profile)"
    assert lines[cameras] == "at least 48 | 50 | 50, met"
    assert lines[heading("memory")] == "at most 4.00 GB | **5.00 GB, missed** | 5.00 GB"


def test_a_profile_that_was_not_measured_has_no_column(figures):
    alone = table.section(of({"cpu": figures}))
    assert "met" not in alone, "bars apply only to GPUs"
    assert "missed" not in alone
    assert table.section(of({"cpu": figures, "torch-gpu": {}})) == alone


def test_the_times_separate_waiting_from_computing(figures):
    (line,) = [
        line for line in table.times(of({"cpu": figures})).splitlines() if ", batches |" in line
    ]
    assert line == "| `cpu`, batches | 10.0 | 0.5 + 2.3 | 0.5 + 2.3 | 0.5 + 2.3 | 10.0 |"


def test_every_row_has_a_bar():
    for row in ROWS:
        assert len(asked({"rows": {row: {}}})) > len(asked({})), row
    assert set(rows_of("cpu")) < set(rows_of("onnx-gpu")) == set(ROWS)


def test_the_served_repository_is_a_copy_with_another_network(tmp_path):
    network = tmp_path / "other.onnx"
    network.write_bytes(b"other")
    write_repository(tmp_path / "models", network)
    assert {path.name for path in (tmp_path / "models").iterdir()} == {ENSEMBLE, *STEPS}
    assert (tmp_path / "models" / NETWORK / "1" / "model.onnx").read_bytes() == b"other"
    for model in STEPS:
        code = {path.name for path in (MODELS / model / "1").glob("*.py")}
        assert code <= {path.name for path in (tmp_path / "models" / model / "1").iterdir()}
    assert not (tmp_path / "models" / "nms" / "1" / "model.py").is_symlink()


@pytest.mark.parametrize("row", POINTS)
def test_the_command_line_of_a_row(row, tmp_path):
    point = POINTS[row]
    load = Load(PerfAnalyzer(tmp_path / "perf_analyzer", tmp_path), "host:1", tmp_path, ())
    line = load.command(point, window_s=0.5, percent=1000)
    options = dict(pairwise(line))
    assert options["-b"] == str(point.batch)
    assert options["--concurrency-range"] == str(point.concurrency)
    assert options["--shared-memory"] == point.transport
    assert options["--measurement-interval"] == "500"
    paced = load.command(point, window_s=0.5, percent=1000, intervals=tmp_path / "pace")
    assert "--concurrency-range" not in paced
    assert paced[paced.index("--request-intervals") + 1] == str(tmp_path / "pace")


@pytest.mark.parametrize("count", [1, 2, 48, 1000])
def test_each_camera_sends_once_per_period(count):
    intervals = measuring.intervals_us(count)
    assert len(intervals) == count
    assert min(intervals) >= 1
    assert sum(intervals) == pytest.approx(1e6 / 30, abs=1 + count / 4)
    assert intervals == measuring.intervals_us(count)


@pytest.mark.parametrize(
    ("measured", "held"),
    [
        ({"frames_per_s": 299.0, "latency_ms": {"p99": 32.0}}, True),
        ({"frames_per_s": 299.0, "latency_ms": {"p99": 34.0}}, False),
        ({"frames_per_s": 280.0, "latency_ms": {"p99": 10.0}}, False),
        ({"words": "Exceeds maximum queue size"}, False),
    ],
)
def test_cameras_hold_if_all_frames_are_answered_in_time(measured, held):
    assert measuring.cameras_hold(10, measured) == held


@pytest.mark.parametrize("output", ["[N/A]\n", ""])
def test_memory_is_the_sum_over_all_gpus(output, monkeypatch):
    monkeypatch.setattr(machine, "output_of", lambda *_: "1000\n24\n")
    assert machine.gpu_memory_gb() == pytest.approx(1024 * 2**20 / 1e9)
    monkeypatch.setattr(machine, "output_of", lambda *_: output)
    with pytest.raises(GpuError, match=re.escape(str(output.split()))):
        machine.gpu_memory_gb()


def test_the_busiest_gpu_counts(monkeypatch):
    monkeypatch.setattr(machine, "output_of", lambda *_: "7\n85\n")
    assert machine.gpu_busy() == 0.85
    monkeypatch.setattr(machine, "output_of", lambda *_: "[N/A]\n")
    assert machine.gpu_busy() is None


def test_the_versions_of_cuda_and_packages_are_recorded():
    head = "| Driver Version: 580.159.04     CUDA Version: 13.0     |"
    assert machine.cuda_version(head) == "13.0"
    assert machine.cuda_version("") is None
    packages = machine.packages(SERVER_ENVIRONMENT).keys()
    # 'make install' installs onnxruntime, 'make gpu' onnxruntime-gpu.
    assert {"nvidia-pytriton"} < packages
    assert packages & {"onnxruntime", "onnxruntime-gpu"}


def test_a_process_is_named_after_its_model():
    stub = ["/x/triton_python_backend_stub", "/tmp/models/nms/1/model.py", "region", "nms_0_0"]
    assert program_of(stub) == "nms"
    assert program_of(["/bin/tritonserver", "--x"]) == "tritonserver"
    assert bench.frames_of({"1": 3, "16": 2}) == 35


def test_a_program_in_the_environment_of_the_server_prints_its_result_last(tmp_path):
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\necho an engine prints this\necho $3\n")
    python.chmod(0o755)
    assert engine.run(tmp_path, "bare_loop", {"1": 2}) == {"1": 2}
    python.unlink()
    with pytest.raises(LoadTestError, match="--server-environment"):
        engine.run(tmp_path, "bare_loop", {})
    with pytest.raises(LoadTestError, match=r"bare_loop .* failed: .*KeyError"):
        engine.run(SERVER_ENVIRONMENT, "bare_loop", {})


_STAND_IN_NETWORK = """
import types

def open_network(model, *, runtime, stream, batch_sizes, max_batch, image_shape, rows):
    assert (runtime, max_batch, image_shape, rows) == ("torch", 16, (3, 640, 640), 25200)
    return types.SimpleNamespace(launch=lambda size: None, stream=stream)
"""
_STAND_IN_CUPY = """
import time, types

class _Stream:
    def __init__(self, non_blocking):
        assert non_blocking

    def synchronize(self):
        time.sleep(0.01)

cuda = types.SimpleNamespace(Device=lambda number: types.SimpleNamespace(use=int), Stream=_Stream)
"""


def test_the_bare_loop_waits_for_each_batch(tmp_path, monkeypatch):
    write_repository(tmp_path, ONNX)
    (tmp_path / NETWORK / "1" / "network.py").write_text(_STAND_IN_NETWORK)
    (tmp_path / "cupy.py").write_text(_STAND_IN_CUPY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    one = SimpleNamespace(environment=SERVER_ENVIRONMENT, repository=tmp_path, lengths=bench.QUICK)
    figures = engine.bare(one, "torch-gpu")
    assert figures["1"]["p50_ms"] == pytest.approx(10, rel=0.5)
    assert figures["8"]["frames_per_s"] == pytest.approx(800, rel=0.5)
    assert len(figures["1"]["windows"]) == bench.QUICK.bare_windows


_STAND_IN_LETTERBOX = """
class CudaLetterbox:
    def __init__(self, image_shape, *, max_batch):
        assert (image_shape, max_batch) == ((3, 640, 640), 16)

    def __call__(self, batches):
        assert [frames.shape for frames in batches] == [(1, 360, 640, 3)] * 16
        assert {frames.dtype.name for frames in batches} == {"uint8"}
"""
_STAND_IN_NMS = """
from .nms import Thresholds

class CudaNms:
    def __init__(self, thresholds, *, max_batch):
        assert isinstance(thresholds, Thresholds) and max_batch == 16
        self.confidence = thresholds.confidence

    def __call__(self, predictions, letterboxes):
        assert [rows.shape for rows in predictions] == [(1, 25200, 6)] * 16
        assert [(rows[..., 4] > self.confidence).sum() for rows in predictions] == [7] * 16
        assert [one.shape for one in letterboxes] == [(1, 6)] * 16
        assert {one.dtype.name for one in [*predictions, *letterboxes]} == {"float32"}
"""
_STAND_IN_TIMES = """
import types
import numpy
from numpy import asarray, float32

class Event:
    def record(self):
        pass

    def synchronize(self):
        pass

class RawKernel:
    def __init__(self, code, name):
        assert f"void {name}(long long cycles)" in code

    def __call__(self, grid, block, arguments):
        assert (grid, block, arguments[0].dtype) == ((1,), (1,), numpy.int64)

cuda = types.SimpleNamespace(Event=Event, get_elapsed_time=lambda before, after: 0.4)
"""


def test_the_stages_are_timed_on_batches_as_the_server_makes_them(tmp_path, monkeypatch):
    write_repository(tmp_path, ONNX)
    (tmp_path / PREPROCESS / "1" / "letterbox_cuda.py").write_text(_STAND_IN_LETTERBOX)
    (tmp_path / NMS / "1" / "nms_cuda.py").write_text(_STAND_IN_NMS)
    (tmp_path / "cupy.py").write_text(_STAND_IN_TIMES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    one = SimpleNamespace(
        environment=SERVER_ENVIRONMENT,
        repository=tmp_path,
        lengths=bench.QUICK,
        network=bench.Network(ONNX, candidates=(6, 8)),
    )
    # 0.4 ms for 16 frames.
    each = {"preprocess_us": 25.0, "nms_us": 25.0}
    assert engine.stages(one) == {**each, "batch": 16, "frame": [360, 640]}


def test_each_row_of_a_profile_is_measured_and_judged(tmp_path, monkeypatch):
    def measure(point, raw, *, window_s, intervals=None):
        assert (intervals is None) == (raw.name in ROWS)
        return perf_row(1000.0)

    @contextlib.contextmanager
    def serving(profile, figures):
        yield SimpleNamespace(), SimpleNamespace(folder=tmp_path, measure=measure)

    one = SimpleNamespace(serving=serving, raw=tmp_path, lengths=bench.QUICK)
    monkeypatch.setattr(engine, "bare", lambda *_: BARE)
    monkeypatch.setattr(engine, "stages", lambda *_: {"preprocess_us": 20.0, "nms_us": 25.5})
    monkeypatch.setattr(machine, "output_of", lambda *_: "1000\n24\n")
    monkeypatch.setattr(measuring, "busy_poll_cores", contextlib.nullcontext)
    monkeypatch.setattr(measuring, "_watched", lambda target: contextlib.nullcontext({}))
    figures = {}
    measuring.measure(one, "cudnn-gpu", ROWS, figures=figures)
    assert figures["rows"].keys() == set(ROWS)
    assert figures["rows"]["cameras"]["cameras"] == 34
    assert "failed" not in table.section(of({"cudnn-gpu": figures}))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--profile", "no profile 'nope': choose among onnx-gpu, "),
        ("--only", "no row 'nope': choose among one_stream, "),
    ],
)
def test_an_unknown_name_is_reported_with_the_known_ones(option, words, tmp_path):
    done = run(tmp_path, option, "nope")
    assert done.returncode == GpuError.exit_code
    assert words in done.stderr


def run(tmp_path, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "loadtest.gpu", "--output", tmp_path / "gpu.json", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(machine.HAS_GPU, reason="there is a GPU")
def test_a_missing_gpu_is_reported_in_one_line(tmp_path):
    done = run(tmp_path)
    assert done.returncode == GpuError.exit_code
    assert done.stderr.startswith("error: no NVIDIA GPU here")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "gpu.json").exists()


@pytest.mark.skipif(machine.HAS_GPU, reason="there is a GPU")
def test_servers_on_gpus_need_one():
    command = [sys.executable, "-m", "loadtest.servers", "--profile", "onnx-gpu"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert done.returncode == GpuError.exit_code
    assert "error: no NVIDIA GPU here" in done.stderr


@pytest.mark.parametrize(("visible", "gpus"), [(None, ["0", "1"]), ("3, GPU-5,7", ["3", "GPU-5"])])
def test_each_server_has_a_gpu_of_those_that_are_visible(visible, gpus, monkeypatch):
    seen = []

    @contextlib.contextmanager
    def serve(*_, **options):
        seen.append(os.environ["CUDA_VISIBLE_DEVICES"])
        yield SimpleNamespace(url="")

    monkeypatch.setattr(servers.embedded, "serve", serve)
    monkeypatch.setattr(servers, "gpu_numbers", lambda: [0, 1])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with servers._servers_on_gpus("onnx-gpu") as urls:
        assert len(urls) == 2
    assert seen == gpus


def test_make_finds_or_makes_the_network_with_a_function_that_exists():
    (code,) = re.findall(r'python -c "(.*)"', (REPOSITORY / "Makefile").read_text())
    subprocess.run(
        [sys.executable, "-c", code.replace("$@.new", str(ONNX))], cwd=REPOSITORY, check=True
    )


def test_a_server_that_does_not_start_leaves_partial_figures(tmp_path):
    folders = ["--raw", tmp_path / "raw", "--onnx", ONNX, "--server-environment", tmp_path]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\necho no engine >&2; exit 1\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    (tmp_path / "lib" / "python3").mkdir(parents=True)
    libraries = SERVER_ENVIRONMENT.glob("lib/python3*/site-packages")
    (tmp_path / "lib" / "python3" / "site-packages").symlink_to(next(libraries))
    done = run(tmp_path, "--profile", "cpu", "--quick", *folders)
    assert done.returncode == LoadTestError.exit_code
    assert "error: cpu: bare_loop" in done.stderr
    assert "no engine" in done.stderr
    assert json.loads((tmp_path / "gpu.json").read_text())["partial"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [("one_stream", ["measured"]), ("one_stream_awake", ["awake", "measured", "asleep"])],
)
def test_cores_are_kept_busy_only_for_their_row(row, expected, tmp_path, monkeypatch):
    events = []

    @contextlib.contextmanager
    def busy_poll_cores():
        events.append("awake")
        yield
        events.append("asleep")

    def measure(point, raw, *, window_s):
        events.append("measured")
        return perf_row(300.0)

    monkeypatch.setattr(measuring, "busy_poll_cores", busy_poll_cores)
    monkeypatch.setattr(measuring, "_watched", lambda target: contextlib.nullcontext({}))
    load = SimpleNamespace(measure=measure)
    measuring.measure_row(load, target=None, row=row, raw=tmp_path, window_s=1.0)
    assert events == expected


@pytest.mark.usefixtures("only_perf_analyzer")
def test_a_row_is_measured_on_the_cpu(tmp_path):
    folders = ["--raw", tmp_path / "raw", "--onnx", ONNX]
    done = run(tmp_path, "--profile", "cpu", "--quick", "--only", "one_stream", *folders)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "gpu.json").read_text())
    assert not written["partial"]
    figures = written["figures"]["profiles"]["cpu"]
    assert figures["bare"]["1"]["frames_per_s"] > 0
    measured = figures["rows"]["one_stream"]
    assert measured["latency_ms"]["p50"] > 0
    assert set(measured["watched"]["batch_sizes"][NETWORK]) == {"1"}
    assert any(name.startswith(NETWORK) for name in measured["watched"]["cpu_ms_per_frame"])
    assert heading("one_stream") in done.stdout
