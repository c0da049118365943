"""The server's ensembles, as the service's own process uses them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from yolostream.client.detector import Detector
from yolostream.errors import AccessDenied
from yolostream.service.lanes import Connect, warm

_CLOSE_S = 1.0


class Ensembles:
    """The detectors of this process. Each is made when it is first needed.

    All methods may be called from any thread.

    Args:
        connect: makes the detectors.
        list_served: returns the names of the ensembles that are ready on the server.
    """

    def __init__(self, connect: Connect, list_served: Callable[[], list[str]]) -> None:
        self._connect = connect
        self._list_served = list_served
        self._detectors: dict[str, Detector] = {}
        self._lock = threading.Lock()

    def served(self) -> list[str] | None:
        """Names of the ensembles that are ready; None if the server does not allow to list them.

        Raises:
            ServerError: the server is unavailable.
        """
        try:
            return self._list_served()
        except AccessDenied:
            return None

    def detector(self, model: str) -> Detector:
        """The detector of an ensemble.

        Raises:
            ServerError: the server is unavailable or has no such ensemble.
        """
        with self._lock:
            if model in self._detectors:
                return self._detectors[model]
        # Without the lock, because connecting may take long, and other ensembles may be needed.
        made = self._connect(model)
        with self._lock:
            kept = self._detectors.setdefault(model, made)
        if kept is not made:
            made.close(timeout_s=_CLOSE_S)
        return kept

    def check(self, model: str) -> None:
        """Test an ensemble with one picture.

        Raises:
            YolostreamError: the detection failed.
        """
        warm(self.detector(model))

    def close(self) -> None:
        """Disconnect from the server."""
        with self._lock:
            for detector in self._detectors.values():
                detector.close(timeout_s=_CLOSE_S)
            self._detectors.clear()
