"""Kinds of files by their suffixes: pictures, videos and playlists."""

from __future__ import annotations

from pathlib import Path

from yolostream.sources.still import begins_as_picture

PICTURE_SUFFIXES = {
    *(".apng", ".avif", ".bmp", ".dds", ".dib", ".gif", ".heic", ".heif", ".hif", ".ico", ".jfif"),
    *(".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd"),
    *(".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp"),
}
PLAYLIST_SUFFIXES = {".m3u8"}
WEB_VIDEO_SUFFIXES = {
    *(".avi", ".h264", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm", ".wmv"),
}
"""An HTTP address with one of these suffixes is a file. One with another suffix of
`VIDEO_SUFFIXES` may be the endless stream of a camera."""
VIDEO_SUFFIXES = WEB_VIDEO_SUFFIXES | {
    *(".264", ".265", ".3g2", ".3gp", ".asf", ".av1", ".dav", ".divx", ".dv", ".f4v", ".flv"),
    *(".h265", ".hevc", ".ivf", ".m2t", ".m2ts", ".m2v", ".mjpeg", ".mjpg", ".mpeg"),
    *(".mpv", ".mts", ".mxf", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".vob", ".y4m"),
}


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, by its suffix, or else by its first bytes."""
    suffix = path.suffix.lower()
    return suffix in PICTURE_SUFFIXES or (suffix not in VIDEO_SUFFIXES and begins_as_picture(path))
