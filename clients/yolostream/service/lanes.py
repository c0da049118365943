"""Connections to the server's ensembles, over which the frames of a worker are sent."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

import numpy as np

from yolostream.client.detector import Detector
from yolostream.errors import ServerError, YolostreamError
from yolostream.pipeline.dispatcher import Batching, Dispatcher
from yolostream.pipeline.share import MAX_BATCH, MAX_IN_FLIGHT_ON_GPU, batch_size
from yolostream.pipeline.worker_process import CLOSE_TIMEOUT_S

RETRY_S = 1.0
"""Interval between two attempts to connect to the server."""


class Connect(Protocol):
    """Makes the detector of an ensemble. It must be picklable."""

    def __call__(self, model: str) -> Detector:
        """Connect to an ensemble of this name."""


def warm(detector: Detector) -> None:
    """Detect objects in a gray picture, so that the first frame meets no delay.

    Raises:
        YolostreamError: the detection failed.
    """
    detector.detect(np.full((*detector.model.input_size, 3), 114, np.uint8))


class Lane:
    """Sends the frames of all cameras of a worker that use the same ensemble.

    Args:
        detector: detector of the ensemble.
        workers: largest number of processes that share the server.
    """

    def __init__(self, detector: Detector, workers: int) -> None:
        self.detector = detector
        size = batch_size(
            MAX_IN_FLIGHT_ON_GPU,
            workers,
            wanted=MAX_BATCH if detector.model.gpus else 1,
            most=detector.model.max_batch_size,
        )
        self.dispatcher = Dispatcher(detector, Batching(size))
        # Reserving memory takes time: done now, it does not delay the first frames. If the server
        # is unavailable, it is done with the first frame.
        with contextlib.suppress(ServerError):
            detector.reserve(size)


class Lanes:
    """The lanes of a worker, one for each ensemble. A lane is made when a camera first needs it.

    Args:
        connect: makes the detectors.
        workers: largest number of processes that share the server.
        stopping: set when the worker stops, which ends all waiting for the server.
    """

    def __init__(self, connect: Connect, workers: int, stopping: threading.Event) -> None:
        self._connect = connect
        self._workers = workers
        self._stopping = stopping
        self._lanes: dict[str, Lane] = {}
        self._lock = threading.Lock()

    @property
    def are_broken(self) -> bool:
        """Whether a dispatcher has died by a defect, so that the worker should be restarted."""
        return any(not lane.dispatcher.is_alive for lane in list(self._lanes.values()))

    def of(
        self,
        model: str,
        *,
        on_trouble: Callable[[YolostreamError], None],
        unless: Callable[[], bool],
    ) -> Lane | None:
        """Wait until the server is available, and return the lane of an ensemble.

        Args:
            model: name of the ensemble.
            on_trouble: called with the error of each failed attempt.
            unless: called before each attempt; waiting ends if it returns true.

        Returns:
            The lane; None if the worker stops or `unless` returned true.
        """
        while not (self._stopping.is_set() or unless()):
            try:
                return self.connected(model)
            except YolostreamError as error:
                on_trouble(error)
            self._stopping.wait(RETRY_S)
        return None

    def connected(self, model: str) -> Lane:
        """The lane of an ensemble. It is made if there is none yet.

        Raises:
            YolostreamError: the server is unavailable or has no ensemble of this name.
        """
        with self._lock:
            if model not in self._lanes:
                self._lanes[model] = Lane(self._connect(model), self._workers)
            return self._lanes[model]

    def close(self) -> None:
        """Disconnect from the server."""
        for lane in self._lanes.values():
            lane.detector.close(timeout_s=CLOSE_TIMEOUT_S)
