"""Download of weights over HTTP from a local server with files of the official sizes."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from clips import full_disk
from conftest import REPOSITORY
from yolostream.interruption import EXIT_INTERRUPTED

from tools import fetch_weights
from tools.errors import DownloadError
from tools.fetch_weights import SIZES, fetch, main

NAME = "yolov7-tiny"
SIZE = SIZES[NAME]
CONTENT = np.random.default_rng(0).bytes(SIZE)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Mirror(ThreadingHTTPServer):
    """Serves `content` at every path except /moved/; attributes make it misbehave."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.content = CONTENT
        self.ranges = []
        """What each request asked for."""
        self.knows_ranges = True
        self.sends_length = True
        self.status = 200
        self.stops_after = None
        """Bytes of an answer after which the connection breaks off, or stalls."""
        self.stalled = threading.Event()
        self.may_continue = threading.Event()
        self.may_continue.set()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        mirror = self.server
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.replace("/moved/", "/"))
            self.end_headers()
            return
        wanted = self.headers["Range"]
        mirror.ranges.append(wanted)
        if mirror.status != 200:
            self.send_error(mirror.status)
            return
        start = 0
        if wanted and mirror.knows_ranges:
            start, total = int(wanted.removeprefix("bytes=").rstrip("-")), len(mirror.content)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        else:
            self.send_response(200)
        if mirror.sends_length:
            self.send_header("Content-Length", str(len(mirror.content) - start))
        self.end_headers()
        body = mirror.content[start:]
        with suppress(ConnectionError):
            self.wfile.write(body[: mirror.stops_after])
            if not mirror.may_continue.is_set():
                mirror.stalled.set()
                mirror.may_continue.wait()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def mirror(monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with Mirror() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.may_continue.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "weights"


def partial_of(folder):
    return folder / f"{NAME}.pt.partial"


def with_partial(folder, content):
    folder.mkdir()
    partial_of(folder).write_bytes(content)


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def test_a_download_is_complete_and_has_a_record(mirror, folder):
    before = datetime.now(UTC).replace(microsecond=0)

    target, _ = fetch(NAME, folder, release=mirror.url)

    assert target.read_bytes() == CONTENT
    assert names_in(folder) == {f"{NAME}.pt", f"{NAME}.pt.json"}
    record = json.loads((folder / f"{NAME}.pt.json").read_text())
    assert before <= datetime.fromisoformat(record.pop("time")) <= datetime.now(UTC)
    assert record == {"url": f"{mirror.url}/{NAME}.pt", "bytes": SIZE, "sha256": DIGEST}


def test_an_existing_file_is_not_downloaded_again(mirror, folder):
    _, first = fetch(NAME, folder, release=mirror.url)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    _, second = fetch(NAME, folder, release=mirror.url)

    assert first == second
    assert len(mirror.ranges) == 1
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


@pytest.mark.parametrize("have", [1, SIZE // 2, SIZE - 1])
def test_an_interrupted_download_is_resumed(mirror, folder, have):
    with_partial(folder, CONTENT[:have])

    target, _ = fetch(NAME, folder, release=mirror.url)

    assert mirror.ranges == [f"bytes={have}-"]
    assert target.read_bytes() == CONTENT
    assert not partial_of(folder).exists()


def test_a_server_that_ignores_ranges_is_read_from_the_start(mirror, folder):
    mirror.knows_ranges = False
    with_partial(folder, b"something else")

    target, _ = fetch(NAME, folder, release=mirror.url)

    assert mirror.ranges == ["bytes=14-"]
    assert target.read_bytes() == CONTENT


def test_a_partial_file_that_is_too_large_is_discarded(mirror, folder):
    with_partial(folder, CONTENT + b"more")
    target, _ = fetch(NAME, folder, release=mirror.url)
    assert mirror.ranges == [None]
    assert target.read_bytes() == CONTENT


def test_a_complete_partial_file_needs_no_server(folder):
    with_partial(folder, CONTENT)
    target, _ = fetch(NAME, folder, release="http://127.0.0.1:1")
    assert target.read_bytes() == CONTENT


def test_a_server_without_a_content_length_is_supported(mirror, folder):
    mirror.sends_length = False
    target, _ = fetch(NAME, folder, release=mirror.url)
    assert target.read_bytes() == CONTENT


def test_redirects_are_followed_with_the_range(mirror, folder):
    with_partial(folder, CONTENT[:1000])
    target, _ = fetch(NAME, folder, release=f"{mirror.url}/moved")
    assert mirror.ranges == ["bytes=1000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("sends_length", [True, False])
def test_a_lost_connection_keeps_the_partial_file(mirror, folder, sends_length):
    mirror.stops_after = 5_000_000
    mirror.sends_length = sends_length
    with pytest.raises(DownloadError, match=f"5,000,000 of {SIZE:,} bytes.*run this again"):
        fetch(NAME, folder, release=mirror.url)
    assert names_in(folder) == {partial_of(folder).name}
    assert partial_of(folder).read_bytes() == CONTENT[:5_000_000]

    mirror.stops_after = None
    target, _ = fetch(NAME, folder, release=mirror.url)

    assert mirror.ranges == [None, "bytes=5000000-"]
    assert target.read_bytes() == CONTENT


def test_a_stalled_server_is_a_timeout(mirror, folder, monkeypatch):
    monkeypatch.setattr(fetch_weights, "_TIMEOUT_S", 0.5)
    mirror.stops_after = 5_000_000
    mirror.may_continue.clear()
    with pytest.raises(DownloadError, match=r"timed out.*run this again"):
        fetch(NAME, folder, release=mirror.url)
    assert CONTENT.startswith(partial_of(folder).read_bytes())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_the_partial_file(mirror, folder, number):
    mirror.stops_after = 5_000_000
    mirror.may_continue.clear()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tools.fetch_weights", NAME),
            *("--output", folder, "--mirror", mirror.url),
        ],
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert mirror.stalled.wait(60)
        process.send_signal(number)
        _, output = process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED
    assert "run this again" in output
    assert "Traceback" not in output
    assert names_in(folder) == {partial_of(folder).name}
    assert CONTENT.startswith(partial_of(folder).read_bytes())


@pytest.mark.parametrize("status", [403, 404, 416, 503])
def test_an_http_error_explains_the_manual_download(mirror, folder, status):
    mirror.status = status
    with_partial(folder, CONTENT[:1000])
    with pytest.raises(DownloadError, match=rf"{status}.*by hand, {SIZE:,} bytes.*{folder}"):
        fetch(NAME, folder, release=mirror.url)
    assert partial_of(folder).read_bytes() == CONTENT[:1000]


def test_without_a_network_the_error_explains_the_manual_download(mirror, folder, capsys):
    # Names below .invalid never resolve.
    with pytest.raises(SystemExit) as ended:
        main([NAME, "--output", str(folder), "--mirror", "http://mirror.invalid/v0.1"])
    assert ended.value.code == DownloadError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert f"http://mirror.invalid/v0.1/{NAME}.pt" in line
    assert f"{SIZE:,} bytes" in line
    assert f"put it at {folder / NAME}.pt" in line


@pytest.mark.parametrize("have", [0, 1000])
def test_a_file_of_another_size_is_rejected_before_it_is_written(mirror, folder, have):
    mirror.content = b"<html>please log in</html>" * 100
    with_partial(folder, CONTENT[:have])
    with pytest.raises(DownloadError, match=f"not the official file.*{len(mirror.content)}"):
        fetch(NAME, folder, release=mirror.url)
    assert partial_of(folder).read_bytes() == CONTENT[:have]


def test_a_manually_placed_file_is_recorded_as_such(folder, capsys):
    folder.mkdir()
    (folder / f"{NAME}.pt").write_bytes(CONTENT)

    main([NAME, "--output", str(folder), "--mirror", "http://127.0.0.1:1"])

    assert "by hand" in capsys.readouterr().out
    record = json.loads((folder / f"{NAME}.pt.json").read_text())
    assert record["url"] is None
    assert record["sha256"] == DIGEST


def test_an_existing_file_of_another_size_is_named_and_kept(mirror, folder):
    folder.mkdir()
    (folder / f"{NAME}.pt").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=rf"has 4 bytes, the official file {SIZE:,}"):
        fetch(NAME, folder, release=mirror.url)
    assert (folder / f"{NAME}.pt").read_bytes() == b"mine"


def test_a_file_that_differs_from_its_record_is_named(mirror, folder):
    target, _ = fetch(NAME, folder, release=mirror.url)
    changed = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    target.write_bytes(changed)
    with pytest.raises(DownloadError, match=f"{hashlib.sha256(changed).hexdigest()}.*{DIGEST}"):
        fetch(NAME, folder, release=mirror.url)
    assert target.read_bytes() == changed


def test_a_second_download_must_match_the_record_of_the_first(mirror, folder):
    target, _ = fetch(NAME, folder, release=mirror.url)
    target.unlink()
    mirror.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DownloadError, match=DIGEST):
        fetch(NAME, folder, release=mirror.url)
    assert not target.exists()


def test_an_invalid_record_is_named(mirror, folder):
    fetch(NAME, folder, release=mirror.url)
    for broken in ("no json", "{}", "[]"):
        (folder / f"{NAME}.pt.json").write_text(broken)
        with pytest.raises(DownloadError, match=rf"{NAME}\.pt\.json is not a record"):
            fetch(NAME, folder, release=mirror.url)


def test_a_full_disk_is_named_and_keeps_the_partial_file(mirror, folder):
    with (
        full_disk(SIZE // 2),
        pytest.raises(DownloadError, match=f"cannot write {folder}"),
    ):
        fetch(NAME, folder, release=mirror.url)
    assert names_in(folder) == {partial_of(folder).name}
    assert fetch(NAME, folder, release=mirror.url)[0].read_bytes() == CONTENT


def test_the_command_prints_path_checksum_and_license(mirror, folder, capsys):
    main([NAME, "--output", str(folder), "--mirror", mirror.url])
    output = capsys.readouterr()
    assert output.out.splitlines()[0] == str(folder / f"{NAME}.pt")
    assert DIGEST in output.out
    assert "publishes none" in output.out
    assert "GPL-3.0" in output.out
    assert NAME in output.err, "the progress bar"


def test_a_mirror_that_is_no_http_address_is_refused(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        main([NAME, "--output", str(folder), "--mirror", "file:///etc"])
    assert ended.value.code == 2
    assert "file:///etc" in capsys.readouterr().err
    assert not folder.exists()
