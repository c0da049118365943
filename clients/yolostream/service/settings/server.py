"""Which Triton looks at the frames."""

from __future__ import annotations

from pydantic import DirectoryPath, FilePath, model_validator

from yolostream.server.embedded import Profile
from yolostream.service.settings.section import Section


class ClientTls(Section):
    """How a Triton behind TLS is known, and we to it; files in PEM."""

    ca: FilePath | None = None
    """Root certificates; else the public ones."""
    certificate: FilePath | None = None
    """That a server may ask for."""
    key: FilePath | None = None
    """Its private key."""

    @model_validator(mode="after")
    def _is_a_pair(self) -> ClientTls:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: name both")
        return self


class ServerSettings(Section):
    """The Triton that looks at the frames: one that runs somewhere, or one that is started."""

    url: str | None = None
    """Its gRPC address, host:port; several, separated by commas, share the frames. Without it, a
    Triton is started here."""
    token_file: FilePath | None = None
    """File with its token."""
    tls: ClientTls | None = None
    """For a grpcs:// address."""
    profile: Profile | None = None
    """Of the Triton that is started here; by default what the machine allows."""
    model_repository: DirectoryPath | None = None
    """The models that it serves."""
    environment: DirectoryPath | None = None
    """Its Python environment, or an installation of Triton."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> ServerSettings:
        ours = {"profile", "model_repository", "environment"} & self.model_fields_set
        theirs = {"token_file", "tls"} & self.model_fields_set
        if self.url is not None and ours:
            raise ValueError(
                f"{', '.join(sorted(ours))} is for a Triton that is started here: "
                "leave it out, or url"
            )
        if self.url is None and theirs:
            raise ValueError(
                f"{', '.join(sorted(theirs))} is for a Triton that runs elsewhere: "
                "leave it out, or name its url"
            )
        return self
