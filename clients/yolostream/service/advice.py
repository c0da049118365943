"""Warnings about a valid configuration."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from yolostream.service.settings import CameraSettings, Configuration
from yolostream.sources.finding import device_that_is_away


def advice(configuration: Configuration, path: Path | None) -> list[str]:
    """Find settings that are allowed but are probably mistakes.

    Args:
        configuration: the configuration.
        path: its file; None if it was not read from a file.

    Returns:
        One message for each finding.
    """
    return [
        *_about_cameras(configuration),
        *(
            f"{secret} can be read by all users of this machine: run 'chmod 600 {secret}'"
            for secret in _secrets(configuration, path)
            if _is_open_to_all(secret)
        ),
    ]


def _about_cameras(configuration: Configuration) -> Iterator[str]:
    cameras = configuration.cameras
    if not cameras:
        yield "there are no cameras: add some to the configuration or on the page"

    for name, camera in cameras.items():
        if (device := device_that_is_away(camera.source)) is not None:
            yield f"{name}: {device} is not there: the service waits for it"

    def address(name: str) -> str:
        return cameras[name].source

    for _, group in groupby(sorted(cameras, key=address), address):
        if len(names := sorted(group)) > 1:
            yield f"{' and '.join(names)} have the same source: is that intended?"


def _secrets(configuration: Configuration, path: Path | None) -> Iterator[Path]:
    """Files that contain secrets."""
    if path is not None and _contains_password(path, configuration):
        yield path
    files = [configuration.server.token_file, configuration.web.token_file]
    files += [camera.password_file for camera in configuration.cameras.values()]
    for tls in (configuration.server.tls, configuration.web.tls):
        files.append(None if tls is None else tls.key)
    yield from dict.fromkeys(file for file in files if file is not None)


def _contains_password(path: Path, configuration: Configuration) -> bool:
    """Whether a password is written in the configuration file itself."""
    cameras = configuration.cameras.values()
    if any(map(_has_password, cameras)):
        return True
    pushes = [one.outputs.push for one in (configuration.defaults, *cameras)]
    addresses = [push.get_secret_value() for push in pushes if push is not None]
    # The variables in these addresses have been expanded, so only the file's text can tell.
    return any("@" in address and address in _text_of(path) for address in addresses)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        # The file was removed after it had been read, so nobody can read it any more.
        return ""


def _has_password(camera: CameraSettings) -> bool:
    """Whether the configuration itself contains the camera's password."""
    if camera.password is not None:
        return "${" not in camera.password.get_secret_value()
    _, _, rest = camera.source.partition("://")
    return "@" in rest and "${" not in rest


def _is_open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        # The code that reads the file reports the error.
        return False
