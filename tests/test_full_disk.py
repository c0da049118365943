"""Files on a full disk are complete up to its end; with real, small file systems."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import noise, write_clip
from running import errors_of, lines
from small_disk import small_disk
from yolostream.errors import OutputError
from yolostream.outputs.video import FRAGMENT_S, LOOKAHEAD, VideoFile

RATE = 10
FRAMES = 60


def played(path: Path) -> int:
    """The number of frames of a video, which must play without an error; 0 without a file."""
    if not path.exists():
        return 0
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.mark.parametrize("kilobytes", [4, 40, 400, 600, 700, 800, 1000, 1500])
def test_a_video_plays_up_to_the_moment_when_the_disk_was_full(tmp_path, kilobytes):
    images = [noise(n) for n in range(8)]
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        path = disk / "street.mp4"
        written = 0
        with pytest.raises(OutputError, match="No space left"):  # noqa: PT012
            file = VideoFile(
                path,
                height=images[0].shape[0],
                width=images[0].shape[1],
                frame_rate=Fraction(RATE),
                time_base=Fraction(1, RATE),
                bitrate=2_000_000,
            )
            for image in itertools.cycle(images):
                file.write(image, written)
                written += 1
        before = path.read_bytes() if path.exists() else b""
        # If space becomes free, later frames must not be written, because they would follow a gap.
        subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
        file.close()
        assert (path.read_bytes() if path.exists() else b"") == before
        at_least = written - round(FRAGMENT_S * RATE) - LOOKAHEAD - 1
        # If not even the first frame fits, which is the largest, there is no file.
        assert played(path) >= at_least or not path.exists()
        assert path.exists() == (played(path) > 0) == (kilobytes > 300)


def test_a_disk_that_is_full_at_the_end_costs_only_the_end(tmp_path):
    images = [noise(n) for n in range(8)]
    options = {"height": 64, "width": 64, "bitrate": 2_000_000}
    with small_disk(tmp_path / "disk", 4000) as disk:
        file = VideoFile(
            disk / "street.mp4", frame_rate=Fraction(RATE), time_base=Fraction(1, RATE), **options
        )
        for number in range(40):
            file.write(np.ascontiguousarray(images[number % 8][:64, :64]), number)
        with contextlib.suppress(OSError), (disk / "another").open("wb", buffering=0) as another:
            while True:
                another.write(bytes(4096))
        with pytest.raises(OutputError, match="No space left"):
            file.close()
        assert 40 - round(FRAGMENT_S * RATE) - LOOKAHEAD <= played(disk / "street.mp4") < 40


@pytest.mark.parametrize("kilobytes", [100, 700, 3000])
def test_all_files_of_a_run_are_complete(yolostream_cli, triton, tmp_path, kilobytes):
    images = [noise(n) for n in range(8)]
    clips = [
        write_clip(tmp_path / f"{name}.mp4", (images * 8)[:FRAMES], rate=RATE) for name in "ab"
    ]
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        finished = yolostream_cli(
            *("detect", *clips, "--url", triton.url, "--output", disk),
            *("--summary", disk / "summary.json"),
        )
        assert finished.returncode == OutputError.exit_code
        assert any("No space left" in error for error in errors_of(finished))
        for path in disk.glob("*.mp4"):
            assert played(path) > 0
        for path in disk.glob("*.jsonl"):
            if path.stat().st_size:
                assert [record["frame"] for record in lines(path)] == list(range(len(lines(path))))
        for path in disk.glob("*.csv"):
            text = path.read_text()
            assert text.endswith("\n") or not text
            assert len({len(row) for row in csv.reader(text.splitlines())}) <= 1
        for path in disk.glob("summary.json"):
            json.loads(path.read_text())
        assert not list(disk.glob(".*"))
        assert kilobytes < 700 or {"a.mp4", "b.mp4"} & {path.name for path in disk.iterdir()}


def test_a_file_that_cannot_be_opened_is_not_changed(tmp_path):
    path = tmp_path / "street.mp4"
    # Even root cannot write to the file of a running program.
    path.write_bytes(Path("/bin/sleep").read_bytes())
    path.chmod(0o700)
    with subprocess.Popen([path, "60"]) as running:
        try:
            with pytest.raises(OutputError, match="cannot write"):
                VideoFile(
                    path,
                    height=64,
                    width=64,
                    frame_rate=Fraction(RATE),
                    time_base=Fraction(1, RATE),
                    bitrate=100_000,
                )
            assert path.read_bytes() == Path("/bin/sleep").read_bytes()
        finally:
            running.kill()
