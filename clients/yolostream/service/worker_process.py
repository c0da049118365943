"""What a process does that runs some of the cameras: they come and go while it lives."""

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

TELL_S = 0.5
"""Between two reports of all figures."""

GIVE_BACK_S = 10.0
"""Between two times that memory is given back which is free."""

STOP_TIMEOUT_S = 2.8
"""What is on its way may take so long once the service stops."""


@print_traceback()
def work(connect: Connect, workers: int, sampling: Sampling | None, connection: Connection) -> None:
    """What the process does: what it is told, until it is told `None`.

    Args:
        connect: makes its detectors.
        workers: processes that share the server, at most.
        sampling: which frames are followed; None follows none.
        connection: to the service.
    """
    asked = threading.Event()
    parent = ToParent(connection)
    begin(parent, on_stop=asked.set)
    # The service says which of it counts.
    logging.getLogger("yolostream").setLevel(logging.DEBUG)
    limit_memory_growth()
    lanes = Lanes(connect, workers, asked)
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
    told_at = 0.0
    given_back_at = time.monotonic()
    while not asked.is_set() and not lanes.are_broken:
        if connection.poll(max(0.0, told_at + TELL_S - time.monotonic())):
            if (message := _received(connection)) is None:
                break
            if isinstance(message, Extend):
                fence.extend(message.session, message.until_s)
            elif (answer := _follow(message, cameras, new_camera)) is not None:
                parent.put_nowait(answer)
        if time.monotonic() - told_at >= TELL_S:
            told_at = time.monotonic()
            cameras = {name: one for name, one in cameras.items() if not one.is_ended}
            parent.put_nowait(_statuses(cameras))
        if time.monotonic() - given_back_at >= GIVE_BACK_S:
            given_back_at = time.monotonic()
            give_back_memory()
    asked.set()
    _end(cameras.values())
    parent.put_nowait(_statuses(cameras))
    lanes.close()
    parent.put_nowait(None)


def _received(connection: Connection) -> Command | None:
    """What the service says; None once it wants an end, or is gone."""
    try:
        command: Command | None = connection.recv()
    except EOFError:
        return None
    return command


def _follow(
    command: Command,
    cameras: dict[str, CameraRunner],
    new_camera: Callable[[str], CameraRunner],
) -> Stopped | None:
    """Do what a command says; what is to be answered at once."""
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


def _end(cameras: Iterable[CameraRunner]) -> None:
    """Stop all at the same time, within the limits of `stop`."""
    streams = [stream for camera in cameras if (stream := camera.end()) is not None]
    stop(streams, timeout_s=STOP_TIMEOUT_S)
