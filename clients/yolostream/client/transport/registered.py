"""The common part of the shared-memory buffers: one region, registered once and reused."""

from __future__ import annotations

import contextlib
from typing import Generic, Protocol, TypeVar

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException


class Region(Protocol):
    """Memory that another process can read."""

    def register(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Register the region at the server."""

    def unregister(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Unregister the region at the server."""

    def close(self) -> None:
        """Free the memory."""


AnyRegion = TypeVar("AnyRegion", bound=Region)


class RegisteredBuffer(Generic[AnyRegion]):
    """The base of an `InputBuffer` in shared memory; subclasses add `write`, `sent` and `reserve`.

    Args:
        client: the connection to the server.
        model: name of the ensemble.
        timeout_s: timeout in seconds for registering or unregistering a region.
    """

    def __init__(self, client: InferenceServerClient, model: str, *, timeout_s: float) -> None:
        self._client = client
        self._model = model
        self._timeout_s = timeout_s
        self._region: AnyRegion | None = None

    def reset(self) -> None:
        """Free the region without unregistering it, because the server was restarted."""
        if self._region is not None:
            self._region.close()
            self._region = None

    def close(self, *, timeout_s: float | None = None) -> None:
        """Unregister and free the region."""
        if self._region is not None:
            wait_s = self._timeout_s if timeout_s is None else timeout_s
            # If the server is gone, so is the registration.
            with contextlib.suppress(InferenceServerException):
                self._region.unregister(self._client, timeout_s=wait_s)
            self.reset()

    def _registered(self, region: AnyRegion) -> AnyRegion:
        """Register a region and keep it; free it if registering fails."""
        try:
            region.register(self._client, timeout_s=self._timeout_s)
        except BaseException:
            region.close()
            raise
        self._region = region
        return region


def region_bytes(frames: int, frame_bytes: int) -> int:
    """Size of a new region in bytes: the next power of two of frames, so that it seldom grows."""
    next_power_of_two = 1 << (frames - 1).bit_length()
    return next_power_of_two * frame_bytes
