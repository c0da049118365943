"""Who may ask the service what, and what the others are told."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
import websocket
from api import TIMEOUT_S, Api, check_problem, serve_api
from certificates import write_certificates
from running import poll
from yolostream.errors import ServiceError
from yolostream.service.settings import WebTls
from yolostream.service.tokens import Tokens, new_token
from yolostream.service.web import body_limit, connection, detect, server
from yolostream.service.web.access import Access
from yolostream.service.web.logins import COOKIE, MAX_FAILURES

CAMERAS = "/api/v1/cameras"
SESSION = "/api/v1/session"
CANARY = "cAnArY7"


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    """One for all who reach it."""
    with serve_api() as api:
        yield api


class Locked:
    """One that asks for tokens."""

    def __init__(self, api: Api, file: Path, tokens: dict[str, str]) -> None:
        self.api = api
        self.file = file
        self.tokens = tokens

    def bearer(self, scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[scope]}"}


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[Locked]:
    file = tmp_path / "tokens"
    tokens = {scope: new_token(file, scope) for scope in ("read", "write")}
    with serve_api(access=Access(port=0, tokens=Tokens(file))) as api:
        yield Locked(api, file, tokens)


def test_every_error_is_a_problem_with_a_fix(api: Api) -> None:
    check_problem(api.get("/api/v1/nothing"), 404)
    check_problem(api.get(f"{CAMERAS}/nobody"), 404, "no-camera")
    refused = api.ask("POST", CAMERAS)
    check_problem(refused, 405)
    assert refused.headers["allow"]
    faults = check_problem(api.put(f"{CAMERAS}/gate", {"confidence": 7}), 422, "invalid-request")
    assert {fault["where"] for fault in faults["errors"]} == {"body.confidence", "body.source"}
    check_problem(api.ask("PUT", f"{CAMERAS}/gate", data="{"), 422, "invalid-request")
    check_problem(api.put(f"{CAMERAS}/..%2F..%2Fetc", {"source": "rtsp://a/b"}), 405)
    check_problem(
        api.put(f"{CAMERAS}/{'x' * 300}", {"source": "rtsp://a/b"}), 422, "invalid-request"
    )


def test_what_was_sent_is_not_sent_back(api: Api) -> None:
    wrong = {"source": f"rtsp://user:{CANARY}@host/x", "password": CANARY, "fps": CANARY}
    answer = api.put(f"{CAMERAS}/gate", wrong)
    check_problem(answer, 422, "invalid-request")
    assert CANARY not in answer.text


def test_a_defect_tells_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(api.control, "settings", fail)
    answer = api.get(CAMERAS)
    check_problem(answer, 500, "defect")
    assert CANARY not in answer.text
    assert "Traceback" not in answer.text


def test_a_name_of_somebody_else_is_refused(api: Api) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        check_problem(api.get(CAMERAS, headers={"Host": host}), 421, "unknown-host")
    for host in ("localhost:1", "127.0.0.1", "[::1]:8080", "LOCALHOST", "cameras.localhost"):
        assert api.get(CAMERAS, headers={"Host": host}).status_code == 200


def test_a_name_that_was_allowed_is_taken() -> None:
    with serve_api(access=Access(port=0, names=frozenset({"cameras.example"}))) as api:
        assert api.get(CAMERAS, headers={"Host": "cameras.example:443"}).status_code == 200


def test_a_page_of_somebody_else_changes_nothing(api: Api) -> None:
    strangers = ("http://evil.example", "null", "http://127.0.0.1:1", "file://", "http://[", "")
    for origin in strangers:
        headers = {"Origin": origin}
        for method, path in (
            ("PUT", f"{CAMERAS}/x"),
            ("DELETE", f"{CAMERAS}/x"),
            ("POST", SESSION),
        ):
            check_problem(api.ask(method, path, json={}, headers=headers), 403, "foreign-origin")
        for path in ("/api/v1/events/ws", f"{CAMERAS}/x/live"):
            with pytest.raises(websocket.WebSocketBadStatusException) as refused:
                websocket.create_connection(
                    api.url.replace("http", "ws") + path, origin=origin, timeout=TIMEOUT_S
                )
            assert refused.value.status_code == 403
    own = {"Origin": api.url}
    check_problem(api.ask("DELETE", f"{CAMERAS}/x", headers=own), 404, "no-camera")


def test_other_sites_can_embed_nothing(api: Api) -> None:
    for path in ("/", CAMERAS, "/api/v1/nothing"):
        headers = api.get(path).headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in headers


def test_a_huge_upload_is_refused_before_it_is_read(api: Api) -> None:
    with api.raw() as connection:
        head = f"POST {detect.PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {200 << 20}\r\n"
        connection.sendall(head.encode() + b"\r\n" + b"x" * 1000)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_an_upload_that_does_not_say_its_size_is_cut_off(api: Api) -> None:
    def pieces() -> Iterator[bytes]:
        nonlocal sent
        while sent < 200 << 20:
            sent += 1 << 20
            yield b"x" * (1 << 20)

    sent = 0
    try:
        answer = api.ask("POST", detect.PATH, data=pieces())
    except OSError:
        # The connection is closed under who goes on sending.
        pass
    else:
        check_problem(answer, 413, "too-large")
    assert sent < detect.MAX_BYTES + (16 << 20)


def test_who_says_nothing_or_one_letter_at_a_time_is_left(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "REQUEST_S", 1.0)
    monkeypatch.setattr(body_limit, "MAX_BODY_S", 1.0)
    head = b"PUT /api/v1/cameras/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n"
    with contextlib.ExitStack() as stack:
        silent, slow, begun = (stack.enter_context(api.raw()) for _ in range(3))
        begun.sendall(head + b"{")
        with contextlib.suppress(OSError):
            for letter in head[:-1] * 100:
                slow.sendall(bytes([letter]))
                time.sleep(0.1)
        for one in (silent, slow):
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
        assert begun.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert api.get(CAMERAS).status_code == 200


def test_many_connections_leave_files_for_the_cameras(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 20)
    with contextlib.ExitStack() as stack:
        many = [stack.enter_context(api.raw()) for _ in range(40)]
        for one in many[20:]:
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
    poll(lambda: _is_answered(api), what="room for others")


def _is_answered(api: Api) -> bool:
    with contextlib.suppress(requests.ConnectionError):
        return api.get(CAMERAS).status_code == 200
    return False


def test_the_description_is_there_without_a_network(api: Api) -> None:
    page = api.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text
    for path in ("swagger-ui.css", "swagger-ui-bundle.js", "show.js", "LICENSE"):
        assert f"/docs/{path}" in page.text or path == "LICENSE"
        assert api.get(f"/docs/{path}").status_code == 200
    schema = api.get("/openapi.json").json()
    assert "/api/v1/cameras/{name}" in schema["paths"]
    assert "ProblemDetails" in schema["components"]["schemas"]


def test_tokens_are_asked_for_and_have_scopes(locked: Locked) -> None:
    api = locked.api
    check_problem(api.get(CAMERAS), 401, "unknown-token")
    assert api.get(CAMERAS).headers["www-authenticate"] == "Bearer"
    for scope in ("read", "write"):
        assert api.get(CAMERAS, headers=locked.bearer(scope)).status_code == 200
    read, write = locked.bearer("read"), locked.bearer("write")
    check_problem(api.ask("DELETE", f"{CAMERAS}/x", headers=read), 403, "read-only-token")
    check_problem(api.ask("DELETE", f"{CAMERAS}/x", headers=write), 404, "no-camera")
    # It only looks, though it is posted to.
    check_problem(api.ask("POST", detect.PATH, data=b"x", headers=read), 415, "no-picture")
    check_problem(api.ask("POST", "/api/v1/probe", json={}, headers=read), 403, "read-only-token")


def test_only_files_that_are_the_same_for_all_need_no_token(locked: Locked) -> None:
    api = locked.api
    for path in ("/", "/docs/", "/openapi.json", SESSION):
        assert api.get(path).status_code == 200
    routes = {path for path in api.get("/openapi.json").json()["paths"]} - {SESSION}
    assert len(routes) > 5
    for path in (*routes, "/metrics", "/nothing", "//api/v1/cameras", "/docs/../api/v1/cameras"):
        check_problem(api.get(path.replace("{name}", "x")), 401, "unknown-token")
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(api.url.replace("http", "ws") + "/api/v1/events/ws")
    assert refused.value.status_code == 401


def test_a_token_is_revoked_with_its_line(locked: Locked) -> None:
    api, read = locked.api, locked.bearer("read")
    assert api.get(CAMERAS, headers=read).status_code == 200
    lines = locked.file.read_text().splitlines(keepends=True)
    locked.file.write_text("".join(line for line in lines if not line.startswith("read")))
    check_problem(api.get(CAMERAS, headers=read), 401, "unknown-token")
    assert api.get(CAMERAS, headers=locked.bearer("write")).status_code == 200
    locked.file.unlink()
    check_problem(api.get(CAMERAS, headers=locked.bearer("write")), 401, "unknown-token")


def test_a_page_shows_its_token_in_a_cookie_that_no_script_reads(locked: Locked) -> None:
    api = locked.api
    assert api.get(SESSION).json() == {"scope": None}
    check_problem(api.ask("POST", SESSION, json={"token": "wrong"}), 401, "unknown-token")
    answer = api.ask("POST", SESSION, json={"token": locked.tokens["write"]})
    assert answer.json() == {"scope": "write"}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert api.get(SESSION).json() == {"scope": "write"}
    assert api.get(CAMERAS).status_code == 200
    follower = websocket.create_connection(
        api.url.replace("http", "ws") + "/api/v1/events/ws",
        cookie=f"{COOKIE}={locked.tokens['write']}",
        timeout=TIMEOUT_S,
    )
    follower.close()
    assert api.ask("DELETE", SESSION).status_code == 204
    check_problem(api.get(CAMERAS), 401, "unknown-token")


def test_wrong_tokens_are_answered_a_few_times_a_minute(locked: Locked) -> None:
    api, wrong = locked.api, {"Authorization": "Bearer wrong"}
    for _ in range(MAX_FAILURES):
        check_problem(api.get(CAMERAS, headers=wrong), 401, "unknown-token")
    limited = api.ask("POST", SESSION, json={"token": "wrong"})
    check_problem(limited, 429, "too-many-failures")
    assert int(limited.headers["retry-after"]) > 0
    check_problem(api.get(CAMERAS, headers=wrong), 429, "too-many-failures")
    # Others behind the same proxy go on.
    assert api.get(CAMERAS, headers=locked.bearer("read")).status_code == 200


def test_of_a_token_only_the_digest_is_kept(tmp_path: Path, yolostream_cli) -> None:
    file = tmp_path / "new" / "tokens"
    made = yolostream_cli("token", "read", "--file", file)
    assert made.returncode == 0, made.stderr
    token = made.stdout.strip()
    assert len(token) >= 43
    assert token not in file.read_text()
    assert token not in made.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Tokens(file).scope_of(token) == "read"
    assert Tokens(file).scope_of(token[:-1]) is None
    assert yolostream_cli("token", "write", "--file", "/proc/tokens").returncode == 23


def test_a_file_that_cannot_be_read_is_reported_once_and_so_is_its_return(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    file = tmp_path / "tokens"
    token = new_token(file, "read")
    tokens = Tokens(file)
    lines = file.read_text()
    assert tokens.scope_of(token) == "read"
    for content, problem in ((None, "No such file"), ("read nonsense\n", "line 1")):
        caplog.clear()
        file.unlink() if content is None else file.write_text(content)
        assert [tokens.scope_of(token) for _ in range(5)] == [None] * 5
        (warning,) = caplog.records
        assert warning.levelname == "WARNING"
        assert problem in warning.getMessage()
    caplog.clear()
    file.write_text(lines)
    assert [tokens.scope_of(token) for _ in range(5)] == ["read"] * 5
    assert [(one.levelname, "can be read again" in one.message) for one in caplog.records] == [
        ("INFO", True)
    ]


def test_a_file_without_tokens_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    with pytest.raises(ServiceError, match="yolostream token"):
        Tokens(file)
    file.write_text("# nothing\n")
    with pytest.raises(ServiceError, match="contains no token"):
        Tokens(file)
    file.write_text("write my-own-password\n")
    with pytest.raises(ServiceError, match="line 1") as error:
        Tokens(file)
    assert "my-own-password" not in str(error.value)


def test_beyond_this_machine_it_asks_for_tokens(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "cameras.example"):
        with pytest.raises(ServiceError, match="--insecure"):
            Access(host)
        Access(host, insecure=True)
    file = tmp_path / "tokens"
    new_token(file, "read")
    Access("0.0.0.0", tokens=Tokens(file))
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        Access(host)


def connections_to(api: Api) -> list[int]:
    return [
        one.fd
        for one in psutil.Process().net_connections()
        if one.laddr.port == api.address[1] and one.status != psutil.CONN_LISTEN
    ]


def test_tls(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    file = tmp_path / "tokens"
    token = new_token(file, "read")
    access = Access(port=0, tokens=Tokens(file), tls=WebTls(certificate=certificate, key=key))
    with serve_api(access=access) as api:
        assert api.url.startswith("https://")
        content = json.dumps({"token": token})
        head = f"POST {SESSION} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        with api.raw() as connection:
            tls = trusting.wrap_socket(connection, server_hostname="127.0.0.1")
            tls.sendall((head + content).encode())
            answer = b"".join(iter(lambda: tls.recv(1 << 16), b"")).decode()
            # asyncio waits for half a minute for whoever does not say farewell.
            tls.unwrap().close()
        assert answer.startswith("HTTP/1.1 200 ")
        assert "secure" in answer.partition("set-cookie:")[2].partition("\r\n")[0].lower()
        poll(lambda: not connections_to(api), what="the server to close it")
    with (
        pytest.raises(ServiceError, match="PEM"),
        serve_api(access=Access(port=0, tls=WebTls(certificate=key, key=certificate))),
    ):
        pass


def test_a_port_that_is_taken_is_an_error(api: Api) -> None:
    _, port = api.address
    with pytest.raises(ServiceError, match="--listen"), serve_api(access=Access(port=port)):
        pass


def test_it_stops_though_somebody_follows(caplog: pytest.LogCaptureFixture) -> None:
    with contextlib.ExitStack() as readers:
        with serve_api() as api:
            readers.enter_context(api.events("/api/v1/events"))
            follower = websocket.create_connection(
                api.url.replace("http", "ws") + "/api/v1/events/ws", timeout=TIMEOUT_S
            )
            readers.callback(follower.shutdown)
        opcode, _ = follower.recv_data()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_who_stops_reading_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SEND_TIMEOUT_MS", 2000)
    with serve_api() as api, socket.socket() as reader:
        events = api.service.events
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(api.address)
        reader.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        poll(lambda: events.follower_count == 1, what="it to follow")
        ends_at = time.monotonic() + TIMEOUT_S
        while events.follower_count and time.monotonic() < ends_at:
            events.publish("configuration_read", words="x" * 10_000)
            time.sleep(0.001)
        assert events.follower_count == 0
