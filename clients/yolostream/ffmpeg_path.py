"""Paths for FFmpeg, which reads more into them than an operating system."""

from __future__ import annotations

from pathlib import Path


def ffmpeg_path(path: str | Path) -> str:
    """The same file, as FFmpeg has to be told: it takes what is before a colon for a protocol."""
    name = str(path)
    return name if name.startswith("/") or ":" not in name else f"./{name}"
