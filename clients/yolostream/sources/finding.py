"""From words on the command line to sources."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from yolostream.errors import SourceError
from yolostream.redaction import redact_argument
from yolostream.sources.address import address_in, completed, is_of_a_file, name_of
from yolostream.sources.animation import Animation, moving_format
from yolostream.sources.decoding import DecoderName
from yolostream.sources.pictures import Pictures
from yolostream.sources.source import Source
from yolostream.sources.still import begins_as_picture
from yolostream.sources.video import Video

PICTURE_SUFFIXES = {
    *(".apng", ".avif", ".bmp", ".dds", ".dib", ".gif", ".heic", ".heif", ".hif", ".ico", ".jfif"),
    *(".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pcx", ".pgm", ".png", ".pnm", ".ppm", ".psd"),
    *(".sgi", ".tga", ".tif", ".tiff", ".webp"),
}
PLAYLIST_SUFFIXES = {".m3u8"}
VIDEO_SUFFIXES = {".avi", ".h264", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm", ".wmv"}

_CHECKED_AT_ONCE = 32

_Found = Video | Pictures | Animation


def find_sources(
    specs: Sequence[str],
    *,
    reserved_names: frozenset[str] = frozenset(),
    decoder: DecoderName = "cpu",
) -> tuple[list[Source], list[SourceError]]:
    """Find everything that is named, each under a name of its own. Nothing is opened.

    Args:
        specs: video files, pictures, folders, globs, camera numbers, or stream URLs.
        reserved_names: names that no source may take.
        decoder: what decodes videos; see `start_decoder`.

    Returns:
        The sources, and an error for everything that is none.
    """
    sources: list[_Found] = []
    errors: list[SourceError] = []
    for spec in specs:
        try:
            sources += _named(spec, decoder)
        except SourceError as error:
            errors.append(error)
    return list(_named_apart(sources, set(reserved_names))), errors


def check_files(sources: Sequence[Source]) -> tuple[list[Source], list[SourceError]]:
    """Open and close all files, side by side; cameras and streams are left alone.

    Returns:
        The sources that can be read, and an error for each of the others.
    """

    def problem(source: Source) -> SourceError | None:
        try:
            if not source.is_live:
                source.open().close()
        except SourceError as error:
            return error
        return None

    with ThreadPoolExecutor(_CHECKED_AT_ONCE) as pool:
        problems = list(pool.map(problem, sources))
    readable = [source for source, error in zip(sources, problems, strict=True) if error is None]
    return readable, [error for error in problems if error is not None]


def _named_apart(sources: list[_Found], taken: set[str]) -> Iterator[Source]:
    for source in sources:
        # A file's name may be any bytes; ours are read by people and programs.
        free = name = source.name.encode(errors="replace").decode()
        number = 1
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        yield replace(source, name=free)


def _named(spec: str, decoder: DecoderName) -> Sequence[_Found]:
    if spec.isdigit():
        return [_camera(spec, decoder)]
    if (address := address_in(spec)) is not None:
        # It is completed again where it is opened: nothing that is kept, or said, has the secret.
        completed(address)
        # Segments of a playlist come all at once: only what is read as a file loses none of them.
        is_live = not is_of_a_file(address, VIDEO_SUFFIXES | PLAYLIST_SUFFIXES)
        return [Video(address, name_of(address), is_live=is_live, decoder=decoder)]
    path = Path(spec)
    if path.is_dir():
        suffixes = PICTURE_SUFFIXES | VIDEO_SUFFIXES
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
        if not files:
            raise SourceError(f"{spec} is an empty folder: put pictures or videos in it")
        return _from_files(files, path.resolve().name, decoder)
    if path.exists():
        return _from_files([path], path.stem, decoder)
    matches = sorted(Path(match) for match in glob.glob(spec, recursive=True))
    if not matches:
        raise SourceError(f"no such file, folder or glob: {redact_argument(spec)}")
    return _from_files(matches, matches[0].resolve().parent.name, decoder)


def _from_files(paths: list[Path], name: str, decoder: DecoderName) -> list[_Found]:
    """Pictures together are one source; each video is one of its own, also a picture that moves."""
    pictures: list[Path] = []
    videos: list[_Found] = []
    for path in paths:
        is_picture = _is_picture(path)
        moving = moving_format(path) if is_picture else None
        if is_picture and moving is None:
            pictures.append(path)
        elif moving in ("AVIF", "WEBP"):
            videos.append(Animation(path, path.stem))
        else:
            videos.append(Video(str(path), path.stem, decoder=decoder))
    return [*([Pictures(tuple(pictures), name)] if pictures else []), *videos]


def _is_picture(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in PICTURE_SUFFIXES or (suffix not in VIDEO_SUFFIXES and begins_as_picture(path))


def _camera(number: str, decoder: DecoderName) -> Video:
    device = f"/dev/video{number}"
    if not Path(device).exists():
        raise SourceError(f"no camera {number}: {device} does not exist")
    return Video(device, f"camera{number}", is_live=True, format="v4l2", decoder=decoder)
