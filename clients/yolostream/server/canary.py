"""Asks a server for what its clients ask for: what is in a frame."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from google.protobuf import text_format
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.grpc.model_config_pb2 import ModelConfig
from tritonclient.utils import InferenceServerException

from yolostream.client.model import detects
from yolostream.client.transport.message import INPUT_NAME
from yolostream.client.triton_errors import translated
from yolostream.errors import ModelUnavailable, YolostreamError
from yolostream.server.pulse import Counts, Pulse

TIMEOUT_S = 10.0
"""For one frame."""

_LOOK_S = 1.0
_STATISTICS_TIMEOUT_S = 2.0
_OUTPUT = "num_detections"


def ensembles_in(repositories: Sequence[Path]) -> list[str]:
    """Names of this project's ensembles in folders of models."""
    found = []
    for path in (path for folder in repositories for path in folder.glob("*/config.pbtxt")):
        with contextlib.suppress(OSError, text_format.ParseError):
            config = text_format.Parse(path.read_text(), ModelConfig(), allow_unknown_field=True)
            if config.HasField("ensemble_scheduling") and detects(config):
                found.append(path.parent.name)
    return sorted(found)


class Canary:
    """Asks one server, in a thread of its own, until it is closed.

    Args:
        url: gRPC address of a server that is ready.
        names: of the ensembles to ask.
        proven: of those that have answered once; filled here. Others may never have worked, and
            are no reason to start a server again.
    """

    def __init__(self, url: str, names: Sequence[str], proven: set[str]) -> None:
        self.fault: str | None = None
        """What is wrong with the server."""
        self.answers: dict[str, bool] = dict.fromkeys(names, False)
        """Whether each ensemble answers."""
        self._url = url
        self._proven = proven
        # A proxy in the environment must not come between us and our own server.
        self._client = InferenceServerClient(url, channel_args=[("grpc.enable_http_proxy", 0)])
        self._pulses = {name: Pulse(time.monotonic()) for name in names}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="yolostream-canary", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._closed.set()
        # Ends a question that is on its way.
        self._client.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set() and self.fault is None:
            for name, pulse in self._pulses.items():
                self._look(name, pulse)
            self._closed.wait(_LOOK_S)

    def _look(self, name: str, pulse: Pulse) -> None:
        before = self._counted(name)
        if not pulse.is_due(time.monotonic(), before):
            return
        asked_at = time.monotonic()
        try:
            with translated(self._url, name):
                _ask(self._client, name)
        except YolostreamError as error:
            if not self._closed.is_set():
                after = self._counted(name)
                busy = before is not None and after is not None and after.answered > before.answered
                fault = pulse.fault_after(error, time.monotonic(), others_are_answered=busy)
                self._note(name, error, fault)
        else:
            pulse.note_answer(time.monotonic(), asked_at=asked_at)
            self.answers[name] = True
            self._proven.add(name)

    def _note(self, name: str, error: YolostreamError, fault: str | None) -> None:
        if isinstance(error, ModelUnavailable):
            # Somebody has unloaded it, or it did not load.
            self.answers[name] = False
        elif fault is not None:
            self.answers[name] = False
            if name in self._proven:
                self.fault = fault

    def _counted(self, name: str) -> Counts | None:
        with contextlib.suppress(InferenceServerException):
            answer = self._client.get_inference_statistics(
                name, client_timeout=_STATISTICS_TIMEOUT_S
            )
            stats = [version.inference_stats for version in answer.model_stats]
            return Counts(sum(s.success.count for s in stats), sum(s.fail.count for s in stats))
        return None


def _ask(client: InferenceServerClient, name: str) -> None:
    pixel = InferInput(INPUT_NAME, [1, 1, 1, 3], "UINT8")
    pixel.set_data_from_numpy(np.full((1, 1, 1, 3), 114, np.uint8))
    outputs = [InferRequestedOutput(_OUTPUT)]
    client.infer(name, [pixel], outputs=outputs, client_timeout=TIMEOUT_S)
