"""What a file is by its name: a picture, a video, or a playlist."""

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
"""Of what is a file on a web server too, where cameras send others of these without an end."""
VIDEO_SUFFIXES = WEB_VIDEO_SUFFIXES | {
    *(".264", ".265", ".3g2", ".3gp", ".asf", ".av1", ".dav", ".divx", ".dv", ".f4v", ".flv"),
    *(".h265", ".hevc", ".ivf", ".m2t", ".m2ts", ".m2v", ".mjpeg", ".mjpg", ".mpeg"),
    *(".mpv", ".mts", ".mxf", ".obu", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".vob", ".y4m"),
}


def is_picture(path: Path) -> bool:
    """Whether it is a picture; by its first bytes where its name does not tell."""
    suffix = path.suffix.lower()
    return suffix in PICTURE_SUFFIXES or (suffix not in VIDEO_SUFFIXES and begins_as_picture(path))
