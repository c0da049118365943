"""Boxes are at the positions that viewers see, however a scene is stored; with a real Triton."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import Image, turned, write_clip
from heif_files import write_tiled
from test_hdr import HLG, PQ, write_hdr

MIRRORED = (-1, 0, 0, 1)
SIZE = 640, 360


@pytest.fixture(scope="module")
def found(tmp_path_factory, triton, yolostream_cli, demo_frames):
    """The folder with the results of one run, for the same scene stored in many ways."""
    (scene,) = demo_frames("mb1_1", [120])
    scene = cv2.resize(scene, SIZE, interpolation=cv2.INTER_AREA)
    folder = tmp_path_factory.mktemp("scene")
    write_all(folder / "in", scene)
    output = folder / "out"
    done = yolostream_cli("detect", folder / "in", "--url", triton.url, "--output", output)
    assert done.returncode == 0, done.stderr
    return output


def write_all(folder: Path, scene: Image) -> None:
    folder.mkdir()
    clip = write_clip
    clip(folder / "plain.mp4", [scene])
    turned(clip(folder / "mirrored.mp4", [scene[:, ::-1]]), MIRRORED)
    turned(clip(folder / "turned.mp4", [np.rot90(scene)]), (0, 1, -1, 0))
    squeezed = cv2.resize(scene, (480, 360), interpolation=cv2.INTER_AREA)
    clip(folder / "squeezed.mp4", [squeezed], pixel_aspect=Fraction(4, 3))
    for name, transfer in (("pq", PQ), ("hlg", HLG)):
        write_hdr(folder / f"{name}.mp4", scene, transfer)
    write_tiled(folder / "phone.heic", np.rot90(scene), turns=3)
    write_tiled(folder / "phone.avif", np.rot90(scene), turns=3)


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", ["mirrored", "turned", "squeezed", "pq", "hlg"])
def test_objects_of_a_video_are_where_they_are_shown(found: Path, name: str) -> None:
    (plain,), (line,) = lines_of(found / "plain.jsonl"), lines_of(found / f"{name}.jsonl")
    assert_same(line, plain)
    with av.open(str(found / f"{name}.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == SIZE


def test_objects_of_a_phone_s_picture_are_where_they_are_shown(found: Path) -> None:
    (plain,) = lines_of(found / "plain.jsonl")
    pictures = lines_of(found / "in.jsonl")
    assert [line["file"] for line in pictures] == ["phone.avif", "phone.heic"]
    for line in pictures:
        assert_same(line, plain)
    for name in ("phone.avif", "phone.jpg"):
        assert cv2.imread(str(found / "in" / name)).shape == (*SIZE[::-1], 3)


def assert_same(line: dict, expected: dict) -> None:
    """Check that all objects with high scores were found again at the same positions."""
    assert (line["width"], line["height"]) == SIZE
    sure = [one for one in expected["detections"] if one["confidence"] > 0.8]
    assert len(sure) >= 4
    for one in sure:
        of_class = [two["box"] for two in line["detections"] if two["class"] == one["class"]]
        assert min(np.abs(np.subtract(box, one["box"])).max() for box in of_class) < 6
