"""Files and addresses with any name are found, and outputs get valid file names.

A comment refers to an issue of another project if a name comes from it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import socket
import threading
import unicodedata
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import frames_of, number_of, opened, steps, write_clip
from loopback import LOOPBACK
from yolostream.errors import SourceError
from yolostream.outputs.results import Results
from yolostream.printable import printable
from yolostream.sources import Video, find_sources
from yolostream.sources.naming import (
    FILE_NAME_BYTES,
    NAME_BYTES,
    OUTPUT_SUFFIXES,
    shortened,
    with_unique_names,
)
from yolostream.sources.presence import Presence, presence_at
from yolostream.sources.sequence import numbered_files


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only names without a folder could be confused with protocols and the like.
    monkeypatch.chdir(tmp_path)


def clip(name: str, frames: int = 3) -> Path:
    """Write a clip with any name, which need not match its format."""
    plain = write_clip(Path("plain.mp4"), steps(frames))
    plain.rename(name)
    return Path(name)


def picture(path: str | Path, level: int = 100) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", np.full((10, 20, 3), level, np.uint8))
    assert done
    path.write_bytes(data.tobytes())
    return path


def names_of(*specs: str) -> list[str]:
    found, errors = find_sources(specs)
    assert not errors
    return [source.name for source in found]


def refusal_of(spec: str) -> str:
    found, (error,) = find_sources([spec])
    assert not found
    return str(error)


def read(spec: str) -> list[int]:
    """The numbers of the frames of the only source."""
    (source,) = opened(spec)
    return [number_of(frame.image) for frame in frames_of(source)]


# Names of files


@pytest.mark.parametrize(
    "name",
    [
        # nordlicht/nordlicht#55, ihabunek/twitch-dl#89: "Protocol not found".
        "2024-05-01T12:30:00.mp4",
        "cam: front.mp4",
        "concat:a.ts|b.ts",
        "subfile,,start,0,end,9,,:plain.mp4",
        "pipe:0",
        "file:clip.mp4",
        "http:clip.mp4",
        "2024",
        # AlUlkesh/sd_save_intermediate_images#19: a percent sign is no pattern.
        "img_%03d.mp4",
        "100%.mp4",
        # ilastik/ilastik#2391, ultralytics/ultralytics#24353: brackets are no glob.
        "cam[1].mp4",
        "what?.mp4",
        "*.mp4",
        # GingerGraham/bash-logger#35, poe-platform/poe-code#647: line breaks, and control
        # characters of terminals.
        "a\nb.mp4",
        "\x1b[2J\x1b[31mred.mp4",
        # jjjake/internetarchive#284, ArchiveBox/ArchiveBox#1373: bytes that are not UTF-8.
        os.fsdecode(b"caf\xe9.mp4"),
        "${HOME}.mp4",
        "\U0001f469\u200d\U0001f469\u200d\U0001f467 'x' \"y\".mp4",
        "C:\\Users\\me\\clip.mp4",
        "-x.mp4",
        "clip.mp4.",
        " .mp4",
        "user:secret@10.0.0.5.mp4",
    ],
)
def test_a_file_with_any_name_is_read(name: str) -> None:
    clip(name)
    assert read(name) == [0, 1, 2]


def test_a_picture_whose_name_looks_like_a_pattern_is_read() -> None:
    picture("img_%03d.png", 50)
    picture("img_001.png", 200)
    assert read("img_%03d.png") == [3]


@pytest.mark.parametrize("name", ["clip.mp4", "a b.mp4", "caf\u00e9 100%.mp4", "x#y?.mp4"])
def test_a_file_url_is_a_path_in_percent_encoding(tmp_path: Path, name: str) -> None:
    path = clip(name).resolve()
    for url in (path.as_uri(), path.as_uri().replace("file://", "FILE://localhost")):
        assert read(url) == [0, 1, 2]
    # Java's libraries write a single slash.
    assert read(path.as_uri().replace("file://", "file:")) == [0, 1, 2]


def test_a_file_url_may_be_a_folder_or_contain_bytes(tmp_path: Path) -> None:
    clip(os.fsdecode(b"caf\xe9.mp4"))
    assert read(f"file://{tmp_path}/caf%E9.mp4") == [0, 1, 2]
    assert read(f"file://{tmp_path}") == [0, 1, 2]


@pytest.mark.parametrize("url", ["file://clip.mp4", "file://host/clip.mp4", "file://"])
def test_a_file_url_without_an_absolute_path_is_refused(url: str) -> None:
    clip("clip.mp4")
    assert "file:///absolute/path" in refusal_of(url)


def test_a_file_url_of_a_missing_file_is_named_by_its_path() -> None:
    assert refusal_of("file:///gone/a%20b.mp4").endswith("/gone/a b.mp4")


def test_a_name_that_is_too_long_is_a_missing_file() -> None:
    # ytdl-org/youtube-dl#5908: a traceback, "File name too long".
    assert "no such file" in refusal_of("x" * 300 + ".mp4")
    assert "no such file" in refusal_of("x/" * 3000)


def test_broken_and_circular_links_are_named() -> None:
    Path("gone.mp4").symlink_to("nowhere")
    Path("circle.mp4").symlink_to("circle.mp4")
    for name in ("gone.mp4", "circle.mp4"):
        assert refusal_of(name) == f"{name} is a broken link: name a file that exists"
    for spec in (".", "*.mp4"):
        named, errors = find_sources([spec])
        assert not errors
        Results(Path("out")).check_apart_from(named)


def test_circular_links_among_pictures_do_not_end_the_run() -> None:
    picture("street/a.png")
    Path("street/b.png").symlink_to("b.png")
    found, errors = find_sources(["street"])
    assert not errors
    Results(Path("out")).check_apart_from(found)


def test_a_text_file_with_sources_is_refused_with_the_fix() -> None:
    Path("list.txt").write_text("a.mp4\nb.mp4\n")
    with pytest.raises(SourceError, match=r"xargs -d '\\n' yolostream detect < LIST"):
        opened("list.txt")


def test_a_playlist_in_a_folder_with_any_name_finds_its_segments() -> None:
    write_clip(Path("s.ts"), steps(3))
    folder = Path("2024-05-01T12:30")
    folder.mkdir()
    Path("s.ts").rename(folder / "s.ts")
    (folder / "live.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ns.ts\n#EXT-X-ENDLIST\n"
    )
    assert read(f"{folder}/live.m3u8") == [0, 1, 2]


# Numbered files


def test_numbered_pictures_are_one_source_in_the_order_of_the_numbers() -> None:
    for number in (0, 2, 10, 100, 1000):
        picture(f"street/img_{number:03}.png")
    picture("street/img_7.png")
    picture("street/img_0007.png")
    picture("street/img_x.png")
    (source,) = opened("street/img_%03d.png")
    assert source.name == "street"
    assert [frame.name for frame in frames_of(source)] == [
        *("img_000.png", "img_002.png", "img_010.png", "img_100.png", "img_1000.png"),
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("%d.png", ["0.png", "9.png", "10.png"]),
        ("%02d.png", ["09.png", "10.png"]),
        ("%2d.png", ["09.png", "10.png"]),
        ("100%%_%d.png", ["100%_1.png"]),
        ("[a]_%d.png", ["[a]_1.png"]),
        ("./%d.png", ["0.png", "9.png", "10.png"]),
        ("%d/%d.png", ["1/2.png", "2/1.png"]),
        ("%s.png", []),
        ("100%%.png", []),
        ("%999d.png", []),
        ("%", []),
    ],
)
def test_a_pattern_matches_the_names_that_ffmpeg_would_write(
    pattern: str, names: list[str]
) -> None:
    for name in ("0", "9", "09", "10", "a", "100%_1", "[a]_1", "a_1", "2/1", "1/2"):
        picture(f"{name}.png")
    assert [str(path) for path in numbered_files(pattern)] == names


def test_each_numbered_video_is_a_source() -> None:
    for number in (1, 2, 10):
        clip(f"part_{number}.mp4")
    assert names_of("part_%d.mp4") == ["part_1", "part_2", "part_10"]


def test_a_pattern_without_matches_is_named() -> None:
    assert refusal_of("img_%03d.png") == "no such file, folder or glob: img_%03d.png"


# Folders


@pytest.mark.parametrize(
    "suffix",
    [
        # photoprism/photoprism#2899, mpvnet-player/mpv.net#182: ignored because of their suffix.
        *(".mts", ".m2ts", ".flv", ".265", ".hevc", ".ogv", ".3gp", ".MTS", ".dav"),
        *(".h265", ".264", ".mpeg", ".vob", ".asf", ".mxf"),
    ],
)
def test_videos_with_many_suffixes_are_found_in_a_folder(suffix: str) -> None:
    Path("street").mkdir()
    clip(f"street/clip{suffix}")
    assert names_of("street") == ["clip"]


@pytest.mark.parametrize(
    ("suffix", "codec", "format"),
    [
        (".m2ts", "libx264", "mpegts"),
        (".flv", "libx264", "flv"),
        (".265", "libx265", "hevc"),
        (".3gp", "libx264", "3gp"),
        (".gif", "gif", "gif"),
        (".mpeg", "mpeg2video", "mpeg"),
        (".asf", "mpeg4", "asf"),
    ],
)
def test_a_video_with_another_suffix_is_read(suffix: str, codec: str, format: str) -> None:
    path = Path(f"clip{suffix}")
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for image in steps(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    assert read(".") == [0, 1, 2, 3, 4]


def test_ignored_files_of_a_folder_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    clip("clip.mp4")
    for name in ("a.xyz", "b\n.pdf", "c.json", ".hidden", "d.txt", "e.txt", "f.txt", "._clip.mp4"):
        Path(name).write_bytes(b"")
    Path("g.mp4").mkdir()
    with caplog.at_level(logging.WARNING, "yolostream"):
        assert names_of(".") == ["clip"]
    (message,) = caplog.messages
    assert "a.xyz, b\\n.pdf, c.json, d.txt, e.txt and 2 more" in message
    assert "hidden" not in message
    Path("street").mkdir()
    clip("street/a.mp4")
    Path("street/b.mp4").mkdir()
    caplog.clear()
    assert names_of("street") == ["a"]
    assert "b.mp4/" in caplog.text


def test_a_folder_with_only_unknown_files_names_them() -> None:
    Path("street").mkdir()
    Path("street/a.xyz").write_bytes(b"")
    assert "only a.xyz: name a file itself" in refusal_of("street")


def test_a_folder_without_read_permission_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The error is simulated, because tests may run as root.
    Path("street").mkdir()

    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    assert "cannot list the folder street (Permission denied)" in refusal_of("street")


def test_a_folder_with_many_files_is_listed_quickly() -> None:
    Path("many").mkdir()
    for number in range(3000):
        Path(f"many/{number}.mp4").touch()
        Path(f"many/{number}.png").touch()
    names = names_of("many")
    assert len(set(names)) == 3001


# Cameras and addresses


@pytest.mark.parametrize("spec", ["99", "/dev/video99"])
def test_a_missing_camera_is_refused(spec: str) -> None:
    assert "99" in refusal_of(spec)


def test_digits_of_other_scripts_are_no_camera() -> None:
    assert "no such file" in refusal_of("\u00b2")


def test_a_number_is_a_camera_if_the_device_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    clip("0")
    exists = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/dev/video0" or exists(path))
    found, _ = find_sources(["0", "./0"])
    assert [(source.name, source.is_live) for source in found] == [("camera0", True), ("0", False)]


def test_a_link_to_the_device_of_a_camera_is_that_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    # boltgolt/howdy#153: the number of a device may change at each boot.
    Path("usb-C920-video-index0").symlink_to("/dev/video3")
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    (source,), _ = find_sources(["usb-C920-video-index0"])
    assert isinstance(source, Video)
    assert (source.name, source.is_live, source.format) == ("usb-C920-video-index0", True, "v4l2")
    assert source.uri == "usb-C920-video-index0"


@pytest.mark.parametrize("scheme", ["rtsp", "RTSP", "Http", "udp", "UDP", "srt", "rtp"])
def test_a_scheme_may_be_in_capitals(scheme: str) -> None:
    (source,), _ = find_sources([f"{scheme}://10.0.0.5:1234/Street"])
    assert isinstance(source, Video)
    assert source.uri == f"{scheme.lower()}://10.0.0.5:1234/Street"
    assert (source.name, source.is_live) == ("Street", True)


@pytest.mark.parametrize(("spec", "scheme"), [("ftp://h/a.mp4", "ftp"), ("MMS://h/a", "mms")])
def test_an_unsupported_scheme_is_named(spec: str, scheme: str) -> None:
    assert refusal_of(spec).startswith(f"{scheme}:// is not supported, only rtsp")


def test_srt_is_named_as_missing_in_this_ffmpeg() -> None:
    with pytest.raises(SourceError, match=r"srt://10\.0\.0\.5:1: the FFmpeg .* without srt; .* -c"):
        opened_live("srt://user:secret@10.0.0.5:1")


def opened_live(address: str) -> None:
    (source,), _ = find_sources([address])
    source.open()


def test_udp_is_received(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        port = probe.getsockname()[1]
    data = write_clip(tmp_path / "clip.ts", steps(4) * 5).read_bytes()
    received = threading.Event()

    def send() -> None:
        # Repeatedly, like a multicast, because the sender does not know when the receiver listens.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not received.wait(0.2):
                for start in range(0, len(data), 7 * 188):
                    with contextlib.suppress(ConnectionRefusedError):
                        sender.sendto(data[start : start + 7 * 188], (LOOPBACK, port))

    sending = threading.Thread(target=send)
    sending.start()
    try:
        (source,), _ = find_sources([f"UDP://{LOOPBACK}:{port}"])
        with contextlib.closing(source.open()) as session:
            frames = list(itertools.islice(session, 5))
    finally:
        received.set()
        sending.join()
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}


def test_an_flv_is_a_stream_on_a_web_server_and_a_file_on_a_disk() -> None:
    # Media servers send live streams like this, without an end.
    (source,), _ = find_sources(["http://h/live/street.flv"])
    assert source.is_live


@pytest.mark.parametrize("address", ["udp://127.0.0.1:9", "rtp://127.0.0.1:9", "srt://h:9"])
def test_an_address_without_tcp_is_always_present(address: str) -> None:
    # Otherwise, a camera would not be opened again after an outage.
    assert presence_at(address) == Presence.ANSWERS


# Names of outputs


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("clip.mp4", "clip"),
        ("clip.mp4.mp4", "clip"),
        ("clip.MP4.mp4", "clip"),
        ("clip.jsonl.mkv", "clip"),
        (".mp4", "unnamed"),
        ("clip.v2.mp4", "clip.v2"),
        ("http://h/clip.mp4", "clip"),
        ("http://h/Clip.MP4?token=x", "Clip"),
        ("rtsp://h/live.mp4", "live"),
        ("rtsp://h/live.sdp", "live.sdp"),
        ("udp://@:1234", "stream"),
        ("udp://239.0.0.1:1234", "239.0.0.1"),
    ],
)
def test_no_name_has_the_suffix_of_an_output(spec: str, name: str) -> None:
    if "://" not in spec:
        clip(spec)
    assert names_of(spec) == [name]


def test_a_folder_with_the_name_of_a_video_has_another_output_name() -> None:
    picture("clip.mp4/a.png")
    clip("clip.avi")
    picture("clip.jsonl/a.png")
    assert names_of("clip.mp4", "clip.avi", "clip.jsonl") == ["clip", "clip_2", "clip_3"]


def test_files_that_differ_only_in_their_suffix_have_different_output_names() -> None:
    # apsun/AniConvert#3: the second one overwrites the output of the first one.
    for suffix in (".mp4", ".mkv", ".m4v"):
        clip(f"clip{suffix}")
    picture("clip.png")
    names = names_of(".", "clip.png")
    # Three videos, the pictures in the folder, and the picture that is given by name.
    assert len(names) == len(set(names)) == 5


def test_every_suffix_of_an_output_is_known() -> None:
    results = Results(Path("out"))
    video = Video(str(clip("v.mp4")), "v")
    session = video.open()
    paths = [make.args[0] for make in results.makers(video, session)]  # type: ignore[attr-defined]
    session.close()
    assert {path.suffix for path in [*paths, results.tiled_path]} == set(OUTPUT_SUFFIXES)


LONG = [
    "a" * 251,
    "a" * 250 + "b",
    "\u00e9" * 125,
    "\U0001f600" * 62 + "abc",
    "e\u0301" * 83,
    "\U0001f469\u200d\U0001f467" * 22,
]


@pytest.mark.parametrize("stem", LONG)
def test_long_names_are_shortened_and_stay_different(stem: str) -> None:
    for folder in "ab":
        Path(folder).mkdir()
        clip(f"{folder}/{stem}")
    names = names_of(f"a/{stem}", f"b/{stem}", f"a/{stem}")
    assert len(set(names)) == 3
    assert all(len(name.encode()) <= NAME_BYTES for name in names)
    for name in names:
        kept = name.removesuffix("_2").removesuffix("_3")
        assert stem.startswith(kept)
        assert len(kept.encode()) > NAME_BYTES - 20
        rest = stem[len(kept) :]
        assert not unicodedata.combining(rest[0])
        assert "\u200d" not in (kept[-1], rest[0])


def test_names_that_differ_only_at_their_ends_stay_different() -> None:
    for end in "xyz":
        clip("a" * 245 + f"{end}.mp4")
    names = names_of("*.mp4")
    assert len(set(names)) == 3


def test_the_longest_name_leaves_room_for_additions() -> None:
    assert len(f".{'n' * NAME_BYTES}.999.mp4.finishing") <= FILE_NAME_BYTES


def test_a_name_of_only_combining_accents_is_shortened() -> None:
    assert shortened("\u0301" * 300, 20, "_2") == "_2"


def test_a_short_name_is_not_changed() -> None:
    assert shortened("caf\u00e9", NAME_BYTES) == "caf\u00e9"


def test_names_are_shown_as_printable_text() -> None:
    found = with_unique_names([Video("x", "a\x1b[2J\n\udce9")], set())
    assert [source.name for source in found] == ["a\\x1b[2J\\n?"]
    # U+202E reverses the text after it, so that `gpj.exe` is shown: CVE-2021-42574.
    assert printable("a\u202eexe.jpg\u2028b\u2066c\x85") == r"a\u202eexe.jpg\u2028b\u2066c\x85"
    assert printable("\u05e8\u05db\u05d1 \u0645") == "\u05e8\u05db\u05d1 \u0645"
    assert (
        printable("caf\u00e9 \U0001f469\u200d\U0001f467") == "caf\u00e9 \U0001f469\u200d\U0001f467"
    )
