"""Who runs which camera: shares, and leases under clocks, pauses and losses of every kind."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace

import pytest
from running import DEADLINE_S
from yolostream.service.leases.assignment import assigned
from yolostream.service.leases.coordinator import Coordinator, running_coordinator
from yolostream.service.leases.lease import GUARD, Fence, Lease, Owner
from yolostream.service.leases.members import Members
from yolostream.service.leases.session import REQUEST_TIMEOUT_S
from yolostream.service.leases.store import Conflict, Record, StoreUnavailable

# Shares.


def names(kind: str, count: int) -> list[str]:
    return [f"{kind}-{number}" for number in range(count)]


def of(instances: list[str]) -> dict[str, str]:
    return {f"{instance}_0": instance for instance in instances}


@pytest.mark.parametrize("cameras", [0, 1, 2, 7, 16, 100])
@pytest.mark.parametrize("members", [1, 2, 3, 7, 30])
def test_each_has_as_many_cameras_as_any_other_or_one_more(cameras: int, members: int) -> None:
    shares = assigned(names("camera", cameras), of(names("pod", members)))
    assert sorted(shares) == sorted(names("camera", cameras))
    counts = [Counter(shares.values())[session] for session in of(names("pod", members))]
    assert max(counts) - min(counts) <= 1


def test_nobody_has_cameras_where_there_is_nobody() -> None:
    assert assigned(["gate"], {}) == {}


def test_all_come_to_the_same_in_whatever_order() -> None:
    cameras, members = names("camera", 40), of(names("pod", 5))
    turned = dict(reversed(members.items()))
    assert assigned(cameras, members) == assigned(reversed(cameras), turned)


def test_a_session_that_begins_anew_gets_what_its_instance_had() -> None:
    cameras, members = names("camera", 40), of(names("pod", 5))
    before = assigned(cameras, members)
    after = assigned(cameras, members | {"pod-3_1": members.pop("pod-3_0")})
    assert after == {
        name: "pod-3_1" if session == "pod-3_0" else session for name, session in before.items()
    }


@pytest.mark.parametrize("members", [3, 10, 30])
def test_few_cameras_move_when_a_member_goes(members: int) -> None:
    cameras, everybody = names("camera", 20 * members), of(names("pod", members))
    before = assigned(cameras, everybody)
    gone = everybody.popitem()[0]
    after = assigned(cameras, everybody)
    moved = sum(before[name] != after[name] for name in cameras)
    # Its own have to.
    assert 20 <= Counter(before.values())[gone] <= moved <= 60


# Who is alive.


def test_a_member_is_alive_for_its_duration_since_we_saw_it_change() -> None:
    members, record = Members(), Record("member", "a_0", "a_0", duration_s=8, version="1")

    def alive_at(at_s: float, version: str) -> bool:
        one = replace(record, version=version)
        members.update([one], asked_at=at_s, answered_at=at_s + 1)
        assert (one in members.alive()) != (one in members.dead())
        return one in members.alive()

    assert alive_at(1000, "1")
    assert alive_at(1008.9, "1")
    assert members.next_end_s() == 1009
    assert not alive_at(1009.1, "1")
    assert alive_at(1009.2, "2")
    assert alive_at(1018, "2")
    assert not alive_at(1018.3, "2")


def test_a_member_without_a_holder_is_released_and_deleted_when_it_is_old() -> None:
    members, released = Members(), Record("member", "a_0", duration_s=8, version="2")
    members.update([replace(released, holder="a_0", version="1")], asked_at=1, answered_at=1)
    assert not members.is_released("a_0")
    members.update([released], asked_at=2, answered_at=2)
    assert members.is_released("a_0")
    assert (members.alive(), members.dead()) == ([], [])
    members.update([released], asked_at=11, answered_at=11)
    assert (members.alive(), members.dead()) == ([], [released])
    members.update([], asked_at=12, answered_at=12)
    assert members.is_released("a_0")


# Leases in a world whose time is ours: each instance has a clock of its own, and some stand still
# for as long as they like, in the midst of whatever they do.

DURATION_S = 8
STEP_S = 0.25


class Killed(BaseException):
    """Ends what an instance was doing when it was killed."""


class World:
    """Several instances, a store, and what was written of the cameras."""

    def __init__(self, seed: int, instances: int, cameras: int) -> None:
        self.random = random.Random(seed)
        self.now_s = 0.0
        self.cameras = set(names("camera", cameras))
        self.records: dict[tuple[str, str], Record] = {}
        self.is_away = False
        self.is_calm = False
        self.written: list[tuple[float, str, int, str]] = []
        """Time, camera, number and session."""
        self.instances = [Instance(self, name) for name in names("pod", instances)]
        self._versions = 0

    def next_version(self) -> str:
        self._versions += 1
        return str(self._versions)

    def run(self, seconds: float) -> None:
        """Let time pass: those that are free do what they do."""
        until = self.now_s + seconds
        while self.now_s < until:
            self.now_s += min(STEP_S, until - self.now_s)
            for instance in self.instances:
                instance.step()

    def happen(self) -> None:
        """Something goes wrong, or is mended."""
        one = self.random.choice(self.instances)
        match self.random.choice(["pause", "kill", "end", "away", "nothing"]):
            case "pause":
                one.is_paused = True
                self.run(self.random.uniform(0, 3 * DURATION_S))
                one.is_paused = False
            case "kill" if one.is_alive:
                one.is_alive = False
            case "end" if one.is_alive and not one.is_busy:
                one.end()
            case "away":
                self.is_away = True
                self.run(self.random.uniform(0, 3 * DURATION_S))
                self.is_away = False
            case "kill" | "end" if not one.is_busy:
                one.begin_again()


class Instance:
    """One, with its clock, its store's troubles, and cameras that write with each step."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.is_alive = True
        self.is_paused = False
        """As by SIGSTOP: nothing of it does anything."""
        self.speed = world.random.uniform(0.98, 1.02)
        self.offset_s = world.random.uniform(0, 1e6)
        self.is_busy = False
        self._begin()

    def _begin(self) -> None:
        self.fence = Fence(self.clock)
        self.running: dict[str, Lease] = {}
        self.previous: dict[str, str] = {}
        self.stopping: dict[str, tuple[Lease, float]] = {}
        self.owners: Mapping[str, Owner] = {}
        self.coordinator = Coordinator(self, self.name, DURATION_S, self, clock=self.clock)
        self.next_tick_s = self.world.now_s

    def clock(self) -> float:
        return self.offset_s + self.speed * self.world.now_s

    def step(self) -> None:
        if self.is_paused or not self.is_alive:
            return
        now_s = self.world.now_s
        for camera, lease in [
            *self.running.items(),
            *((camera, lease) for camera, (lease, _) in self.stopping.items()),
        ]:
            if self.fence.lets(lease):
                self.world.written.append((now_s, camera, lease.number, lease.session))
        self.stopping = {name: one for name, one in self.stopping.items() if one[1] > now_s}
        if not self.is_busy and now_s >= self.next_tick_s:
            self.is_busy = True
            with contextlib.suppress(Killed):
                self.next_tick_s = now_s + self.coordinator.tick()
            self.is_busy = False

    def end(self) -> None:
        """As a clean end: first all cameras, then the leases."""
        self.running, self.stopping = {}, {}
        self.is_busy = True
        self.coordinator.leave()
        self.is_busy = self.is_alive = False

    def begin_again(self) -> None:
        self.is_alive, self.is_paused = True, False
        self._begin()

    # As a store, whose way there and back takes a while.

    def _travel(self, timeout_s: float) -> None:
        world = self.world
        # What others do meanwhile comes on top.
        took_s = 0.01 if world.is_calm else world.random.choice([0.01, 0.05, 0.3])
        if not world.is_calm and world.random.random() < 0.02:
            # All of it stands still, or only who asks.
            self.is_paused = world.random.random() < 0.5
            took_s = world.random.uniform(0, 3 * DURATION_S)
        world.run(took_s)
        self.is_paused = False
        if not self.is_alive:
            raise Killed
        if world.is_away or (not world.is_calm and world.random.random() < 0.02):
            raise StoreUnavailable("the store is away: the request is repeated")

    def records(self, timeout_s: float) -> dict[tuple[str, str], Record]:
        self._travel(timeout_s)
        found = dict(self.world.records)
        self._travel(timeout_s)
        return found

    def write(self, record: Record, timeout_s: float) -> Record:
        self._travel(timeout_s)
        key, records = (record.kind, record.name), self.world.records
        if record.version != (records[key].version if key in records else ""):
            self._travel(timeout_s)
            raise Conflict
        written = replace(record, version=self.world.next_version())
        records[key] = written
        self._travel(timeout_s)
        return written

    def delete(self, record: Record, timeout_s: float) -> None:
        self._travel(timeout_s)
        key, records = (record.kind, record.name), self.world.records
        if key not in records or records[key].version != record.version:
            raise Conflict
        del records[key]
        self._travel(timeout_s)

    # As a host.

    def enabled_cameras(self) -> set[str]:
        return self.world.cameras

    def extend(self, session: str, until_s: float) -> None:
        self.fence.extend(session, until_s)

    def acquire(self, camera: str, lease: Lease, previous: str | None = None) -> None:
        self.running[camera] = lease
        if previous is not None:
            self.previous[camera] = previous

    def release(self, camera: str) -> None:
        if camera in self.running:
            until_s = self.world.now_s + self.world.random.uniform(0, 3)
            self.stopping[camera] = (self.running.pop(camera), until_s)

    def is_stopped(self, camera: str) -> bool:
        return camera not in self.running and camera not in self.stopping

    def lose_leases(self, reason: str) -> None:
        for camera in list(self.running):
            self.release(camera)

    def note_owners(self, owners: Mapping[str, Owner]) -> None:
        self.owners = owners


def check_one_owner_at_a_time(world: World) -> None:
    """Numbers never fall, and each is of one session."""
    latest: dict[str, int] = defaultdict(int)
    holders: dict[tuple[str, int], set[str]] = defaultdict(set)
    for _, camera, number, session in world.written:
        assert number >= latest[camera], (camera, number, session)
        latest[camera] = number
        holders[camera, number].add(session)
    assert max(map(len, holders.values())) == 1


def check_all_are_run(world: World) -> None:
    """By those that are alive, evenly, and each by one."""
    alive = [one for one in world.instances if one.is_alive]
    counts = [len(one.running) for one in alive]
    assert sum(counts) == len(world.cameras)
    assert max(counts) - min(counts) <= 1
    assert {name for one in alive for name in one.running} == world.cameras
    before = len(world.written)
    world.run(1)
    assert {camera for _, camera, _, _ in world.written[before:]} == world.cameras
    for one in alive:
        assert set(one.owners) == world.cameras - set(one.running)


def calm(world: World, seconds: float = 6 * DURATION_S) -> None:
    """Nothing goes wrong for long enough."""
    world.is_away, world.is_calm = False, True
    world.run(seconds)


@pytest.mark.parametrize("seed", range(25))
def test_a_camera_has_one_owner_at_a_time_whatever_happens(seed: int) -> None:
    world = World(seed, instances=3, cameras=5)
    calm(world)
    check_all_are_run(world)
    world.is_calm = False
    for _ in range(12):
        world.happen()
        world.run(world.random.uniform(0, 2 * DURATION_S))
    calm(world)
    for one in world.instances:
        if not one.is_alive:
            one.begin_again()
    calm(world)
    check_all_are_run(world)
    check_one_owner_at_a_time(world)


def test_cameras_of_one_that_died_run_again_within_fifteen_seconds() -> None:
    for seed in range(20):
        world = World(seed, instances=3, cameras=6)
        calm(world)
        dead = world.instances[0]
        lost, dead.is_alive = set(dead.running), False
        assert lost
        for one in world.instances:
            one.previous.clear()
        died_at = world.now_s
        world.run(15)
        again = {
            camera: next(at for at, name, _, _ in world.written if at > died_at and name == camera)
            for camera in lost
        }
        assert max(again.values()) - died_at < 1.5 * DURATION_S
        assert previous_leases(world) == dict.fromkeys(lost, "expired")
        check_one_owner_at_a_time(world)


def test_one_that_ends_releases_its_cameras_at_once() -> None:
    for seed in range(20):
        world = World(seed, instances=3, cameras=6)
        calm(world)
        released = set(world.instances[0].running)
        for one in world.instances:
            one.previous.clear()
        world.instances[0].end()
        world.run(DURATION_S / 2)
        check_all_are_run(world)
        assert previous_leases(world) == dict.fromkeys(released, "released")


def previous_leases(world: World) -> dict[str, str]:
    """What the instances that are alive learned of the leases that they acquired."""
    alive = [one for one in world.instances if one.is_alive]
    return {name: what for one in alive for name, what in one.previous.items()}


def test_cameras_stop_in_time_where_the_store_is_away_and_go_on_when_it_is_back() -> None:
    world = World(2, instances=3, cameras=5)
    calm(world)
    world.is_away = True
    gone_at = world.now_s
    world.run(4 * DURATION_S)
    assert gone_at < world.written[-1][0] < gone_at + DURATION_S
    assert not any(one.running for one in world.instances)
    assert all(one.coordinator.problem for one in world.instances)
    assert all(one.coordinator.failed_renewals for one in world.instances)
    world.is_away = False
    world.run(3 * DURATION_S)
    check_all_are_run(world)
    assert not any(one.coordinator.problem for one in world.instances)
    check_one_owner_at_a_time(world)


def test_instances_with_another_file_keep_what_they_have_and_new_cameras_are_run() -> None:
    world = World(3, instances=3, cameras=6)
    calm(world)
    before = {one.name: set(one.running) for one in world.instances}
    changed = world.instances[0]
    changed.enabled_cameras = lambda: world.cameras | {"new"}
    calm(world, 2 * DURATION_S)
    assert changed.running.keys() == before[changed.name] | {"new"}
    for one in world.instances[1:]:
        assert one.running.keys() == before[one.name]
    # All have read it.
    del changed.enabled_cameras
    world.cameras.add("new")
    calm(world)
    check_all_are_run(world)
    # Another camera goes.
    world.cameras.remove("camera-0")
    calm(world)
    check_all_are_run(world)
    assert world.records["camera", "camera-0"].holder == ""
    check_one_owner_at_a_time(world)


def test_a_file_that_is_read_during_an_update_counts_from_the_next_one_on() -> None:
    """Otherwise cameras are given to others that do not know of the change."""
    world = World(6, instances=3, cameras=12)
    calm(world)
    one = world.instances[0]
    before = dict(one.running)
    answers = iter([world.cameras])
    more = world.cameras | set(names("new", 30))
    one.enabled_cameras = lambda: next(answers, more)
    one.is_busy = True
    one.coordinator.tick()
    assert one.running == before


def slow(one: Instance, seconds: float) -> None:
    """Each way to the store and back takes so long, while nobody else does anything."""

    def travel(timeout_s: float) -> None:
        one.world.now_s += seconds

    one._travel = travel


def one_alone() -> tuple[World, Instance, Lease]:
    world = World(4, instances=1, cameras=1)
    calm(world)
    (one,) = world.instances
    # From now on, only the test ticks.
    one.is_busy = True
    one.speed = 1.0
    one.coordinator.tick()
    return world, one, one.running["camera-0"]


def test_a_lease_counts_from_the_moment_that_its_renewal_was_asked_for() -> None:
    world, one, lease = one_alone()
    slow(one, 0.5)
    asked_at = world.now_s
    one.coordinator.tick()
    world.now_s = asked_at + GUARD * DURATION_S - 0.1
    assert one.fence.lets(lease)
    world.now_s = asked_at + GUARD * DURATION_S + 0.1
    assert not one.fence.lets(lease)


def test_a_renewal_that_is_answered_too_late_ends_the_session() -> None:
    world, one, lease = one_alone()
    world.now_s += GUARD * DURATION_S - 0.1
    # Others may take it for dead before the store has that.
    slow(one, 1.0)
    one.coordinator.tick()
    assert not one.fence.lets(lease)
    assert lease not in one.running.values()
    one.coordinator.tick()
    assert one.running["camera-0"].number == lease.number + 1


def test_long_leases_do_not_make_a_service_wait_long_for_a_store_that_hangs() -> None:
    _, one, _ = one_alone()
    timeouts: list[float] = []
    one._travel = timeouts.append
    one.coordinator = Coordinator(one, one.name, 600, one, clock=one.clock)
    one.coordinator.tick()
    one.coordinator.leave()
    assert len(timeouts) >= 3
    assert max(timeouts) <= REQUEST_TIMEOUT_S


def test_who_was_written_without_an_answer_goes_on() -> None:
    _, one, lease = one_alone()
    write = one.write

    def lost(record: Record, timeout_s: float) -> Record:
        write(record, timeout_s)
        raise StoreUnavailable("no answer: the request is repeated")

    one.write = lost
    one.coordinator.tick()
    assert one.coordinator.problem
    one.write = write
    one.coordinator.tick()
    assert one.running["camera-0"] == lease
    assert one.fence.lets(lease)
    assert one.coordinator.problem is None


def test_a_store_that_hangs_delays_no_end() -> None:
    """However long its requests may take."""
    _, one, _ = one_alone()
    asked, over = threading.Event(), threading.Event()

    def hang(record: Record, timeout_s: float) -> Record:
        asked.set()
        assert over.wait(DEADLINE_S)
        raise StoreUnavailable("no answer: the request is repeated")

    one.write = one.delete = hang
    with running_coordinator(one.coordinator):
        assert asked.wait(DEADLINE_S)
    one.coordinator.leave()
    assert not over.is_set()
    over.set()


def test_the_end_of_a_session_waits_for_a_moment_only() -> None:
    world = World(5, instances=1, cameras=1)
    (one,) = world.instances
    one.is_busy = True
    one.coordinator = Coordinator(one, "long", 600, one, clock=one.clock)
    one.coordinator.tick()
    timeouts: list[float] = []
    one.write = lambda record, timeout_s: timeouts.append(timeout_s)
    one.coordinator.leave()
    assert len(timeouts) == 1
    assert timeouts[0] <= 1
