"""An RTSP camera that refuses TCP for its media, in ways that are not in the standard."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from loopback import LOOPBACK


class StubbornCamera:
    """A proxy in front of a camera that answers SETUP requests for TCP itself.

    Args:
        camera: the camera's URL.
        answer: status code and reason for a SETUP for TCP; empty to close the connection instead.
    """

    def __init__(self, camera: str, answer: str) -> None:
        address = urlsplit(camera)
        self._camera = address.hostname, address.port
        self._answer = answer
        self._listener = socket.create_server((LOOPBACK, 0))
        self.url = address._replace(netloc=f"{LOOPBACK}:{self._listener.getsockname()[1]}").geturl()
        self.refused = 0
        """Number of SETUP requests that were refused."""
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._camera) as camera:
            threading.Thread(target=_copy, args=(camera, client), daemon=True).start()
            with contextlib.suppress(OSError):
                for request in _requests(client):
                    if request.startswith(b"SETUP") and b"RTP/AVP/TCP" in request:
                        self.refused += 1
                        if not self._answer:
                            return
                        number = re.search(rb"CSeq: *(\d+)", request)[1].decode()
                        client.sendall(
                            f"RTSP/1.0 {self._answer}\r\nCSeq: {number}\r\n\r\n".encode()
                        )
                    else:
                        camera.sendall(request)


def _requests(client: socket.socket) -> Iterator[bytes]:
    data = b""
    while received := client.recv(1 << 16):
        data += received
        while (end := data.find(b"\r\n\r\n")) >= 0:
            yield data[: end + 4]
            data = data[end + 4 :]


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)


@contextlib.contextmanager
def stubborn_camera(camera: str, answer: str) -> Iterator[StubbornCamera]:
    """Run the proxy until the block ends."""
    stubborn = StubbornCamera(camera, answer)
    try:
        yield stubborn
    finally:
        stubborn.close()
