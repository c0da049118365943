"""The file of compiled convolutions, and who may read and write it."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import pytest
from small_disk import small_disk
from stand_in_gpu import Gpu, stand_in_cupy
from version_folder import part

store = part("yolov7_fp16", "planned.store")
MEMBERS = {"one": b"plan" * 100, "other": bytes(range(256))}
ONE_OF_TWO = """
import sys, time
from pathlib import Path
from version_folder import part
store, path = part("yolov7_fp16", "planned.store"), Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with store.locked(path):
    if store.read(path):
        print("reads")
    else:
        time.sleep(1)
        store.write(path, {"one": b"plan"})
        print("compiles")
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.zip"


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_file_that_was_written_is_read(path):
    store.write(path, MEMBERS)
    assert store.read(path) == MEMBERS
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_is_empty(path):
    assert store.read(path) == {}


def test_a_file_with_a_wrong_byte_gives_no_wrong_member(path):
    store.write(path, MEMBERS)
    whole, empty = path.read_bytes(), 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        found = store.read(path)
        assert found.items() <= MEMBERS.items(), f"byte {place}"
        empty += not found
    assert empty > len(whole) / 2


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_file_whose_end_is_missing_is_empty(share, path):
    store.write(path, MEMBERS)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert store.read(path) == {}


def test_a_failure_while_a_file_is_written_leaves_the_old_one(path):
    store.write(path, MEMBERS)
    with pytest.raises(TypeError):
        store.write(path, {"one": None})
    assert store.read(path) == MEMBERS
    assert list(path.parent.iterdir()) == [path]


def test_a_file_of_another_user_is_not_read(path, monkeypatch):
    store.write(path, MEMBERS)
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    assert store.read(path) == {}


def test_a_file_that_others_may_write_is_not_read(path):
    store.write(path, MEMBERS)
    path.chmod(0o620)
    assert store.read(path) == {}


def test_a_link_to_a_file_is_not_read(path):
    store.write(path, MEMBERS)
    link = path.with_name("link.zip")
    link.symlink_to(path)
    assert store.read(link) == {}


def test_the_folder_belongs_to_this_user_alone(temporary):
    folder = store.folder()
    assert folder == temporary / f"yolostream-convolutions-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert store.folder() == folder


def test_a_folder_that_another_user_made_is_refused(temporary, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: temporary.stat().st_uid + 1)
    (temporary / f"yolostream-convolutions-{os.getuid()}").mkdir(mode=0o700)
    with pytest.raises(ValueError, match=r"changed by other users.*set TMPDIR"):
        store.folder()


def test_a_folder_that_others_may_write_is_refused(temporary):
    store.folder().chmod(0o770)
    with pytest.raises(ValueError, match="changed by other users"):
        store.folder()


def test_a_link_in_place_of_the_folder_is_refused(temporary):
    (temporary / "elsewhere").mkdir(mode=0o700)
    (temporary / f"yolostream-convolutions-{os.getuid()}").symlink_to(temporary / "elsewhere")
    with pytest.raises(ValueError, match="changed by other users"):
        store.folder()


def test_of_two_processes_one_compiles_and_the_other_waits_and_reads(path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ONE_OF_TWO, path],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(process.communicate()[0] for process in processes) == ["compiles\n", "reads\n"]


@pytest.fixture
def opening(monkeypatch):
    """Opens the network of the profile `cudnn-gpu`, with a runtime that only stores something."""
    monkeypatch.setitem(sys.modules, "cupy", stand_in_cupy(Gpu()))
    monkeypatch.delitem(sys.modules, "yolov7_fp16_version_1.network", raising=False)
    runtime = types.ModuleType("runtime")
    runtime.PlannedRuntime = lambda model, **memory: store.write(
        store.folder() / "network.zip", {"plan": os.urandom(100_000)}
    )
    monkeypatch.setitem(sys.modules, "yolov7_fp16_version_1.planned.runtime", runtime)
    yield lambda: part("yolov7_fp16", "network")._runtime("cudnn")(Path("model.onnx"))
    del sys.modules["yolov7_fp16_version_1.network"]


def test_a_full_disk_is_named_with_the_fix(opening, tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", 64) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with pytest.raises(ValueError, match=rf"No space left.*free space in {disk} .*set TMPDIR"):
            opening()
        assert list(disk.rglob("*.zip")) == []


def test_no_usable_folder_for_temporary_files_is_named_with_the_fix(opening, tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", 64) as disk:
        with contextlib.suppress(OSError):
            (disk / "filling").write_bytes(bytes(1 << 20))
        monkeypatch.setattr(tempfile, "tempdir", None)
        monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(disk)])
        with pytest.raises(ValueError, match=rf"No usable .*{disk}.*set TMPDIR"):
            opening()


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EACCES])
def test_another_error_of_a_file_is_not_about_room(opening, monkeypatch, code):
    def fail(model, **memory):
        raise OSError(code, "not about room", str(model))

    monkeypatch.setattr(
        sys.modules["yolov7_fp16_version_1.planned.runtime"], "PlannedRuntime", fail
    )
    with pytest.raises(OSError, match="not about room"):
        opening()
