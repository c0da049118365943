"""The settings that a server is started and restarted with."""

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
    """The settings that a server is started with."""

    command: Sequence[str] = field(repr=False)
    """tritonserver's command line, which contains the token."""
    variables: Mapping[str, str]
    """Environment variables, in addition to those of this process."""
    run: Path
    """Temporary folder of the run."""
    host: str
    """Address to listen on."""
    ports: Ports
    """Ports to listen on, none of them 0."""
    access: Access
    ensembles: Sequence[str]
    """Names of the ensembles whose health is probed."""
    start_timeout_s: float
    """Seconds until every model has to be ready."""
    stop_timeout_s: float = tritonserver.STOP_TIMEOUT_S
    """Seconds for finishing the requests in flight at the end."""

    @property
    def url(self) -> str:
        """Address of gRPC, `host:port`."""
        return f"{self.host}:{self.ports.grpc}"

    @property
    def http_host(self) -> str:
        """The address of HTTP and metrics, without a port."""
        return self.access.http_host(self.host)

    @property
    def http(self) -> TritonHttp:
        """A client for the server's HTTP."""
        return TritonHttp(f"{self.http_host}:{self.ports.http}", self.access.token)

    @property
    def log(self) -> Path:
        """The log file, which a restarted server appends to."""
        return self.run / tritonserver.LOG
