"""Sends what comes, one after the other, to somebody who may stop reading."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, TypeVar

from fastapi import WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

MOST_WAITING = 1024
"""Messages that wait for one reader; one that takes no more is left."""
ALIVE_S = 15.0
"""Something is sent at least so often: else nobody notices that a reader is gone."""

_T = TypeVar("_T")

Following = Callable[[Callable[[_T], None]], contextlib.AbstractContextManager[None]]
"""Has a function called with what comes, as long as a block lasts."""


class Streams:
    """All readers that follow something. They end when the service does."""

    def __init__(self) -> None:
        self._open: set[_Waiting[Any]] = set()
        self._lock = threading.Lock()

    def end(self) -> None:
        """Let all of them end; from any thread."""
        with self._lock:
            for waiting in self._open:
                waiting.end()

    def events(self, following: Following[_T], line_of: Callable[[_T], bytes]) -> StreamingResponse:
        """Server-sent events.

        Args:
            following: gives what comes.
            line_of: makes an event of it.
        """

        async def lines() -> AsyncIterator[bytes]:
            # A camera that was removed in this moment has nothing to tell.
            with contextlib.suppress(KeyError), self._following(following) as waiting:
                # Whoever waits for the connection learns that it stands.
                yield b": follows\n\n"
                async for item in waiting:
                    yield b": alive\n\n" if item is None else line_of(item)

        return StreamingResponse(
            lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )

    async def texts(
        self, socket: WebSocket, following: Following[_T], text_of: Callable[[_T], str]
    ) -> None:
        """The same over a WebSocket that was accepted, until the reader is gone or too slow."""

        async def send() -> None:
            async for item in waiting:
                if item is not None:
                    await socket.send_text(text_of(item))
            await socket.close(1013, "come back")

        async def until_gone() -> None:
            while (await socket.receive())["type"] != "websocket.disconnect":
                pass

        with self._following(following) as waiting:
            tasks = asyncio.create_task(send()), asyncio.create_task(until_gone())
            done, unfinished = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in unfinished:
                task.cancel()
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            for task in done:
                task.result()

    @contextlib.contextmanager
    def _following(self, following: Following[_T]) -> Iterator[_Waiting[_T]]:
        waiting: _Waiting[_T] = _Waiting()
        with self._lock:
            self._open.add(waiting)
        try:
            with following(waiting.add):
                yield waiting
        finally:
            with self._lock:
                self._open.discard(waiting)


class _Waiting(Generic[_T]):
    """What waits for one reader."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[_T | None] = asyncio.Queue()
        self._is_over = False

    def add(self, item: _T) -> None:
        """One more; from any thread."""
        self._call(self._add, item)

    def end(self) -> None:
        """No more; from any thread."""
        self._call(self._end)

    async def __aiter__(self) -> AsyncIterator[_T | None]:
        """What comes; None where nothing has come for `ALIVE_S`. It ends where too much waited."""
        while not (self._is_over and self._items.empty()):
            try:
                yield await asyncio.wait_for(self._items.get(), ALIVE_S)
            except TimeoutError:
                yield None

    def _call(self, action: Callable[..., None], *arguments: Any) -> None:
        # Once the loop has ended, nobody reads.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(action, *arguments)

    def _add(self, item: _T) -> None:
        if self._items.qsize() >= MOST_WAITING:
            self._is_over = True
        if not self._is_over:
            self._items.put_nowait(item)

    def _end(self) -> None:
        self._is_over = True
        # Wakes who waits.
        self._items.put_nowait(None)
