"""What is allowed in a configuration, and is hardly meant."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from yolostream.service.settings import CameraSettings, Configuration
from yolostream.sources.finding import device_that_is_away


def advice(configuration: Configuration, path: Path | None) -> list[str]:
    """One sentence for everything that somebody should look at.

    Args:
        configuration: as it was read.
        path: of its file.
    """
    return [
        *_about_cameras(configuration),
        *(
            f"{secret} can be read by all users of this machine: chmod 600 {secret}"
            for secret in _secrets(configuration, path)
            if _is_open_to_all(secret)
        ),
    ]


def _about_cameras(configuration: Configuration) -> Iterator[str]:
    cameras = configuration.cameras
    if not cameras:
        yield "there are no cameras: name some in the configuration, or add them on the page"

    for name, camera in cameras.items():
        if (device := device_that_is_away(camera.source)) is not None:
            yield f"{name}: {device} is not there: it is waited for"

    def address(name: str) -> str:
        return cameras[name].source

    for _, group in groupby(sorted(cameras, key=address), address):
        if len(names := sorted(group)) > 1:
            yield f"{' and '.join(names)} have the same source: is that meant?"


def _secrets(configuration: Configuration, path: Path | None) -> Iterator[Path]:
    """Files that others should not read."""
    if path is not None and any(map(_has_password, configuration.cameras.values())):
        yield path
    files = [configuration.server.token_file, configuration.web.token_file]
    files += [camera.password_file for camera in configuration.cameras.values()]
    for tls in (configuration.server.tls, configuration.web.tls):
        files.append(None if tls is None else tls.key)
    yield from dict.fromkeys(file for file in files if file is not None)


def _has_password(camera: CameraSettings) -> bool:
    """Whether the file itself has it."""
    if camera.password is not None:
        return "${" not in camera.password.get_secret_value()
    _, _, rest = camera.source.partition("://")
    return "@" in rest and "${" not in rest


def _is_open_to_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        # Who needs it says so.
        return False
