"""Access to a server that requires a token, TLS, or both."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from tritonclient.grpc import InferenceServerClient, InferenceServerClientPlugin

from yolostream.access_token import GRPC_HEADER
from yolostream.errors import AccessDenied

_SCHEME = re.compile(r"(grpc|http)(?P<tls>s?)://", re.IGNORECASE)
"""`http://` is accepted too, because gRPC runs over HTTP and users paste addresses of that form."""


@dataclass(frozen=True)
class Tls:
    """Certificates for TLS: those that verify the server, and the client's own."""

    ca: Path | None = None
    """PEM file of root certificates; None means gRPC's default, the public certificates."""
    certificate: Path | None = None
    """PEM file of the client's own certificate, for a server that requires one."""
    key: Path | None = None
    """PEM file of the private key of `certificate`."""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files into gRPC credentials.

        Raises:
            AccessDenied: a file cannot be read.
        """
        return grpc.ssl_channel_credentials(
            root_certificates=_content(self.ca),
            private_key=_content(self.key),
            certificate_chain=_content(self.certificate),
        )


@dataclass(frozen=True)
class Access:
    """What a client needs to use a server: a token and TLS files. It can be pickled."""

    token: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    """None means no TLS, unless the address begins with `grpcs://` or `https://`."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata for each gRPC call."""
        return () if self.token is None else ((GRPC_HEADER, self.token),)

    def authenticate(self, client: InferenceServerClient) -> InferenceServerClient:
        """Make a tritonclient send the token with each call, and return that client."""
        if self.token is not None:
            client.register_plugin(_SendToken(self.token))
        return client

    def credentials_for(self, url: str) -> grpc.ChannelCredentials | None:
        """Credentials for a gRPC connection to `url`; None for one without TLS.

        Raises:
            AccessDenied: a file of `tls` cannot be read.
        """
        scheme = _SCHEME.match(url)
        if self.tls is None and not (scheme and scheme["tls"]):
            return None
        return (self.tls or Tls()).credentials()


OPEN = Access()
"""Access to a server without a token and without TLS."""


def target_of(url: str) -> str:
    """`host:port` of an address with or without a scheme."""
    scheme = _SCHEME.match(url)
    return url if scheme is None else url[scheme.end() :].removesuffix("/")


class _SendToken(InferenceServerClientPlugin):  # type: ignore[misc]  # no py.typed
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: object) -> None:
        request.headers[GRPC_HEADER] = self._token  # type: ignore[attr-defined]


def _content(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise AccessDenied(f"cannot read {path} ({error.strerror}): check the path") from error
