"""Resolves paths in DeepStream's configurations as in its container."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

MOUNT = PurePosixPath("/workspace/yolostream")
"""Folder in the container where docker-compose.yaml mounts the repository."""
IMAGE = PurePosixPath("/opt/nvidia/deepstream")
"""Folder of NVIDIA's own files in the image. They cannot be checked outside of it."""

PARSERS = str(IMAGE / "deepstream/lib/libnvds_infercustomparser.so")
TRACKER = IMAGE / "deepstream/lib/libnvds_nvmultiobjecttracker.so"
DIRECT_PARSERS = "/opt/deepstream-yolo/libnvdsinfer_custom_impl_Yolo.so"
"""Path of the library that clients/deepstream/direct/Dockerfile builds."""

FIX = "write it relative to this file, or absolute if it is in DeepStream's image"


def missing(path: str, config: Path) -> tuple[str, str] | None:
    """Check whether DeepStream finds a path that is written in the file `config`.

    Returns:
        The problem and the fix; None if the file exists, and for all paths in `IMAGE`.
    """
    place = _in_container(path, config)
    if place.is_relative_to(IMAGE):
        return None
    file = on_host(path, config)
    if file is None:
        what = f"'{path}' is {place} in the container, outside the mount {MOUNT}"
        return what, "put the file into the repository, and write it relative to this file"
    return None if file.is_file() else (f"there is no '{path}'", FIX)


def on_host(path: str, config: Path) -> Path | None:
    """The file in the repository that DeepStream finds at `path`; None outside of `MOUNT`."""
    place = _in_container(path, config)
    if not place.is_relative_to(MOUNT):
        return None
    return _repository(config) / place.relative_to(MOUNT)


def _in_container(path: str, config: Path) -> PurePosixPath:
    """The path in the container. Relative paths are relative to the folder of `config`."""
    folder = MOUNT / config.parent.relative_to(_repository(config))
    return PurePosixPath(os.path.normpath(folder / path))


def _repository(config: Path) -> Path:
    return next(p for p in config.parents if (p / "clients" / "deepstream").is_dir())
