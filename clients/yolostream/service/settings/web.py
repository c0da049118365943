"""The settings of the page and the API."""

from __future__ import annotations

from pydantic import Field, FilePath, model_validator

from yolostream.service.settings.section import Section

_MAX_PORT = 65_535


class WebTls(Section):
    """Certificate of the page, as PEM files."""

    certificate: FilePath
    """Certificate of this machine, followed by those that signed it."""
    key: FilePath
    """Private key of `certificate`."""


class WebSettings(Section):
    """The page and the API."""

    address: str = Field(
        default="127.0.0.1:8080", pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\[\]]+):\d{1,5}$"
    )
    """Address that they are served at, host:port. Port 0 chooses a free port."""
    token_file: FilePath | None = None
    """File with the tokens that give access to them."""
    tls: WebTls | None = None
    """Certificate with which they are served over https://."""
    names: list[str] = Field(default=[])
    """Host names that browsers may use. IP addresses and the machine's own name are always
    allowed."""
    insecure: bool = False
    """Allow access from other machines without a token."""

    @model_validator(mode="after")
    def _has_a_port(self) -> WebSettings:
        if self.port > _MAX_PORT:
            raise ValueError(f"there is no port {self.port}: it has to be at most {_MAX_PORT:,}")
        return self

    @property
    def host(self) -> str:
        """Host of the address, without brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Port of the address."""
        return int(self.address.rpartition(":")[2])
