"""What a server may ask of its clients: a token, and TLS."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from tritonclient.grpc import InferenceServerClient, InferenceServerClientPlugin

from yolostream.access_token import GRPC_HEADER
from yolostream.errors import AccessDenied

_SCHEME = re.compile(r"(grpc|http)(?P<tls>s?)://", re.IGNORECASE)
"""HTTP's too: gRPC travels over it, and people copy addresses out of browsers."""


@dataclass(frozen=True)
class Tls:
    """How a server is known to be the right one, and how a client proves what it is."""

    ca: Path | None = None
    """PEM file of root certificates; None takes gRPC's own, which are the public ones."""
    certificate: Path | None = None
    """PEM file of the client's own certificate, for a server that asks for one."""
    key: Path | None = None
    """PEM file of its private key."""

    def credentials(self) -> grpc.ChannelCredentials:
        """As gRPC takes them.

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
    """What a client shows to a server. It can be pickled."""

    token: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    """None goes without, unless the address begins with `grpcs://`."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with each call."""
        return () if self.token is None else ((GRPC_HEADER, self.token),)

    def introduce(self, client: InferenceServerClient) -> InferenceServerClient:
        """Let a client of Triton show it with each call, and return that client."""
        if self.token is not None:
            client.register_plugin(_ShowToken(self.token))
        return client

    def credentials_for(self, url: str) -> grpc.ChannelCredentials | None:
        """As gRPC takes them; None for a connection without TLS."""
        scheme = _SCHEME.match(url)
        if self.tls is None and not (scheme and scheme["tls"]):
            return None
        return (self.tls or Tls()).credentials()


OPEN = Access()
"""For a server that asks for nothing."""


def target_of(url: str) -> str:
    """`host:port` of an address with or without a scheme."""
    scheme = _SCHEME.match(url)
    return url if scheme is None else url[scheme.end() :].removesuffix("/")


class _ShowToken(InferenceServerClientPlugin):  # type: ignore[misc]  # no py.typed
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
        raise AccessDenied(f"cannot read {path} ({error.strerror}): is that the file?") from error
