"""Removes secrets from settings for responses, and restores them in requests."""

from __future__ import annotations

from urllib.parse import urlsplit

from yolostream.errors import SourceError
from yolostream.redaction import redact_argument
from yolostream.service.runtime_address import check_runtime_address
from yolostream.service.settings import HIDDEN, CameraSettings


def without_secrets(settings: CameraSettings) -> CameraSettings:
    """Settings as responses show them: without secrets in the address of the camera."""
    return settings.model_copy(update={"source": redact_argument(settings.source)})


def with_secrets(
    wanted: CameraSettings,
    own: CameraSettings | None,
    resolved: CameraSettings | None,
    *,
    keeps_password: bool,
) -> CameraSettings:
    """Settings of a request, with redacted values replaced by the current secrets.

    Args:
        wanted: settings of the request. Values may be redacted, as they were in a response.
        own: current settings of the camera itself; None if the camera is new.
        resolved: the same, with the defaults.
        keeps_password: whether the camera keeps its current password.

    Raises:
        SourceError: the API does not allow this address, there is no current secret, or the
            current password would be sent to another host.
    """
    values = wanted.revealed()
    if own is not None and wanted.source == without_secrets(own).source:
        values["source"] = own.source
    if wanted.outputs.push == HIDDEN:
        if resolved is None or resolved.outputs.push is None:
            raise SourceError("outputs.push is hidden, but none was set before: give its address")
        values["outputs"]["push"] = resolved.outputs.push.get_secret_value()
    if own is None or values["source"] != own.source:
        check_runtime_address(values["source"])
    if not keeps_password or own is None or own.password is None:
        return CameraSettings.model_validate(values)
    if wanted.username is not None and _server_of(values["source"]) != _server_of(own.source):
        raise SourceError(
            "the password is known for another host only, and is not sent to this one: give it "
            "again"
        )
    values["password"] = own.password.get_secret_value()
    return CameraSettings.model_validate(values)


def _server_of(address: str) -> tuple[str, str]:
    """Scheme, host and port of the server that would receive the password."""
    parts = urlsplit(address)
    return parts.scheme, parts.netloc
