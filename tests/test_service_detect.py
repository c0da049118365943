"""Pictures that are sent to the service: with the real model."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from api import Api, check_problem, serve_api
from heif_files import write_tiled
from PIL import Image
from yolostream import Detector
from yolostream.outputs.jsonl import records
from yolostream.server import embedded
from yolostream.service.web import detect

PATH = detect.PATH


@pytest.fixture(scope="module")
def api(triton: embedded.EmbeddedTriton) -> Iterator[Api]:
    with serve_api(triton.url, model="yolov7") as api:
        yield api


@pytest.fixture(scope="module")
def street(demo_frames) -> np.ndarray:
    (frame,) = demo_frames("mb1_1", [30])
    return frame


def encoded(image: np.ndarray, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def ask(api: Api, data: bytes, query: str = "", **headers: str) -> requests.Response:
    return api.ask("POST", PATH + query, data=data, headers=headers)


def test_boxes_are_those_of_the_client(api: Api, street: np.ndarray, detector: Detector) -> None:
    found = ask(api, encoded(street, "PNG")).json()
    assert (found["width"], found["height"]) == (1280, 720)
    assert found["detections"] == records(detector.detect(street))
    assert len(found["detections"]) > 3
    sure = ask(api, encoded(street, "PNG"), "?confidence=0.9").json()["detections"]
    assert sure == [one for one in found["detections"] if one["confidence"] >= 0.9]
    assert 0 < len(sure) < len(found["detections"])


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_pictures_of_many_formats(api: Api, street: np.ndarray, kind: str) -> None:
    found = ask(api, encoded(street, kind))
    assert found.status_code == 200, found.text
    assert len(found.json()["detections"]) > 3


def test_heic(api: Api, street: np.ndarray, tmp_path: Path) -> None:
    small = np.ascontiguousarray(street[:256, :256])
    data = write_tiled(tmp_path / "a.heic", small).read_bytes()
    found = ask(api, data).json()
    assert {found["width"], found["height"]} == {256}


def test_the_annotated_picture(api: Api, street: np.ndarray) -> None:
    answer = ask(api, encoded(street, "PNG"), Accept="image/jpeg")
    assert answer.headers["content-type"] == "image/jpeg"
    drawn = np.array(Image.open(io.BytesIO(answer.content)), np.int16)
    assert drawn.shape == street.shape
    # Somewhere there are lines, elsewhere it is as it was.
    assert 0.005 < (np.abs(drawn - street).max(axis=2) > 60).mean() < 0.3


def test_what_is_no_picture(api: Api, street: np.ndarray) -> None:
    whole = encoded(street, "PNG")
    for data in (b"", b"x", b"<svg/>", whole[:20], b"\xff\xd8\xff" + b"\0" * 100, b"GIF89a"):
        check_problem(ask(api, data), 415, "no-picture")


def test_a_picture_that_would_fill_the_memory(api: Api) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    # 2.7 GB, once it is decoded.
    head = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    wide = encoded(np.zeros((1, 20_000, 3), np.uint8), "PNG")
    large = encoded(np.zeros((8_001, 8_001, 3), np.uint8), "PNG")
    for data in (bomb, wide, large):
        check_problem(ask(api, data + chunk(b"IEND", b"")), 413, "too-many-pixels")


def test_a_model_that_is_not_there(api: Api, street: np.ndarray) -> None:
    data = encoded(street, "JPEG")
    check_problem(ask(api, data, "?model=nothing"), 404, "model-unavailable")
    with serve_api() as alone:
        check_problem(ask(alone, data), 503, "server-away")


def test_a_few_are_looked_at_at_once(
    api: Api, street: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on, entered = threading.Event(), threading.Semaphore(0)
    original = api.context.ensembles.detector

    def wait(model: str) -> Detector:
        entered.release()
        assert goes_on.wait(60)
        return original(model)

    data, answers = encoded(street, "JPEG"), []

    def send() -> None:
        answers.append(requests.post(api.url + PATH, data=data, timeout=60).status_code)

    monkeypatch.setattr(api.context.ensembles, "detector", wait)
    threads = [threading.Thread(target=send) for _ in range(detect.MAX_CONCURRENT)]
    for thread in threads:
        thread.start()
    for _ in threads:
        entered.acquire()
    refused = ask(api, data)
    goes_on.set()
    for thread in threads:
        thread.join()
    check_problem(refused, 429, "busy")
    assert answers == [200] * detect.MAX_CONCURRENT
