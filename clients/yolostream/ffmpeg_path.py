"""Paths for FFmpeg, which treats the part before a colon as a protocol."""

from __future__ import annotations

from pathlib import Path


def ffmpeg_path(path: str | Path) -> str:
    """The path of the same file, without a part that FFmpeg would treat as a protocol."""
    name = str(path)
    return name if name.startswith("/") or ":" not in name else f"./{name}"
