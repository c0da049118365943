"""A proxy in front of an RTSP camera that simulates network faults; RTSP over TCP only."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import socket
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from urllib.parse import urlsplit

from loopback import LOOPBACK, reserved_port

MODES = (
    *("forward", "refuse", "silent", "freeze", "close", "half-open", "garbage", "loss", "slow"),
    "clock-set",
)
_HOUR = 3600 * 90_000  # in units of RTP's clock for video
# Bytes: "$", channel and two bytes of length (RFC 2326, 10.12); then the RTP header and two bytes
# of the H.264 payload's header.
_INTERLEAVED, _RTP = 4, 14
_TIMESTAMP = slice(_INTERLEAVED + 4, _INTERLEAVED + 8)


class FaultProxy:
    """Assign to `mode` to change the fault; it is in effect when the assignment returns.

    forward     All data is forwarded unchanged.
    refuse      New connections are refused, and open ones are closed.
    silent      New connections are accepted, but never answered; open ones are forwarded.
    freeze      Connections stay open, but no data is forwarded until the mode changes.
    close       Open connections are closed, and new ones right after they are accepted.
    half-open   Open connections stay open, but never get data again, as after a loss of power.
    garbage     Some media packets get random data after intact headers.
    loss        Some media packets are lost.
    clock-set   The camera's clock is an hour behind while this mode lasts.
    slow        The camera's data is limited to `bytes_per_second`.
    """

    def __init__(self, camera: str, port: int, bytes_per_second: float, garbage: float) -> None:
        address = urlsplit(camera)
        self._camera = (address.hostname, address.port)
        login, at, _ = address.netloc.rpartition("@")
        self.url = address._replace(netloc=f"{login}{at}{LOOPBACK}:{port}").geturl()
        """The camera's URL through this proxy."""
        self.bytes_per_second = bytes_per_second
        self.garbage = garbage
        """Fraction of media packets, 0 to 1, that are corrupted or lost."""
        self.accepted = 0
        """Number of connections that were accepted."""
        self._port = port
        self._mode = "refuse"
        self._random = random.Random(0)
        self._listener: socket.socket | None = None
        self._listening: asyncio.Future[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._moving, self._camera_lost = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault proxy")
        self._thread.start()

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"no mode '{mode}': choose one of {', '.join(MODES)}")
        self._wait_for(self._switch(mode))

    def end(self) -> None:
        """Close everything; it cannot be used again."""
        self._wait_for(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _switch(self, mode: str) -> None:
        self._mode = mode
        if mode == "freeze":
            self._moving.clear()
        else:
            self._moving.set()
        if mode == "half-open":
            # Only for the connections that are open now; later ones use a new event.
            self._camera_lost.set()
            self._camera_lost = asyncio.Event()
        if mode == "refuse" and self._listener:
            # This ends `_listen`. `asyncio.Server.close` may leak a connection that it accepts.
            self._listener.shutdown(socket.SHUT_RDWR)
            await self._listening
            self._listener = None
        if mode in ("refuse", "close"):
            await self._hang_up()
        if mode != "refuse" and not self._listener:
            self._listener = socket.create_server((LOOPBACK, self._port))
            self._listener.setblocking(False)
            self._listening = asyncio.ensure_future(self._listen(self._listener))

    async def _listen(self, listener: socket.socket) -> None:
        accepted = set()  # asyncio itself keeps weak references only
        with listener, contextlib.suppress(OSError):
            while True:
                client, _ = await self._loop.sock_accept(listener)
                accepted.add(asyncio.ensure_future(self._accept(client)))

    async def _finish(self) -> None:
        await self._switch("refuse")
        # A connection that was accepted just before has a task, but is not yet in the set.
        await asyncio.sleep(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    async def _hang_up(self) -> None:
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, accepted: socket.socket) -> None:
        client, answer = await asyncio.open_connection(sock=accepted)
        connection = asyncio.current_task()
        self._connections.add(connection)
        self.accepted += 1
        try:
            # If one side closes the connection, the other side just sees a closed connection.
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                if self._mode in ("close", "refuse"):
                    return
                if self._mode not in ("silent", "half-open"):
                    await self._forward(client, answer)
                while await client.read(1 << 16):
                    pass
        finally:
            answer.transport.abort()
            self._connections.discard(connection)

    async def _forward(self, client: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        """Forward in both directions.

        Raises:
            ConnectionError: one side has closed the connection.
        """
        lost = self._camera_lost
        await self._moving.wait()
        camera, question = await asyncio.open_connection(*self._camera)
        work = [
            asyncio.ensure_future(part)
            for part in (lost.wait(), self._ask(client, question), self._show(camera, answer))
        ]
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            if not lost.is_set():
                raise ConnectionError
        finally:
            # Before the wait: it ends early where `_hang_up` cancels a connection that is ending.
            question.transport.abort()
            for part in work:
                part.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _ask(self, client: asyncio.StreamReader, question: asyncio.StreamWriter) -> None:
        while some := await client.read(1 << 16):
            await self._moving.wait()
            question.write(some)
            await question.drain()

    async def _show(self, camera: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        async for message in _messages(camera):
            await self._moving.wait()
            if self._mode == "slow":
                await asyncio.sleep(len(message) / self.bytes_per_second)
            answer.write(self._spoilt(message))
            await answer.drain()

    def _spoilt(self, message: bytes) -> bytes:
        # Even channels carry RTP, odd ones RTCP.
        media = message[:1] == b"$" and message[1] % 2 == 0
        if not media:
            return message
        if self._mode == "clock-set":
            before = int.from_bytes(message[_TIMESTAMP])
            set_back = ((before - _HOUR) % (1 << 32)).to_bytes(4)
            return message[: _TIMESTAMP.start] + set_back + message[_TIMESTAMP.stop :]
        if self._mode not in ("garbage", "loss") or self._random.random() >= self.garbage:
            return message
        if self._mode == "loss":
            return b""
        headers = message[: _INTERLEAVED + _RTP]
        return headers + self._random.randbytes(len(message) - len(headers))


async def _messages(camera: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The data from the camera, split into interleaved packets and RTSP responses."""
    while True:
        start = await camera.readexactly(_INTERLEAVED)
        if start[:1] == b"$":
            yield start + await camera.readexactly(int.from_bytes(start[2:]))
        else:
            head = start + await camera.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            yield head + await camera.readexactly(int(length[1]) if length else 0)


@contextlib.contextmanager
def fault_proxy(
    camera: str, *, bytes_per_second: float = 20_000, garbage: float = 0.2
) -> Iterator[FaultProxy]:
    """Run a proxy in front of the camera with this URL, with the mode "forward" at first."""
    with reserved_port() as port:
        proxy = FaultProxy(camera, port, bytes_per_second, garbage)
        try:
            proxy.mode = "forward"
            yield proxy
        finally:
            proxy.end()
