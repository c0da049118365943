"""Checks the addresses and logins of cameras that are sent over the API."""

from __future__ import annotations

from yolostream.errors import ConfigurationError, SourceError
from yolostream.redaction import redact_argument
from yolostream.service.settings import CameraSettings
from yolostream.sources.address import SCHEMES, address_in, has_host

LONGEST = 2000
"""Largest number of characters in an address."""


def check_runtime_address(source: str) -> str:
    """Check that a source is the address of a camera on a network.

    Only the configuration file may name files, devices and environment variables. Any host is
    allowed, including this one.

    Returns:
        The address, with its spaces encoded.

    Raises:
        SourceError: the source is not such an address.
    """
    address = address_in(source)
    if len(source) > LONGEST or address is None or not source.isprintable():
        raise SourceError(
            f"{redact_argument(source[:100])!r} is not the network address of a camera: begin it "
            f"with {', '.join(f'{scheme}://' for scheme in SCHEMES)}; only the configuration file "
            "may name files and devices"
        )
    if "${" in source:
        raise SourceError(
            "${VARIABLES} are only allowed in the configuration file: send the user and the "
            "password themselves, or add the camera to the file"
        )
    if not has_host(address):
        raise SourceError(
            f"{redact_argument(source)!r} has no host, or its port is not valid: write "
            "SCHEME://HOST:PORT/PATH"
        )
    return address


def check_runtime_secrets(
    name: str, settings: CameraSettings, of_file: CameraSettings | None
) -> None:
    """Check that settings do not send variables or files of this machine to a camera.

    Args:
        name: name of the camera.
        settings: settings that were sent over the API.
        of_file: the camera's settings in the configuration file. The same source and login are
            allowed over the API.

    Raises:
        ConfigurationError: the settings contain a variable or a password file.
    """
    if of_file and (of_file.source, of_file.login) == (settings.source, settings.login):
        return
    login = settings.login
    words = [settings.source] + ([login.username, login.password] if login else [])
    if settings.password_file is not None or any("${" in word for word in words):
        raise ConfigurationError(
            f"camera {name} would receive secrets of this machine: variables and password_file "
            "are only allowed in the configuration file"
        )
