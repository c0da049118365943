"""What Prometheus is told: exact, monotone, linted, and without a word about addresses."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
import urllib.request
from collections import Counter
from functools import partial
from unittest import mock

import numpy as np
import pytest
from clips import gray, write_clip
from conftest import REPOSITORY
from instant import MODEL, serve_instant
from loopback import LOOPBACK, reserved_port
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from real_prometheus import needs_prometheus, promtool
from running import DEADLINE_S
from yolostream.cli import detecting
from yolostream.client.access import OPEN
from yolostream.client.served import served_ensembles
from yolostream.pipeline.status import SinkCounts, Status
from yolostream.pipeline.timing import Durations, StageTimer
from yolostream.service.camera import Camera
from yolostream.service.control import Control
from yolostream.service.ensembles import Ensembles
from yolostream.service.metrics.cameras import CameraMetrics
from yolostream.service.metrics.histograms import EDGES_S, buckets
from yolostream.service.service import Service
from yolostream.service.settings import CameraSettings, Configuration
from yolostream.service.totals import Totals
from yolostream.service.web.access import Access
from yolostream.service.web.context import Context
from yolostream.service.web.server import serving
from yolostream.service.worker import Worker

SECRET = "hunter2"
LOOK_S = 0.2


def test_buckets_are_exact_and_their_sum_too():
    values = np.random.default_rng(1).lognormal(-3, 2, 5000)
    durations = Durations()
    for value in values:
        durations.add(float(value))
    for limit, count in buckets(durations):
        # A rounded edge may differ in its seventh digit, and no value lies there.
        assert count == (values <= float(limit)).sum()
    assert durations.total_s == pytest.approx(values.sum())
    assert list(EDGES_S) == sorted(set(EDGES_S))
    for edge, wanted in ((EDGES_S[0], 0.001), (EDGES_S[-1], 10.0)):
        assert edge == pytest.approx(wanted, rel=0.015)


def run_of(began_at: float, frames: int, **counts) -> Status:
    status = Status("cam", began_at=began_at, frames_done=frames, **counts)
    status.result_ages.add(0.1)
    status.timer["track"].add(0.25)
    return status


def test_totals_never_become_less():
    totals = Totals("cam")
    totals.note(run_of(1.0, 5, dropped=Counter(stale=2), sinks={"csv": SinkCounts(written=4)}))
    totals.note(run_of(1.0, 7, dropped=Counter(stale=3), sinks={"csv": SinkCounts(5, 1, 2)}))
    # Begun anew, while the old one still tells of its last frames.
    totals.note(run_of(2.0, 1, lost=Counter(InferenceError=1), sinks={"mp4": SinkCounts(1)}))
    totals.note(run_of(1.0, 8))
    totals.note(run_of(2.0, 4, lost=Counter(InferenceError=1), sinks={"csv": SinkCounts(1)}))
    figures = totals.figures()
    assert (figures.frames_done, figures.dropped, figures.lost) == (12, {}, {"InferenceError": 1})
    assert figures.result_ages.counts.sum() == 2
    assert figures.timer["track"].total_s == 0.5
    for began_at in range(3, 50):
        totals.note(run_of(float(began_at), 1))
    assert totals.figures().frames_done == 12 + 47
    assert len(totals._runs) < 10


class OneCamera:
    """A service of which nothing runs."""

    def __init__(self, name: str, camera: Camera) -> None:
        self._cameras = {name: camera}
        self.stages_of_removed = StageTimer()

    @contextlib.contextmanager
    def cameras(self):
        yield self._cameras


def test_whatever_a_label_holds_is_read_back():
    name = 'a "quoted"\\ name\nof two lines'
    task = CameraSettings(source="rtsp://somewhere/street").task("street", None)
    camera = Camera(name, task)
    camera.is_enabled = True
    camera.run_on(mock.Mock(spec=Worker))
    camera.note(Status(name, state="live"))
    registry = CollectorRegistry()
    registry.register(CameraMetrics(OneCamera(name, camera)))
    read = families(generate_latest(registry).decode())
    assert read["yolostream_camera_up"] == {(("camera", name),): 1.0}


def families(text: str) -> dict[str, dict[tuple, float]]:
    """Values by labels, of each series' name."""
    read: dict[str, dict[tuple, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            read.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return read


def check_monotone(before, now):
    for name, values in before.items():
        if name.endswith(("_total", "_bucket", "_count", "_sum")):
            for labels, value in values.items():
                assert now[name][labels] >= value, f"{name}{labels}"


class Scraped:
    """The metrics of a running service."""

    def __init__(self, address: str, service: Service) -> None:
        self.service = service
        self._url = f"{address}/metrics"

    def text(self, accept: str = "") -> str:
        request = urllib.request.Request(self._url, headers={"Accept": accept} if accept else {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def value(self, name: str, **labels: str) -> float:
        """0 where there is no such series."""
        read = families(self.text()).get(f"yolostream_{name}", {})
        return read.get(tuple(sorted(labels.items())), 0.0)

    def wait_for(self, least: float, name: str, **labels: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while self.value(name, **labels) < least:
            assert time.monotonic() < deadline, f"waited too long for {least} {name} of {labels}"
            time.sleep(LOOK_S)


@pytest.fixture(scope="module")
def scraped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("metrics")
    quick = write_clip(folder / "quick.mp4", [gray(100)] * 30)
    (folder / "out").mkdir()
    with serve_instant() as server, reserved_port() as port:
        connect = partial(
            detecting.connect,
            server.url,
            timeout_s=30.0,
            downscale=True,
            transport="auto",
            decoder="auto",
            max_in_flight=4,
        )
        service = Service(connect, most_workers=1)
        listing = partial(served_ensembles, server.url, OPEN)
        ensembles = Ensembles(connect, listing)
        control = Control(service, Configuration.model_validate({"cameras": {}}))
        context = Context(service, control, ensembles, Access(port=0), triton=server)
        sources = {
            "street": str(quick),
            "away": f"rtsp://admin:{SECRET}@{LOOPBACK}:{port}/live",
        }
        try:
            for name, source in sources.items():
                settings = CameraSettings(source=source, model=MODEL)
                service.put(name, settings.task(name, folder / "out"))
            resting = CameraSettings(source=str(quick)).task("resting", None)
            service.put("resting", resting, enabled=False)
            with serving(context) as address:
                yield Scraped(address, service)
        finally:
            service.close()
            ensembles.close()


def test_a_camera_that_lives_is_told_in_figures(scraped):
    scraped.wait_for(30, "frames_completed_total", camera="street")
    scraped.wait_for(20, "sink_written_total", camera="street", sink="jsonl")
    read = families(scraped.text())
    street = (("camera", "street"),)
    assert read["yolostream_camera_up"][street] == 1
    assert read["yolostream_camera_state"][(*street, ("state", "live"))] == 1
    states = read["yolostream_camera_state"].items()
    assert sum(value for labels, value in states if street[0] in labels) == 1
    decoded, submitted, completed = (
        read[f"yolostream_frames_{what}_total"][street]
        for what in ("decoded", "submitted", "completed")
    )
    assert decoded >= submitted >= completed
    counts = read["yolostream_frame_age_seconds_count"]
    assert counts[street] == completed
    assert 0 < read["yolostream_frame_age_seconds_sum"][street] / counts[street] < 10
    assert read["yolostream_stage_seconds_count"][(("stage", "request"),)] >= completed
    written = read["yolostream_sink_written_total"][(*street, ("sink", "jsonl"))]
    assert 20 <= written <= completed
    assert 0 <= time.time() - read["yolostream_last_frame_timestamp_seconds"][street] < 60
    assert read["yolostream_server_up"][()] == read["yolostream_workers"][()] == 1
    assert read["yolostream_cameras"][()] == 3
    assert read["process_open_fds"][()] > 3
    for what in ("cpu_seconds_total", "resident_memory_bytes", "open_fds"):
        assert read[f"yolostream_worker_{what}"][(("worker", "1"),)] > 0


def test_a_camera_that_is_away_and_one_that_is_paused_say_so(scraped):
    scraped.wait_for(1, "reconnects_total", camera="away")
    assert scraped.value("camera_up", camera="away") == 0
    assert scraped.value("camera_state", camera="resting", state="disabled") == 1
    assert "yolostream_last_frame_timestamp_seconds" in families(scraped.text())
    assert scraped.value("last_frame_timestamp_seconds", camera="away") == 0


def test_every_frame_of_a_camera_that_is_too_fast_is_accounted_for(scraped, tmp_path):
    # The model takes 0.3 s for each of its frames.
    clip = write_clip(tmp_path / "slow.mp4", [gray(220)] * 30)
    scraped.service.put("slow", CameraSettings(source=str(clip), model=MODEL).task("slow", None))
    scraped.wait_for(10, "frames_dropped_total", camera="slow", reason="superseded")
    read = families(scraped.text())
    slow = (("camera", "slow"),)
    submitted = read["yolostream_frames_submitted_total"][slow]
    left_out = {
        dict(labels)["reason"]: value
        for labels, value in read["yolostream_frames_dropped_total"].items()
        if ("camera", "slow") in labels
    }
    assert left_out.keys() == {"superseded", "stale", "server_unavailable"}
    waiting = read["yolostream_frames_decoded_total"][slow] - submitted - sum(left_out.values())
    assert 0 <= waiting <= 4
    assert 0 <= submitted - read["yolostream_frames_completed_total"][slow] <= 4
    scraped.service.remove("slow")


def check_counters_go_on(scraped, latest):
    """From what was read last on, until twenty more frames are done."""
    street = (("camera", "street"),)
    goal = latest["yolostream_frames_completed_total"][street] + 20
    while latest["yolostream_frames_completed_total"][street] < goal:
        now = families(scraped.text())
        check_monotone(latest, now)
        latest = now
        time.sleep(LOOK_S)


def test_counters_go_on_where_a_worker_is_killed(scraped):
    scraped.wait_for(30, "frames_completed_total", camera="street")
    latest = families(scraped.text())
    (worker,) = scraped.service.workers()
    os.kill(worker.pid, signal.SIGKILL)
    scraped.wait_for(1, "worker_restarts_total")
    check_counters_go_on(scraped, latest)


def test_counters_go_on_where_a_camera_is_changed(scraped, tmp_path):
    scraped.wait_for(10, "frames_completed_total", camera="street")
    latest = families(scraped.text())
    clip = write_clip(tmp_path / "other.mp4", [gray(90)] * 30)
    settings = CameraSettings(source=str(clip), model=MODEL)
    scraped.service.put("street", settings.task("street", None))
    check_counters_go_on(scraped, latest)


def test_series_of_a_camera_that_is_removed_go_and_sums_stay(scraped, tmp_path):
    clip = write_clip(tmp_path / "shortly.mp4", [gray(90)] * 30)
    settings = CameraSettings(source=str(clip), model=MODEL)
    scraped.service.put("shortly", settings.task("shortly", None))
    scraped.wait_for(5, "frames_completed_total", camera="shortly")
    before = families(scraped.text())
    scraped.service.remove("shortly")
    text = scraped.text()
    assert "shortly" not in text
    stages = {"yolostream_stage_seconds_count": before["yolostream_stage_seconds_count"]}
    check_monotone(stages, families(text))


def test_no_address_is_told(scraped):
    text = scraped.text()
    assert 'camera="away"' in text
    for word in (SECRET, "rtsp:", "admin", LOOPBACK, ".mp4"):
        assert word not in text


def test_openmetrics_is_spoken_to_who_asks_for_it(scraped):
    assert scraped.text("application/openmetrics-text; version=1.0.0").endswith("# EOF\n")


def test_the_documentation_has_each_name(scraped):
    whole = (REPOSITORY / "docs" / "monitoring.md").read_text()
    page = whole.partition("## Metrics")[2].partition("\n## ")[0]
    told = set(re.findall(r"^# TYPE yolostream_(\w+)", scraped.text(), re.MULTILINE))
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    names = set(re.findall(r"`(\w+)`", "".join(rows))) - set(re.findall(r"Yolostream\w+", page))
    assert names == told


@needs_prometheus
def test_promtool_finds_no_fault_with_the_names(scraped):
    assert promtool("check", "metrics", given=scraped.text()).strip() == ""
