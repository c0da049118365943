"""HLS output: a folder that players read while it is written."""

from __future__ import annotations

import itertools
import os
import re
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import Image, gray, noise
from running import poll
from small_disk import small_disk
from watched import RATE, watched
from yolostream.outputs.hls import PLAYLIST, Hls, hls_folder
from yolostream.outputs.live_video import KEYFRAME_INTERVAL_S

GRAY = [gray(20 + 10 * n, width=320, height=240) for n in range(20)]


def output(folder: Path, segments: int = 4):
    return hls_folder(folder, Hls(segments), name="street", frame_rate=Fraction(RATE))


class Playlist:
    """The playlist as a player reads it (RFC 8216)."""

    def __init__(self, folder: Path) -> None:
        path = folder / PLAYLIST
        self.text = path.read_text() if path.exists() else ""
        self.names = re.findall(r"^[^#\n].*$", self.text, re.MULTILINE)
        self.seconds = [float(found) for found in re.findall(r"#EXTINF:([\d.]+)", self.text)]
        self.number = self._value("MEDIA-SEQUENCE")
        self.target = self._value("TARGETDURATION")
        # The number of discontinuities that have left the playlist.
        self.discontinuities = self._value("DISCONTINUITY-SEQUENCE")

    def _value(self, tag: str) -> int:
        found = re.search(rf"#EXT-X-{tag}:(\d+)", self.text)
        return int(found[1]) if found else -1


def played(folder: Path, count: int) -> list[tuple[float, Image]]:
    """The times and pictures that a player gets if it starts at the first segment."""
    with av.open(
        str(folder / PLAYLIST), options={"live_start_index": "0"}, timeout=60
    ) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = itertools.islice(container.decode(stream), count)
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in frames]


def test_a_player_can_follow_the_growing_playlist(tmp_path):
    with watched(output(tmp_path), GRAY):
        poll(lambda: len(Playlist(tmp_path).names) >= 2, what="the playlist")
        shown = played(tmp_path, 60)
    assert len(shown) == 60
    times = [time_s for time_s, _ in shown]
    assert np.median(np.diff(times)) == pytest.approx(1 / RATE, abs=0.02)
    assert (np.diff(times) > 0).all()
    levels = [round(float(image.mean()), -1) for _, image in shown]
    assert np.mean(np.diff(levels) % 200 == 10) > 0.8


def test_the_playlist_is_always_valid_and_its_window_moves(tmp_path):
    seen, most = [], 0
    with watched(output(tmp_path), GRAY):
        poll(lambda: Playlist(tmp_path).names != [], what="the playlist")
        deadline = time.monotonic() + 120
        while not seen or seen[-1].number < seen[0].number + 4:
            assert time.monotonic() < deadline
            playlist = Playlist(tmp_path)
            # The first segment may leave the playlist at this moment, so one more file is kept.
            assert all((tmp_path / name).stat().st_size > 0 for name in playlist.names)
            most = max(most, len(os.listdir(tmp_path)))
            seen.append(playlist)
            time.sleep(0.01)
    numbers = [playlist.number for playlist in seen]
    assert numbers == sorted(numbers)
    for playlist in seen:
        assert playlist.text.startswith("#EXTM3U\n#EXT-X-VERSION:7\n")
        assert "#EXT-X-INDEPENDENT-SEGMENTS" in playlist.text
        assert "#EXT-X-ENDLIST" not in playlist.text
        assert len(playlist.names) == len(playlist.seconds) <= 4
        assert playlist.names[0] == f"{playlist.number}.m4s"
        assert playlist.target >= max(map(round, playlist.seconds))
    # The discontinuity before the first segment leaves the playlist.
    assert "#EXT-X-DISCONTINUITY\n" in seen[0].text
    assert "#EXT-X-DISCONTINUITY\n" not in seen[-1].text
    assert seen[-1].discontinuities == seen[0].discontinuities + 1
    assert np.median(seen[-1].seconds) == pytest.approx(KEYFRAME_INTERVAL_S, abs=0.3)
    # The segments of the window, one that has left it, one that is being written, and other files.
    assert most <= 4 + 2 + len(["init", PLAYLIST, "a new playlist"])


def test_another_process_continues_the_playlist(tmp_path):
    (tmp_path / "notes.txt").write_text("notes")
    for size in (320, 480):
        before = Playlist(tmp_path)
        with watched(output(tmp_path), [gray(100, width=size, height=240)]):
            poll(lambda before=before: Playlist(tmp_path).text != before.text, what="a playlist")
            poll(lambda: len(Playlist(tmp_path).names) >= 2, what="two segments")
        # A killed process leaves such a file.
        (tmp_path / "99.m4s.tmp").write_bytes(b"half")
    after = Playlist(tmp_path)
    assert after.number > before.number + len(before.names) - 1
    assert "#EXT-X-DISCONTINUITY\n" in after.text
    assert after.discontinuities > before.discontinuities
    assert {image.shape for _, image in played(tmp_path, 15)} == {(240, 480, 3)}
    for name in before.names:
        assert not (tmp_path / name).exists()
    assert (tmp_path / "notes.txt").read_text() == "notes"
    assert len(list(tmp_path.glob("init_*.mp4"))) == 1


def test_while_the_camera_is_away_the_window_moves_on(tmp_path):
    with watched(output(tmp_path, 2), [gray(200, width=320, height=240)]) as has_frames:
        poll(lambda: len(Playlist(tmp_path).names) >= 1, what="the playlist")
        has_frames.clear()
        number = Playlist(tmp_path).number
        poll(lambda: Playlist(tmp_path).number >= number + 4, what="segments without a frame")
        playlist = Playlist(tmp_path)
        # The window contains only the placeholder.
        shown = played(tmp_path, 8)
        has_frames.set()
        poll(
            lambda: np.median(played(tmp_path, 1)[0][1]) > 190,
            what="the camera again",
        )
    assert playlist.target >= max(map(round, playlist.seconds))
    assert all(40 < np.median(image) < 60 for _, image in shown)
    assert 0.4 < np.median(np.diff([time_s for time_s, _ in shown])) < 1.1


def test_a_full_disk_costs_only_the_frames_until_space_is_free(tmp_path):
    images = [noise(n) for n in range(8)]
    with small_disk(tmp_path / "disk", 5000) as disk:
        folder = disk / "street" / "hls"
        made = output(folder, 3)
        with watched(made, images):
            poll(lambda: len(Playlist(folder).names) >= 2, what="the playlist")
            free = os.statvfs(disk).f_bavail * 4096
            (disk / "other file").write_bytes(bytes(free - 100_000))
            poll(lambda: made.trouble != "", what="the trouble")
            assert "No space left" in made.trouble
            (disk / "other file").unlink()
            poll(lambda: made.trouble == "", what="its end", deadline_s=200)
            assert played(folder, 10)


@pytest.mark.parametrize("name", ["s" * 200, "%d_%s", "a:b c", "é"])
def test_any_name_of_a_folder_works(tmp_path, name):
    folder = tmp_path / name / "hls"
    with watched(output(folder), GRAY):
        poll(lambda: len(Playlist(folder).names) >= 1, what="the playlist")
        assert played(folder, 5)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_at_the_path_of_the_folder_is_reported(tmp_path):
    (tmp_path / "street").write_text("in the way")
    made = output(tmp_path / "street")
    with watched(made, GRAY):
        poll(lambda: made.trouble != "", what="the trouble")
        assert "cannot write" in made.trouble
        (tmp_path / "street").unlink()
        poll(lambda: len(Playlist(tmp_path / "street").names) >= 1, what="the playlist")
