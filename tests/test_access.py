"""Access to a server: tokens and TLS, with a real Triton and its real clients."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from certificates import write_certificates
from clips import steps, write_clip
from conftest import REPOSITORY
from loopback import LOOPBACK
from running import check, ended, errors_of, lines, poll, started
from tritonclient.grpc import service_pb2, service_pb2_grpc
from yolostream import AccessDenied, Detector, ServerUnavailable, Tls
from yolostream.access_token import GRPC_HEADER, HTTP_HEADER, is_token, new_token
from yolostream.server import embedded
from yolostream.server.access import Access, ServerTls

TOKEN = "0123456789abcdef-cAnArY7"
HEALTH = {"ServerLive", "ServerReady", "ModelReady"}
ADMINISTRATION = {
    *("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload"),
    *("TraceSetting", "LogSettings"),
}
_METHODS = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name


def serving(access: Access):
    return embedded.serve(
        REPOSITORY / "model_repository",
        environment=REPOSITORY / ".venv-server",
        models=["yolov7"],
        profile="cpu",
        access=access,
        stop_timeout_s=0,
    )


def refused(url: str, **options: object) -> set[str]:
    """Names of the calls that the server refuses before it parses them."""
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        return {name for name in _METHODS if _is_refused(stub, name, **options)}


def _is_refused(stub: object, name: str, **options: object) -> bool:
    request = getattr(service_pb2, _METHODS[name].input_type.name)()
    call = getattr(stub, name)
    try:
        if name == "ModelStreamInfer":
            list(call(iter([request]), timeout=60, **options))
        else:
            call(request, timeout=60, **options)
    except grpc.RpcError as error:
        return "restricted" in error.details()
    return False


def http_status(
    address: str, path: str, method: str = "GET", *, body: bytes = b"{}", **headers: str
) -> int:
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    try:
        connection.request(method, path, body=body if method == "POST" else None, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


# Tokens


def test_without_a_token_administration_calls_are_refused():
    # With a server of its own, because these calls unregister all shared memory if they succeed.
    with serving(Access()) as server:
        assert refused(server.url) == ADMINISTRATION
        for path in ("/v2/logging", "/v2/repository/index", "/v2/repository/models/yolov7/unload"):
            assert http_status(server.http_url, path, "POST") == 403
        assert http_status(server.http_url, "/v2/trace/setting") == 403
        assert http_status(server.http_url, "/v2/models/yolov7/config") == 200
        with Detector(server.url) as ours:
            assert ours.transport == "shared-memory"


@pytest.fixture(scope="module")
def guarded() -> Iterator[embedded.EmbeddedTriton]:
    with serving(Access(TOKEN)) as server:
        yield server


def test_with_a_token_all_calls_but_health_require_it(guarded):
    # If a newer Triton adds a call that is not refused, this fails.
    assert refused(guarded.url) == set(_METHODS) - HEALTH
    assert refused(guarded.url, metadata=[(GRPC_HEADER, "another")]) == set(_METHODS) - HEALTH
    assert not refused(guarded.url, metadata=[(GRPC_HEADER, TOKEN)])
    for path in ("/v2", "/v2/models/stats", "/v2/systemsharedmemory/status", "/v2/logging"):
        assert http_status(guarded.http_url, path) == 403
        assert http_status(guarded.http_url, path, **{HTTP_HEADER: TOKEN}) == 200
    assert http_status(guarded.http_url, "/v2/models/yolov7/infer", "POST") == 403
    assert http_status(guarded.http_url, "/v2/health/ready") == 200
    poll(lambda: guarded.health().of("yolov7"), what="an answer to the supervisor's health check")
    assert TOKEN not in guarded.log.read_text()


def test_requests_that_crash_a_server_are_refused_before_they_are_parsed(guarded):
    frames = service_pb2.ModelInferRequest.InferInputTensor(
        name="frames", datatype="UINT8", shape=[1, 4611686018427387904, 4, 3]
    )
    overflow = service_pb2.ModelInferRequest(
        model_name="yolov7", inputs=[frames], raw_input_contents=[bytes(12)]
    )
    with grpc.insecure_channel(guarded.url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="restricted"):
            stub.ModelInfer(overflow, timeout=60)
    path = "/v2/models/yolov7/infer"
    assert http_status(guarded.http_url, path, "POST", body=b"[" * 1_000_000) == 403
    with Detector(guarded.url, token=TOKEN) as ours:
        assert ours.statistics()


@pytest.mark.parametrize("transport", ["grpc", "shared-memory"])
def test_a_detector_with_the_token_detects(guarded, detector, demo_frames, transport):
    (frame,) = demo_frames("mb1_1", [10])
    with Detector(guarded.url, token=TOKEN, transport=transport) as ours:
        assert ours.transport == transport
        assert ours.detect(frame).boxes.tolist() == detector.detect(frame).boxes.tolist()
        assert ours.statistics()


@pytest.mark.parametrize("token", [None, "another-token-0123"])
def test_a_detector_without_the_token_is_denied_access(guarded, token):
    with pytest.raises(AccessDenied, match="--token-file") as caught:
        Detector(guarded.url, token=token)
    assert "another-token" not in str(caught.value)


def test_detect_fails_at_once_without_the_token(yolostream_cli, guarded, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", steps(4), rate=10)
    arguments = ("detect", path, "--url", guarded.url, "--output", tmp_path / "out")
    check(yolostream_cli(*arguments), AccessDenied.exit_code, "--token-file")
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    finished = yolostream_cli(*arguments, "--token-file", tmp_path / "token", "--save", "jsonl")
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert len(lines(tmp_path / "out" / "clip.jsonl")) == 4


def test_the_server_that_detect_starts_refuses_other_clients(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", steps(4) * 200, rate=20)
    arguments = ("--output", tmp_path / "out", "--profile", "cpu", "--workers", 2)
    with started(tmp_path, "detect", path, path, *arguments) as process:
        poll(lambda: (tmp_path / "out" / "clip.jsonl").exists(), what="the first frame")
        (port,) = (tmp_path / "tmp").glob("*/grpc_port")
        assert refused(f"{LOOPBACK}:{port.read_text()}") == set(_METHODS) - HEALTH
        process.terminate()
        ended(process)
    assert lines(tmp_path / "out" / "clip.jsonl")


# TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A folder with a certificate authority, and certificates of a server and a client."""
    folder = tmp_path_factory.mktemp("certificates")
    write_certificates(folder)
    return folder


def test_tls_requires_the_authority_and_refuses_unencrypted_clients(
    certificates, detector, demo_frames
):
    tls = ServerTls(certificates / "server.pem", certificates / "server.key")
    (frame,) = demo_frames("mb1_1", [10])
    with serving(Access(TOKEN, tls)) as server:
        url, known = f"grpcs://{server.url}", Tls(certificates / "ca.pem")
        with Detector(url, token=TOKEN, tls=known) as ours:
            assert ours.transport == "shared-memory"
            assert ours.detect(frame).boxes.tolist() == detector.detect(frame).boxes.tolist()
        poll(
            lambda: server.health().of("yolov7"), what="an answer to the supervisor's health check"
        )
        with pytest.raises(AccessDenied, match="--token-file"):
            Detector(url, tls=known)
        with pytest.raises(ServerUnavailable, match=r"(?i)certificate"):
            Detector(url, token=TOKEN)
        with pytest.raises(ServerUnavailable):
            Detector(server.url, token=TOKEN)
        with pytest.raises(AccessDenied, match=r"cannot read no\.pem"):
            Detector(url, tls=Tls(Path("no.pem")))


def test_mutual_tls_requires_a_client_certificate(certificates, demo_frames):
    tls = ServerTls(*(certificates / name for name in ("server.pem", "server.key", "ca.pem")))
    (frame,) = demo_frames("mb1_1", [10])
    with serving(Access(tls=tls)) as server:
        ca = certificates / "ca.pem"
        known = Tls(ca, certificates / "client.pem", certificates / "client.key")
        with Detector(server.url, tls=known) as ours:
            ours.detect(frame)
        with pytest.raises(ServerUnavailable):
            Detector(server.url, tls=Tls(ca))


# The command


def test_serve_logs_what_is_exposed_and_detect_reads_its_token_from_the_environment(
    certificates, tmp_path, yolostream_cli
):
    path = write_clip(tmp_path / "clip.mp4", steps(4), rate=10)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "tmp").mkdir()
    pem = ("--tls-cert", certificates / "server.pem", "--tls-key", certificates / "server.key")
    ports = ("--http-port", 0, "--grpc-port", 0, "--metrics-port", 0)
    command = ["serve", "--host", "0.0.0.0", "--profile", "cpu", *pem, *ports]
    command += ["--token-file", tmp_path / "token"]
    with subprocess.Popen(
        [sys.executable, "-m", "yolostream", *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            log = ""
            while "Ctrl-C stops it" not in log:
                log += process.stderr.readline()
                assert process.poll() is None, log
            port = log.partition("0.0.0.0:")[2].split()[0]
            finished = yolostream_cli(
                *("detect", path, "--url", f"grpcs://{LOOPBACK}:{port}", "--save", "jsonl"),
                *("--tls-ca", certificates / "ca.pem", "--output", tmp_path / "out"),
                env={"YOLOSTREAM_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"},
            )
        finally:
            process.terminate()
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert f"HTTP {LOOPBACK}:" in log
    assert "note:" not in log
    assert "cAnArY7" not in log


@pytest.mark.parametrize(
    ("host", "access", "words"),
    [
        (LOOPBACK, Access(), None),
        ("localhost", Access(), None),
        ("0.0.0.0", Access(), "--token-file"),
        ("0.0.0.0", Access(TOKEN), "--tls-cert"),
        ("0.0.0.0", Access(tls=ServerTls(Path("a"), Path("b"))), "--token-file"),
        ("0.0.0.0", Access(TOKEN, ServerTls(Path("a"), Path("b"))), None),
        ("0.0.0.0", Access(tls=ServerTls(Path("a"), Path("b"), Path("c"))), None),
    ],
)
def test_exposure_to_other_hosts_is_described_with_the_fix(host, access, words):
    exposure = access.exposure(host)
    assert exposure is None if words is None else words in exposure


@pytest.mark.parametrize(
    "content", ["", "short", "a token with spaces", "x" * 20 + "\n" + "y" * 20]
)
def test_a_token_file_without_a_valid_token_is_refused(yolostream_cli, tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content)
    finished = yolostream_cli("serve", "--token-file", path)
    assert finished.returncode == 2
    assert "openssl rand" in finished.stderr
    assert not content or content not in finished.stderr


def test_tokens_are_random_and_not_in_the_repr():
    assert is_token(new_token())
    assert new_token() != new_token()
    assert TOKEN not in repr(Access(TOKEN))
