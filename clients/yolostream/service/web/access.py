"""Access to the service: its address, tokens, certificate and host names."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass, field

from yolostream.errors import ServiceError
from yolostream.service.settings import WebSettings, WebTls
from yolostream.service.tokens import Tokens

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Access:
    """Where the service listens, and which clients it accepts.

    Raises:
        ServiceError: other machines could use the service without a token, and `insecure` is not
            set.
    """

    host: str = LOOPBACK
    """Address on which the service listens."""
    port: int = 8080
    """TCP port; 0 means any free port."""
    tokens: Tokens | None = field(default=None, repr=False)
    """Accepted tokens. Without them, every client may do everything."""
    tls: WebTls | None = None
    """Certificate and key for HTTPS; None means HTTP."""
    names: frozenset[str] = frozenset()
    """Host names that browsers may use, besides IP addresses and the machine's own name."""
    insecure: bool = False
    """Whether the service may listen on a network without tokens."""

    def __post_init__(self) -> None:
        if not (_is_loopback(self.host) or self.tokens or self.insecure):
            raise ServiceError(
                f"other machines can reach {self.host}, and could see and change all cameras: "
                "create a token with 'yolostream token write --file FILE' and use "
                "--web-token-file FILE, or use --insecure"
            )

    @classmethod
    def of(cls, settings: WebSettings) -> Access:
        """Create it from the section `web` of the configuration.

        Raises:
            ServiceError: see the class, or the tokens cannot be read.
        """
        return cls(
            settings.host,
            settings.port,
            tokens=None if settings.token_file is None else Tokens(settings.token_file),
            tls=settings.tls,
            names=frozenset(name.lower() for name in settings.names),
            insecure=settings.insecure,
        )

    @property
    def scheme(self) -> str:
        """Scheme of the service's address: `http` or `https`."""
        return "http" if self.tls is None else "https"

    def accepts_host(self, host: str) -> bool:
        """Whether a request for this host name is accepted.

        This prevents DNS rebinding: the name of a malicious site may resolve to this machine, so
        that its page counts as ours. IP addresses and names of this machine are safe, because no
        other site can use them as its name.

        Args:
            host: `Host` header without the port.
        """
        host = host.lower().rstrip(".")
        own = {"localhost", socket.gethostname().lower()}
        return host in own or host.endswith(".localhost") or host in self.names or _is_ip(host)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)
