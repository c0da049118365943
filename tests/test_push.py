"""Annotated pictures that are pushed to a real RTSP server."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import MILLISECOND, Image, gray, noise
from loopback import LOOPBACK, reserved_port
from rtsp_camera import needs_rtsp, rtsp_recorder
from running import poll
from watched import NOTHING, RATE, watched
from yolostream.frame import Frame
from yolostream.outputs.push import ANSWER_TIMEOUT_S, rtsp_push

pytestmark = needs_rtsp

SECRET = "tOp-53cret"


def recorded(path: Path) -> list[tuple[float, bool, Image]]:
    """The time in seconds, whether it is a keyframe, and the RGB picture of each frame so far."""
    shown = []
    with contextlib.suppress(av.FFmpegError, OSError), av.open(str(path)) as container:
        for frame in container.decode(video=0):
            shown.append((frame.time, frame.key_frame, frame.to_ndarray(format="rgb24")))
    return shown


def levels(path: Path) -> list[int]:
    """The mean gray level of each picture, rounded to tens."""
    return [round(float(image.mean()), -1) for _, _, image in recorded(path)]


def push(url: str):
    return rtsp_push(url, name="street", frame_rate=Fraction(RATE))


@pytest.mark.parametrize("user", ["", "admin"])
def test_pictures_arrive_in_order_and_in_time(tmp_path, user):
    path = tmp_path / "street.mkv"
    with rtsp_recorder(path, user=user, password=SECRET if user else "") as server:
        images = [gray(20 + 10 * n, width=320, height=240) for n in range(20)]
        with watched(push(server.url), images):
            poll(lambda: len(recorded(path)) > 50, what="the stream")
    shown = recorded(path)
    times = [time for time, _, _ in shown]
    assert (np.diff(times) > 0).all()
    # The median, because this machine may delay single pictures.
    assert np.median(np.diff(times)) == pytest.approx(1 / RATE, abs=0.02)
    steps = np.diff(levels(path)) % 200
    assert np.mean(steps == 10) > 0.8
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    keyframes = [time for time, is_key, _ in shown if is_key]
    # A new viewer must get a picture within two seconds.
    assert np.diff(keyframes).max() < 3.5


def test_the_stream_continues_after_the_server_was_killed(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    path = tmp_path / "street.mkv"
    with rtsp_recorder(path) as server:
        output = push(server.url)
        with watched(output, [gray(100, width=320, height=240)]):
            poll(lambda: len(recorded(path)) > 10, what="the stream")
            server.stop()
            poll(lambda: output.trouble, what="the stream")
            path.unlink()
            server.start()
            poll(lambda: len(recorded(path)) > 10, what="the stream")
            poll(lambda: not output.trouble, what="the stream")
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_server_that_starts_later_is_found(tmp_path):
    path = tmp_path / "street.mkv"
    with rtsp_recorder(path) as server:
        server.stop()
        output = push(server.url)
        with watched(output, [gray(100, width=320, height=240)]):
            poll(lambda: output.trouble, what="the stream")
            server.start()
            poll(lambda: len(recorded(path)) > 10, what="the stream")


def test_a_server_that_hangs_does_not_block(tmp_path):
    path = tmp_path / "street.mkv"
    images = [noise(n, width=640, height=480) for n in range(20)]
    with rtsp_recorder(path) as server:
        output = push(server.url)
        with watched(output, images):
            poll(lambda: len(recorded(path)) > 10, what="the stream")
            server.freeze()
            # The socket buffers are full, and the timeout for an answer is over.
            poll(lambda: output.trouble, what="the server", deadline_s=200)
            longest_s = 0.0
            for number in range(50):
                began = time.monotonic()
                late = Frame(images[0], 10_000 + number, 1_000_000 + number, MILLISECOND)
                output.write(late, images[0], NOTHING)
                longest_s = max(longest_s, time.monotonic() - began)
            assert longest_s < ANSWER_TIMEOUT_S
            server.resume()
            poll(lambda: not output.trouble, what="the server", deadline_s=200)


def test_the_password_is_not_logged(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with rtsp_recorder(tmp_path / "street.mkv", user="admin", password="another") as server:
        url = server.url.replace("another", SECRET)
        output = push(url)
        with watched(output, [gray(100)]):
            poll(lambda: output.trouble, what="the stream")
            assert "Unauthorized" in output.trouble
            server.stop()
            poll(lambda: "refused" in output.trouble, what="the stream")
    texts = caplog.text + "".join(capfd.readouterr()) + output.trouble + repr(output)
    assert f"rtsp://{LOOPBACK}:{server.port}/street" in texts
    assert SECRET not in texts
    assert "admin" not in texts


def test_while_the_camera_is_away_the_stream_continues(tmp_path):
    path = tmp_path / "street.mkv"
    street = [gray(200, width=640, height=360)]
    with rtsp_recorder(path) as server, watched(push(server.url), street) as is_there:
        poll(lambda: len(recorded(path)) > 10, what="the stream")
        is_there.clear()
        poll(lambda: levels(path)[-1] < 100, what="the placeholder")
        seen = len(recorded(path))
        poll(lambda: len(recorded(path)) > seen + 5, what="more of it")
        is_there.set()
        poll(lambda: levels(path)[-1] == 200, what="the camera again")
    shown = recorded(path)
    times = np.array([time for time, _, _ in shown])
    away = [n for n, level in enumerate(levels(path)) if level < 100]
    assert (np.diff(times) > 0).all()
    # A dimmed picture with text, one or two per second.
    assert 0.4 < np.median(np.diff(times[away])) < 1.1
    picture = shown[away[0]][2]
    assert 40 < np.median(picture) < 60
    assert picture.max() > 200


def test_a_picture_of_another_size_is_shown_completely(tmp_path):
    path = tmp_path / "street.mkv"
    with rtsp_recorder(path) as server:
        output = push(server.url)
        with watched(output, [gray(100, width=320, height=240)]):
            poll(lambda: len(recorded(path)) > 10, what="the stream")
        output = push(server.url)
        sizes = [gray(100, width=320, height=240)] * 30 + [gray(100, width=480, height=270)] * 200
        with watched(output, sizes):
            poll(
                lambda: any(image.shape[:2] == (270, 480) for *_, image in recorded(path)),
                what="the stream",
            )


def test_a_hundred_reconnects_do_not_leak(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    with reserved_port() as port:
        output = push(f"rtsp://{LOOPBACK}:{port}/street")
        output._channel._open_channel, opens = _counted(output._channel._open_channel)
        with watched(output, [gray(100)]):
            poll(lambda: len(opens) > 2, what="the stream")
            before = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
            for _ in range(100):
                seen = len(opens)
                while len(opens) == seen:
                    # Set repeatedly, because a failed attempt sets a later time.
                    output._channel._retry_at = 0.0
                    time.sleep(0.02)
            after = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
        assert after == before


def _counted(open_channel):
    opens = []

    def counted(*size):
        opens.append(size)
        return open_channel(*size)

    return counted, opens
