"""Checks an INI file of deepstream-app: its groups, and whether they match the model."""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format

from yolostream.doctor.check import Finding, Problem, in_file
from yolostream.doctor.deepstream import paths
from yolostream.doctor.deepstream.application_keys import check_keys, is_integer
from yolostream.doctor.deepstream.inference_config import read_model
from yolostream.doctor.deepstream.nvinferserver import read_inference_config
from yolostream.doctor.deepstream.picture import check_picture

Keys = Mapping[str, str]

_URI, _MANY_URIS, _RTSP = 2, 3, 4
"""DeepStream's numbers for types of sources."""
_FILE_SINK, _RTSP_SINK, _BROKER = 3, 4, 6
"""DeepStream's numbers for types of sinks."""
_NVINFERSERVER = 1
_TRACKER_GRID = 32
"""Width and height of the tracker's picture have to be multiples of this, in pixels."""


@dataclass(frozen=True)
class _Application:
    """The enabled groups of an INI file."""

    path: Path
    sources: Mapping[str, Keys]
    sinks: Mapping[str, Keys]
    streams: int
    muxer: Keys
    inference: Keys
    tracker: Keys
    tiler: Keys

    @property
    def live(self) -> bool:
        return any(_integer(keys, "type") == _RTSP for keys in self.sources.values())


def check_application(path: Path, model_repository: Path) -> list[Problem]:
    """Find the problems in an INI file that deepstream-app would fail with or ignore."""
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#",), inline_comment_prefixes=None
    )
    # By default, configparser converts keys to lower case.
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (configparser.Error, UnicodeDecodeError) as error:
        return [Problem(path.name, f"cannot be read: {error}", "write key=value under [groups]")]
    groups = {name: dict(parser[name]) for name in parser.sections()}
    application = _application(path, groups)
    found = [
        *check_keys(groups),
        *_sources(application),
        *_muxer(application),
        *_inference(application, model_repository),
        *_tracker(application),
        *_tiler(application),
        *_sinks(application),
    ]
    return in_file(path.name, found)


def _application(path: Path, groups: Mapping[str, Keys]) -> _Application:
    sources = _enabled(groups, "source") | _listed(groups)
    return _Application(
        path=path,
        sources=sources,
        sinks=_enabled(groups, "sink"),
        streams=sum(
            max(1, _integer(keys, "num-sources")) if _integer(keys, "type") == _MANY_URIS else 1
            for keys in sources.values()
        ),
        muxer=groups.get("streammux", {}),
        inference=_enabled(groups, "primary-gie").get("primary-gie", {}),
        tracker=_enabled(groups, "tracker").get("tracker", {}),
        tiler=_enabled(groups, "tiled-display").get("tiled-display", {}),
    )


def _enabled(groups: Mapping[str, Keys], name: str) -> dict[str, Keys]:
    """The groups NAME, NAME0, NAME1 and so on that are enabled."""
    return {
        group: keys
        for group, keys in groups.items()
        if group.rstrip("0123456789") == name and _integer(keys, "enable") == 1
    }


def _listed(groups: Mapping[str, Keys]) -> dict[str, Keys]:
    """The sources of [source-list], each with the keys of [source-attr-all]."""
    uris = groups.get("source-list", {}).get("list", "").split(";")
    common = groups.get("source-attr-all", {})
    return {
        f"source-list {number}": {**common, "uri": uri, "type": str(kind)}
        for number, uri in enumerate(filter(None, uris))
        for kind in [_RTSP if uri.startswith("rtsp://") else _URI]
    }


def _integer(keys: Keys, name: str, default: int = 0) -> int:
    """The value of a key; the default if it is not a number, which `check_keys` reports."""
    value = keys.get(name, "")
    return int(value) if is_integer(value) else default


def _sources(application: _Application) -> Iterator[Finding]:
    if not application.sources:
        yield "[source0]", "no source is enabled", "write a [source0] with enable=1"
    for group, keys in application.sources.items():
        kind, uri = _integer(keys, "type"), keys.get("uri", "")
        if kind in (_URI, _MANY_URIS):
            yield from _file_source(group, uri, application.path)
        elif kind == _RTSP:
            yield from _rtsp_source(group, keys, uri)


def _file_source(group: str, uri: str, path: Path) -> Iterator[Finding]:
    name = uri.removeprefix("file://")
    if "://" in name or "%d" in name:
        return
    if name == uri:
        yield f"[{group}] uri", f"'{uri}' is not a URI", f"write file://{uri}"
    elif problem := paths.missing(name, path):
        yield f"[{group}] uri", *problem


def _rtsp_source(group: str, keys: Keys, uri: str) -> Iterator[Finding]:
    if not uri.startswith("rtsp://"):
        yield f"[{group}] uri", f"'{uri}' is not an RTSP address", "write rtsp://host:port/path"
    attempts = keys.get("rtsp-reconnect-attempts")
    if attempts != "-1":
        what = f"{attempts or 'no value'} makes DeepStream give up a camera that stalls"
        yield f"[{group}] rtsp-reconnect-attempts", what, "write -1, for no limit"
    if _integer(keys, "rtsp-reconnect-interval-sec") < 1:
        what = "0, the default, never connects again"
        yield f"[{group}] rtsp-reconnect-interval-sec", what, "write seconds, such as 10"


def _muxer(application: _Application) -> Iterator[Finding]:
    muxer = application.muxer
    for side in ("width", "height"):
        if _integer(muxer, side) < 1:
            what = "is missing, and the boxes are in its pixels"
            yield f"[streammux] {side}", what, "write that of the sources"
    if _integer(muxer, "batch-size") < 1:
        yield "[streammux] batch-size", "is missing", f"write {application.streams}"
    if _integer(muxer, "live-source") != application.live:
        what = f"{_integer(muxer, 'live-source')} does not fit the sources"
        yield "[streammux] live-source", what, f"write {int(application.live)}"
    if application.live and _integer(muxer, "batched-push-timeout", -1) < 1:
        what = "without it one silent camera stops all"
        yield "[streammux] batched-push-timeout", what, "write microseconds, such as 40000"


def _inference(application: _Application, model_repository: Path) -> Iterator[Finding]:
    keys, name = application.inference, application.inference.get("config-file", "")
    if not keys:
        yield "[primary-gie]", "is missing or not enabled, so nothing is found", "write enable=1"
        return
    if _integer(keys, "plugin-type") != _NVINFERSERVER:
        what = "nvinfer would run, which cannot read the file of nvinferserver"
        yield "[primary-gie] plugin-type", what, "write 1"
    if problem := paths.missing(name, application.path):
        yield "[primary-gie] config-file", *problem
    file = paths.on_host(name, application.path)
    if problem or file is None:
        return
    try:
        config: Any = read_inference_config(file)
        infer = config.infer_config
        model = read_model(model_repository, infer.backend.triton.model_name)
    except (text_format.ParseError, UnicodeDecodeError, FileNotFoundError):
        # The check of that file reports the problem.
        return
    yield from _batch(application, model)
    size = _integer(application.muxer, "width"), _integer(application.muxer, "height")
    yield from check_picture(size, infer, application.inference["config-file"])


def _batch(application: _Application, model: Any) -> Iterator[Finding]:
    # With a [source-list], deepstream-app uses the number of sources as the batch size.
    listed = any(group.startswith("source-list") for group in application.sources)
    given = _integer(application.inference, "batch-size")
    batch = application.streams if listed else given
    if not 1 <= batch <= model.max_batch_size:
        what = f"{batch} is not within {model.name}'s max_batch_size, {model.max_batch_size}"
        yield "[primary-gie] batch-size", what, "lower it; larger batches of [streammux] are cut"


def _tracker(application: _Application) -> Iterator[Finding]:
    for side in ("tracker-width", "tracker-height") if application.tracker else ():
        size = _integer(application.tracker, side)
        if size < 1 or size % _TRACKER_GRID:
            what = f"{size} is not a multiple of {_TRACKER_GRID}"
            fix = f"write {max(1, round(size / _TRACKER_GRID)) * _TRACKER_GRID}"
            yield f"[tracker] {side}", what, fix
    for key in ("ll-lib-file", "ll-config-file") if application.tracker else ():
        if problem := paths.missing(application.tracker.get(key, ""), application.path):
            yield f"[tracker] {key}", *problem
    library, known = PurePosixPath(application.tracker.get("ll-lib-file", "")), paths.TRACKER
    if library.is_relative_to(paths.IMAGE) and library.name != known.name:
        what = f"DeepStream 7.1 has no tracker '{library}'"
        yield "[tracker] ll-lib-file", what, f"write {known}"


def _tiler(application: _Application) -> Iterator[Finding]:
    rows, columns = (_integer(application.tiler, key) for key in ("rows", "columns"))
    if application.tiler and rows * columns < application.streams:
        what = f"{rows} x {columns} has no room for {application.streams} sources"
        yield "[tiled-display] rows", what, "raise rows or columns"


def _sinks(application: _Application) -> Iterator[Finding]:
    brokers = [g for g, keys in application.sinks.items() if _integer(keys, "type") == _BROKER]
    pictures = {g: keys for g, keys in application.sinks.items() if g not in brokers}
    if not pictures:
        yield (
            "[sink0]",
            "no sink takes the pictures",
            "write a [sink0] with type=1, which drops them",
        )
    for group in brokers[1:]:
        yield f"[{group}] type", "is a second broker, and only one works", "remove it"
    for group in brokers:
        yield from _broker(group, application.sinks[group], application.path)
    for group, keys in pictures.items():
        yield from _picture_sink(group, keys, application)
    yield from _shared(pictures, "output-file", _FILE_SINK)
    yield from _shared(pictures, "udp-port", _RTSP_SINK)


def _picture_sink(group: str, keys: Keys, application: _Application) -> Iterator[Finding]:
    source = _integer(keys, "source-id")
    if application.tiler and source:
        what = f"{source} gets nothing while the tiler is on"
        yield f"[{group}] source-id", what, "write 0, or enable=0 in [tiled-display]"
    elif source >= application.streams:
        what = f"there is no source {source}"
        yield f"[{group}] source-id", what, f"write 0 to {application.streams - 1}"
    kind = _integer(keys, "type")
    if kind in (_FILE_SINK, _RTSP_SINK) and _integer(keys, "bitrate") < 1:
        what = "is missing, and the software encoder takes that for 0"
        yield f"[{group}] bitrate", what, "write bits per second, such as 2000000"
    if kind == _FILE_SINK and not keys.get("output-file"):
        yield f"[{group}] output-file", "is missing", "write a name, such as detections.mp4"


def _shared(sinks: Mapping[str, Keys], key: str, kind: int) -> Iterator[Finding]:
    """Report sinks that would overwrite each other's output."""
    seen: dict[str | None, str] = {}
    for group, keys in sinks.items():
        value = keys.get(key)
        if _integer(keys, "type") == kind and seen.setdefault(value, group) != group:
            what = f"{value or 'the default'} is that of [{seen[value]}] too"
            yield f"[{group}] {key}", what, "give each sink its own"


def _broker(group: str, keys: Keys, path: Path) -> Iterator[Finding]:
    for key in ("msg-conv-config", "msg-broker-proto-lib"):
        if problem := paths.missing(keys.get(key, ""), path):
            yield f"[{group}] {key}", *problem
    if keys.get("msg-conv-msg2p-new-api") not in ("1", "true"):
        what = "without it no message is sent, for deepstream-app attaches no events"
        yield f"[{group}] msg-conv-msg2p-new-api", what, "write 1"
    address = keys.get("msg-broker-conn-str", "")
    if len(address.split(";")) not in (2, 3) or not address.split(";")[1].isdigit():
        fix = "write host;port;topic, such as kafka;9092;detections"
        yield f"[{group}] msg-broker-conn-str", f"'{address}' is not a broker's address", fix
