"""From words on the command line to sources."""

from __future__ import annotations

import glob
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from yolostream.errors import SourceError
from yolostream.sources.decoder import StartDecoder
from yolostream.sources.decoding import DecoderName, Notify, decoder_starter
from yolostream.sources.pictures import Pictures
from yolostream.sources.source import Source
from yolostream.sources.video import Video

PICTURE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
VIDEO_SUFFIXES = {".avi", ".h264", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm", ".wmv"}
NETWORK_SCHEMES = ("rtsp://", "rtsps://", "rtmp://", "http://", "https://")

_log = logging.getLogger(__name__)


def open_sources(
    specs: Sequence[str],
    *,
    reserved_names: frozenset[str] = frozenset(),
    decoder: DecoderName = "cpu",
    notify: Notify = _log.warning,
) -> tuple[list[Source], list[SourceError]]:
    """Open everything that can be opened, each under a name of its own.

    Args:
        specs: video files, pictures, folders, globs, camera numbers, or stream URLs.
        reserved_names: names that no source may take.
        decoder: what decodes videos; where that is not the CPU, it still is for all that the GPU
            cannot.
        notify: takes a line that says so.

    Returns:
        The sources, and an error for everything that is none.
    """
    start_decoder = decoder_starter(decoder, notify=notify)
    sources: list[Source] = []
    errors: list[SourceError] = []
    for spec in specs:
        try:
            openings = _openings(spec, start_decoder)
        except SourceError as error:
            errors.append(error)
            continue
        for opening in openings:
            try:
                sources.append(opening())
            except SourceError as error:
                errors.append(error)
    _name_apart(sources, set(reserved_names))
    return sources, errors


def _name_apart(sources: list[Source], taken: set[str]) -> None:
    for source in sources:
        # A file's name may be any bytes; ours are read by people and programs.
        name = source.name = source.name.encode(errors="replace").decode()
        number = 1
        while source.name in taken:
            number += 1
            source.name = f"{name}_{number}"
        taken.add(source.name)


def _openings(spec: str, start_decoder: StartDecoder) -> list[Callable[[], Source]]:
    """What `spec` names, not yet opened."""
    video = partial(Video, start_decoder=start_decoder)
    if spec.isdigit():
        return [partial(_open_camera, spec, video)]
    if spec.startswith(NETWORK_SCHEMES):
        name = spec.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        return [partial(video, spec, name=name or "stream", is_live=not spec.startswith("http"))]
    path = Path(spec)
    if path.is_dir():
        suffixes = PICTURE_SUFFIXES | VIDEO_SUFFIXES
        files = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
        if not files:
            raise SourceError(f"{spec} is an empty folder: put pictures or videos in it")
        return _file_openings(files, path.resolve().name, video)
    if path.exists():
        return _file_openings([path], path.stem, video)
    matches = sorted(Path(match) for match in glob.glob(spec, recursive=True))
    if not matches:
        raise SourceError(f"no such file, folder or glob: {spec}")
    return _file_openings(matches, matches[0].resolve().parent.name, video)


def _file_openings(
    paths: list[Path], name: str, video: Callable[..., Video]
) -> list[Callable[[], Source]]:
    """Pictures together are one source; each video is one of its own."""
    pictures = [path for path in paths if path.suffix.lower() in PICTURE_SUFFIXES]
    openings: list[Callable[[], Source]] = []
    if pictures:
        openings.append(partial(Pictures, pictures, name=name))
    videos = [path for path in paths if path.suffix.lower() not in PICTURE_SUFFIXES]
    return openings + [partial(video, str(path), name=path.stem) for path in videos]


def _open_camera(number: str, video: Callable[..., Video]) -> Video:
    device = f"/dev/video{number}"
    if not Path(device).exists():
        raise SourceError(f"no camera {number}: {device} does not exist")
    return video(device, name=f"camera{number}", is_live=True, format="v4l2")
