"""The settings of the Triton server."""

from __future__ import annotations

from pydantic import DirectoryPath, FilePath, model_validator

from yolostream.server.embedded import Profile
from yolostream.service.settings.section import Section


class ClientTls(Section):
    """Certificates for a connection to Triton over TLS, as PEM files."""

    ca: FilePath | None = None
    """Root certificates that verify the server; by default the public ones."""
    certificate: FilePath | None = None
    """Certificate of this client, for a server that requires one."""
    key: FilePath | None = None
    """Private key of `certificate`."""

    @model_validator(mode="after")
    def _is_a_pair(self) -> ClientTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: name both")
        return self


class ServerSettings(Section):
    """The Triton that processes the frames: a running one, or one that the service starts."""

    url: str | None = None
    """gRPC address of a running Triton, host:port. Several addresses, separated by commas, share
    the load. Without it, the service starts a Triton."""
    token_file: FilePath | None = None
    """File with the token of the running Triton."""
    tls: ClientTls | None = None
    """Certificates for a grpcs:// address."""
    profile: Profile | None = None
    """Profile of the Triton that the service starts; by default one for a GPU, if the
    machine has a GPU and the environment has its packages."""
    model_repository: DirectoryPath | None = None
    """Models that this Triton serves."""
    environment: DirectoryPath | None = None
    """Python environment of this Triton, or an installation of Triton."""

    @model_validator(mode="after")
    def _is_started_or_running(self) -> ServerSettings:
        of_started = {"profile", "model_repository", "environment"} & self.model_fields_set
        of_running = {"token_file", "tls"} & self.model_fields_set
        if self.url is not None and of_started:
            raise ValueError(
                f"{', '.join(sorted(of_started))} is for a Triton that the service starts, but url "
                "names a running one: remove one of them"
            )
        if self.url is None and of_running:
            raise ValueError(
                f"{', '.join(sorted(of_running))} is for a running Triton: add its url, or remove "
                "this key"
            )
        return self
