"""Access control of a server: the token, TLS, and what stays open without them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from yolostream.access_token import HTTP_HEADER, new_token

LOOPBACK = "127.0.0.1"

# Triton's names of its protocols: all but "health", which probes use without a token.
_ADMINISTRATION = "model-repository,logging,trace"
_USE = "inference,metadata,model-config,shared-memory,statistics"


@dataclass(frozen=True)
class ServerTls:
    """PEM files for TLS, which Triton supports for gRPC only."""

    certificate: Path
    """The server's certificate."""
    key: Path
    """The private key of `certificate`."""
    client_ca: Path | None = None
    """If given, only clients with a certificate of this authority may connect."""

    @property
    def options(self) -> list[str]:
        """Options for tritonserver. HTTP has no TLS, so it listens on loopback only."""
        mode = "ssl" if self.client_ca is None else "ssl-mutual"
        return [
            f"--grpc-use-{mode}=true",
            f"--grpc-server-cert={self.certificate.resolve()}",
            f"--grpc-server-key={self.key.resolve()}",
            *([] if self.client_ca is None else [f"--grpc-root-cert={self.client_ca.resolve()}"]),
            f"--http-address={LOOPBACK}",
            f"--metrics-address={LOOPBACK}",
        ]


@dataclass(frozen=True)
class Access:
    """The access control of a server.

    With a token, everything but health checks and metrics requires it. Without a token, everything
    is open except changes of models, log and traces, which nobody can make.
    """

    token: str | None = field(default=None, repr=False)
    tls: ServerTls | None = None

    @property
    def options(self) -> list[str]:
        """Options for tritonserver. Local users can read the token in its command line."""
        if self.token is None:
            # Nobody knows this token, so nobody has access.
            rule = f"{_ADMINISTRATION}:{HTTP_HEADER}={new_token()}"
        else:
            rule = f"{_ADMINISTRATION},{_USE}:{HTTP_HEADER}={self.token}"
        return [
            f"--grpc-restricted-protocol={rule}",
            f"--http-restricted-api={rule}",
            *([] if self.tls is None else self.tls.options),
        ]

    def http_host(self, host: str) -> str:
        """The address of HTTP and metrics, if gRPC listens on `host`."""
        return host if self.tls is None else LOOPBACK

    def exposure(self, host: str) -> str | None:
        """A warning about what others on the network can do, with the fix; None if nothing.

        Args:
            host: address that the server listens on.
        """
        if host.startswith(("127.", "localhost", "::1", "[::1]")):
            return None
        is_known = self.token is not None or (self.tls is not None and self.tls.client_ca)
        if not is_known:
            return (
                f"everybody who can reach {host} can use this server and read the shared memory of "
                "its clients: '--token-file' requires a token"
            )
        if self.tls is None:
            return (
                f"the token and all frames are sent to {host} unencrypted: '--tls-cert' and "
                "'--tls-key' encrypt them"
            )
        return None
