"""Who may use a server: what Triton can be told of that, and what stays open."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from yolostream.access_token import HTTP_HEADER, new_token

LOOPBACK = "127.0.0.1"

# Triton's names. Everything but "health", which probes ask without a token, is named.
_ADMINISTRATION = "model-repository,logging,trace"
_USE = "inference,metadata,model-config,shared-memory,statistics"


@dataclass(frozen=True)
class ServerTls:
    """How a server proves what it is, in PEM files, and whom it lets in. It is for gRPC alone."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    """Only clients with a certificate of this authority are let in; None lets in all."""

    @property
    def options(self) -> list[str]:
        """Of tritonserver. Its HTTP knows no TLS: only this machine reaches that."""
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
    """Who may use a server.

    Changing its models, its log and its traces is for nobody, unless a token is given: that is then
    what everything asks for but health checks and metrics.
    """

    token: str | None = field(default=None, repr=False)
    tls: ServerTls | None = None

    @property
    def options(self) -> list[str]:
        """Of tritonserver. Local users see a token there: Triton takes it in no other way."""
        if self.token is None:
            rule = f"{_ADMINISTRATION}:{HTTP_HEADER}={new_token()}"
        else:
            rule = f"{_ADMINISTRATION},{_USE}:{HTTP_HEADER}={self.token}"
        return [
            f"--grpc-restricted-protocol={rule}",
            f"--http-restricted-api={rule}",
            *([] if self.tls is None else self.tls.options),
        ]

    def http_host(self, host: str) -> str:
        """Where HTTP and metrics are, if gRPC is at `host`."""
        return host if self.tls is None else LOOPBACK

    def exposure(self, host: str) -> str | None:
        """What is open to all who reach `host`, and the fix; None where that is only this machine.

        Args:
            host: address that the server listens on.
        """
        if host.startswith(("127.", "localhost", "::1", "[::1]")):
            return None
        is_known = self.token is not None or (self.tls is not None and self.tls.client_ca)
        if not is_known:
            return (
                f"all who reach {host} can use this server, and the shared memory of its clients"
                ": '--token-file' lets in only those who know a token"
            )
        if self.tls is None:
            return (
                f"the token and all frames travel to {host} in the clear: '--tls-cert' and "
                "'--tls-key' encrypt them"
            )
        return None
