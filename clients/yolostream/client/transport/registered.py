"""The common part of buffers in shared memory: one region, registered once and reused."""

from __future__ import annotations

import contextlib
from typing import Generic, Protocol, TypeVar

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException


class Region(Protocol):
    """Memory that another process may read."""

    def register(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Tell the server of it."""

    def unregister(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Let the server forget it."""

    def close(self) -> None:
        """Free it."""


AnyRegion = TypeVar("AnyRegion", bound=Region)


class RegisteredBuffer(Generic[AnyRegion]):
    """A buffer without `write`.

    Args:
        client: Of the server.
        model: Name of the ensemble.
        timeout_s: Seconds for registering or unregistering a region.
    """

    def __init__(self, client: InferenceServerClient, model: str, *, timeout_s: float) -> None:
        self._client = client
        self._model = model
        self._timeout_s = timeout_s
        self._region: AnyRegion | None = None

    def reset(self) -> None:
        """Free the region, which the server has forgotten."""
        if self._region is not None:
            self._region.close()
            self._region = None

    def close(self, *, timeout_s: float | None = None) -> None:
        """Unregister and free the region."""
        if self._region is not None:
            wait_s = self._timeout_s if timeout_s is None else timeout_s
            # A server that is gone has forgotten the region already.
            with contextlib.suppress(InferenceServerException):
                self._region.unregister(self._client, timeout_s=wait_s)
            self.reset()

    def _registered(self, region: AnyRegion) -> AnyRegion:
        """Keep a region once the server knows it, and free it otherwise."""
        try:
            region.register(self._client, timeout_s=self._timeout_s)
        except BaseException:
            region.close()
            raise
        self._region = region
        return region


def region_bytes(frames: int, frame_bytes: int) -> int:
    """Size of a new region: a power of two of frames, so that growing batches seldom need one."""
    next_power_of_two = 1 << (frames - 1).bit_length()
    return next_power_of_two * frame_bytes
