"""The file of compiled convolutions."""

from __future__ import annotations

import zipfile

import pytest
from version_folder import part

store = part("yolov7_fp16", "planned.store")
CHOICES = {
    store.name_of(("a", 1)): store.Choice(True, "engine 7", 12.5, b"plan" * 1000),
    store.name_of(("b", 2)): store.Choice(False, "engine 62", 3.0, bytes(range(256))),
}


def test_what_was_written_is_read(tmp_path):
    store.write(tmp_path / "choices.zip", CHOICES)
    assert store.read(tmp_path / "choices.zip") == CHOICES
    assert [path.name for path in tmp_path.iterdir()] == ["choices.zip"]


def test_a_missing_file_has_no_choices(tmp_path):
    assert store.read(tmp_path / "none.zip") == {}


@pytest.mark.parametrize("left", [0, 10, 0.5, 0.99])
def test_a_damaged_file_has_no_choices(left, tmp_path):
    path = tmp_path / "choices.zip"
    store.write(path, CHOICES)
    whole = path.read_bytes()
    path.write_bytes(whole[: left if isinstance(left, int) else int(left * len(whole))])
    assert store.read(path) == {}


def test_a_file_of_something_else_has_no_choices(tmp_path):
    with zipfile.ZipFile(tmp_path / "choices.zip", "w") as archive:
        archive.writestr("choices.json", '{"a": {"fused": true}}')
    assert store.read(tmp_path / "choices.zip") == {}


def test_what_fails_while_it_is_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "choices.zip"
    store.write(path, CHOICES)
    with pytest.raises(TypeError):
        store.write(path, {"c": store.Choice(True, "engine 7", 1.0, None)})
    assert store.read(path) == CHOICES
    assert [one.name for one in tmp_path.iterdir()] == ["choices.zip"]
