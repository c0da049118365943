"""Frames on their way to the server and back."""

from __future__ import annotations

from collections.abc import Sequence

from tritonclient.grpc.service_pb2 import ModelInferResponse
from tritonclient.utils import InferenceServerException

from yolostream.client.batch import Batch
from yolostream.client.ensemble import Ensemble
from yolostream.client.model import DIGEST_OUTPUT
from yolostream.client.pending import Pending, detections_in
from yolostream.client.transport.pool import Lease
from yolostream.client.triton_errors import is_about_shared_memory, translated
from yolostream.detections import Detections
from yolostream.errors import ServerUnavailable

_ATTEMPTS = 2


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
        for _ in range(_ATTEMPTS):
            response = self._response()
            if self._is_of_these_frames(response):
                model = self._ensemble.model
                return detections_in(response, self._batch.original_sizes, model.labels)
        # As long as a step is one answer behind, it is as good as away.
        raise ServerUnavailable(
            f"{self._ensemble.url} answered {_ATTEMPTS} times with the boxes of another frame: it "
            "has to be restarted"
        )

    def _response(self) -> ModelInferResponse:
        with translated(self._ensemble.url, self._ensemble.model.name):
            try:
                return self._ensemble.infer(self._message.request, self._timeout_s)
            except InferenceServerException as error:
                if is_about_shared_memory(error):
                    self._lease.buffer.reset()
                raise

    def _is_of_these_frames(self, response: ModelInferResponse) -> bool:
        """Whether the answer carries the digests of what was sent; see docs/right_boxes.md."""
        if not self._ensemble.model.has_digests:
            return True
        sent = self._message.digests.tobytes()
        return any(
            output.name == DIGEST_OUTPUT and content == sent
            for output, content in zip(response.outputs, response.raw_output_contents, strict=True)
        )

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
