"""The video that browsers are sent, and what becomes of those who do not take it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import gray, noise
from yolostream.detections import Detections
from yolostream.pipeline.trails import Trails
from yolostream.service.fragmented_mp4 import FragmentedMp4
from yolostream.service.messages import Found, Fragment
from yolostream.service.web.live import MAX_QUEUED_BYTES, Wanted, _Viewer

RATE = Fraction(5)


def encoded(images: list, times: list[float]) -> list[Fragment]:
    fragments: list[Fragment] = []
    video = FragmentedMp4("cam", RATE, fragments.append)
    for image, time_s in zip(images, times, strict=True):
        before = len(fragments)
        video.write(image, time_s)
        # None is held back until the next one comes.
        assert fragments[-1].kind != "header"
        assert len(fragments) > before
    video.close()
    return fragments


def played(fragments: list[Fragment]) -> list[tuple[float, float]]:
    """Time and mean brightness of each picture, as FFmpeg reads them."""
    data = io.BytesIO(b"".join(fragment.data for fragment in fragments))
    with av.open(data, format="mp4") as container:
        return [
            (frame.time, frame.to_ndarray(format="gray").mean()) for frame in container.decode()
        ]


def test_each_picture_is_a_fragment_at_its_time() -> None:
    times = [1000.0, 1000.2, 1000.25, 1003.0, 90_000.123456]
    images = [gray(40 * (number + 1)) for number in range(len(times))]
    fragments = encoded(images, times)
    assert [fragment.kind for fragment in fragments] == [
        "header",
        "key",
        "delta",
        "delta",
        "key",
        "key",
    ]
    assert fragments[0].codec.startswith("avc1.42")
    seen = played(fragments)
    assert [time for time, _ in seen] == pytest.approx(times, abs=1e-4)
    assert [level for _, level in seen] == pytest.approx([40, 80, 120, 160, 200], abs=12)


def test_a_player_may_join_at_any_key_and_one_comes_every_second() -> None:
    times = [number / 5 for number in range(20)]
    fragments = encoded([noise(number) for number in range(20)], times)
    keys = [index for index, one in enumerate(fragments) if one.kind == "key"]
    assert [index - 1 for index in keys] == [0, 5, 10, 15]
    for key in keys:
        assert len(played([fragments[0], *fragments[key:]])) == len(fragments) - key


def test_no_browser_throws_pictures_of_an_uneven_camera_away() -> None:
    # It does up to the next key, where one comes more than twice the duration after the one before.
    times = [0.0, 0.03, 0.06, 0.9, 1.0, 1.95, 2.9, 3.4, 60.0]
    fragments = encoded([gray(60)] * len(times), times)[1:]
    gaps = np.diff(times)
    for before, after, gap in zip(fragments, fragments[1:], gaps, strict=False):
        assert after.kind == "key" or gap <= 2 * duration_s(before)


def duration_s(fragment: Fragment) -> float:
    """That it says its picture is shown for: the third number behind `trun` and its flags."""
    at = fragment.data.index(b"trun") + 4 + 4 + 8
    return struct.unpack_from(">I", fragment.data, at)[0] / 90_000


def test_another_size_is_another_video() -> None:
    fragments = encoded([gray(60), gray(60), gray(60, width=96)], [0.0, 0.2, 0.4])
    assert [one.kind for one in fragments] == ["header", "key", "delta", "header", "key"]
    assert len(played(fragments[3:])) == 1


def test_pictures_of_one_moment_keep_their_order() -> None:
    fragments = encoded([gray(60), gray(120)], [5.0, 5.0])
    times = [time for time, _ in played(fragments)]
    assert times[0] < times[1]


class Studio:
    """A service whose cameras send what they are told to."""

    def __init__(self) -> None:
        self.on_fragment: dict[str, Callable] = {}
        self.on_found: dict[str, Callable] = {}

    @contextlib.contextmanager
    def following(self, name: str, kind: type, take: Callable) -> Iterator[None]:
        if name == "nobody":
            raise KeyError(name)
        those = {Fragment: self.on_fragment, Found: self.on_found}[kind]
        those[name] = take
        try:
            yield
        finally:
            del those[name]


class Socket:
    """A connection that takes nothing until it is opened."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.sent: list[str | bytes] = []

    async def send_text(self, text: str) -> None:
        await self.send_bytes(text)

    async def send_bytes(self, data: str | bytes) -> None:
        await self.is_open.wait()
        self.sent.append(data)


def test_who_does_not_take_it_misses_pictures_up_to_the_next_key() -> None:
    async def look() -> None:
        studio, socket = Studio(), Socket()
        viewer = _Viewer(studio)
        viewer.want(Wanted(video={"a", "b", "nobody"}, detections={"a"}))
        assert set(studio.on_fragment) == {"a", "b"}
        sending = asyncio.create_task(viewer.send_to(socket))
        half = bytes(MAX_QUEUED_BYTES // 2)
        fragments = [
            *(Fragment("a", "header", b"head", "avc1"), Fragment("a", "key", half)),
            *(Fragment("a", "delta", b"1" + half), Fragment("a", "delta", b"missed")),
            *(Fragment("b", "header", b"other", "avc1"), Fragment("b", "key", b"missed")),
        ]
        for fragment in fragments:
            studio.on_fragment[fragment.camera](fragment)
        studio.on_found["a"](Found("a", b'{"frame":1}'))
        await asyncio.sleep(0.05)
        socket.is_open.set()
        await asyncio.sleep(0.05)
        for fragment in (Fragment("a", "delta", b"missed"), Fragment("a", "key", b"again")):
            studio.on_fragment["a"](fragment)
        studio.on_fragment["b"](Fragment("b", "delta", b"missed"))
        await asyncio.sleep(0.05)
        videos = [one for one in socket.sent if isinstance(one, bytes)]
        assert [one[:2] for one in videos] == [b"\x01a", b"\x01a", b"\x01a", b"\x01b", b"\x01a"]
        assert [one[2:8] for one in videos] == [
            b"head",
            half[:6],
            b"1" + half[:5],
            b"other",
            b"again",
        ]
        texts = [one for one in socket.sent if isinstance(one, str)]
        assert texts == ['{"camera":"a","codec":"avc1"}', '{"camera":"b","codec":"avc1"}']
        viewer.want(Wanted(video={"b"}))
        assert (set(studio.on_fragment), set(studio.on_found)) == ({"b"}, set())
        viewer.close()
        assert not studio.on_fragment
        sending.cancel()

    asyncio.run(look())


def test_a_trail_goes_where_the_object_stood_and_is_forgotten() -> None:
    trails = Trails(seconds=2.0)

    def frame(time_s: float, left: float, track_id: int = 1) -> np.ndarray:
        scene = gray(0, width=200, height=100)
        detections = Detections(
            np.array([[left, 10, left + 20, 50]], np.float32),
            np.array([0.9], np.float32),
            np.array([0]),
            ("car",),
            np.array([track_id]),
        )
        trails.draw_on(scene, detections, time_s)
        return scene

    assert not frame(0.0, 10).any()
    scene = frame(1.0, 110)
    assert scene[50, 20:120].any(axis=1).all()
    assert not scene[:47].any()
    assert not scene[54:].any()
    # The first place is too long ago; the second one is not.
    scene = frame(2.5, 130)
    assert scene[50, 125].any()
    assert not scene[50, 20:110].any()
    assert not frame(3.0, 10, track_id=-1).any()
    assert not frame(10.0, 10).any()
