"""How a server is started, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from yolostream.server import tritonserver
from yolostream.server.access import Access
from yolostream.server.ports import Ports
from yolostream.server.triton_http import TritonHttp


@dataclass(frozen=True)
class Launch:
    """All that it takes."""

    command: Sequence[str] = field(repr=False)
    """tritonserver's command line, with its token."""
    variables: Mapping[str, str]
    """Environment variables beside ours."""
    run: Path
    """Folder of the run."""
    host: str
    ports: Ports
    """None of them 0."""
    access: Access
    ensembles: Sequence[str]
    """Names of those that are asked whether they answer."""
    start_timeout_s: float
    """Seconds until every model has to be ready."""
    stop_timeout_s: float = tritonserver.STOP_TIMEOUT_S
    """Seconds that it may take to finish what it has begun."""

    @property
    def url(self) -> str:
        """Address of gRPC."""
        return f"{self.host}:{self.ports.grpc}"

    @property
    def http_host(self) -> str:
        """Where HTTP and metrics are."""
        return self.access.http_host(self.host)

    @property
    def http(self) -> TritonHttp:
        """Asks the server."""
        return TritonHttp(f"{self.http_host}:{self.ports.http}", self.access.token)

    @property
    def log(self) -> Path:
        """Where the servers write, one after the other."""
        return self.run / tritonserver.LOG
