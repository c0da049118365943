"""Three services share cameras out, and are killed, stopped, started again, and lose the store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from api import serve_api
from running import DEADLINE_S, poll
from watching import Service, Site, street
from yolostream.server import processes
from yolostream.server.embedded import EmbeddedTriton
from yolostream.service.events import Event
from yolostream.service.leases.lease import Lease, steady_s

DURATION_S = 4
CAMERAS = [f"camera-{number}" for number in range(5)]


class Written:
    """Lines of all cameras as they come, looked at several times a second from outside."""

    def __init__(self, folder: Path) -> None:
        self.numbers: dict[str, Counter[int]] = defaultdict(Counter)
        """Lines by camera and number of the lease."""
        self.late: list[tuple[str, int, int]] = []
        """Camera and number of lines that came after one with a higher number."""
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        with self._lock:
            highest = {camera: max(counts, default=0) for camera, counts in self.numbers.items()}
            for path in self._folder.glob("*/*.jsonl"):
                for record in self._new_in(path):
                    camera, number = record["source"], record["lease"]
                    self.numbers[camera][number] += 1
                    if number < highest.get(camera, 0):
                        self.late.append((camera, number, highest[camera]))

    def _new_in(self, path: Path) -> list[dict]:
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            whole = file.read().rpartition(b"\n")[0]
        if whole:
            self._read[path] = self._read.get(path, 0) + len(whole) + 1
        return [json.loads(line) for line in whole.splitlines()]

    def _run(self) -> None:
        while not self._stopping.wait(0.1):
            self.look()


class Instance:
    """One service, and the events that it tells until it ends."""

    def __init__(self, name: str, service: Service) -> None:
        self.name, self.service = name, service
        self.events: list[dict] = []
        self._url = f"{service.address}/api/v1/events"
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        # From the first one on: none has this id.
        request = urllib.request.Request(self._url, headers={"Last-Event-ID": "first-0"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request) as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    self.events.append(json.loads(line[len("data: ") :]))

    def cameras(self) -> dict[str, dict]:
        return self.service.cameras()

    def held(self) -> dict[str, int]:
        """Numbers of the leases that it has, by camera."""
        return {
            name: one["lease"]
            for name, one in self.cameras().items()
            if one["instance"] == self.name
        }

    def signal(self, number: int) -> None:
        """Send it to all of its processes, the first one last where they are to go on."""
        pids = [self.service.process.pid, *processes.children(self.service.process.pid)]
        for pid in reversed(pids) if number == signal.SIGCONT else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


class Group:
    """All services that run, and what they have written."""

    def __init__(self, site: Site, stack: contextlib.ExitStack) -> None:
        self.site, self._stack = site, stack
        self.leases = site.folder / "leases"
        self.leases.mkdir()
        self.alive: dict[str, Instance] = {}
        self.all: list[Instance] = []
        self.written = Written(site.out)

    def start(self, *names: str) -> None:
        options = ("--leases", self.leases, "--lease-seconds", DURATION_S)
        begun = {
            name: self._stack.enter_context(self.site.running(*options, "--instance", name))
            for name in names
        }
        for name, service in begun.items():
            self.alive[name] = Instance(name, service)
            self.all.append(self.alive[name])

    def are_shared_out(self) -> bool:
        """Whether all agree who has which camera, each has its share, and frames come."""
        counts = [len(one.held()) for one in self.alive.values()]
        owners = [
            {name: (one["instance"], one["lease"]) for name, one in instance.cameras().items()}
            for instance in self.alive.values()
        ]
        states = [
            {name for name, one in instance.cameras().items() if one["state"] == "live"}
            for instance in self.alive.values()
        ]
        return (
            sum(counts) == len(CAMERAS)
            and max(counts) - min(counts) <= 1
            and all(one == owners[0] for one in owners)
            and set().union(*states) == set(CAMERAS)
        )

    def wait(self, why: str) -> None:
        poll(self.are_shared_out, what=f"cameras to be shared out {why}", deadline_s=2 * DEADLINE_S)

    def wait_for_lines(self, leases: dict[str, int]) -> None:
        """Until each of these cameras was written with a higher number."""

        def are_written() -> bool:
            return all(max(self.written.numbers[name]) > leases[name] for name in leases)

        poll(are_written, what=f"lines of {list(leases)} after the leases {leases}")

    def check_takeovers(self, leases: dict[str, int], previous: str, words: str) -> None:
        """The next owner of each camera tells how the lease before was lost."""
        for name, number in leases.items():
            told = [
                (event["details"].get("previous_lease"), instance)
                for instance in self.alive.values()
                for event in instance.events
                if event["type"] == "lease_acquired"
                and (event["camera"], event["details"]["lease"]) == (name, number + 1)
            ]
            ((kind, owner),) = told
            assert kind == previous, (name, number)
            owner.service.wait_for(f"{name}: taken over from {words}")


@pytest.fixture
def group(tmp_path: Path, instant: EmbeddedTriton) -> Iterator[Group]:
    site = Site(tmp_path, instant.url)
    site.write(
        {name: {"source": str(street(tmp_path)), "fps": 5} for name in CAMERAS},
    )
    with contextlib.ExitStack() as stack:
        group = Group(site, stack)
        stack.callback(group.written.close)
        yield group


def check_changes_are_refused(instance: Instance) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        url = f"{instance.service.address}/api/v1/cameras/{CAMERAS[0]}"
        body = b'{"source": "rtsp://other/street"}'
        request = urllib.request.Request(url, body, method=method)
        request.add_header("Content-Type", "application/json")
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request)
        assert json.load(refused.value)["type"] == "urn:yolostream:shared-cameras"
        assert refused.value.code == 409


def metrics_of(instance: Instance) -> dict[str, float]:
    """Of series by their names and labels."""
    with urllib.request.urlopen(f"{instance.service.address}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {series: float(value) for series, value in pairs}


def check_metrics(instance: Instance) -> None:
    """Of its own cameras, and of no others."""
    held, metrics = instance.held(), metrics_of(instance)
    assert metrics["yolostream_cameras"] == len(CAMERAS)
    assert metrics["yolostream_cameras_held"] == len(held)
    leases = {name: metrics.get(f'yolostream_camera_lease{{camera="{name}"}}') for name in CAMERAS}
    assert leases == {name: held.get(name) for name in CAMERAS}
    states = {series for series in metrics if series.startswith("yolostream_camera_state")}
    assert {series.split('"')[1] for series in states} == set(held)


def check_one_owner_at_a_time(group: Group) -> None:
    """By the lines and by the events of all instances together."""
    group.written.look()
    assert group.written.late == []
    taken = sorted(
        (event["time"], event["camera"], event["details"]["lease"], one.name)
        for one in group.all
        for event in one.events
        if event["type"] == "lease_acquired"
    )
    latest: dict[str, int] = defaultdict(int)
    for _, camera, number, _ in taken:
        assert number > latest[camera], taken
        latest[camera] = number
    begun = {(camera, number): (at, name) for at, camera, number, name in taken}
    for one in group.all:
        for event in one.events:
            if event["camera"] and "lease" in event["details"]:
                camera, number = event["camera"], event["details"]["lease"]
                assert begun[camera, number][1] == one.name, event
                following = [
                    at for at, name, later, _ in taken if name == camera and later > number
                ]
                assert all(event["time"] <= at for at in following), (event, following)
    for camera, numbers in group.written.numbers.items():
        assert {(camera, number) for number in numbers} <= begun.keys()


def test_each_camera_has_one_owner_at_a_time_whatever_befalls_them(group: Group) -> None:
    group.start("a", "b", "c")
    group.wait("at first")
    check_one_owner_at_a_time(group)
    check_metrics(group.alive["a"])
    check_changes_are_refused(group.alive["a"])

    # One is killed.
    killed = group.alive.pop("a")
    lost = killed.held()
    killed.signal(signal.SIGKILL)
    group.wait_for_lines(lost)
    group.wait("after a kill")
    group.check_takeovers(lost, "expired", "a, whose lease expired")
    counts = [metrics_of(one) for one in group.alive.values()]
    assert sum(one["yolostream_lease_takeovers_total"] for one in counts) >= len(lost)

    # One stands still, with all its processes, and goes on when others have its cameras.
    frozen = group.alive.pop("b")
    lost = frozen.held()
    frozen.signal(signal.SIGSTOP)
    group.wait_for_lines(lost)
    group.wait("while one stands still")
    group.written.look()
    before = {name: group.written.numbers[name][number] for name, number in lost.items()}
    frozen.signal(signal.SIGCONT)
    group.alive["b"] = frozen
    frozen.service.wait_for("stopped, because ")
    group.wait("after one went on")
    group.written.look()
    assert {name: group.written.numbers[name][number] for name, number in lost.items()} == before

    # Another one comes.
    group.start("a")
    group.wait("when one came")
    check_one_owner_at_a_time(group)

    # The store is gone, and comes back.
    leases = group.leases
    away = leases.rename(leases.with_name("away"))
    leases.write_text("no folder")
    for one in group.alive.values():
        one.service.wait_for("cameras stop 3 s after the last renewal")
        poll(lambda one=one: one.held() == {}, what="cameras to stop")
        (problem,) = one.service.ask("service")["problems"]
        assert problem["kind"] == "leases"
        assert str(leases) in problem["words"]
    group.written.look()
    stopped = {name: max(numbers) for name, numbers in group.written.numbers.items()}
    leases.unlink()
    away.rename(leases)
    group.wait("when the store was back")
    group.wait_for_lines(stopped)

    # One ends, and leaves nothing to wait for.
    ended = group.alive.pop("c")
    lost = ended.held()
    assert ended.service.stop()[0] == 0
    group.wait("after an end")
    group.wait_for_lines(lost)
    group.check_takeovers(lost, "released", "c, which released the lease")
    for name in ("a", "b"):
        assert group.alive[name].service.stop()[0] == 0
    check_one_owner_at_a_time(group)
    # All that is left of an instance that ended is a record without a holder.
    left = [json.loads(path.read_text()) for path in (leases / "member").glob("*/*.json")]
    assert {record["holder"] for record in left} == {""}


def test_a_lease_that_expired_before_it_was_heard_of_leads_to_nothing() -> None:
    """As when the process was paused after it had written it."""
    with serve_api(cameras={"gate": {"source": "rtsp://somewhere/street"}}, instance="a") as api:
        events: list[Event] = []
        with api.service.events.following(events.append):
            api.service.leased.extend("a_0", steady_s() - 1)
            api.service.leased.acquire("gate", Lease(1, "a_0"))
            assert api.camera("gate")["instance"] is None
            api.service.leased.extend("a_1", steady_s() + DEADLINE_S)
            api.service.leased.acquire("gate", Lease(2, "a_0"))
            assert events == []
            api.service.leased.acquire("gate", Lease(3, "a_1"))
            assert api.camera("gate")["lease"] == 3
            # It expires, and what others are told since is not of this camera.
            api.service.leased.extend("a_1", 0)
            poll(lambda: api.camera("gate")["instance"] is None, what="its end")
    assert [(one.type, one.camera, one.details.get("lease")) for one in events] == [
        ("lease_acquired", "gate", 3),
        ("leases_lost", "", None),
    ]
