"""Locust's commands with a real Triton; each user is a camera."""

from __future__ import annotations

import csv
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from conftest import REPOSITORY
from instant import MODEL
from yolostream import errors

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def locust(*arguments, files=("locustfile",)):
    paths = ",".join(f"loadtest/{name}.py" for name in files)
    return subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", paths, *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def at(server):
    return ("--host", server.url, "--model", MODEL)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_every_frame_is_a_request_with_a_response_time(instant, tmp_path):
    done = locust(
        *("--headless", "--users", 2, "--spawn-rate", 2, "--run-time", "8s"),
        *at(instant),
        *("--frames-per-second", 5, "--bound-ms", 5000, "--json-file", tmp_path / "stats"),
    )
    output, _ = done.communicate(timeout=120)
    (frames,) = json.loads((tmp_path / "stats.json").read_text())
    assert (frames["method"], frames["name"]) == ("camera", "frame")
    assert 0 < frames["num_requests"] <= 2 * 5 * 13
    assert frames["num_requests"] - frames["num_failures"] > 0, output
    assert 0 < frames["min_response_time"] <= frames["max_response_time"] < 5000


def test_frames_after_the_time_limit_are_failures_named_late(instant, tmp_path):
    done = locust(
        *("--headless", "--users", 1, "--run-time", "8s"),
        *at(instant),
        *("--bound-ms", 0.01, "--csv", tmp_path / "late"),
    )
    output, _ = done.communicate(timeout=120)
    assert done.returncode == 1, output
    with (tmp_path / "late_failures.csv").open() as file:
        failures = {row["Error"]: int(row["Occurrences"]) for row in csv.DictReader(file)}
    assert failures["late"] > 0
    assert set(failures) <= {"late", "dropped"}
    with (tmp_path / "late_stats.csv").open() as file:
        (frames,) = (row for row in csv.DictReader(file) if row["Name"] == "frame")
    assert frames["Failure Count"] == frames["Request Count"]
    assert float(frames["Median Response Time"]) > 0


def test_a_master_counts_the_frames_of_its_worker(instant, tmp_path):
    port = free_port()
    master = locust(
        *("--master", "--master-bind-port", port, "--expect-workers", 1, "--headless"),
        *("--users", 2, "--spawn-rate", 2, "--run-time", "12s", "--json-file", tmp_path / "stats"),
        *at(instant),
        *("--frames-per-second", 5, "--bound-ms", 5000),
    )
    worker = locust("--worker", "--master-port", port)
    output, _ = master.communicate(timeout=120)
    worker.communicate(timeout=60)
    (frames,) = json.loads((tmp_path / "stats.json").read_text())
    assert frames["num_requests"] > frames["num_failures"], output
    assert worker.returncode == 0


def test_the_web_page_has_the_options_and_the_frames(instant):
    port = free_port()
    page = locust(
        *("--web-host", "127.0.0.1", "--web-port", port, "--autostart", "--autoquit", 0),
        *("--users", 1, "--run-time", "100s"),
        *at(instant),
    )
    deadline = time.monotonic() + 120
    frames = 0
    try:
        while not frames and time.monotonic() < deadline:
            time.sleep(0.3)
            try:
                stats = json.load(DIRECT.open(f"http://127.0.0.1:{port}/stats/requests"))
            except urllib.error.URLError:
                continue
            frames = sum(row["num_requests"] for row in stats["stats"] if row["name"] == "frame")
        start = DIRECT.open(f"http://127.0.0.1:{port}/").read().decode()
    finally:
        page.terminate()
        page.communicate(timeout=60)
    assert frames > 0
    assert "frames_per_second" in start
    assert "bound_ms" in start


def test_the_steps_find_the_number_of_cameras_that_hold(triton):
    done = locust(
        *("--headless", "--step-seconds", 3, "--host", triton.url, "--frames-per-second", 25),
        files=("locustfile", "locust_steps"),
    )
    output, _ = done.communicate(timeout=240)
    judged = re.findall(r"(\d+) cameras (hold|do not hold)", output)
    (found,) = re.findall(r"capacity: (\d+) cameras", output)
    broken = [int(cameras) for cameras, verdict in judged if verdict != "hold"]
    assert broken, output
    assert int(found) + 1 in broken
    assert found == "0" or judged[-1] == (found, "hold")


def test_without_a_server_locust_ends_with_the_exit_code_of_the_error():
    done = locust("--headless", "--users", 2, "--run-time", "20s", "--host", "127.0.0.1:1")
    output, _ = done.communicate(timeout=120)
    assert done.returncode == errors.ServerUnavailable.exit_code, output
    assert "error: no Triton answers at 127.0.0.1:1" in output
    assert "Traceback" not in output
