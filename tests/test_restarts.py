"""A server that goes and comes back, under a client that stays."""

from __future__ import annotations

import contextlib
import time

import numpy as np
import pytest
import yolostream
from instant import ANY_PORTS, MODEL, serve_instant
from yolostream import Detector
from yolostream.server.embedded import Ports

FRAME = np.full((36, 64, 3), 114, np.uint8)


@pytest.fixture
def server():
    """Stops and starts a server on one port; `up` is it."""
    with contextlib.ExitStack() as running:

        class Server:
            def start(self, ports=ANY_PORTS):
                self.up = running.enter_context(serve_instant(ports))

            def stop(self):
                running.close()

        server = Server()
        server.start()
        yield server


@pytest.mark.parametrize("transport", ["grpc", "shared-memory"])
def test_after_a_long_outage_a_detector_sees_again_at_once(server, transport):
    with Detector(server.up.url, MODEL, transport=transport, timeout_s=5) as detector:
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
                assert time.monotonic() - ready < 2
                time.sleep(0.02)
