"""A server that goes and comes back, under a client that stays."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yolostream
from conftest import REPOSITORY as PROJECT
from instant import ANY_PORTS, MODEL, REPOSITORY, relabeled, serve_instant
from other_host import needs_other_host, other_host
from running import poll
from yolostream import Detector
from yolostream.server.embedded import Ports

ENVIRONMENT = PROJECT / ".venv-server"
FRAME = np.full((36, 64, 3), 114, np.uint8)


@pytest.fixture
def server():
    """Stops and starts a server on one port; `up` is it."""
    with contextlib.ExitStack() as running:

        class Server:
            def start(self, ports=ANY_PORTS, repository=REPOSITORY):
                self.up = running.enter_context(serve_instant(ports, repository))

            def stop(self):
                running.close()

        server = Server()
        server.start()
        yield server


def buffer_of(detector, lease):
    return lease.slot.buffer_at(detector._servers.choose())


def test_after_a_long_outage_a_detector_sees_again_at_once(server):
    with Detector(server.up.url, MODEL, transport="shared-memory", timeout_s=5) as detector:
        detector.detect(FRAME)
        ports = Ports(grpc=server.up.ports.grpc)
        server.stop()
        # A camera goes on sending, and so gRPC tries to connect again and again.
        end = time.monotonic() + 8
        while time.monotonic() < end:
            with pytest.raises(yolostream.ServerUnavailable):
                detector.detect(FRAME)
            time.sleep(0.1)
        server.start(ports)
        ready = time.monotonic()
        while True:
            try:
                detector.detect(FRAME)
                break
            except yolostream.ServerUnavailable:
                assert time.monotonic() - ready < 4
                time.sleep(0.02)


def test_after_a_restart_every_buffer_in_shared_memory_loses_one_request_and_recovers(server):
    def together():
        """Errors of a batch a buffer, all on their way at once."""
        batches = [detector.submit_batch([FRAME] * 3) for _ in range(4)]
        return [[one.exception(60) for one in batch] for batch in batches]

    with Detector(server.up.url, MODEL, max_in_flight=4, transport="shared-memory") as detector:
        assert together() == [[None] * 3] * 4
        held = [detector._pool.lend(timeout_s=1) for _ in range(4)]
        for lease in held:
            # All have a region that the next server does not know.
            buffer_of(detector, lease).write([FRAME] * 3, height=36, width=64)
        for lease in held:
            lease.release()
        ports = Ports(grpc=server.up.ports.grpc)
        server.stop()
        server.start(ports)
        detector.timeout_s = 5
        lost = []
        for _ in range(8):
            lost += [batch for batch in together() if batch != [None] * 3]
        for batch in lost:
            assert all(isinstance(error, yolostream.ServerUnavailable) for error in batch)
            assert len({id(error) for error in batch}) == 1
        forgotten = [batch for batch in lost if "send it again" in str(batch[0])]
        assert len(forgotten) == 4
        assert together() == [[None] * 3] * 4


def test_what_a_restart_took_is_given_back_at_once(server):
    """And not when Python looks for cycles, which may be hours later."""

    def held() -> list[str]:
        links = (os.path.realpath(link) for link in Path("/proc/self/fd").iterdir())
        return [link for link in links if "yolostream-frames" in link and "deleted" in link]

    with Detector(server.up.url, MODEL, transport="shared-memory", timeout_s=5) as detector:
        frames = [FRAME] * 12
        gc.collect()
        gc.disable()
        try:
            with ThreadPoolExecutor(6) as threads:
                list(threads.map(detector.detect, frames))
                ports = Ports(grpc=server.up.ports.grpc)
                server.stop()
                server.start(ports)
                poll(
                    lambda: all(threads.map(partial(answers, detector), frames)),
                    what="answers to all",
                )
            assert held() == []
        finally:
            gc.enable()


def test_close_does_not_wait_for_a_server_that_hangs(server):
    with Detector(server.up.url, MODEL, max_in_flight=4, transport="shared-memory") as detector:
        held = [detector._pool.lend(timeout_s=1) for _ in range(4)]
        for lease in held:
            buffer_of(detector, lease).write([FRAME], height=36, width=64)
            lease.release()
        # One after the other, the four would take four times as long.
        detector.timeout_s = 3
        server.up.process.send_signal(signal.SIGSTOP)
        try:
            started = time.monotonic()
            detector.close()
            assert time.monotonic() - started < 10
        finally:
            server.up.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("transport", ["grpc", "shared-memory"])
def test_a_server_with_other_labels_is_never_taken_for_the_old_one(
    server, tmp_path, transport, asks
):
    with Detector(server.up.url, MODEL, transport=transport, timeout_s=5) as detector:
        assert detector.detect(FRAME).labels == ("person",)
        ports = Ports(grpc=server.up.ports.grpc)
        server.stop()
        if asks:
            with pytest.raises(yolostream.ServerUnavailable):
                detector.detect(FRAME)
        server.start(ports, relabeled(tmp_path, "cat", "dog"))
        found = []

        def answered() -> bool:
            with contextlib.suppress(yolostream.ServerUnavailable):
                found.append(detector.detect(FRAME))
            return bool(found)

        poll(answered, what="the first answer")
        assert found[0].labels == detector.labels == ("cat", "dog")
        described = detector.model
        detector.detect(FRAME)
        assert detector.model is described, "it is not asked again with every frame"


@needs_other_host
def test_a_host_that_was_unplugged_costs_no_call_more_than_its_deadline():
    frame = np.zeros((640, 640, 3), np.uint8)
    with (
        other_host() as host,
        host.serving(),
        Detector(host.url, MODEL, timeout_s=2, transport="grpc") as detector,
    ):
        detector.detect(frame)
        host.unplug()
        # They are stuck in the socket, and by itself TCP tries again for a quarter of an hour.
        pending = [detector.submit(frame) for _ in range(6)]
        assert all(isinstance(one.exception(60), yolostream.ServerError) for one in pending)
        host.plug()
        poll(lambda: answers(detector, frame), what="the detector to see again")


def answers(detector, frame) -> bool:
    try:
        detector.detect(frame)
    except yolostream.ServerError:
        return False
    return True


@needs_other_host
def test_a_server_that_comes_back_with_another_shared_memory_gets_messages(server, caplog):
    """As in a container that was started anew, while the client's kept the memory of the old."""
    with Detector(server.up.url, MODEL, transport="shared-memory", timeout_s=5) as detector:
        detector.detect(FRAME)
        port = server.up.ports.grpc
        server.stop()
        with served_with_other_shared_memory(port):
            poll(lambda: answers(detector, FRAME), what="an answer")
            assert len(detector.detect(FRAME)) == 0
    assert "frames are sent in gRPC messages" in caplog.text


@contextlib.contextmanager
def served_with_other_shared_memory(port):
    serve = (sys.executable, "-m", "yolostream", "serve", "--profile", "cpu")
    where = ("--model-repository", REPOSITORY, "--server-environment", ENVIRONMENT)
    script = 'mount -t tmpfs tmpfs /dev/shm && exec "$@"'
    command = ("unshare", "--mount", "sh", "-c", script, "sh", *serve, *where)
    ports = ("--grpc-port", str(port), "--http-port", "0", "--metrics-port", "0")
    with subprocess.Popen([*command, *ports], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_a_server_whose_handshake_takes_longer_than_a_second_is_reached(server):
    """As over a slow network with TLS."""
    with slowed(server.up.ports.grpc, seconds=1.5) as url, Detector(url, MODEL) as detector:
        assert len(detector.detect(FRAME)) == 0


@contextlib.contextmanager
def slowed(port, *, seconds):
    """A port at which every connection is answered so much later."""
    listening = queue.SimpleQueue()

    async def forward(reader, writer, delay_s):
        try:
            await asyncio.sleep(delay_s)
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def accept(asks, answers):
        with contextlib.closing(answers):
            from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
            ways = forward(asks, to_server, 0), forward(from_server, answers, seconds)
            await asyncio.gather(*ways)

    async def listen():
        ended = asyncio.Event()
        end = partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set)
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        listening.put((server.sockets[0].getsockname()[1], end))
        await ended.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(listen()))
    thread.start()
    port_there, end = listening.get()
    try:
        yield f"127.0.0.1:{port_there}"
    finally:
        end()
        thread.join()
