"""Turns the arguments of the command line into sources."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from yolostream.errors import SourceError
from yolostream.printable import printable
from yolostream.redaction import redact_argument
from yolostream.sources.address import (
    SCHEMES,
    address_in,
    completed,
    is_of_a_file,
    name_of,
    path_of_file_url,
    scheme_of,
)
from yolostream.sources.animation import Animation, moving_format
from yolostream.sources.decoding import DecoderName
from yolostream.sources.folder import files_in
from yolostream.sources.kinds import PLAYLIST_SUFFIXES, WEB_VIDEO_SUFFIXES, is_picture
from yolostream.sources.naming import with_unique_names
from yolostream.sources.pictures import Pictures
from yolostream.sources.pipe import is_pipe, is_standard_input, portable_path
from yolostream.sources.sequence import numbered_files
from yolostream.sources.source import Source
from yolostream.sources.video import Video

_CHECKED_AT_ONCE = 32
_CAMERA = re.compile(r"/dev/(video\d+|v4l/.+)")

_Found = Video | Pictures | Animation
_NewVideo = Callable[..., Video]


def find_sources(
    specs: Sequence[str],
    *,
    reserved_names: frozenset[str] = frozenset(),
    decoder: DecoderName = "cpu",
    stream_index: int | None = None,
    waits_for_devices: bool = False,
) -> tuple[list[Source], list[SourceError]]:
    """Find the sources that are named, and give each a unique name. Nothing is opened.

    Args:
        specs: video files, pictures, folders, globs, numbered files (`img_%03d.jpg`), camera
            numbers, URLs of streams and files, or `-` for standard input.
        reserved_names: names that no source may have.
        decoder: the decoder of videos; see `start_decoder`.
        stream_index: FFmpeg's index of the stream to read in each video; None takes the one that
            FFmpeg considers the best.
        waits_for_devices: accept a local camera that is not plugged in.

    Returns:
        The sources, and an error for each argument that names none.
    """
    new_video = partial(Video, decoder=decoder, stream_index=stream_index)
    sources: list[_Found] = []
    errors: list[SourceError] = []
    for spec in specs:
        try:
            found = _named(spec, new_video, waits_for_devices=waits_for_devices)
            if any(source.is_pipe and source in sources for source in found):
                raise SourceError(
                    f"{printable(spec)} is given twice, but a pipe can be read only once"
                )
            sources += found
        except SourceError as error:
            errors.append(error)
    return list(with_unique_names(sources, set(reserved_names))), errors


def device_that_is_away(spec: str) -> str | None:
    """The device of a local camera that is not plugged in; None if it is, or is no camera.

    Args:
        spec: `0`, `/dev/video0`, or a link below `/dev/v4l`, which always names the same camera.
    """
    device = _device(spec)
    return None if device is None or os.path.exists(device) or os.path.exists(spec) else device


def check_files(sources: Sequence[Source]) -> tuple[list[Source], list[SourceError]]:
    """Open and close all files, several at a time. Cameras, streams and pipes are not opened.

    Returns:
        The sources that can be read or were not opened, and an error for each of the others.
    """

    def problem(source: Source) -> SourceError | None:
        try:
            if not source.is_live and not source.is_pipe:
                source.open().close()
        except SourceError as error:
            return error
        return None

    with ThreadPoolExecutor(_CHECKED_AT_ONCE) as pool:
        problems = list(pool.map(problem, sources))
    readable = [source for source, error in zip(sources, problems, strict=True) if error is None]
    return readable, [error for error in problems if error is not None]


def _named(spec: str, new_video: _NewVideo, *, waits_for_devices: bool) -> Sequence[_Found]:
    # A number names a camera if there is one. A file with such a name can be given as `./0`.
    if (device := _device(spec)) is not None and os.path.exists(device):
        return [_camera(spec, device, new_video)]
    if waits_for_devices and (away := device_that_is_away(spec)) is not None:
        return [_camera(spec, away, new_video)]
    if (address := address_in(spec)) is not None:
        return [_stream(address, new_video)]
    path = portable_path(path_of_file_url(spec))
    if is_standard_input(path):
        return [_standard_input(Path(path), new_video)]
    # An existing path takes precedence over a glob or a pattern of numbered files.
    if os.path.lexists(path):
        return _at(Path(path), new_video)
    if matches := numbered_files(path) or sorted(map(Path, glob.glob(path, recursive=True))):
        return _from_files(matches, matches[0].parent.resolve().name, new_video)
    raise SourceError(_why_not(spec, path, device))


def _why_not(spec: str, path: str, device: str | None) -> str:
    """The message for an argument that names nothing."""
    if device is not None:
        return f"no camera {spec}, and no file: {device} does not exist"
    if path == spec and (scheme := scheme_of(spec)) is not None:
        return f"{scheme}:// is not supported, only {', '.join(SCHEMES)} and file"
    return f"no such file, folder or glob: {redact_argument(printable(path))}"


def _stream(address: str, new_video: _NewVideo) -> Video:
    # Only checks that the secrets can be filled in. The source keeps the address without them, so
    # that they get into no log and no pickle; they are filled in again when it is opened.
    completed(address)
    # The frames of a playlist's segment come all at once. A live source would drop most of them.
    is_live = not is_of_a_file(address, WEB_VIDEO_SUFFIXES | PLAYLIST_SUFFIXES)
    return new_video(address, name_of(address), is_live=is_live)


def _at(path: Path, new_video: _NewVideo) -> Sequence[_Found]:
    """The sources at a path: a file, a folder or a link."""
    if not path.exists():
        raise SourceError(f"{printable(str(path))} is a broken link: name a file that exists")
    if path.is_dir():
        return _from_files(files_in(path), path.resolve().name, new_video)
    return _from_files([path], path.stem, new_video)


def _from_files(paths: list[Path], name: str, new_video: _NewVideo) -> list[_Found]:
    """All pictures are one source; each video, and each animated picture, is a separate one."""
    pictures: list[Path] = []
    videos: list[_Found] = []
    for path in paths:
        if not is_picture(path):
            videos.append(new_video(str(path), path.stem, is_pipe=is_pipe(path)))
            continue
        moving = moving_format(path)
        if moving is None:
            pictures.append(path)
        elif moving in ("AVIF", "WEBP"):
            videos.append(Animation(path, path.stem))
        else:
            videos.append(new_video(str(path), path.stem))
    return [*([Pictures(tuple(pictures), name)] if pictures else []), *videos]


def _standard_input(path: Path, new_video: _NewVideo) -> Video:
    if not path.exists() or path.is_char_device():
        raise SourceError(
            "standard input is neither a pipe nor a file: give it a video, as in "
            "'cat street.ts | yolostream detect -'"
        )
    return new_video(str(path), "stdin", is_pipe=is_pipe(path))


def _device(spec: str) -> str | None:
    """The camera device that an argument names, by its number, path or link; None if it is none."""
    if spec.isascii() and spec.isdigit():
        return f"/dev/video{spec}"
    return spec if _CAMERA.fullmatch(os.path.realpath(spec)) else None


def _camera(spec: str, device: str, new_video: _NewVideo) -> Video:
    name = f"camera{spec}" if spec.isdigit() else Path(device).name
    return new_video(device, name, is_live=True, format="v4l2")
