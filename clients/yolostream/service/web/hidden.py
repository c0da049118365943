"""What may be secret in settings: it is not shown, and what is shown instead means it."""

from __future__ import annotations

from urllib.parse import urlsplit

from yolostream.errors import SourceError
from yolostream.redaction import redact_argument
from yolostream.service.runtime_address import check_runtime_address
from yolostream.service.settings import HIDDEN, CameraSettings


def shown(settings: CameraSettings) -> CameraSettings:
    """Settings without what may be secret."""
    return settings.model_copy(update={"source": redact_argument(settings.source)})


def completed(
    wanted: CameraSettings,
    own: CameraSettings | None,
    resolved: CameraSettings | None,
    *,
    keeps_password: bool,
) -> CameraSettings:
    """Settings with the secrets that were not shown, as far as they may go where it is wanted.

    Args:
        wanted: they may have been shown before.
        own: what the camera has said itself until now; None where it is new.
        resolved: the same, with the defaults.
        keeps_password: whether it is the one that the camera has.

    Raises:
        SourceError: the address is none that may be given over the API, there is no secret to take
            from before, or it would go to another host.
    """
    said = wanted.revealed()
    if own is not None and wanted.source == shown(own).source:
        said["source"] = own.source
    if wanted.outputs.push == HIDDEN:
        if resolved is None or resolved.outputs.push is None:
            raise SourceError("outputs.push is stars, and there was no address: name it")
        said["outputs"]["push"] = resolved.outputs.push.get_secret_value()
    if own is None or said["source"] != own.source:
        check_runtime_address(said["source"])
    if not keeps_password or own is None or own.password is None:
        return CameraSettings.model_validate(said)
    if wanted.username is not None and _place(said["source"]) != _place(own.source):
        raise SourceError(
            "the password was given for another host, and is not sent to this one: give it again"
        )
    said["password"] = own.password.get_secret_value()
    return CameraSettings.model_validate(said)


def _place(address: str) -> tuple[str, str]:
    """Who is sent a password."""
    parts = urlsplit(address)
    return parts.scheme, parts.netloc
