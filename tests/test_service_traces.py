"""Traces of `yolostream run`, as a collector gets them: ours, and those of a real Triton."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from clips import opened, steps, write_clip
from conftest import REPOSITORY
from instant import MODEL
from instant import REPOSITORY as INSTANT
from otlp import Otlp, Received, collector
from rtsp_camera import needs_rtsp, rtsp_camera
from running import poll
from watching import RATE, Service, Site
from yolostream import Detector
from yolostream.errors import ConfigurationError, PackageMissing
from yolostream.frame_trace import Trace
from yolostream.frame_traces import FrameTraces, Sampling
from yolostream.pipeline import runner
from yolostream.pipeline.dispatcher import Batching
from yolostream.pipeline.plan import Plan
from yolostream.server import embedded
from yolostream.server.traces import exporting_traces
from yolostream.service import configuration_file
from yolostream.spans import SpanId

EVERY = 5
SECRET = "canary"
STOP_S = 5.0
CLOCKS_S = 1.0
"""Triton notes its end after it has answered, perhaps much later on a machine that is busy."""

OWN_SERVER = {"model_repository": str(INSTANT), "environment": str(REPOSITORY / ".venv-server")}


@contextlib.contextmanager
def watched(
    site: Site,
    endpoint: str,
    cameras: dict[str, str],
    *,
    server: dict[str, str] = OWN_SERVER,
    every: int = EVERY,
) -> Iterator[Service]:
    site.write(
        {name: {"source": source} for name, source in cameras.items()},
        server=server,
        traces={"endpoint": endpoint, "every": every},
    )
    with site.running() as service:
        service.wait_for("the page is at http")
        yield service


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose path nobody may be told."""
    folder = tmp_path_factory.mktemp(SECRET)
    return write_clip(folder / f"{SECRET}.mp4", steps(2 * RATE), rate=Fraction(RATE))


@dataclass(frozen=True)
class Triton:
    """One that runs for itself, and whom it tells of requests."""

    server: dict[str, str]
    otlp: Otlp


@pytest.fixture(scope="module")
def triton() -> Iterator[Triton]:
    with (
        collector() as otlp,
        embedded.serve(
            INSTANT,
            environment=REPOSITORY / ".venv-server",
            models=[MODEL],
            profile="cpu",
            options=exporting_traces(f"{otlp.url}/v1/traces"),
        ) as server,
    ):
        yield Triton({"url": server.url}, otlp)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"), "")


@pytest.fixture(scope="module")
def told(site: Site, street: Path) -> Otlp:
    """What a collector was told by the end of a run with two cameras."""
    with collector() as otlp:
        with watched(site, otlp.url, {"one": str(street), "two": str(street)}) as service:
            poll(lambda: len(otlp.named("InferRequest")) >= 8, what=f"traces: {service.said}")
            code, _ = service.stop()
            assert code == 0, service.said
        return otlp


def start(one: Received) -> int:
    return one.span.start_time_unix_nano


def end(one: Received) -> int:
    return one.span.end_time_unix_nano


def followed(otlp: Otlp, camera: str) -> list[Received]:
    """The frames of a camera that Triton has told of, too."""
    ids = {one.span.trace_id for one in otlp.named("InferRequest")}
    return [
        one
        for one in otlp.named("frame")
        if one.span.trace_id in ids and one.attributes["yolostream.camera"] == camera
    ]


def complete(otlp: Otlp) -> list[list[Received]]:
    """The traces with something of Triton in them, each by time."""
    ids = {one.span.trace_id for one in otlp.named("InferRequest")}
    return [sorted(otlp.of_trace(trace_id), key=start) for trace_id in ids]


def test_one_trace_has_all_that_a_frame_goes_through(told: Otlp) -> None:
    traces = complete(told)
    assert len(traces) >= 8
    for trace in traces:
        by_name = {one.name: one for one in trace}
        assert len(by_name) == len(trace)
        assert by_name.keys() == {
            *("frame", "capture", "wait", "request", "track", "write live_view", "write jsonl"),
            *("InferRequest", MODEL, f"{MODEL}_answer", "compute"),
        }
        parents = {
            "InferRequest": "request",
            MODEL: "InferRequest",
            f"{MODEL}_answer": MODEL,
            "compute": f"{MODEL}_answer",
        }
        for name, one in by_name.items():
            if name == "frame":
                assert one.span.parent_span_id == b""
            else:
                parent = by_name[parents.get(name, "frame")]
                assert one.span.parent_span_id == parent.span.span_id, name
            assert one.service == ("triton" if name in parents else "yolostream")
        assert by_name["frame"].attributes["yolostream.camera"] in ("one", "two")


def test_times_are_nested_and_in_order(told: Otlp) -> None:
    for trace in complete(told):
        by_id = {one.span.span_id: one for one in trace}
        for one in trace:
            assert start(one) <= end(one)
            if one.name == "frame":
                continue
            parent = by_id[one.span.parent_span_id]
            late_s = CLOCKS_S if one.service == "triton" else 0.0
            assert start(parent) <= start(one), one.name
            assert end(one) <= end(parent) + late_s * 1e9, one.name
        way = [one for one in trace if one.name in ("capture", "wait", "request", "track")]
        assert [one.name for one in way] == ["capture", "wait", "request", "track"]
        for before, after in pairwise(way):
            assert end(before) <= start(after), after.name


def test_each_camera_is_sampled_by_itself(told: Otlp, site: Site) -> None:
    for name in ("one", "two"):
        frames = [
            one.attributes
            for one in told.named("frame")
            if one.attributes["yolostream.camera"] == name
        ]
        sampled = sorted(
            one["yolostream.frame.index"] for one in frames if one["yolostream.traced"] == "sampled"
        )
        assert sampled == list(range(0, EVERY * len(sampled), EVERY))
        # Frames that were on their way in the end were not written.
        assert 0 <= len(site.frames(name)) - EVERY * (len(sampled) - 1) <= 2 * EVERY


def test_triton_follows_no_request_that_nobody_follows(told: Otlp) -> None:
    ours = {one.span.span_id for one in told.named("request")}
    theirs = [one.span.parent_span_id for one in told.named("InferRequest")]
    assert len(theirs) == len(set(theirs))
    assert set(theirs) <= ours


def test_no_address_is_told(told: Otlp) -> None:
    assert told.spans
    assert not any(SECRET.encode() in words for words in told.words)


@needs_rtsp
def test_no_login_is_told(triton: Triton, tmp_path: Path, street: Path) -> None:
    site, otlp = Site(tmp_path, ""), triton.otlp
    with rtsp_camera(street, user="guard", password=SECRET) as camera:
        with watched(site, otlp.url, {"gate": camera.url}, server=triton.server) as service:
            poll(lambda: len(followed(otlp, "gate")) >= 2, what=f"traces: {service.said}")
            service.stop()
        for words in (SECRET, "guard", "rtsp", f":{camera.port}"):
            assert not any(words.encode() in told for told in otlp.words), words


def check_costs_nothing(service: Service) -> None:
    service.wait_for("traces do not reach")
    service.wait_for_frames("one", 3 * RATE)
    camera = service.cameras()["one"]
    assert camera["state"] == "live"
    assert not any(camera["dropped"].values()), camera
    about = [line for line in service.said if "trace" in line or "telemetry" in line]
    assert len(about) == 1, service.said


def test_a_collector_that_does_not_answer_costs_no_frame(tmp_path: Path, street: Path) -> None:
    with (
        collector(answers=False) as otlp,
        watched(Site(tmp_path, ""), otlp.url, {"one": str(street)}, every=1) as service,
    ):
        check_costs_nothing(service)
        code, took_s = service.stop()
        assert code == 0
        assert took_s < STOP_S


def test_a_collector_that_is_away_costs_no_frame_and_is_told_again(
    triton: Triton, tmp_path: Path, street: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    site, endpoint = Site(tmp_path, ""), f"http://127.0.0.1:{port}"
    with watched(site, endpoint, {"one": str(street)}, server=triton.server, every=1) as service:
        check_costs_nothing(service)
        with collector(port) as otlp:
            service.wait_for("traces reach")
            assert otlp.named("frame")
        code, took_s = service.stop()
        assert code == 0
        assert took_s < STOP_S


class Nothing:
    """An output that wants nothing."""

    kind = "nothing"
    draws = False
    lost = 0

    def write(self, *frame: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_request_with_frames_of_several_cameras_is_one_of_triton(
    triton: Triton, street: Path
) -> None:
    kept: list[Trace] = []
    plans = []
    for name, every in (("a", 1), ("b", 1), ("c", 1000)):
        (source,) = opened(street)
        traces = FrameTraces(name, Sampling(every), kept.append)
        plans.append(Plan(source, lambda session: [Nothing], track=False, traces=traces))
    with Detector(triton.server["url"], MODEL) as detector:
        runner.run(plans, detector, batching=Batching(3, wait_s=1.0))
    links = {
        part.id: part.links for trace in kept for part in trace.parts if part.name == "request"
    }
    assert max(map(len, links.values())) == 2
    for id_, others in links.items():
        assert all(id_ in links[other] for other in others)

    def told_of(id_: SpanId) -> int:
        """How often Triton was told of a request, or of one that it is linked with."""
        ours = {one.span.to_bytes(8) for one in (id_, *links[id_])}
        return sum(one.span.parent_span_id in ours for one in triton.otlp.named("InferRequest"))

    # Triton overlooks some: docs/monitoring.md says more.
    poll(lambda: sum(map(told_of, links)) >= len(links) / 4, what="Triton's part of the requests")
    assert set(map(told_of, links)) <= {0, 1}


def test_without_traces_nothing_of_it_is_imported() -> None:
    code = (
        "import sys, yolostream.cli.running, yolostream.service.worker_process\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry.sdk')]\n"
        "assert 'opentelemetry.exporter' not in sys.modules\n"
        "import yolostream.service.collector\n"
        "assert 'opentelemetry.sdk' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_the_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from yolostream.cli.running import _tracing
    from yolostream.service.settings import TraceSettings

    monkeypatch.delitem(sys.modules, "yolostream.service.collector", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    with (
        pytest.raises(PackageMissing, match=r"pip install 'yolostream\[traces\]'"),
        _tracing(TraceSettings(endpoint="http://127.0.0.1:4318")),
    ):
        pass


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://me:canary@127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("http://127.0.0.1:4318/v1/traces?key=canary", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("127.0.0.1:4318", "traces.endpoint"),
    ],
)
def test_an_endpoint_is_an_address_without_a_login(endpoint: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        configuration_file.parse(f"traces:\n  endpoint: {endpoint}\n", "cameras.yaml")
    assert words in str(error.value)
    assert "canary" not in str(error.value)


def test_an_endpoint_has_a_path() -> None:
    for endpoint, url in (
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"),
        ("https://collector.example/otlp/v1/traces", "https://collector.example/otlp/v1/traces"),
    ):
        configuration = configuration_file.parse(f"traces: {{endpoint: '{endpoint}'}}", "x.yaml")
        assert configuration.traces is not None
        assert configuration.traces.url == url
