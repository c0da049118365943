"""Frames on their way to the server and back."""

from __future__ import annotations

from collections.abc import Sequence

from tritonclient.utils import InferenceServerException

from yolostream.client.batch import Batch
from yolostream.client.ensemble import Ensemble
from yolostream.client.pending import Pending, detections_in
from yolostream.client.transport.pool import Lease
from yolostream.client.triton_errors import is_about_shared_memory, translated
from yolostream.detections import Detections


class Request:
    """One request. Creating it fills the buffer; `answer` or `settle` sends it.

    Args:
        ensemble: Where it goes.
        batch: Its frames.
        lease: The buffer that they travel in.
        timeout_s: Seconds until it fails without an answer.

    Raises:
        YolostreamError: the frames cannot be put into the buffer; see `Detector.submit_batch`.
    """

    def __init__(self, ensemble: Ensemble, batch: Batch, lease: Lease, *, timeout_s: float) -> None:
        self._ensemble = ensemble
        self._batch = batch
        self._lease = lease
        self._timeout_s = timeout_s
        with translated(ensemble.url, ensemble.model.name):
            self._message = lease.buffer.write(batch.frames, height=batch.height, width=batch.width)
        lease.sent()

    def answer(self) -> list[Detections]:
        """Send it, and wait for the detections of each frame, in order.

        Raises:
            YolostreamError: see `Detector.detect`.
        """
        with translated(self._ensemble.url, self._ensemble.model.name):
            try:
                response = self._ensemble.infer(self._message, self._timeout_s)
            except InferenceServerException as error:
                if is_about_shared_memory(error):
                    self._lease.buffer.reset()
                raise
        return detections_in(response, self._batch.original_sizes, self._ensemble.model.labels)

    def settle(self, pending: Sequence[Pending]) -> None:
        """Send it, resolve the frames' `pending`, and release the buffer.

        Does nothing if the caller was interrupted and has released the buffer already.
        """
        if not self._lease.take_over():
            return
        outcomes: Sequence[Detections | Exception]
        try:
            outcomes = self.answer()
        except Exception as failure:
            # Raised in the callers that wait, not in this thread.
            outcomes = [failure] * len(pending)
        finally:
            self._lease.release()
        for one, outcome in zip(pending, outcomes, strict=True):
            one.answer(outcome)
