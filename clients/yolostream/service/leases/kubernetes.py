"""Leases in Kubernetes (`coordination.k8s.io/v1`), over HTTPS."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import urllib3

from yolostream.errors import ServiceError
from yolostream.service.leases.store import Conflict, Kind, Record, StoreUnavailable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Files of a pod's service account: `token`, which is rotated, `ca.crt` and `namespace`."""

_GROUP_LABEL, _KIND_LABEL = "yolostream-leases", "yolostream-kind"
_NAME, _CAMERAS = "yolostream-name", "yolostream-cameras"
"""Annotations. Names of cameras may contain characters that names of leases may not."""

_GROUP, _RESOURCE = "coordination.k8s.io", "leases"
VERBS = ("list", "create", "update", "delete")
"""Verbs on leases that the service account needs."""
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

_PAGE = 500
"""Leases in one page of a list."""

_LONGEST = 40
"""Characters of the readable part of a lease's name."""

_FIXES = {
    HTTPStatus.UNAUTHORIZED: "its token is not accepted: check the service account of the pod",
    HTTPStatus.FORBIDDEN: "the service account needs a role with get, list, create, update and "
    "delete on leases of coordination.k8s.io",
}


class KubernetesStore:
    """Stores each record as a Lease in the pod's namespace.

    Args:
        group: name of the group of instances that share cameras; a DNS label.
        account: folder with the files of the service account.
        server: URL of the API server; by default from the pod's environment.

    Raises:
        ServiceError: this is not a pod, or it has no service account.
    """

    def __init__(self, group: str, *, account: Path = ACCOUNT, server: str | None = None) -> None:
        self._group = group
        self._token = account / "token"
        try:
            self._namespace = (account / "namespace").read_text().strip()
            self._server = server or _server_of(os.environ)
        except (OSError, KeyError):
            raise ServiceError(
                f"kubernetes:{group} needs a pod with a service account: check its "
                "automountServiceAccountToken, or use a folder for --leases outside of Kubernetes"
            ) from None
        namespace = quote(self._namespace, safe="")
        self._leases = f"/apis/{_GROUP}/v1/namespaces/{namespace}/{_RESOURCE}"
        # ca.crt is read again for each new connection.
        self._http = urllib3.PoolManager(
            ca_certs=str(account / "ca.crt"), cert_reqs="CERT_REQUIRED", retries=False
        )

    def records(self, timeout_s: float) -> dict[tuple[Kind, str], Record]:
        """See `Store`."""
        found: dict[tuple[Kind, str], Record] = {}
        query = {"labelSelector": f"{_GROUP_LABEL}={self._group}", "limit": str(_PAGE)}
        until = time.monotonic() + timeout_s
        while True:
            page = self._request(
                "GET", f"{self._leases}?{urlencode(query)}", until - time.monotonic()
            )
            with self._translated_errors():
                for item in page["items"]:
                    record = _record_of(item)
                    found[record.kind, record.name] = record
                # All pages belong to one snapshot.
                query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return found

    def write(self, record: Record, timeout_s: float) -> Record:
        """See `Store`."""
        method, path = ("PUT", self._path(record)) if record.version else ("POST", self._leases)
        answer = self._request(method, path, timeout_s, self._lease_of(record))
        with self._translated_errors():
            return replace(record, version=answer["metadata"]["resourceVersion"])

    def delete(self, record: Record, timeout_s: float) -> None:
        """See `Store`."""
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"resourceVersion": record.version},
        }
        self._request("DELETE", self._path(record), timeout_s, options)

    def denied_verbs(self, timeout_s: float) -> list[str]:
        """Verbs on leases that the service account needs and does not have. Nothing is written.

        Args:
            timeout_s: timeout of each request in seconds.

        Raises:
            StoreUnavailable: the API server does not answer.
        """
        return [verb for verb in VERBS if not self._is_allowed(verb, timeout_s)]

    def _is_allowed(self, verb: str, timeout_s: float) -> bool:
        attributes = {
            "namespace": self._namespace,
            "verb": verb,
            "group": _GROUP,
            "resource": _RESOURCE,
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._request("POST", _REVIEWS, timeout_s, review)
        with self._translated_errors():
            return bool(answer["status"]["allowed"])

    def _request(self, method: str, path: str, timeout_s: float, body: object = None) -> Any:
        with self._translated_errors():
            answer = self._http.request(
                method,
                self._server + path,
                body=None if body is None else orjson.dumps(body),
                headers={
                    "Authorization": f"Bearer {self._token.read_text().strip()}",
                    "Content-Type": "application/json",
                },
                timeout=urllib3.Timeout(total=max(timeout_s, 0.01)),
            )
            status = HTTPStatus(answer.status)
            if 200 <= status < 300:
                return orjson.loads(answer.data)
        is_deleted = status == HTTPStatus.NOT_FOUND and method in ("PUT", "DELETE")
        if is_deleted or status == HTTPStatus.CONFLICT:
            raise Conflict
        fix = _FIXES.get(status, "check the API server; the request is repeated")
        raise StoreUnavailable(f"the API server of Kubernetes answers {status} to leases: {fix}")

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        # ValueError, KeyError and TypeError: another program answers, such as a proxy.
        except (urllib3.exceptions.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(
                "the API server of Kubernetes does not answer correctly "
                f"({type(error).__name__}): check the network to it; the request is repeated"
            ) from error

    def _path(self, record: Record) -> str:
        return f"{self._leases}/{self._name(record)}"

    def _name(self, record: Record) -> str:
        """Name of the Lease: a readable part, and a digest that makes it unique."""
        readable = re.sub(r"[^a-z0-9]+", "-", record.name.lower())[:_LONGEST].strip("-")
        digest = hashlib.sha256(record.name.encode()).hexdigest()[:10]
        return f"{self._group}-{record.kind}-{readable}-{digest}"

    def _lease_of(self, record: Record) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        version = {"resourceVersion": record.version} if record.version else {}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self._name(record),
                "labels": {_GROUP_LABEL: self._group, _KIND_LABEL: record.kind},
                "annotations": {_NAME: record.name, _CAMERAS: record.cameras},
                **version,
            },
            "spec": {
                "holderIdentity": record.holder,
                "leaseDurationSeconds": record.duration_s,
                # It only informs people: clocks of different machines are never compared.
                "renewTime": now,
                "leaseTransitions": record.number,
            },
        }


def _server_of(environment: Mapping[str, str]) -> str:
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _record_of(lease: dict[str, Any]) -> Record:
    metadata = lease["metadata"]
    try:
        spec = lease["spec"]
        return Record(
            metadata["labels"][_KIND_LABEL],
            metadata["annotations"][_NAME],
            spec.get("holderIdentity") or "",
            spec.get("leaseTransitions") or 0,
            spec.get("leaseDurationSeconds") or 1,
            metadata["annotations"].get(_CAMERAS, ""),
            metadata["resourceVersion"],
        )
    except KeyError:
        raise StoreUnavailable(
            f"the lease {metadata['name']} has the label {_GROUP_LABEL} but was not created by "
            "yolostream: remove the label"
        ) from None
