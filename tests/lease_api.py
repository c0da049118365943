"""A fake of the Lease API of Kubernetes over HTTPS, which can also fail."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from certificates import write_certificates
from loopback import LOOPBACK

NAMESPACE = "cameras"
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
ROOT = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_SPEC = {"holderIdentity", "leaseDurationSeconds", "renewTime", "leaseTransitions"}


class Refused(Exception):
    def __init__(self, status: int) -> None:
        self.status = status


class LeaseApi:
    """The leases by name, the valid tokens, and the faults that tests set."""

    def __init__(self) -> None:
        self.leases: dict[str, dict] = {}
        self.tokens = {"first"}
        self.most_in_a_page = 500
        self.denied: set[str] = set()
        """Verbs that the service account lacks, for reviews of access only."""
        self.wrong: int | None = None
        """The status of all answers; None for no fault."""
        self.silent = threading.Event()
        """While this is set, requests are executed but not answered."""
        self.over = threading.Event()
        self.lock = threading.Lock()
        self._version = 1000

    def answer(self, method: str, url: str, body: dict | None) -> dict:
        parts = urlsplit(url)
        if (method, parts.path) == ("POST", REVIEWS):
            return self._review(body)
        if not parts.path.startswith(ROOT):
            raise Refused(404)
        name = parts.path.removeprefix(ROOT).strip("/")
        match method:
            case "GET":
                return self._page({key: one[0] for key, one in parse_qs(parts.query).items()})
            case "POST":
                return self._create(body)
            case "PUT":
                return self._update(name, body)
            case "DELETE":
                return self._delete(name, body)
        raise Refused(405)

    def _review(self, review: dict) -> dict:
        attributes = review["spec"]["resourceAttributes"]
        is_ours = (
            review["kind"] == "SelfSubjectAccessReview"
            and attributes["namespace"] == NAMESPACE
            and (attributes["group"], attributes["resource"]) == ("coordination.k8s.io", "leases")
        )
        return review | {"status": {"allowed": is_ours and attributes["verb"] not in self.denied}}

    def _page(self, query: dict[str, str]) -> dict:
        label, _, value = query["labelSelector"].partition("=")
        items = [
            one
            for _, one in sorted(self.leases.items())
            if one["metadata"]["labels"].get(label) == value
        ]
        begin = int(query.get("continue", 0))
        end = begin + min(int(query["limit"]), self.most_in_a_page)
        metadata = {"continue": str(end)} if end < len(items) else {}
        return {"kind": "LeaseList", "metadata": metadata, "items": items[begin:end]}

    def _create(self, lease: dict) -> dict:
        _check(lease)
        name = lease["metadata"]["name"]
        if "resourceVersion" in lease["metadata"]:
            raise Refused(400)
        if name in self.leases:
            raise Refused(409)
        return self._stored(name, lease)

    def _update(self, name: str, lease: dict) -> dict:
        _check(lease)
        if name not in self.leases:
            raise Refused(404)
        if "resourceVersion" not in lease["metadata"] or lease["metadata"]["name"] != name:
            raise Refused(422)
        self._compare(name, lease["metadata"]["resourceVersion"])
        return self._stored(name, lease)

    def _delete(self, name: str, options: dict) -> dict:
        if options.get("kind") != "DeleteOptions":
            raise Refused(400)
        if name not in self.leases:
            raise Refused(404)
        self._compare(name, options["preconditions"]["resourceVersion"])
        del self.leases[name]
        return {"kind": "Status", "status": "Success"}

    def _compare(self, name: str, version: str) -> None:
        if self.leases[name]["metadata"]["resourceVersion"] != version:
            raise Refused(409)

    def _stored(self, name: str, lease: dict) -> dict:
        self._version += 1
        self.leases[name] = copy.deepcopy(lease)
        self.leases[name]["metadata"]["resourceVersion"] = str(self._version)
        return self.leases[name]


def _check(lease: dict) -> None:
    """Validate a lease as Kubernetes does."""
    metadata, spec = lease["metadata"], lease["spec"]
    labels = [*metadata["labels"].values()]
    is_valid = (
        (lease["apiVersion"], lease["kind"]) == ("coordination.k8s.io/v1", "Lease")
        and set(spec) <= _SPEC
        and _NAME.fullmatch(metadata["name"])
        and len(metadata["name"]) <= 253
        and all(_LABEL.fullmatch(one) for one in labels)
        and all(isinstance(one, str) for one in metadata["annotations"].values())
        and spec["leaseDurationSeconds"] > 0
        and spec["leaseTransitions"] >= 0
        and _TIME.fullmatch(spec["renewTime"])
    )
    if not is_valid:
        raise Refused(422)


@contextlib.contextmanager
def serve_leases(folder: Path) -> Iterator[tuple[LeaseApi, str]]:
    """Run an API server; `folder` gets the files of a pod's service account.

    Yields the server and its URL.
    """
    _make_account(folder)
    api = LeaseApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # The buffer holds a whole answer; a second part would wait for the TCP acknowledgement of
        # the first one.
        wbufsize = 1 << 16

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            try:
                if token not in api.tokens:
                    raise Refused(401)
                if api.wrong is not None:
                    raise Refused(api.wrong)
                with api.lock:
                    status, answer = 200, api.answer(self.command, self.path, body)
            except Refused as refused:
                status, answer = refused.status, {"kind": "Status", "code": refused.status}
            if api.silent.is_set():
                api.over.wait()
            data = json.dumps(answer).encode()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "server.pem", folder / "server.key")
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api, f"https://{LOOPBACK}:{server.server_port}"
    finally:
        api.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _make_account(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_certificates(folder)
    (folder / "ca.pem").rename(folder / "ca.crt")
    (folder / "namespace").write_text(NAMESPACE)
    (folder / "token").write_text("first\n")
