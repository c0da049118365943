"""Stores of leases: of two concurrent changes to a lease, one succeeds, whatever fails."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from lease_api import LeaseApi, serve_leases
from yolostream.errors import ServiceError
from yolostream.service.leases.coordinator import Coordinator
from yolostream.service.leases.folder import FolderStore
from yolostream.service.leases.kubernetes import KubernetesStore
from yolostream.service.leases.lease import Lease, Owner
from yolostream.service.leases.session import instance_of
from yolostream.service.leases.sharing import Sharing
from yolostream.service.leases.store import Conflict, Record, Store, StoreUnavailable

TIMEOUT_S = 30.0
SHORT_S = 0.5

GATE = Record("camera", "Gate_1", holder="pod-1_aa", number=1, duration_s=8)
MEMBER = Record("member", "pod-1_aa", holder="pod-1_aa", duration_s=8, cameras="digest")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LeaseApi, str, Path]]:
    account = tmp_path_factory.mktemp("account")
    with serve_leases(account) as (api, url):
        yield api, url, account


@pytest.fixture
def api(served: tuple[LeaseApi, str, Path]) -> Iterator[LeaseApi]:
    api = served[0]
    api.leases.clear()
    yield api
    api.wrong, api.most_in_a_page = None, 500
    api.silent.clear()


def kubernetes(served: tuple[LeaseApi, str, Path], group: str = "street") -> KubernetesStore:
    _, url, account = served
    return KubernetesStore(group, account=account, server=url)


@pytest.fixture(params=["folder", "kubernetes"])
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Makes stores with the same contents."""
    if request.param == "folder":
        (tmp_path / "leases").mkdir()
        return lambda: FolderStore(tmp_path / "leases")
    request.getfixturevalue("api")
    return lambda: kubernetes(request.getfixturevalue("served"))


# Both kinds of stores


def test_a_store_reads_the_records_that_another_store_wrote(new_store: Callable[[], Store]) -> None:
    one, other = new_store(), new_store()
    assert other.records(TIMEOUT_S) == {}
    one.write(GATE, TIMEOUT_S)
    one.write(MEMBER, TIMEOUT_S)
    found = other.records(TIMEOUT_S)
    assert found == {("camera", "Gate_1"): GATE, ("member", "pod-1_aa"): MEMBER}
    released = other.write(replace(found["camera", "Gate_1"], holder=""), TIMEOUT_S)
    assert one.records(TIMEOUT_S)["camera", "Gate_1"] == replace(GATE, holder="")
    assert one.records(TIMEOUT_S)["camera", "Gate_1"].version == released.version


def test_a_version_differs_after_each_write(new_store: Callable[[], Store]) -> None:
    store = new_store()
    versions = [(record := store.write(MEMBER, TIMEOUT_S)).version]
    for _ in range(5):
        versions.append((record := store.write(record, TIMEOUT_S)).version)
        assert store.records(TIMEOUT_S)["member", MEMBER.name].version == record.version
    assert len(set(versions)) == 6


def test_a_write_based_on_an_old_version_is_a_conflict(new_store: Callable[[], Store]) -> None:
    one, other = new_store(), new_store()
    first = one.write(GATE, TIMEOUT_S)
    with pytest.raises(Conflict):
        other.write(GATE, TIMEOUT_S)
    second = one.write(replace(first, number=2), TIMEOUT_S)
    third = one.write(replace(second, number=3), TIMEOUT_S)
    for old in (first, second):
        with pytest.raises(Conflict):
            other.write(replace(old, number=9), TIMEOUT_S)
        with pytest.raises(Conflict):
            other.delete(old, TIMEOUT_S)
    assert other.records(TIMEOUT_S)["camera", GATE.name].number == 3
    other.write(third, TIMEOUT_S)


def test_a_deleted_member_cannot_be_written(new_store: Callable[[], Store]) -> None:
    one, other = new_store(), new_store()
    member = one.write(MEMBER, TIMEOUT_S)
    other.delete(member, TIMEOUT_S)
    assert one.records(TIMEOUT_S) == {}
    with pytest.raises(Conflict):
        one.write(member, TIMEOUT_S)
    assert one.records(TIMEOUT_S) == {}


def test_only_one_of_several_concurrent_writes_succeeds(new_store: Callable[[], Store]) -> None:
    count, wins = 60, []

    def race(name: str) -> None:
        store = new_store()
        while len(wins) < count:
            found = store.records(TIMEOUT_S).get(("camera", "gate"), Record("camera", "gate"))
            taken = replace(found, holder=name, number=found.number + 1)
            try:
                wins.append(store.write(taken, TIMEOUT_S).number)
            except Conflict:
                continue

    threads = [threading.Thread(target=race, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(wins)) == len(wins) >= count
    assert new_store().records(TIMEOUT_S)["camera", "gate"].number >= max(wins)


class CameraHost:
    """Runs cameras that stop at once."""

    def __init__(self) -> None:
        self.running: dict[str, Lease] = {}
        self.previous: dict[str, str] = {}

    def enabled_cameras(self) -> set[str]:
        return {"gate", "yard", "Gate_1", "street"}

    def extend(self, session: str, until_s: float) -> None:
        pass

    def acquire(self, camera: str, lease: Lease, previous: str | None = None) -> None:
        self.running[camera] = lease
        if previous is not None:
            self.previous[camera] = previous

    def release(self, camera: str) -> None:
        self.running.pop(camera, None)

    def is_stopped(self, camera: str) -> bool:
        return camera not in self.running

    def lose_leases(self, reason: str) -> None:
        self.running.clear()

    def note_owners(self, owners: Mapping[str, Owner]) -> None:
        self.owners = owners


def test_two_instances_share_cameras_and_one_takes_over(
    new_store: Callable[[], Store],
) -> None:
    now_s = 1000.0
    one, other = CameraHost(), CameraHost()
    coordinators = [
        Coordinator(new_store(), name, 8, host, clock=lambda: now_s)
        for name, host in (("one", one), ("other", other))
    ]
    for coordinator in coordinators * 3:
        coordinator.tick()
    assert (len(one.running), len(other.running)) == (2, 2)
    assert one.running.keys() | other.running.keys() == one.enabled_cameras()
    assert {one.previous[name] for name in one.running} == {"none"}
    assert one.owners.keys() == other.running.keys()
    # The other instance hangs.
    lost = dict(other.running)
    for _ in range(3):
        now_s += 4
        coordinators[0].tick()
    assert one.running.keys() == one.enabled_cameras()
    assert all(one.running[name].number == lease.number + 1 for name, lease in lost.items())
    assert coordinators[0].takeovers == 2
    assert {one.previous[name] for name in lost} == {"expired"}
    # The other instance continues, and joins again.
    for coordinator in reversed(coordinators * 3):
        coordinator.tick()
    assert (len(one.running), len(other.running)) == (2, 2)
    # It releases its leases. The others learn that, and its record stays until it is old.
    released = set(one.running)
    one.running.clear()
    coordinators[0].leave()
    coordinators[1].tick()
    assert other.running.keys() == other.enabled_cameras()
    assert {other.previous[name] for name in released} == {"released"}
    for _ in range(3):
        now_s += 4
        coordinators[1].tick()
    members = [name for kind, name in new_store().records(TIMEOUT_S) if kind == "member"]
    assert [instance_of(name) for name in members] == ["other"]


# Folders


def test_a_version_that_was_removed_cannot_be_written_again(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    first = store.write(GATE, TIMEOUT_S)
    store.write(store.write(replace(first, number=2), TIMEOUT_S), TIMEOUT_S)
    assert [path.name for path in (tmp_path / "camera" / "Gate_1").iterdir()] == ["3.json"]
    # The file of version 2 was removed, so its name is free.
    with pytest.raises(Conflict):
        store.write(replace(first, holder="late"), TIMEOUT_S)
    assert store.records(TIMEOUT_S)["camera", "Gate_1"].holder == GATE.holder


def test_a_missing_folder_is_an_error_and_not_an_empty_store(tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    folder.mkdir()
    store = FolderStore(folder)
    record = store.write(GATE, TIMEOUT_S)
    moved = folder.rename(tmp_path / "elsewhere")

    def check_missing() -> None:
        for action in (store.records, lambda timeout_s: store.write(record, timeout_s)):
            with pytest.raises(StoreUnavailable, match=r"leases, .*leases, is gone"):
                action(TIMEOUT_S)

    check_missing()
    assert not folder.exists()
    folder.write_text("no folder")
    check_missing()
    folder.unlink()
    moved.rename(tmp_path / "leases")
    assert store.records(TIMEOUT_S) == {("camera", "Gate_1"): GATE}


def test_a_full_disk_does_not_change_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FolderStore(tmp_path)
    record = store.write(GATE, TIMEOUT_S)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreUnavailable, match="No space left"):
            store.write(replace(record, number=2), TIMEOUT_S)
    assert store.records(TIMEOUT_S) == {("camera", "Gate_1"): GATE}
    assert len(list((tmp_path / "camera" / "Gate_1").iterdir())) == 1


def test_a_new_record_that_cannot_be_written_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full tmpfs, folders can be created, but files cannot be written."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        FolderStore(tmp_path).write(MEMBER, TIMEOUT_S)
    assert list((tmp_path / "member").iterdir()) == []


def test_an_invalid_file_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "camera" / "gate"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("{")
    with pytest.raises(StoreUnavailable, match=r"1\.json is not a valid lease"):
        FolderStore(tmp_path).records(TIMEOUT_S)


@pytest.mark.timeout(30)
def test_a_broken_link_is_named(tmp_path: Path) -> None:
    FolderStore(tmp_path).write(GATE, TIMEOUT_S)
    (tmp_path / "camera" / GATE.name / "9.json").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreUnavailable, match=r"9\.json is not a valid lease"):
        FolderStore(tmp_path).records(TIMEOUT_S)


def test_a_copy_of_another_lease_is_named(tmp_path: Path) -> None:
    FolderStore(tmp_path).write(GATE, TIMEOUT_S)
    shutil.copytree(tmp_path / "camera" / GATE.name, tmp_path / "camera" / "yard")
    with pytest.raises(StoreUnavailable, match=r"yard/1\.json is not a valid lease"):
        FolderStore(tmp_path).records(TIMEOUT_S)


@pytest.mark.timeout(30)
def test_files_of_other_programs_are_not_versions(tmp_path: Path) -> None:
    FolderStore(tmp_path).write(GATE, TIMEOUT_S)
    for name in ("07.json", "\u0667.json", "9.json.orig", "notes.txt"):
        (tmp_path / "camera" / GATE.name / name).write_text("{")
    (tmp_path / "camera" / "notes.txt").write_text("{")
    assert FolderStore(tmp_path).records(TIMEOUT_S) == {("camera", GATE.name): GATE}


# Kubernetes


def test_leases_have_the_standard_fields(served, api: LeaseApi) -> None:
    kubernetes(served).write(GATE, TIMEOUT_S)
    ((name, lease),) = api.leases.items()
    assert name.startswith("street-camera-gate-1-")
    assert lease["spec"]["holderIdentity"] == GATE.holder
    assert lease["spec"]["leaseTransitions"] == GATE.number
    assert lease["spec"]["leaseDurationSeconds"] == GATE.duration_s


@pytest.mark.parametrize("lacks", ["spec", "annotations"])
def test_a_lease_of_another_program_is_named(served, api: LeaseApi, lacks: str) -> None:
    store = kubernetes(served)
    store.write(GATE, TIMEOUT_S)
    ((name, lease),) = api.leases.items()
    (lease if lacks in lease else lease["metadata"]).pop(lacks)
    with pytest.raises(
        StoreUnavailable, match=f"{name} has the label .* was not created by yolostream"
    ):
        store.records(TIMEOUT_S)


def test_names_that_differ_only_in_case_have_separate_leases(served, api: LeaseApi) -> None:
    store = kubernetes(served)
    for name in ("gate", "Gate", "g" * 64, "g" * 63 + "_"):
        store.write(Record("camera", name), TIMEOUT_S)
    assert len(api.leases) == 4
    assert {name for _, name in store.records(TIMEOUT_S)} >= {"gate", "Gate"}


def test_leases_of_other_groups_are_not_read(served, api: LeaseApi) -> None:
    kubernetes(served).write(GATE, TIMEOUT_S)
    assert kubernetes(served, "yard").records(TIMEOUT_S) == {}


def test_many_leases_are_read_in_pages(served, api: LeaseApi) -> None:
    api.most_in_a_page = 3
    store = kubernetes(served)
    for number in range(8):
        store.write(Record("camera", str(number)), TIMEOUT_S)
    assert len(store.records(TIMEOUT_S)) == 8


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "service account"),
        (403, "role"),
        (404, "404"),
        (429, "429"),
        (500, "500"),
        (503, "503"),
    ],
)
def test_an_error_of_the_server_is_reported_with_the_fix(
    served, api: LeaseApi, status: int, words: str
) -> None:
    store = kubernetes(served)
    record = store.write(GATE, TIMEOUT_S)
    api.wrong = status
    with pytest.raises(StoreUnavailable, match=words):
        store.records(TIMEOUT_S)
    if status != 404:
        with pytest.raises(StoreUnavailable, match=words):
            store.write(record, TIMEOUT_S)
    api.wrong = None
    assert store.write(record, TIMEOUT_S).version != record.version


def test_an_invalid_answer_is_reported(served, api: LeaseApi) -> None:
    store = kubernetes(served)
    api.wrong = 200
    for action in (store.records, lambda timeout_s: store.write(GATE, timeout_s)):
        with pytest.raises(StoreUnavailable, match="does not answer correctly"):
            action(TIMEOUT_S)


def test_a_token_that_is_replaced_is_read_again(served, api: LeaseApi) -> None:
    store, token = kubernetes(served), served[2] / "token"
    store.records(TIMEOUT_S)
    api.tokens = {"second"}
    try:
        with pytest.raises(StoreUnavailable, match="401"):
            store.records(TIMEOUT_S)
        token.write_text("second\n")
        store.records(TIMEOUT_S)
    finally:
        api.tokens = {"first"}
        token.write_text("first\n")


def test_a_write_without_an_answer_may_have_succeeded(served, api: LeaseApi) -> None:
    store = kubernetes(served)
    record = store.write(MEMBER, TIMEOUT_S)
    api.silent.set()
    with pytest.raises(StoreUnavailable, match="does not answer correctly"):
        store.write(record, SHORT_S)
    api.silent.clear()
    with pytest.raises(Conflict):
        store.write(record, TIMEOUT_S)
    store.write(store.records(TIMEOUT_S)["member", MEMBER.name], TIMEOUT_S)


def test_nothing_is_sent_to_a_server_with_another_certificate(served, tmp_path: Path) -> None:
    with serve_leases(tmp_path) as (stranger, url):
        store = KubernetesStore("street", account=served[2], server=url)
        with pytest.raises(StoreUnavailable, match="SSLError"):
            store.write(GATE, TIMEOUT_S)
        assert not stranger.leases


# Options


@pytest.mark.parametrize(
    ("leases", "instance", "words"),
    [
        ("kubernetes:", "a", "kubernetes:cameras"),
        ("kubernetes:Street", "a", "'Street'"),
        ("kubernetes:street", "a", "service account"),
        ("kubernetes", "a", "kubernetes:cameras"),
        ("", "a", "--leases is empty"),
        ("no/such/folder", "a", "no folder no/such/folder for --leases: create it"),
        ("folder", "", "''"),
        ("folder", "a/b", "'a/b'"),
        ("folder", "a_b", "'a_b'"),
    ],
)
def test_invalid_names_are_named(leases: str, instance: str, words: str) -> None:
    with pytest.raises(ServiceError, match=words):
        Sharing.of(leases, instance=instance)


def test_an_instance_name_requires_leases(yolostream_cli) -> None:
    finished = yolostream_cli("run", "rtsp://somewhere/street", "--instance", "north")
    assert finished.returncode == 2
    assert "--leases" in finished.stderr
