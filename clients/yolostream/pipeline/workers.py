"""Spreads the sources of a run over processes: one Python interpreter feeds few cameras."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import wait

from yolostream.outputs.remote_cell import RemoteCells
from yolostream.outputs.tiled import Cell, Tiled
from yolostream.pipeline.job import Job
from yolostream.pipeline.runner import OnTick
from yolostream.pipeline.status import Status
from yolostream.pipeline.worker import Connect, Worker, run_here
from yolostream.sources import Source

SOURCES_A_WORKER = 4
"""As many as one interpreter feeds with ease."""

STOP_TIMEOUT_S = 5.0
"""A worker that takes longer to stop is killed."""

_POLL_S = 0.2


def workers_for(sources: int) -> int:
    """Processes that feed so many sources: one for a few, and two cores for each."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(-(-sources // SOURCES_A_WORKER), cores // 2))


def run(
    sources: Sequence[Source],
    job: Job,
    connect: Connect,
    *,
    workers: int,
    max_in_flight: int,
    should_stop: Callable[[], bool] = lambda: False,
    on_tick: OnTick = lambda statuses: None,
) -> list[Status]:
    """Run sources to their ends, or to `KeyboardInterrupt`.

    Args:
        sources: all of them.
        job: what is done with them.
        connect: makes the detector of each process.
        workers: processes that they are spread over; 1 is this one.
        max_in_flight: requests on their way at once, of all together.
        should_stop: asked several times a second.
        on_tick: called as often, with the figures of each source.

    Returns:
        The last figures of each source, in order.
    """
    if workers > 1:
        return _run_spread(sources, job, connect, workers, max_in_flight, should_stop, on_tick)
    with connect(max_in_flight=max_in_flight) as detector:
        return run_here(
            sources,
            job,
            detector,
            _cells(sources, job),
            should_stop=should_stop,
            on_tick=on_tick,
        )


def _run_spread(
    sources: Sequence[Source],
    job: Job,
    connect: Connect,
    workers: int,
    max_in_flight: int,
    should_stop: Callable[[], bool],
    on_tick: OnTick,
) -> list[Status]:
    cells = RemoteCells(_cells(sources, job))
    started = [
        Worker(
            sources[number::workers],
            job,
            connect,
            max_in_flight=max(1, max_in_flight // workers),
            cells_of=cells.connect,
        )
        for number in range(workers)
    ]
    statuses = [Status(source.name) for source in sources]

    def tick() -> None:
        known = {name: status for worker in started for name, status in worker.statuses.items()}
        statuses[:] = [known[source.name] for source in sources]
        on_tick(statuses)

    try:
        _receive(started, tick, should_stop)
    finally:
        for worker in started:
            worker.ask_to_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        _receive(started, tick, lambda: time.monotonic() > deadline)
        for worker in started:
            worker.close()
        cells.close()
        tick()
    return [_with_error(status, cells.errors.get(status.name)) for status in statuses]


def _receive(
    workers: Sequence[Worker], tick: Callable[[], None], should_stop: Callable[[], bool]
) -> None:
    """Take what the workers say until all are done, or it should stop."""
    while (running := [worker for worker in workers if not worker.is_done]) and not should_stop():
        ready = wait([worker.connection for worker in running], _POLL_S)
        for worker in running:
            if worker.connection in ready:
                worker.receive()
        tick()


def _cells(sources: Sequence[Source], job: Job) -> dict[str, Cell]:
    """The cells of the tiled picture, by the name of the source; none where nobody wants it."""
    videos = [source for source in sources if source.is_video]
    if "tiled" not in job.results.formats or not videos:
        return {}
    tiled = Tiled(
        job.results.tiled_path,
        are_live=[source.is_live for source in videos],
        bitrate=job.results.bitrate,
        threads=job.results.encoder_threads,
    )
    return {source.name: tiled.cell(number) for number, source in enumerate(videos)}


def _with_error(status: Status, error: Exception | None) -> Status:
    return status if error is None else replace(status, errors=[*status.errors, error])
