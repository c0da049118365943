"""The log of a server: every line is shown, and its files stay small."""

from __future__ import annotations

import io
import sys

from running import poll
from yolostream.server import log


def test_a_log_stays_small_and_each_line_is_shown_once(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "LIMIT_BYTES", 100)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(shown))
    path = tmp_path / "server.log"
    written = bytearray()

    def is_shown() -> bool:
        return shown.getvalue() == written

    # The server keeps its log open.
    with path.open("ab", buffering=0) as server, log.copied_to_stderr(path):
        for number in range(5):
            for part in ("shown before it is moved", "moved before it is shown"):
                line = f"{number}: {part} {'.' * 50}\n".encode()
                server.write(line)
                written.extend(line)
                if part.startswith("shown"):
                    poll(is_shown, what="the line on stderr")
            log.rotate(path)
            assert path.stat().st_size == 0
            poll(is_shown, what="the moved line on stderr")
        server.write(b"the last one\n")
    assert shown.getvalue() == written + b"the last one\n"
    assert {file.name for file in tmp_path.iterdir()} == {path.name, log.rotated_path(path).name}


def test_on_a_full_disk_the_log_is_discarded(tmp_path, monkeypatch):
    monkeypatch.setattr(log, "LIMIT_BYTES", 10)
    monkeypatch.setattr(log, "rotated_path", lambda path: "/dev/full")
    path = tmp_path / "server.log"
    path.write_bytes(bytes(11))
    log.rotate(path)
    assert path.stat().st_size == 0


def test_a_short_log_is_not_changed(tmp_path):
    path = tmp_path / "server.log"
    path.write_text("a line\n")
    log.rotate(path)
    assert path.read_text() == "a line\n"
    assert list(tmp_path.iterdir()) == [path]
