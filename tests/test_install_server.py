"""Where the environment of tritonserver lies, and what happens to it when it cannot be made."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPOSITORY
from yolostream.errors import ServerStartError
from yolostream.server import installing


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As if a wheel were installed; the folder of its lists of packages."""
    lists = tmp_path / "requirements"
    lists.mkdir()
    for name in ("server", "server-gpu", "server-torch"):
        (lists / f"{name}.txt").write_text("no-such-package-anywhere==1\n")
    monkeypatch.setattr(installing, "CLONE", None)
    monkeypatch.setattr(installing, "REQUIREMENTS", lists)
    return lists


def test_a_clone_has_its_own() -> None:
    assert installing.default_folder() == REPOSITORY / ".venv-server"


def test_a_wheel_s_is_in_the_user_s_cache(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert installing.default_folder().parent == tmp_path / "cache" / "yolostream"
    for none in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", none)
        assert installing.default_folder().parent == tmp_path / "home" / ".cache" / "yolostream"


def test_other_packages_are_another_environment(wheel: Path) -> None:
    before = installing.default_folder()
    (wheel / "server.txt").write_text("no-such-package-anywhere==2\n")
    assert installing.default_folder() != before


def test_what_was_there_stays_if_the_new_one_cannot_be_made(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache" / "server"
    folder.mkdir(parents=True)
    (folder / "old").touch()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ServerStartError, match="cannot install the packages of the profile 'cpu'"):
        installing.install(folder, "cpu")
    said = capfd.readouterr()
    assert "no-such-package-anywhere" in said.err
    assert not said.out
    assert [path.name for path in folder.parent.iterdir()] == ["server"]
    assert (folder / "old").exists()


def test_a_folder_that_cannot_be_made_is_named(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerStartError, match=r"file/server cannot be written.*--server-env"):
        installing.install(tmp_path / "file" / "server", "cpu")
