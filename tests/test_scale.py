"""The figures in `docs/scale.md` come from the result files and are calculated correctly."""

from __future__ import annotations

import json
import math

import pytest
from conftest import REPOSITORY
from yolostream.image import downscaled

PAGE = (REPOSITORY / "docs" / "scale.md").read_text()
FPS = 30
HOST_CORES = 16
VIDEO_BITS = 4e6


def figures(name):
    return json.loads((REPOSITORY / "loadtest" / "results" / f"{name}.json").read_text())


END_TO_END = figures("endtoend")
RUNS = END_TO_END["figures"]["runs"]
A_GPU = END_TO_END["figures"]["cameras"]["most"]
RUN = f"cameras-{A_GPU}-gpu"
HELD = RUNS.get(f"{RUN}-again", RUNS[RUN])
# A number of cameras that failed once was tried again.
PLANNED = max(
    number
    for number in range(A_GPU + 1)
    if f"cameras-{number}-gpu" in RUNS and f"cameras-{number}-gpu-again" not in RUNS
)
SPARE = 20
SERVER_MS = sum(HELD["server_cpu_ms"].values())
HEIGHT, WIDTH = downscaled(1080, 1920, fit=(640, 640))
FRAME_BYTES = HEIGHT * WIDTH * 3


def row(*cells):
    line = "| " + " | ".join(cells) + " |"
    assert line in PAGE, f"docs/scale.md lacks: {line}"


def test_the_results_are_of_the_named_machine_and_material():
    machine = END_TO_END["machine"]
    assert machine["cores"] == HOST_CORES
    assert machine["gpus"] == ["NVIDIA H100 80GB HBM3"]
    assert "1920x1080 at 30 fps" in END_TO_END["figures"]["material"]
    assert f"{VIDEO_BITS / 1e6:.0f} Mbit/s" in END_TO_END["figures"]["material"]
    assert HELD["decoder"] == "gpu"


def test_the_resources_of_a_camera():
    row(
        "cameras that one GPU holds",
        f"{A_GPU}",
        "[endtoend.json](../loadtest/results/endtoend.json)",
    )
    age = RUNS[f"cameras-{PLANNED}-gpu"]["age_ms"]["worst_p99"]
    row("cameras to plan with", f"{PLANNED}", f"the same; p99 age {age:.0f} ms")
    rate = HELD["frames_per_s"]
    row(f"frames/s of {A_GPU} cameras", f"{rate:,.0f}", "the same")
    own = END_TO_END["figures"]["own_rate"]["frames_per_s"]
    row("frames/s of the server alone", f"{own:,.0f}", "the same")
    row(
        "processor time a frame, client, video decoded on the GPU",
        f"{HELD['client_cpu_ms']:.1f} ms",
        "the same",
    )
    decoded = RUNS["all_out-48-cpu"]["client_cpu_ms"]
    row("the same, video decoded on the processor", f"{decoded:.1f} ms", "the same; 48 files")
    row("processor time a frame, server with its steps", f"{SERVER_MS:.1f} ms", "the same")
    each = HELD["memory_mb"] / A_GPU
    row("memory of the client, each camera", f"{each:.0f} MB", "the same")
    memory = figures("gpu")["figures"]["profiles"]["torch-gpu"]["rows"]["memory"]["after_work_gb"]
    row(
        "GPU memory of the server",
        f"{memory:.1f} GB",
        "[gpu.json](../loadtest/results/gpu.json), H200",
    )


def test_the_speedup_of_two_gpus():
    two = figures("gpu_two")["figures"]
    one, both = (two[name]["streams"]["frames_per_s"] for name in ("one", "two"))
    row(
        "two GPUs of one host over one, `onnx-gpu`",
        f"{both / one:.2f}",
        "[gpu_two.json](../loadtest/results/gpu_two.json), H200",
    )


def test_the_number_of_cameras_on_two_cores():
    found = figures("capacity")["figures"]
    row(
        f"cameras at {found['frames_per_second']} frames/s on two cores without a GPU, "
        "small network of the demo",
        f"{found['cameras']}",
        "[capacity.json](../loadtest/results/capacity.json)",
    )


def test_the_network_traffic_of_a_camera():
    row("the camera's video, as it was measured with", "4 Mbit/s", "a setting of the camera")
    row("a frame in `/dev/shm` or over gRPC", f"{FRAME_BYTES:,} bytes", f"{WIDTH} x {HEIGHT} x 3")
    for fps in (30, 10, 5):
        bits = FRAME_BYTES * 8 * fps / 1e6
        row(f"frames over gRPC, {fps} a second", f"{bits:.0f} Mbit/s", "calculated")


@pytest.mark.parametrize("cameras", [10, 100, 1_000, 10_000])
def test_the_hardware_for_a_number_of_cameras(cameras):
    gpus = math.ceil(cameras / PLANNED)
    cores = cameras * FPS * (HELD["client_cpu_ms"] + SERVER_MS) / 1000
    memory = cameras * HELD["memory_mb"] / A_GPU / 1000
    video = cameras * VIDEO_BITS / 1e9
    frames = cameras * FRAME_BYTES * 8 * FPS / 1e9
    row(
        f"{cameras:,}",
        f"{gpus:,}",
        f"{gpus + math.ceil(gpus / SPARE):,}",
        f"{cores:,.0f}",
        f"{memory:,.0f} GB",
        f"{video:,.2g} Gbit/s" if video < 1 else f"{video:,.0f} Gbit/s",
        f"{frames:,.1f} Gbit/s" if frames < 100 else f"{frames:,.0f} Gbit/s",
    )


def test_the_spare_capacity_of_a_host():
    busy = A_GPU * FPS * (HELD["client_cpu_ms"] + SERVER_MS) / 1000
    assert f"{busy:.1f} of its {HOST_CORES} cores" in PAGE
    own = END_TO_END["figures"]["own_rate"]["frames_per_s"]
    assert f"reaches {own / HELD['frames_per_s']:.1f} times the rate" in PAGE


def test_the_number_of_cameras_per_network_link():
    for gigabits in (10, 25, 100):
        most = int(gigabits * 1e9 / (FRAME_BYTES * 8 * FPS))
        assert f"{most} cameras at {FPS} frames/s on {gigabits} Gbit/s" in PAGE


def test_the_ages_above_the_planned_number_of_cameras():
    beyond = [RUNS[f"cameras-45-gpu{end}"]["age_ms"]["worst_p99"] for end in ("", "-again")]
    assert f"{beyond[0]:.0f} and {beyond[1]:.0f} ms" in PAGE
