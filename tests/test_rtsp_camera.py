"""The cameras and the fault proxy that other tests use, with PyAV as the client."""

from __future__ import annotations

import itertools
import socket
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import number_of, steps, write_clip
from conftest import REPOSITORY
from fault_proxy import fault_proxy
from loopback import LOOPBACK
from rtsp_camera import needs_rtsp, rtsp_camera

pytestmark = needs_rtsp

FRAMES, RATE = 15, 15
# FFmpeg reports a timeout while it connects by one of two errors.
NO_ANSWER = (av.ExitError, av.InvalidDataError)
# A process that starts a camera and waits for its own end.
_OWNER = """
import pathlib, sys, time
from rtsp_camera import rtsp_camera
with rtsp_camera(pathlib.Path(sys.argv[1])) as camera:
    print(camera.port, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip of one second, whose frames encode their numbers."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, steps(FRAMES), rate=Fraction(RATE))


@pytest.fixture(scope="module")
def camera(clip):
    with rtsp_camera(clip) as camera:
        yield camera


def connect(url, *, transport="tcp", timeout=(30, 30)):
    """Open the camera; `timeout` is in seconds, for opening and for each read."""
    # In microseconds; by default, FFmpeg analyzes the first second before it returns a frame.
    options = {"rtsp_transport": transport, "analyzeduration": "100000"}
    return av.open(url, options=options, timeout=timeout)


def frames(container, count):
    return list(itertools.islice(container.decode(video=0), count))


def packets(container, count):
    """Read up to `count` packets; return their number. The last picture may be incomplete."""
    return sum(1 for _ in itertools.islice(container.demux(video=0), count))


def numbers(frames):
    """The numbers of the frames, 0 to FRAMES - 1."""
    return [number_of(frame.to_ndarray(format="rgb24")) for frame in frames]


def plays(url):
    with connect(url) as container:
        return numbers(frames(container, 20)) == [*range(FRAMES), *range(5)]


def ends(container):
    """Whether the stream ends after the data that has already arrived."""
    try:
        return packets(container, 10 * RATE) < 10 * RATE
    except av.ConnectionResetError:
        return True


def times_out(container):
    """Whether reading times out after the data that has already arrived."""
    try:
        packets(container, 10 * RATE)
    except av.ExitError:
        return True
    return False


def refuses(port):
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) != 0


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_clip_is_played_in_a_loop_at_its_own_rate(camera, transport):
    started = time.monotonic()
    with connect(camera.url, transport=transport) as container:
        seen = frames(container, 3 * FRAMES)
    assert numbers(seen) == [*range(FRAMES)] * 3
    # The first frame is left out, because FFmpeg gets the time of the camera only after it.
    gaps = [later.time - earlier.time for earlier, later in itertools.pairwise(seen[1:])]
    assert gaps == pytest.approx([1 / RATE] * len(gaps), abs=0.002)
    assert 3 - 1 / RATE - 0.2 < time.monotonic() - started < 30


def test_the_proxy_forwards_the_stream_in_real_time(camera):
    started = time.monotonic()
    with fault_proxy(camera.url) as proxy, connect(proxy.url) as container:
        assert numbers(frames(container, 2 * FRAMES)) == [*range(FRAMES)] * 2
    assert 2 - 1 / RATE - 0.2 < time.monotonic() - started < 30


def test_h264_of_a_demo_clip_arrives_as_it_was_encoded(demo_frames):
    clip = REPOSITORY / "videos" / "mb1_1.mp4"
    with rtsp_camera(clip) as camera, connect(camera.url) as container:
        seen = [frame.to_ndarray(format="rgb24") for frame in frames(container, 40)]
    for shown, encoded in zip(seen, demo_frames("mb1_1", range(40)), strict=True):
        assert (shown == encoded).all()


def test_several_cameras_answer_on_one_port(clip, tmp_path):
    backwards = write_clip(tmp_path / "b.mp4", steps(FRAMES)[::-1], rate=Fraction(RATE))
    with (
        rtsp_camera({"front": clip, "back": backwards}) as camera,
        connect(camera.urls["front"]) as front,
        connect(camera.urls["back"]) as back,
    ):
        assert numbers(frames(front, 5)) == [0, 1, 2, 3, 4]
        assert numbers(frames(back, 5)) == [14, 13, 12, 11, 10]


def test_only_the_right_password_is_accepted(clip):
    with rtsp_camera(clip, user="guard", password="secret") as camera:
        with fault_proxy(camera.url) as proxy:
            assert plays(proxy.url)
        for login in ("guard:wrong@", "other:secret@", ""):
            with pytest.raises(av.HTTPUnauthorizedError, match="401"):
                connect(camera.url.replace("guard:secret@", login))


def test_a_stopped_camera_refuses_connections_and_restarts_at_its_address(clip):
    with rtsp_camera(clip) as camera:
        with connect(camera.url) as container:
            frames(container, 5)
            camera.stop()
            assert ends(container)
        assert refuses(camera.port)
        camera.start()
        assert plays(camera.url)


def test_a_frozen_camera_stays_connected_and_continues(clip):
    with rtsp_camera(clip) as camera, connect(camera.url, timeout=(30, 3)) as container:
        frames(container, 5)
        camera.freeze()
        assert times_out(container)
        with pytest.raises(NO_ANSWER):
            connect(camera.url, timeout=(1, 1))
        camera.resume()
        assert plays(camera.url)


def test_a_camera_ends_with_the_block(clip):
    with rtsp_camera(clip) as camera:
        assert not refuses(camera.port)
    assert refuses(camera.port)


def test_a_camera_ends_with_the_process_that_started_it(clip):
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, clip],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    with owner:
        port = int(owner.stdout.readline())
        owner.kill()
    deadline = time.monotonic() + 60
    while not refuses(port):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_file_without_video_is_an_error(tmp_path, capfd):
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(RuntimeError), rtsp_camera(path):
        pass
    assert f"cannot read {path}" in capfd.readouterr().err


def test_a_frozen_network_times_out_and_the_stream_can_continue(camera):
    with fault_proxy(camera.url) as proxy:
        with connect(proxy.url, timeout=(30, 3)) as container:
            frames(container, 5)
            proxy.mode = "freeze"
            assert times_out(container)
        proxy.mode = "forward"
        with connect(proxy.url) as container:
            before = frames(container, 5)
            proxy.mode = "freeze"
            time.sleep(1)
            proxy.mode = "forward"
            after = frames(container, 2 * FRAMES)
    # The frames were delayed, but none was lost.
    assert numbers(before + after) == [*range(FRAMES), *range(FRAMES), *range(5)]


@pytest.mark.parametrize("mode", ["close", "refuse"])
def test_closed_connections_end_the_stream_at_once(camera, mode):
    with fault_proxy(camera.url) as proxy:
        with connect(proxy.url) as container:
            frames(container, 5)
            proxy.mode = mode
            # The stream must end before the read timeout, which would raise another error.
            assert ends(container)
        expected = av.ConnectionRefusedError if mode == "refuse" else av.InvalidDataError
        with pytest.raises(expected):
            connect(proxy.url)
        proxy.mode = "forward"
        assert plays(proxy.url)


def test_a_half_open_connection_never_gets_data_again(camera):
    with fault_proxy(camera.url) as proxy:
        with connect(proxy.url, timeout=(30, 3)) as container:
            frames(container, 5)
            proxy.mode = "half-open"
            assert times_out(container)
            proxy.mode = "forward"
            assert times_out(container)
        assert plays(proxy.url)


def test_a_silent_camera_accepts_connections_and_keeps_existing_streams(camera):
    with fault_proxy(camera.url) as proxy, connect(proxy.url) as container:
        frames(container, 5)
        proxy.mode = "silent"
        with pytest.raises(NO_ANSWER):
            connect(proxy.url, timeout=(1, 1))
        assert numbers(frames(container, FRAMES))[-1] == 4


def test_garbage_damages_pictures_but_not_the_connection(camera):
    damaged, good = 0, []
    with fault_proxy(camera.url, garbage=1) as proxy, connect(proxy.url) as container:
        frames(container, 5)
        proxy.mode = "garbage"
        for packet in itertools.islice(container.demux(video=0), 5 * FRAMES):
            if packet.pts is not None and packet.pts * packet.time_base > 2:
                proxy.mode = "forward"
            try:
                good += packet.decode()
            except av.InvalidDataError:
                damaged += 1
    assert damaged
    assert sorted(numbers(good[-FRAMES:])) == [*range(FRAMES)]


def test_a_slow_network_delays_frames(camera):
    with fault_proxy(camera.url, bytes_per_second=500) as proxy, connect(proxy.url) as container:
        frames(container, 5)
        proxy.mode = "slow"
        started = time.monotonic()
        late = frames(container, FRAMES)
        assert time.monotonic() - started > 1.5 * (late[-1].time - late[0].time)


def test_an_unknown_mode_is_named(camera):
    with fault_proxy(camera.url) as proxy, pytest.raises(ValueError, match="'sleepy': choose one"):
        proxy.mode = "sleepy"
