"""Fetching weights over real HTTP, from a server here that has files of the official sizes."""

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
    """Serves `content` under every path except /moved/, and may be made to misbehave."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.content = CONTENT
        self.ranges = []
        """What each request asked for."""
        self.knows_ranges = True
        self.tells_length = True
        self.status = 200
        self.stops_after = None
        """Bytes of an answer after which the connection breaks off, or stalls."""
        self.stalled = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()


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
        if mirror.tells_length:
            self.send_header("Content-Length", str(len(mirror.content) - start))
        self.end_headers()
        body = mirror.content[start:]
        with suppress(ConnectionError):
            self.wfile.write(body[: mirror.stops_after])
            if not mirror.may_go_on.is_set():
                mirror.stalled.set()
                mirror.may_go_on.wait()

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
        server.may_go_on.set()
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


def test_a_file_arrives_whole_with_a_record_beside_it(mirror, folder):
    before = datetime.now(UTC).replace(microsecond=0)

    target, _ = fetch(NAME, folder, release=mirror.url)

    assert target.read_bytes() == CONTENT
    assert names_in(folder) == {f"{NAME}.pt", f"{NAME}.pt.json"}
    record = json.loads((folder / f"{NAME}.pt.json").read_text())
    assert before <= datetime.fromisoformat(record.pop("time")) <= datetime.now(UTC)
    assert record == {"url": f"{mirror.url}/{NAME}.pt", "bytes": SIZE, "sha256": DIGEST}


def test_what_is_there_is_not_fetched_again(mirror, folder):
    _, first = fetch(NAME, folder, release=mirror.url)
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()}

    _, second = fetch(NAME, folder, release=mirror.url)

    assert first == second
    assert len(mirror.ranges) == 1
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == times


@pytest.mark.parametrize("have", [1, SIZE // 2, SIZE - 1])
def test_a_download_goes_on_where_it_broke_off(mirror, folder, have):
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


def test_a_partial_file_that_is_too_large_is_thrown_away(mirror, folder):
    with_partial(folder, CONTENT + b"more")
    target, _ = fetch(NAME, folder, release=mirror.url)
    assert mirror.ranges == [None]
    assert target.read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_needs_no_server(folder):
    with_partial(folder, CONTENT)
    target, _ = fetch(NAME, folder, release="http://127.0.0.1:1")
    assert target.read_bytes() == CONTENT


def test_a_server_that_tells_no_length_is_read_too(mirror, folder):
    mirror.tells_length = False
    target, _ = fetch(NAME, folder, release=mirror.url)
    assert target.read_bytes() == CONTENT


def test_redirects_are_followed_and_keep_the_place(mirror, folder):
    with_partial(folder, CONTENT[:1000])
    target, _ = fetch(NAME, folder, release=f"{mirror.url}/moved")
    assert mirror.ranges == ["bytes=1000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_connection_that_breaks_keeps_what_came(mirror, folder, tells_length):
    mirror.stops_after = 5_000_000
    mirror.tells_length = tells_length
    with pytest.raises(DownloadError, match=f"5,000,000 of {SIZE:,} bytes.*run this again"):
        fetch(NAME, folder, release=mirror.url)
    assert names_in(folder) == {partial_of(folder).name}
    assert partial_of(folder).read_bytes() == CONTENT[:5_000_000]

    mirror.stops_after = None
    target, _ = fetch(NAME, folder, release=mirror.url)

    assert mirror.ranges == [None, "bytes=5000000-"]
    assert target.read_bytes() == CONTENT


def test_a_server_that_stalls_is_left_in_time(mirror, folder, monkeypatch):
    monkeypatch.setattr(fetch_weights, "_TIMEOUT_S", 0.5)
    mirror.stops_after = 5_000_000
    mirror.may_go_on.clear()
    with pytest.raises(DownloadError, match=r"timed out.*run this again"):
        fetch(NAME, folder, release=mirror.url)
    assert CONTENT.startswith(partial_of(folder).read_bytes())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_stop_keeps_what_came(mirror, folder, number):
    mirror.stops_after = 5_000_000
    mirror.may_go_on.clear()
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
        _, said = process.communicate(timeout=60)
    assert process.returncode == EXIT_INTERRUPTED
    assert "run this again" in said
    assert "Traceback" not in said
    assert names_in(folder) == {partial_of(folder).name}
    assert CONTENT.startswith(partial_of(folder).read_bytes())


@pytest.mark.parametrize("status", [403, 404, 416, 503])
def test_an_http_error_says_what_to_do_by_hand(mirror, folder, status):
    mirror.status = status
    with_partial(folder, CONTENT[:1000])
    with pytest.raises(DownloadError, match=rf"{status}.*by hand, {SIZE:,} bytes.*{folder}"):
        fetch(NAME, folder, release=mirror.url)
    assert partial_of(folder).read_bytes() == CONTENT[:1000]


def test_without_a_network_it_says_what_to_do_by_hand(mirror, folder, capsys):
    # No name below .invalid is ever found.
    with pytest.raises(SystemExit) as ended:
        main([NAME, "--output", str(folder), "--mirror", "http://mirror.invalid/v0.1"])
    assert ended.value.code == DownloadError.exit_code
    (line,) = capsys.readouterr().err.splitlines()
    assert f"http://mirror.invalid/v0.1/{NAME}.pt" in line
    assert f"{SIZE:,} bytes" in line
    assert f"put it at {folder / NAME}.pt" in line


@pytest.mark.parametrize("have", [0, 1000])
def test_another_file_is_refused_before_a_byte_of_it_is_kept(mirror, folder, have):
    mirror.content = b"<html>please log in</html>" * 100
    with_partial(folder, CONTENT[:have])
    with pytest.raises(DownloadError, match=f"not the official file.*{len(mirror.content)}"):
        fetch(NAME, folder, release=mirror.url)
    assert partial_of(folder).read_bytes() == CONTENT[:have]


def test_a_file_put_there_by_hand_is_recorded_as_that(folder, capsys):
    folder.mkdir()
    (folder / f"{NAME}.pt").write_bytes(CONTENT)

    main([NAME, "--output", str(folder), "--mirror", "http://127.0.0.1:1"])

    assert "by hand" in capsys.readouterr().out
    record = json.loads((folder / f"{NAME}.pt.json").read_text())
    assert record["url"] is None
    assert record["sha256"] == DIGEST


def test_a_file_of_another_size_is_named_and_left_alone(mirror, folder):
    folder.mkdir()
    (folder / f"{NAME}.pt").write_bytes(b"mine")
    with pytest.raises(DownloadError, match=rf"has 4 bytes, the official file {SIZE:,}"):
        fetch(NAME, folder, release=mirror.url)
    assert (folder / f"{NAME}.pt").read_bytes() == b"mine"


def test_a_file_that_has_changed_since_it_was_recorded_is_named(mirror, folder):
    target, _ = fetch(NAME, folder, release=mirror.url)
    changed = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    target.write_bytes(changed)
    with pytest.raises(DownloadError, match=f"{hashlib.sha256(changed).hexdigest()}.*{DIGEST}"):
        fetch(NAME, folder, release=mirror.url)
    assert target.read_bytes() == changed


def test_a_second_download_is_held_to_the_record_of_the_first(mirror, folder):
    target, _ = fetch(NAME, folder, release=mirror.url)
    target.unlink()
    mirror.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DownloadError, match=DIGEST):
        fetch(NAME, folder, release=mirror.url)
    assert not target.exists()


def test_a_broken_record_is_named(mirror, folder):
    fetch(NAME, folder, release=mirror.url)
    for broken in ("no json", "{}", "[]"):
        (folder / f"{NAME}.pt.json").write_text(broken)
        with pytest.raises(DownloadError, match=rf"{NAME}\.pt\.json is not a record"):
            fetch(NAME, folder, release=mirror.url)


def test_a_full_disk_is_named_and_keeps_what_came(mirror, folder):
    with (
        full_disk(SIZE // 2),
        pytest.raises(DownloadError, match=f"cannot write {folder}"),
    ):
        fetch(NAME, folder, release=mirror.url)
    assert names_in(folder) == {partial_of(folder).name}
    assert fetch(NAME, folder, release=mirror.url)[0].read_bytes() == CONTENT


def test_the_command_says_file_checksum_and_license(mirror, folder, capsys):
    main([NAME, "--output", str(folder), "--mirror", mirror.url])
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == str(folder / f"{NAME}.pt")
    assert DIGEST in said.out
    assert "publishes none" in said.out
    assert "GPL-3.0" in said.out
    assert NAME in said.err, "the progress bar"


def test_a_mirror_that_is_no_http_address_is_refused(folder, capsys):
    with pytest.raises(SystemExit) as ended:
        main([NAME, "--output", str(folder), "--mirror", "file:///etc"])
    assert ended.value.code == 2
    assert "file:///etc" in capsys.readouterr().err
    assert not folder.exists()
