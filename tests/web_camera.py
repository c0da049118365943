"""A camera that sends MJPEG over HTTP, and a web server of files."""

from __future__ import annotations

import contextlib
import http.server
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
from clips import gray
from loopback import LOOPBACK


class WebCamera:
    """The settings of a running camera, which may be changed at any time."""

    def __init__(self, url: str) -> None:
        self.url = url
        """URL of the MJPEG stream, whose pictures have different gray levels in turn."""
        self.interval_s = 0.1
        """Seconds between two pictures."""
        self.size = 48, 64
        """Height and width of the pictures, in pixels."""
        self.is_on = True
        """If false, it closes all connections without an answer."""


@contextlib.contextmanager
def web_camera(
    files: dict[str, Path] | None = None, *, denies: int | None = None
) -> Iterator[WebCamera]:
    """Run a camera that also serves `files` under their names.

    With `denies`, it answers every request with this status.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                path = (files or {}).get(self.path.strip("/"))
                if not camera.is_on:
                    return
                if denies is not None:
                    self.send_response(denies)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                if path is not None:
                    self.end_headers()
                    self.wfile.write(path.read_bytes())
                    return
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
                self.end_headers()
                for number in itertools.count():
                    if not camera.is_on:
                        return
                    height, width = camera.size
                    picture = gray(20 + 10 * (number % 20), width=width, height=height)
                    _, jpeg = cv2.imencode(".jpg", picture)
                    head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}"
                    self.wfile.write(head.encode() + b"\r\n\r\n" + jpeg.tobytes() + b"\r\n")
                    time.sleep(camera.interval_s)

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        camera = WebCamera(f"http://{LOOPBACK}:{server.server_port}/cam")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield camera
        finally:
            camera.is_on = False
            server.shutdown()
