"""Frames spread over several real servers, which are killed, drained, added and restarted."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import numpy as np
import pytest
import yolostream
from clips import gray, write_clip
from instant import MODEL, relabeled, serve_instant, with_others
from running import has_lines, poll
from yolostream import Detector
from yolostream.access_token import new_token
from yolostream.client import servers
from yolostream.client.access import Access
from yolostream.client.addresses import resolve, split
from yolostream.client.connection import connect
from yolostream.client.servers import Servers, least_busy
from yolostream.server.access import Access as ServerAccess
from yolostream.server.embedded import EmbeddedTriton, Ports

FRAME = np.full((36, 64, 3), 114, np.uint8)
LATE = gray(222)
"""A frame whose answer takes a third of a second."""


class Fleet:
    """Servers whose only class has the name of the server."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self._running: dict[str, contextlib.ExitStack] = {}
        self.servers: dict[str, EmbeddedTriton] = {}

    def start(self, name: str, **options) -> str:
        models = self.folder / name
        if not models.exists():
            relabeled(self.folder, name)
        self._running[name] = running = contextlib.ExitStack()
        self.servers[name] = running.enter_context(serve_instant(repository=models, **options))
        return self.servers[name].url

    def kill(self, name: str) -> None:
        self.servers[name].process.kill()
        self.stop(name)

    def stop(self, name: str) -> None:
        self._running.pop(name).close()

    def restart(self, name: str) -> None:
        self.start(name, ports=Ports(grpc=self.servers[name].ports.grpc))

    def close(self) -> None:
        for running in self._running.values():
            running.close()


@pytest.fixture
def fleet(tmp_path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    try:
        yield fleet
    finally:
        fleet.close()


def answering(detector: Detector, frames: int = 40, frame=FRAME) -> Counter[str]:
    """Send `frames` frames concurrently; return how many each server answered."""
    pending = [detector.submit(frame) for _ in range(frames)]
    return Counter(one.result(60).labels[0] for one in pending)


def poll_answers(detector: Detector, wanted: Callable[[set[str]], bool], *, what: str) -> None:
    poll(lambda: wanted(set(answering(detector))), what=what)


@pytest.mark.parametrize("transport", ["grpc", "auto"])
def test_two_servers_share_the_frames(fleet, transport) -> None:
    urls = [fleet.start("one"), fleet.start("two")]
    with Detector(urls, MODEL, max_in_flight=8, transport=transport) as detector:
        assert detector.url == ",".join(urls)
        assert set(answering(detector, 20, LATE)) == {"one", "two"}
        assert sum(totals.requests for totals in detector.statistics().values()) >= 20
        assert detector.transport == ("grpc" if transport == "grpc" else "shared-memory")


@pytest.mark.parametrize("transport", ["grpc", "shared-memory"])
def test_a_killed_server_of_three_costs_no_frame_and_is_used_again(fleet, transport) -> None:
    names = ("one", "two", "three")
    url = ",".join(fleet.start(name) for name in names)
    with (
        Detector(url, MODEL, max_in_flight=9, transport=transport, timeout_s=20) as detector,
        ThreadPoolExecutor(6) as threads,
    ):
        poll_answers(detector, lambda found: found == set(names), what="all three")
        # The server has read some of these frames when it dies; others are sent to it afterwards.
        pending = [detector.submit(LATE) for _ in range(9)]
        asking = [threads.submit(detector.detect, LATE) for _ in range(6)]
        fleet.kill("two")
        pending += [detector.submit(FRAME) for _ in range(60)]
        assert all(one.exception(60) is None for one in (*pending, *asking))
        assert set(answering(detector)) <= {"one", "three"}
        fleet.restart("two")
        poll_answers(detector, lambda found: "two" in found, what="the second to come back")


def test_a_repeated_request_has_the_pixels_of_the_first_one(fleet) -> None:
    """Bright frames are overload errors here, so a change after `submit` would be an error."""
    url = ",".join(fleet.start(name) for name in ("one", "two"))
    for transport in ("grpc", "shared-memory"):
        with Detector(url, MODEL, max_in_flight=8, transport=transport, timeout_s=20) as detector:
            frames = [np.array(LATE) for _ in range(8)]
            pending = [detector.submit(frame) for frame in frames]
            for frame in frames:
                frame[:] = 255
            fleet.kill("two")
            assert [one.exception(60) for one in pending] == [None] * 8
        fleet.restart("two")


def test_a_server_that_is_not_ready_gets_no_frames(fleet) -> None:
    # Unloading a model requires the token.
    token = new_token()
    urls = {name: fleet.start(name, access=ServerAccess(token)) for name in ("one", "two")}
    with (
        Detector(list(urls.values()), MODEL, timeout_s=20, token=token) as detector,
        connect(urls["two"], Access(token)) as client,
    ):
        poll_answers(detector, lambda found: len(found) == 2, what="both servers")
        client.unload_model(MODEL)
        poll_answers(detector, lambda found: found == {"one"}, what="the second to be left out")
        client.load_model(MODEL)
        poll_answers(detector, lambda found: len(found) == 2, what="the second to be back")


def test_a_server_that_hangs_gets_no_more_frames(fleet) -> None:
    url = ",".join(fleet.start(name) for name in ("one", "two"))
    with Detector(url, MODEL, timeout_s=3, max_in_flight=4) as detector:
        process = fleet.servers["two"].process
        process.send_signal(signal.SIGSTOP)
        try:

            def all_answer() -> bool:
                try:
                    return set(answering(detector, 8)) == {"one"}
                except yolostream.DeadlineExceeded:
                    return False

            poll(all_answer, what="the second to be left out")
        finally:
            process.send_signal(signal.SIGCONT)


def test_without_servers_frames_fail_at_once_and_a_restarted_server_is_used(fleet) -> None:
    url = ",".join(fleet.start(name) for name in ("one", "two"))
    with Detector(url, MODEL, timeout_s=20) as detector:
        fleet.kill("one")
        fleet.kill("two")
        for _ in range(20):
            with pytest.raises(yolostream.ServerUnavailable):
                detector.detect(FRAME)
        fleet.restart("one")

        def answers() -> bool:
            with contextlib.suppress(yolostream.ServerUnavailable):
                return len(detector.detect(FRAME)) == 0
            return False

        poll(answers, what="the first to be back")
        assert detector.labels == ("one",)


def test_a_server_that_is_missing_at_the_start_is_used_later(fleet) -> None:
    first = fleet.start("one")
    fleet.start("two")
    fleet.kill("two")
    with Detector([fleet.servers["two"].url, first], MODEL, timeout_s=20) as detector:
        assert set(answering(detector)) == {"one"}
        fleet.restart("two")
        poll_answers(detector, lambda found: len(found) == 2, what="the second")


def test_no_server_at_the_start_is_an_error(fleet) -> None:
    with pytest.raises(yolostream.ServerUnavailable, match=r"127\.0\.0\.1:1 "):
        Detector("127.0.0.1:1,127.0.0.1:2")


def test_a_name_is_looked_up_again(fleet, monkeypatch) -> None:
    """Only the name server is a fake."""
    addresses = ["127.0.0.2"]
    look_up = socket.getaddrinfo

    def getaddrinfo(host, *arguments, **options):
        names = addresses if host == "fleet.test" else [host]
        return [one for name in names for one in look_up(name, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    fleet.start("one", host="127.0.0.2")
    port = fleet.servers["one"].ports.grpc
    with Detector(f"dns:///fleet.test:{port}", MODEL, timeout_s=20) as detector:
        assert set(answering(detector)) == {"one"}
        fleet.start("two", host="127.0.0.3", ports=Ports(grpc=port))
        addresses.append("127.0.0.3")
        poll_answers(detector, lambda found: found == {"one", "two"}, what="the new server")
        addresses.remove("127.0.0.2")
        poll_answers(detector, lambda found: found == {"two"}, what="the old one to be left out")
        # If the name server fails, the known servers are kept.
        addresses.clear()
        monkeypatch.setattr(socket, "getaddrinfo", _no_name_server)
        time.sleep(2.5)
        assert set(answering(detector)) == {"two"}


def _no_name_server(*arguments, **options):
    raise socket.gaierror("the name server does not answer")


def test_a_server_with_another_model_is_named_once(fleet, caplog) -> None:
    first, other = (fleet.start(name) for name in ("one", "other"))
    with Detector([first, other], MODEL) as detector:
        answering(detector)
        time.sleep(2 * servers.PROBE_S)
    (message,) = (record.getMessage() for record in caplog.records if "another" in record.message)
    assert message.startswith(f"{other} serves another 'instant' than {first}")


def test_a_server_without_the_model_is_named_and_the_others_are_used(fleet, caplog) -> None:
    urls = [fleet.start(name) for name in ("one", "two")]
    without_model = with_others(fleet.folder)
    shutil.rmtree(without_model / MODEL)
    with serve_instant(repository=without_model, models=("other",)) as lacking:
        with Detector([*urls, lacking.url], MODEL) as detector:
            assert set(answering(detector)) == {"one", "two"}
        assert any(
            record.message.startswith(f"{lacking.url} gets no frames")
            and f"no model '{MODEL}'" in record.message
            for record in caplog.records
        )


def test_the_command_line_accepts_several_servers(fleet, tmp_path, yolostream_cli) -> None:
    url = ",".join(fleet.start(name) for name in ("one", "two"))
    clip = write_clip(tmp_path / "clip.mp4", [LATE] * 12)
    options = ("--url", url, "--model", MODEL, "--output", tmp_path / "out", "--save", "jsonl")
    finished = yolostream_cli("detect", clip, *options)
    assert finished.returncode == 0, finished.stderr
    assert has_lines(tmp_path / "out" / "clip.jsonl", 12)
    for server in fleet.servers.values():
        with connect(server.url) as client:
            (stats,) = client.get_inference_statistics(MODEL).model_stats
            assert stats.inference_stats.success.count > 2


# Choice of the server


def test_a_server_is_probed_again_after_any_error(monkeypatch) -> None:
    monkeypatch.setattr(servers, "PROBE_S", 0.01)
    problems = [
        yolostream.ServerUnavailable("away"),
        yolostream.FrameError("INVALID_ARGUMENT"),
        KeyError("a defect"),
    ]

    def connect(url: str) -> Mock:
        if url == "b:1" and problems:
            raise problems.pop(0)
        return Mock()

    both = Servers(["a:1", "b:1"], connect, in_flight=dict)
    try:
        assert len(both.connected) == 1
        poll(lambda: len(both.connected) == 2, what="the second server")
    finally:
        both.close()


def test_the_least_busy_server_is_chosen_and_ties_are_broken_randomly() -> None:
    assert least_busy(["a", "b", "c"], {"a": 2, "b": 1, "c": 2}) == "b"
    assert least_busy(["a", "b"], {"a": 1}) == "b"
    assert {least_busy(["a", "b"], {}) for _ in range(100)} == {"a", "b"}
    assert least_busy([], {"a": 1}) is None


@pytest.mark.parametrize(
    ("url", "urls"),
    [
        ("a:1", ("a:1",)),
        ("a:1, b:2,", ("a:1", "b:2")),
        (["a:1", "b:2,a:1"], ("a:1", "b:2")),
    ],
)
def test_the_servers_of_a_url(url, urls) -> None:
    assert split(url) == urls
    assert resolve(urls) == list(urls)


@pytest.mark.parametrize("url", ["", " , ", []])
def test_no_address_is_an_error(url) -> None:
    with pytest.raises(yolostream.ServerUnavailable, match="host:port"):
        split(url)


def test_a_name_without_an_address_is_an_error() -> None:
    with pytest.raises(yolostream.ServerUnavailable, match="dns:///NAME:PORT"):
        Detector("dns:///missing.invalid:8001")
