"""The check of a store of leases by `yolostream doctor --leases`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lease_api import LeaseApi, serve_leases
from small_disk import small_disk
from yolostream.doctor import Check, Verdict, lease_store
from yolostream.service.leases.folder import FolderStore
from yolostream.service.leases.kubernetes import VERBS, KubernetesStore
from yolostream.service.leases.store import Record

CAMERA = Record("camera", "gate", holder="pod-1_aa", number=1)
NAME = "kubernetes:street"


def check(where: Path | str) -> Check:
    return lease_store.check(str(where))


def test_a_local_folder_is_good_and_no_files_are_left_in_it(tmp_path: Path) -> None:
    FolderStore(tmp_path).write(CAMERA, 1)
    before = sorted(tmp_path.rglob("*"))
    good = check(tmp_path)
    assert (good.verdict, good.fix) == (Verdict.good, "")
    assert str(tmp_path) in good.found
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_on_nfs_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, mounts = lease_store._file_system(tmp_path), tmp_path / "mountinfo"
    lines = lease_store._MOUNTS.read_text()
    mounts.write_text(lines.replace(f" - {kind} ", " - nfs4 "))
    monkeypatch.setattr(lease_store, "_MOUNTS", mounts)
    bad = check(tmp_path)
    assert bad.verdict == Verdict.bad
    assert f"{tmp_path} is on a network file system (nfs4)" in bad.found
    assert "kubernetes:NAME" in bad.fix


def test_a_folder_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        assert check(disk).found == f"{disk} can be read and written (tmpfs)"
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        bad = check(disk)
    assert bad.verdict == Verdict.bad
    assert "(Read-only file system)" in bad.found
    assert "write to" in bad.fix


def test_a_store_that_run_would_reject_is_bad(tmp_path: Path) -> None:
    missing = check(tmp_path / "missing")
    assert (missing.verdict, missing.part) == (Verdict.bad, "leases")
    assert missing.fix.startswith("create it once")
    outside = check(NAME)
    assert outside.verdict == Verdict.bad
    assert "automountServiceAccountToken" in outside.fix
    FolderStore(tmp_path).write(CAMERA, 1)
    (tmp_path / "camera" / "gate" / "1.json").write_text("{}")
    broken = check(tmp_path)
    assert broken.verdict == Verdict.bad
    assert "1.json is not a valid lease" in broken.found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LeaseApi, KubernetesStore]]:
    account = tmp_path_factory.mktemp("account")
    with serve_leases(account) as (api, url):
        yield api, KubernetesStore("street", account=account, server=url)


def test_kubernetes_with_all_rights_is_good_and_nothing_is_written(served) -> None:
    api, store = served
    store.write(CAMERA, 5)
    before = dict(api.leases)
    good = lease_store.kubernetes(store, NAME)
    assert good.verdict == Verdict.good
    assert good.found == "kubernetes:street can be read and written; leases: 1"
    assert api.leases == before


@pytest.mark.parametrize("verb", VERBS)
def test_a_missing_permission_is_named(served, verb: str) -> None:
    api, store = served
    api.denied = {verb}
    bad = lease_store.kubernetes(store, NAME)
    api.denied = set()
    assert bad.verdict == Verdict.bad
    assert f"may not {verb} leases" in bad.found
    assert "role" in bad.fix


@pytest.mark.parametrize(("status", "fix"), [(401, "service account"), (503, "API server")])
def test_an_api_server_that_fails_is_bad(served, status: int, fix: str) -> None:
    api, store = served
    api.wrong = status
    bad = lease_store.kubernetes(store, NAME)
    api.wrong = None
    assert bad.verdict == Verdict.bad
    assert str(status) in bad.found
    assert fix in bad.fix


def test_the_command_checks_the_store(yolostream_cli, tmp_path: Path) -> None:
    done = yolostream_cli("doctor", "--json", "--leases", tmp_path / "missing")
    assert done.returncode == 1
    (bad,) = [one for one in json.loads(done.stdout) if one["part"] == "leases"]
    assert "no folder" in bad["found"]
