"""Who may reach the service, and by which names."""

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
    """Who may reach the service.

    Raises:
        ServiceError: everybody could, and nobody has said that this is meant.
    """

    host: str = LOOPBACK
    """Address on which it listens."""
    port: int = 8080
    """0 takes any that is free."""
    tokens: Tokens | None = field(default=None, repr=False)
    """Without, all who reach it may do everything."""
    tls: WebTls | None = None
    names: frozenset[str] = frozenset()
    """By which browsers reach it, besides addresses and the machine's own name."""
    insecure: bool = False
    """It may listen beyond this machine without tokens."""

    def __post_init__(self) -> None:
        if not (_is_loopback(self.host) or self.tokens or self.insecure):
            raise ServiceError(
                f"{self.host} is reached by others, who could see and change all cameras: make a "
                "token ('yolostream token write --file FILE') and name FILE with --web-token-file, "
                "or say --insecure"
            )

    @classmethod
    def of(cls, settings: WebSettings) -> Access:
        """As the configuration has it.

        Raises:
            ServiceError: see above, or the tokens cannot be read.
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
        """Of its address."""
        return "http" if self.tls is None else "https"

    def knows(self, host: str) -> bool:
        """Whether a browser that asks for `host`, without its port, means this service.

        A stranger's page may have its own name resolve to this machine ("DNS rebinding"), and be
        taken for ours. It cannot have a bare address for its name, nor a name of this machine.
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
