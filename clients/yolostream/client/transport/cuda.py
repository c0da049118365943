"""Sends frames through GPU memory that the server reads directly (CUDA IPC)."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence

import cupy
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import InferenceServerClient

from yolostream.client.digest import digests, digests_of_samples, samples
from yolostream.client.transport.buffers import resize_into
from yolostream.client.transport.message import Message, request
from yolostream.client.transport.ownership import OwnedFile
from yolostream.client.transport.registered import RegisteredBuffer, region_bytes
from yolostream.errors import FrameError
from yolostream.gpu_memory import on_device
from yolostream.image import AnyImage, Image

# CUDA allocates and shares whole blocks of this many bytes. If a region filled only a part of a
# block, other allocations in that block would be shared with it.
_BLOCK = 2 << 20


class CudaSharedMemoryBuffer(RegisteredBuffer["_Region"]):
    """A buffer in GPU memory.

    Args:
        client: the connection to the server.
        model: name of the ensemble.
        gpus: GPUs whose memory the server can read. A region on another GPU would crash it.
        timeout_s: timeout in seconds for registering or unregistering a region.
    """

    def __init__(
        self, client: InferenceServerClient, model: str, *, gpus: Sequence[int], timeout_s: float
    ) -> None:
        super().__init__(client, model, timeout_s=timeout_s)
        self._gpus = gpus

    def write(self, frames: Sequence[AnyImage], *, height: int, width: int) -> Message:
        """Write the frames (uint8 [H, W, 3], RGB) into the region.

        Frames in host memory are resized to height x width. Frames in GPU memory are copied at
        their full size, because the server downscales them faster than this client could.

        Raises:
            OSError: the GPU's memory is full, or the GPU fails.
            FrameError: the frames are on several GPUs.
            InferenceServerException: the server cannot read this machine's GPU memory.
        """
        host_frames = [frame for frame in frames if isinstance(frame, np.ndarray)]
        device_frames = [frame for frame in frames if not isinstance(frame, np.ndarray)]
        with _failures_as_os_error():
            if host_frames:
                shape = (len(frames), height, width, 3)
                region = self._region_for(shape, wanted_gpu=self._gpu_for_host_frames())
                found = region.upload(host_frames, height=height, width=width)
            else:
                pictures = [on_device(frame) for frame in device_frames]
                shape = (len(frames), *pictures[0].shape)
                region = self._region_for(shape, wanted_gpu=_only_gpu(pictures))
                found = region.copy(pictures)
        return Message(request(self._model, shape, region=region.name), found)

    def sent(self, request: bytes, shape: tuple[int, int, int, int]) -> Sequence[Image]:
        """Empty, because the frames are in GPU memory."""
        return []

    def reserve(self, frames: int, *, height: int, width: int) -> None:
        """Register a region for so many frames in advance; see `write` for the errors."""
        with _failures_as_os_error():
            shape = (frames, height, width, 3)
            self._region_for(shape, wanted_gpu=self._gpu_for_host_frames())

    def _gpu_for_host_frames(self) -> int:
        """The GPU of the current region; without a region, CUDA's current GPU."""
        return cupy.cuda.Device().id if self._region is None else self._region.device

    def _region_for(self, shape: tuple[int, int, int, int], *, wanted_gpu: int) -> _Region:
        """The region; a new one if the frames need a larger one, or one on another GPU."""
        frames, height, width, _ = shape
        frame_bytes = height * width * 3
        device = wanted_gpu if wanted_gpu in self._gpus else self._gpus[0]
        region = self._region
        if region is None or region.size < frames * frame_bytes or region.device != device:
            self.close()
            return self._registered(_Region(region_bytes(frames, frame_bytes), device=device))
        return region


class _Region:
    """Memory of one GPU that another process can open."""

    def __init__(self, size: int, *, device: int) -> None:
        self.device = device
        self.size = -(-size // _BLOCK) * _BLOCK
        self._staging = np.empty(0, np.uint8)
        # An empty file: its lock tells other processes whether the region's owner lives.
        self._owned = OwnedFile()
        try:
            with cupy.cuda.Device(device):
                # A blocking stream: it waits for the default stream, where callers compute frames.
                self._stream = cupy.cuda.Stream()
                # Not from CuPy's pool, because CUDA shares whole allocations.
                self._address = cupy.cuda.runtime.malloc(self.size)
        except BaseException:
            self._owned.close()
            raise

    @property
    def name(self) -> str:
        """Name of the region."""
        return self._owned.name

    def register(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Register the region at the server."""
        with cupy.cuda.Device(self.device):
            handle = base64.b64encode(cupy.cuda.runtime.ipcGetMemHandle(self._address))
        client.register_cuda_shared_memory(
            self.name, handle, self.device, self.size, client_timeout=timeout_s
        )

    def unregister(self, client: InferenceServerClient, *, timeout_s: float) -> None:
        """Unregister the region at the server."""
        client.unregister_cuda_shared_memory(self.name, client_timeout=timeout_s)

    def upload(
        self, frames: Sequence[Image], *, height: int, width: int
    ) -> npt.NDArray[np.float32]:
        """Copy frames from host memory, resized to height x width.

        Returns:
            Their digests, float32 [n, 2].
        """
        shape = (len(frames), height, width, 3)
        size = len(frames) * height * width * 3
        with cupy.cuda.Device(self.device), self._stream:
            if self._staging.size < size:
                # The GPU copies pinned memory by DMA, which is twice as fast.
                pinned = cupy.cuda.alloc_pinned_memory(self.size)
                self._staging = np.frombuffer(pinned, np.uint8, self.size)
            targets = self._staging[:size].reshape(shape)
            for frame, target in zip(frames, targets, strict=True):
                resize_into(target, frame)
            self._begin_copy(0, targets.ctypes.data, size, cupy.cuda.runtime.memcpyHostToDevice)
            found = digests(targets)
            self._wait_for_copies()
        return found

    def copy(self, pictures: Sequence[cupy.ndarray]) -> npt.NDArray[np.float32]:
        """Copy frames of equal size from one GPU, which may be another one.

        Returns:
            Their digests, float32 [n, 2].
        """
        with cupy.cuda.Device(pictures[0].device.id):
            whole = [cupy.ascontiguousarray(picture) for picture in pictures]
            if any(one is not picture for one, picture in zip(whole, pictures, strict=True)):
                cupy.cuda.get_current_stream().synchronize()
            # Only the samples are copied to the host: 16 KB per frame.
            found = digests_of_samples(cupy.asnumpy(samples(one)) for one in whole)
        size = whole[0].nbytes
        with cupy.cuda.Device(self.device):
            for number, picture in enumerate(whole):
                self._begin_copy(
                    number * size, picture.data.ptr, size, cupy.cuda.runtime.memcpyDefault
                )
            self._wait_for_copies()
        return found

    def close(self) -> None:
        """Free the memory."""
        self._owned.close()
        # After a GPU has failed, its memory is free already.
        with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError), cupy.cuda.Device(self.device):
            cupy.cuda.runtime.free(self._address)

    def _begin_copy(self, offset: int, source: int, size: int, direction: int) -> None:
        """Start to copy `size` bytes from the address `source` to `offset` in the region."""
        cupy.cuda.runtime.memcpyAsync(
            self._address + offset, source, size, direction, self._stream.ptr
        )

    def _wait_for_copies(self) -> None:
        """Wait for the copies, because the server's stream does not wait for this one."""
        self._stream.synchronize()


def _only_gpu(pictures: Sequence[cupy.ndarray]) -> int:
    first, *others = sorted({picture.device.id for picture in pictures})
    if others:
        raise FrameError(
            f"the frames of a batch are on GPU {first} and GPU {others[0]}: send one batch per GPU"
        )
    return int(first)


@contextlib.contextmanager
def _failures_as_os_error() -> Iterator[None]:
    """Raise `OSError` for errors of CUDA, so that `GrpcFallback` treats both memories alike."""
    try:
        yield
    except (cupy.cuda.runtime.CUDARuntimeError, MemoryError) as error:
        raise OSError(f"GPU memory cannot be used ({error})") from error
