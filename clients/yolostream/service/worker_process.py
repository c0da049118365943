"""The process of a worker, which runs some of the cameras. They are added and removed any time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.connection import Connection

from yolostream.frame_traces import Sampling
from yolostream.pipeline.capture import Openings
from yolostream.pipeline.memory import give_back_memory, limit_memory_growth
from yolostream.pipeline.runner import stop
from yolostream.pipeline.worker_process import ToParent, begin
from yolostream.redaction import print_traceback
from yolostream.service.camera_runner import CameraRunner
from yolostream.service.lanes import Connect, Lanes
from yolostream.service.leases.lease import Fence
from yolostream.service.messages import Command, Drop, Extend, Run, Statuses, Stopped, Watch

STATUS_INTERVAL_S = 0.5
"""Interval between two reports of the cameras' figures."""

MEMORY_INTERVAL_S = 10.0
"""Interval between two returns of free memory to the system."""

STOP_TIMEOUT_S = 2.8
"""Seconds that frames in flight may take when the service stops."""


@print_traceback()
def work(connect: Connect, workers: int, sampling: Sampling | None, connection: Connection) -> None:
    """Execute the commands of the service until it sends `None` or ends.

    Args:
        connect: makes the detectors.
        workers: largest number of processes that share the server.
        sampling: which frames are traced; None traces none.
        connection: pipe to the service.
    """
    stopping = threading.Event()
    parent = ToParent(connection)
    begin(parent, on_stop=stopping.set)
    # All records are sent, and the service's log level applies to them.
    logging.getLogger("yolostream").setLevel(logging.DEBUG)
    limit_memory_growth()
    lanes = Lanes(connect, workers, stopping)
    fence = Fence()
    new_camera = partial(
        CameraRunner,
        lanes=lanes,
        openings=Openings(),
        fence=fence,
        sampling=sampling,
        send=parent.put_nowait,
    )
    cameras: dict[str, CameraRunner] = {}
    reported_at = 0.0
    trimmed_at = time.monotonic()
    while not stopping.is_set() and not lanes.are_broken:
        if connection.poll(max(0.0, reported_at + STATUS_INTERVAL_S - time.monotonic())):
            if (command := _received(connection)) is None:
                break
            if isinstance(command, Extend):
                fence.extend(command.session, command.until_s)
            elif (answer := _execute(command, cameras, new_camera)) is not None:
                parent.put_nowait(answer)
        if time.monotonic() - reported_at >= STATUS_INTERVAL_S:
            reported_at = time.monotonic()
            cameras = {name: one for name, one in cameras.items() if not one.is_ended}
            parent.put_nowait(_statuses(cameras))
        if time.monotonic() - trimmed_at >= MEMORY_INTERVAL_S:
            trimmed_at = time.monotonic()
            give_back_memory()
    stopping.set()
    _stop_all(cameras.values())
    parent.put_nowait(_statuses(cameras))
    lanes.close()
    parent.put_nowait(None)


def _received(connection: Connection) -> Command | None:
    """The next command; None if the process should end or the service has ended."""
    try:
        command: Command | None = connection.recv()
    except EOFError:
        return None
    return command


def _execute(
    command: Run | Drop | Watch,
    cameras: dict[str, CameraRunner],
    new_camera: Callable[[str], CameraRunner],
) -> Stopped | None:
    """Execute a command, and return its answer if there is one at once."""
    match command:
        case Run(task):
            name = task.source.name
            if name not in cameras or not cameras[name].want(task):
                cameras[name] = new_camera(name)
                cameras[name].want(task)
        case Drop(name, ticket):
            if name not in cameras or not cameras[name].want(None, ticket):
                return Stopped(name, ticket)
        case Watch(name) if name in cameras:
            cameras[name].watch(command)
    return None


def _statuses(cameras: dict[str, CameraRunner]) -> Statuses:
    return Statuses({name: camera.status for name, camera in cameras.items()})


def _stop_all(cameras: Iterable[CameraRunner]) -> None:
    """Stop all cameras at the same time."""
    streams = [stream for camera in cameras if (stream := camera.end()) is not None]
    stop(streams, timeout_s=STOP_TIMEOUT_S)
