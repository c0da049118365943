"""Streams items to readers, as server-sent events or over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

from fastapi import WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

MAX_QUEUED = 1024
"""Items queued for one reader. The stream of a slower reader ends."""
KEEP_ALIVE_S = 15.0
"""Seconds without an item after which a comment is sent. Sending it fails if the reader is gone."""

_T = TypeVar("_T")

Following = Callable[[Callable[[_T], None]], contextlib.AbstractContextManager[None]]
"""Subscribes a callback to a source of items until the block ends."""


class Streams:
    """All open streams, so that they can be ended when the service stops."""

    def __init__(self) -> None:
        self._open: set[_Queue[Any]] = set()
        self._lock = threading.Lock()

    def end(self) -> None:
        """End all streams. It may be called from any thread."""
        with self._lock:
            for queue in self._open:
                queue.end()

    def events(self, following: Following[_T], line_of: Callable[[_T], bytes]) -> StreamingResponse:
        """Stream items as server-sent events.

        Args:
            following: source of the items.
            line_of: formats an item as an event.
        """

        async def lines() -> AsyncIterator[bytes]:
            # The camera may have been removed since the request was checked.
            with contextlib.suppress(KeyError), self._subscribed(following) as queue:
                # The first bytes tell the client that the subscription has begun.
                yield b": follows\n\n"
                async for item in queue:
                    yield b": alive\n\n" if item is None else line_of(item)

        return StreamingResponse(
            lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def texts(
        self, socket: WebSocket, following: Following[_T], text_of: Callable[[_T], str]
    ) -> None:
        """Stream items over an accepted WebSocket until the reader is gone or too slow."""

        async def send() -> None:
            async for item in queue:
                if item is not None:
                    await socket.send_text(text_of(item))
            await socket.close(1013, "try again later")

        async def until_gone() -> None:
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass

        with self._subscribed(following) as queue:
            tasks = asyncio.create_task(send()), asyncio.create_task(until_gone())
            done, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in unfinished:
                task.cancel()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            for task in done:
                task.result()

    @contextlib.contextmanager
    def _subscribed(self, following: Following[_T]) -> Iterator[_Queue[_T]]:
        queue: _Queue[_T] = _Queue()
        with self._lock:
            self._open.add(queue)
        try:
            with following(queue.add):
                yield queue
        finally:
            with self._lock:
                self._open.discard(queue)


class _Queue(Generic[_T]):
    """Items for one reader. It is filled from any thread, and read in the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[_T | None] = asyncio.Queue()
        self._is_over = False

    def add(self, item: _T) -> None:
        """Add an item, or end the queue if it is full."""
        self._call(self._add, item)

    def end(self) -> None:
        """End the queue after the items that it contains."""
        self._call(self._end)

    async def __aiter__(self) -> AsyncIterator[_T | None]:
        """The items, and None whenever there was no item for `KEEP_ALIVE_S`."""
        while not (self._is_over and self._items.empty()):
            try:
                yield await asyncio.wait_for(self._items.get(), KEEP_ALIVE_S)
            except TimeoutError:
                yield None

    def _call(self, action: Callable[..., None], *arguments: Any) -> None:
        # The event loop may have ended.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(action, *arguments)

    def _add(self, item: _T) -> None:
        if self._items.qsize() >= MAX_QUEUED:
            self._is_over = True
        if not self._is_over:
            self._items.put_nowait(item)

    def _end(self) -> None:
        self._is_over = True
        # It wakes the reader.
        self._items.put_nowait(None)
