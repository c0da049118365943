"""How people and programs reach the service."""

from __future__ import annotations

from pydantic import Field, FilePath, model_validator

from yolostream.service.settings.section import Section

_MOST_PORT = 65_535


class WebTls(Section):
    """How the page proves what it is; files in PEM."""

    certificate: FilePath
    key: FilePath


class WebSettings(Section):
    """The page and the API."""

    address: str = Field(
        default="127.0.0.1:8080", pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\[\]]+):\d{1,5}$"
    )
    """Where they are served, host:port; port 0 takes a free one."""
    token_file: FilePath | None = None
    """File with the tokens of those who may use them."""
    tls: WebTls | None = None
    """Serve https://."""
    names: list[str] = Field(default=[])
    """By which browsers reach it, besides addresses and the machine's own name."""
    insecure: bool = False
    """Let others in without a token."""

    @model_validator(mode="after")
    def _has_a_port(self) -> WebSettings:
        if self.port > _MOST_PORT:
            raise ValueError(f"there is no port {self.port}: it has to be at most {_MOST_PORT:,}")
        return self

    @property
    def host(self) -> str:
        """Of the address."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Of the address."""
        return int(self.address.rpartition(":")[2])
