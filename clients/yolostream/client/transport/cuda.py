"""Where a frame waits in a GPU's memory, which the server reads without a copy through the host."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence
from uuid import uuid4

import cupy
import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

from yolostream.client.transport.buffers import resize
from yolostream.client.transport.registered import RegisteredSlot
from yolostream.gpu_memory import on_device
from yolostream.image import AnyImage, Image

# CUDA allocates and shares whole blocks of this many bytes: a smaller region would share its block
# with whatever else is in it.
_BLOCK = 2 << 20


class CudaSharedMemorySlot(RegisteredSlot["_Region"]):
    """The frame lies in a GPU's memory.

    Args:
        client: Of the server.
        gpus: Where the server can read. A region on another GPU would take it down.
        timeout_s: Seconds for what the server is told of a region.
    """

    def __init__(
        self, client: InferenceServerClient, *, gpus: Sequence[int], timeout_s: float
    ) -> None:
        super().__init__(client, timeout_s=timeout_s)
        self._gpus = gpus

    def write(self, frame: AnyImage, *, height: int, width: int) -> InferInput:
        """Put `frame` (uint8 [H, W, 3], RGB) into the region.

        From the host it comes resized to height x width; from GPU memory whole, because there the
        server shrinks it faster than anybody could here.

        Raises:
            OSError: the GPU has no room, or fails.
            InferenceServerException: the server does not read this machine's GPU memory.
        """
        with _failures_as_os_error():
            if isinstance(frame, np.ndarray):
                region = self._region_of(height * width * 3, wanted_gpu=self._gpu_for_host_frames())
                region.upload(frame, height=height, width=width)
            else:
                picture = on_device(frame)
                height, width, _ = picture.shape
                region = self._region_of(picture.nbytes, wanted_gpu=picture.device.id)
                region.copy(picture)
        return self._filled(region.name, height=height, width=width)

    def _gpu_for_host_frames(self) -> int:
        """Where the last frame was, else the current GPU."""
        return cupy.cuda.Device().id if self._region is None else self._region.device

    def _region_of(self, size: int, *, wanted_gpu: int) -> _Region:
        """The region, replaced where a frame needs a larger one, or one on its own GPU."""
        device = wanted_gpu if wanted_gpu in self._gpus else self._gpus[0]
        region = self._region
        if region is None or region.size < size or region.device != device:
            self.close()
            return self._registered(_Region(size, device=device))
        return region


class _Region:
    """Memory of one GPU that another process may open."""

    def __init__(self, size: int, *, device: int) -> None:
        self.name = f"yolostream-frames-{uuid4().hex}"
        self.device = device
        self.size = -(-size // _BLOCK) * _BLOCK
        self._staging = np.empty(0, np.uint8)
        with cupy.cuda.Device(device):
            # It waits for the default stream, on which callers compute their frames.
            self._stream = cupy.cuda.Stream()
            # Not from CuPy's pool: what is shared is the whole allocation.
            self._address = cupy.cuda.runtime.malloc(self.size)

    def register(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Tell the server of it."""
        with cupy.cuda.Device(self.device):
            handle = base64.b64encode(cupy.cuda.runtime.ipcGetMemHandle(self._address))
        client.register_cuda_shared_memory(
            self.name, handle, self.device, self.size, client_timeout=timeout_s
        )

    def unregister(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Let the server forget it."""
        client.unregister_cuda_shared_memory(self.name, client_timeout=timeout_s)

    def upload(self, frame: Image, *, height: int, width: int) -> None:
        """Copy a frame from the host, resized to height x width."""
        size = height * width * 3
        with cupy.cuda.Device(self.device), self._stream:
            if self._staging.size < size:
                # Pinned: the GPU fetches it by itself, twice as fast.
                pinned = cupy.cuda.alloc_pinned_memory(self.size)
                self._staging = np.frombuffer(pinned, np.uint8, self.size)
            target = self._staging[:size].reshape(height, width, 3)
            if frame.shape[:2] == (height, width):
                np.copyto(target, frame)
            else:
                resize(frame, height=height, width=width, out=target)
            self._fill(target.ctypes.data, size, cupy.cuda.runtime.memcpyHostToDevice)

    def copy(self, picture: cupy.ndarray) -> None:
        """Copy a frame that lies on this GPU or another, and is filled."""
        with cupy.cuda.Device(picture.device.id):
            whole = cupy.ascontiguousarray(picture)
            if whole is not picture:
                cupy.cuda.get_current_stream().synchronize()
        with cupy.cuda.Device(self.device):
            self._fill(whole.data.ptr, whole.nbytes, cupy.cuda.runtime.memcpyDefault)

    def close(self) -> None:
        """Free it."""
        # A GPU that has failed has lost its memory already.
        with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError), cupy.cuda.Device(self.device):
            cupy.cuda.runtime.free(self._address)

    def _fill(self, source: int, size: int, direction: int) -> None:
        """Copy `size` bytes, and wait: the server's stream knows nothing of ours."""
        cupy.cuda.runtime.memcpyAsync(self._address, source, size, direction, self._stream.ptr)
        self._stream.synchronize()


@contextlib.contextmanager
def _failures_as_os_error() -> Iterator[None]:
    """A full GPU is met as a full /dev/shm is."""
    try:
        yield
    except (cupy.cuda.runtime.CUDARuntimeError, MemoryError) as error:
        raise OSError(f"GPU memory cannot be used ({error})") from error
