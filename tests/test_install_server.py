"""The folder of the environment of tritonserver, and failed installations."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import REPOSITORY
from yolostream.errors import ServerStartError
from yolostream.server import installing


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Simulate an installed wheel; return the folder of its requirements."""
    lists = tmp_path / "requirements"
    lists.mkdir()
    for name in ("server", "server-gpu", "server-torch"):
        (lists / f"{name}.txt").write_text("no-such-package-anywhere==1\n")
    monkeypatch.setattr(installing, "CLONE", None)
    monkeypatch.setattr(installing, "REQUIREMENTS", lists)
    return lists


def test_a_clone_has_its_own_environment() -> None:
    assert installing.default_folder() == REPOSITORY / ".venv-server"


def test_the_environment_of_a_wheel_is_in_the_cache_of_the_user(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert installing.default_folder().parent == tmp_path / "cache" / "yolostream"
    for none in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", none)
        assert installing.default_folder().parent == tmp_path / "home" / ".cache" / "yolostream"


def test_other_requirements_have_another_environment(wheel: Path) -> None:
    before = installing.default_folder()
    (wheel / "server.txt").write_text("no-such-package-anywhere==2\n")
    assert installing.default_folder() != before


def test_a_failed_installation_keeps_the_old_environment(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cache" / "server"
    folder.mkdir(parents=True)
    (folder / "old").touch()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ServerStartError, match="cannot install the packages of the profile 'cpu'"):
        installing.install(folder, "cpu")
    output = capfd.readouterr()
    assert "no-such-package-anywhere" in output.err
    assert not output.out
    assert [path.name for path in folder.parent.iterdir()] == ["server"]
    assert (folder / "old").exists()


def test_a_folder_that_cannot_be_created_is_named(wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServerStartError, match=r"file/server cannot be written.*--server-env"):
        installing.install(tmp_path / "file" / "server", "cpu")
