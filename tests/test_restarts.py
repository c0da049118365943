"""Restarts of a server while a client keeps running."""

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
    """Starts and stops servers on one port; `up` is the running one."""
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


def test_after_a_long_outage_a_detector_works_at_once(server):
    with Detector(server.up.url, MODEL, transport="shared-memory", timeout_s=5) as detector:
        detector.detect(FRAME)
        ports = Ports(grpc=server.up.ports.grpc)
        server.stop()
        # Frames are still sent during the outage, so gRPC makes repeated attempts to connect.
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


def test_after_a_restart_each_shared_memory_buffer_loses_one_request(server):
    def together():
        """Send one batch per buffer at the same time; return their errors."""
        batches = [detector.submit_batch([FRAME] * 3) for _ in range(4)]
        return [[one.exception(60) for one in batch] for batch in batches]

    with Detector(server.up.url, MODEL, max_in_flight=4, transport="shared-memory") as detector:
        assert together() == [[None] * 3] * 4
        held = [detector._pool.lend(timeout_s=1) for _ in range(4)]
        for lease in held:
            # Every buffer gets a region, which the next server does not know.
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


def test_shared_memory_that_a_restart_lost_is_freed_at_once(server):
    """It must not wait for Python's cyclic garbage collection, which may run hours later."""

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
        # If close waited for each frame in turn, it would take four times as long.
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
def test_the_labels_of_a_restarted_server_are_read_again(server, tmp_path, transport, asks):
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
        assert detector.model is described, "the model is not read again for every frame"


@needs_other_host
def test_calls_to_an_unplugged_host_end_at_their_deadline():
    frame = np.zeros((640, 640, 3), np.uint8)
    with (
        other_host() as host,
        host.serving(),
        Detector(host.url, MODEL, timeout_s=2, transport="grpc") as detector,
    ):
        detector.detect(frame)
        host.unplug()
        # The requests are in the socket buffer, and TCP alone would retry for a quarter of an hour.
        pending = [detector.submit(frame) for _ in range(6)]
        assert all(isinstance(one.exception(60), yolostream.ServerError) for one in pending)
        host.plug()
        poll(lambda: answers(detector, frame), what="answers to the detector")


def answers(detector, frame) -> bool:
    try:
        detector.detect(frame)
    except yolostream.ServerError:
        return False
    return True


@needs_other_host
def test_a_restarted_server_with_another_shared_memory_gets_grpc_messages(server, caplog):
    """A restarted container has a new /dev/shm, while the client keeps the old one."""
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


def test_a_slow_handshake_is_waited_for(server):
    """A handshake over a slow network with TLS takes this long."""
    with slowed(server.up.ports.grpc, seconds=1.5) as url, Detector(url, MODEL) as detector:
        assert len(detector.detect(FRAME)) == 0


@contextlib.contextmanager
def slowed(port, *, seconds):
    """A proxy to `port` that delays the first answer of each connection by `seconds`."""
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
