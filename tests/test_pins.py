"""`make pins`, and installation by pip from the files that it writes, with a local index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import REPOSITORY
from yolostream.errors import ServerStartError
from yolostream.server import installing


class Index(ThreadingHTTPServer):
    """A package index with one package, 'thing'."""

    def __init__(self, folder: Path) -> None:
        self.package = folder / "thing"
        self.package.mkdir(parents=True)
        super().__init__(("127.0.0.1", 0), partial(Quiet, directory=folder))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def publish(self, version: str, code: str) -> None:
        """Add a wheel, or replace the one with the same name."""
        wheel = self.package / f"thing-{version}-py3-none-any.whl"
        about = f"Metadata-Version: 2.1\nName: thing\nVersion: {version}\n"
        tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("thing.py", code)
            archive.writestr(f"thing-{version}.dist-info/METADATA", about)
            archive.writestr(f"thing-{version}.dist-info/WHEEL", tags)
            archive.writestr(f"thing-{version}.dist-info/RECORD", "")
        files = {path.name: sha256(path.read_bytes()) for path in self.package.glob("*.whl")}
        links = [f"<a href='{n}#sha256={h.hexdigest()}'>{n}</a>" for n, h in files.items()]
        (self.package / "index.html").write_text("\n".join(links))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index(tmp_path: Path):
    with Index(tmp_path / "index") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Clone:
    """A Makefile with one requirements file, and a folder to install its packages into."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        (folder / "requirements").mkdir(parents=True)
        shutil.copy(REPOSITORY / "Makefile", folder)
        (folder / ".venv-uv").symlink_to(REPOSITORY / ".venv-uv")
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
        self.environ = {
            **inherited,
            "UV_DEFAULT_INDEX": index.url,
            # Wheels with the same name may change in these tests.
            "UV_NO_CACHE": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_CACHE_DIR": "1",
            "PIP_INDEX_URL": index.url,
        }

    def list(self, version: str) -> None:
        (self.folder / "requirements" / "things.in").write_text(f"# Things.\nthing=={version}\n")

    def make_pins(self) -> str:
        """Run `make pins`; return the written file."""
        # The clone uses the .venv-uv of the repository, which must not be built again.
        make = ["make", "--old-file", ".venv-uv/.uv", "pins"]
        done = subprocess.run(
            make, cwd=self.folder, env=self.environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        (written,) = (self.folder / "requirements").glob("*[!n]")
        return written.read_text()

    def install(self) -> str:
        """Install with pip; return the code of the package, or the error of pip."""
        target = self.folder / "installed"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target]
        done = subprocess.run(
            [*pip, "--upgrade", "-r", "requirements/things.txt"],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
        )
        return done.stderr if done.returncode else (target / "thing.py").read_text()


@pytest.fixture
def clone(tmp_path: Path, index: Index) -> Clone:
    return Clone(tmp_path / "clone", index)


def test_pip_refuses_another_file_with_the_name_of_a_pinned_one(clone: Clone, index: Index):
    index.publish("1.0", "ours = True")
    clone.list("1.0")
    clone.make_pins()
    assert clone.install() == "ours = True"
    index.publish("1.0", "ours = False")
    assert "DO NOT MATCH THE HASHES" in clone.install()


def test_a_version_is_changed_by_editing_one_line_and_make_pins(clone: Clone, index: Index):
    index.publish("1.0", "version = 1")
    index.publish("2.0", "version = 2")
    clone.list("1.0")
    assert "thing==1.0" in clone.make_pins()
    clone.list("2.0")
    assert "thing==2.0" in clone.make_pins()
    assert clone.install() == "version = 2"


def test_the_hashes_are_those_of_the_files_in_the_index(clone: Clone, index: Index):
    index.publish("1.0", "built_by = 'its authors'")
    clone.list("1.0")
    before = clone.make_pins()
    index.publish("1.0", "built_by = 'a company'")
    after = clone.make_pins()
    assert clone.install() == "built_by = 'a company'"
    assert before != after
    assert "127.0.0.1" not in after


def test_an_unchanged_file_is_not_written_again(clone: Clone, index: Index):
    index.publish("1.0", "")
    clone.list("1.0")
    clone.make_pins()
    written = clone.folder / "requirements" / "things.txt"
    os.utime(written, (1, 1))
    clone.make_pins()
    assert written.stat().st_mtime == 1


def test_the_packages_of_the_server_must_have_hashes(
    clone: Clone,
    index: Index,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
):
    index.publish("1.0", "")
    lists = clone.folder / "requirements"
    (lists / "server.txt").write_text("thing==1.0\n")
    monkeypatch.setattr(installing, "REQUIREMENTS", lists)
    for name in os.environ.keys() - clone.environ.keys():
        monkeypatch.delenv(name)
    for name, value in clone.environ.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ServerStartError, match="cannot install the packages of the profile 'cpu'"):
        installing.install(tmp_path / "server", "cpu")
    assert "Hashes are required" in capfd.readouterr().err
