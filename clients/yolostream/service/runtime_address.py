"""Which addresses and logins may be given while the service runs: by the API, not by the file."""

from __future__ import annotations

from yolostream.errors import ConfigurationError, SourceError
from yolostream.redaction import redact_argument
from yolostream.service.settings import CameraSettings
from yolostream.sources.address import SCHEMES, address_in, has_host

LONGEST = 2000


def check_runtime_address(source: str) -> str:
    """Make sure that a source is the address of a camera on a network.

    Files, devices and the service's own environment are for those who may write its file. This is
    no firewall: a camera may be on any host, this one too.

    Returns:
        The address, with its spaces encoded.

    Raises:
        SourceError: it is something else.
    """
    address = address_in(source)
    if len(source) > LONGEST or address is None or not source.isprintable():
        raise SourceError(
            f"{redact_argument(source[:100])!r} is no address of a camera on a network: begin it "
            f"with {', '.join(f'{scheme}://' for scheme in SCHEMES)}; only the configuration file "
            "may name files and devices"
        )
    if "${" in source:
        raise SourceError(
            "${VARIABLES} are the service's own: give user and password themselves, or write the "
            "camera into the configuration file"
        )
    if not has_host(address):
        raise SourceError(
            f"{redact_argument(source)!r} names no host, or no port that can be: write "
            "SCHEME://HOST:PORT/PATH"
        )
    return address


def check_runtime_secrets(
    name: str, settings: CameraSettings, of_file: CameraSettings | None
) -> None:
    """Make sure that a camera is told no variable and no file of the service's machine.

    Args:
        name: of the camera.
        settings: what the API gives.
        of_file: what the configuration says of it: what its source and login ask for is allowed.

    Raises:
        ConfigurationError: it would be told more.
    """
    if of_file and (of_file.source, of_file.login) == (settings.source, settings.login):
        return
    login = settings.login
    words = [settings.source] + ([login.username, login.password] if login else [])
    if settings.password_file is not None or any("${" in word for word in words):
        raise ConfigurationError(
            f"camera {name} would be told secrets of this machine: variables and "
            "password_file belong into the configuration, and not into what is sent"
        )
