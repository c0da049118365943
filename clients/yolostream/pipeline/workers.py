"""Distributes the sources of a run over processes: one Python interpreter can read few cameras."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from multiprocessing.connection import wait

from yolostream.interruption import defer_signals
from yolostream.outputs.remote_cell import RemoteCells
from yolostream.outputs.tile import Cell
from yolostream.outputs.tiled import Tiled
from yolostream.pipeline.job import Job
from yolostream.pipeline.runner import OnTick, raise_defects
from yolostream.pipeline.status import Status
from yolostream.pipeline.worker import Worker
from yolostream.pipeline.worker_process import Connect, closing, run_here
from yolostream.sources import Source

SOURCES_A_WORKER = 4
"""Number of sources that one interpreter reads easily."""

STOP_TIMEOUT_S = 5.0
"""A worker that takes longer to stop is killed."""

_POLL_S = 0.2


def workers_for(sources: int) -> int:
    """Number of processes for this many sources: one for every four, and at most half the cores."""
    cores = len(os.sched_getaffinity(0))
    return max(1, min(-(-sources // SOURCES_A_WORKER), cores // 2))


def run(
    sources: Sequence[Source],
    job: Job,
    connect: Connect,
    *,
    workers: int,
    max_in_flight: int,
    on_tick: OnTick = lambda statuses: None,
) -> list[Status]:
    """Run sources to their ends, or to `KeyboardInterrupt`.

    Args:
        sources: all sources.
        job: what to do with them.
        connect: makes the detector of each process.
        workers: number of processes; 1 means that this process reads all sources.
        max_in_flight: most requests in flight, of all processes together.
        on_tick: called several times a second, with the status of each source.

    Returns:
        The last status of each source, in order.
    """
    if workers > 1:
        statuses = _run_spread(sources, job, connect, workers, max_in_flight, on_tick)
    else:
        cells = {name: new_cell() for name, new_cell in _new_cells(sources, job).items()}
        detector = connect(max_in_flight=max_in_flight)
        with closing(detector):
            statuses = run_here(sources, job, detector, cells, on_tick=on_tick)
    raise_defects(statuses)
    return statuses


def _run_spread(
    sources: Sequence[Source],
    job: Job,
    connect: Connect,
    workers: int,
    max_in_flight: int,
    on_tick: OnTick,
) -> list[Status]:
    cells = RemoteCells(_new_cells(sources, job))
    started: list[Worker] = []

    def statuses() -> list[Status]:
        known = {source.name: Status(source.name) for source in sources}
        for worker in started:
            known.update(worker.statuses)
        return [_with_error(known[source.name], cells) for source in sources]

    each = max(1, max_in_flight // workers)
    try:
        for number in range(workers):
            mine = sources[number::workers]
            started.append(Worker(mine, job, connect, max_in_flight=each, cells=cells))
        _receive(started, lambda: on_tick(statuses()), lambda: False)
    finally:
        _end(started, lambda: on_tick(statuses()))
        cells.close()
        on_tick(statuses())
    return statuses()


def _end(workers: Sequence[Worker], tick: Callable[[], None]) -> None:
    """Let all workers finish the frames in flight; kill those that take too long."""
    for worker in workers:
        worker.ask_to_stop()
    deadline = time.monotonic() + STOP_TIMEOUT_S
    _receive(workers, tick, lambda: time.monotonic() > deadline)
    for worker in workers:
        worker.close()


def _receive(
    workers: Sequence[Worker], tick: Callable[[], None], should_stop: Callable[[], bool]
) -> None:
    """Receive the messages of the workers until all are done, or `should_stop` returns true."""
    ticked_at = 0.0
    while (running := [worker for worker in workers if not worker.is_done]) and not should_stop():
        ready = wait([worker.connection for worker in running], _POLL_S)
        for worker in running:
            if worker.connection in ready:
                # An interrupt while a message is read would leave the pipe in its middle.
                with defer_signals():
                    worker.receive()
        if (now := time.monotonic()) - ticked_at >= _POLL_S:
            ticked_at = now
            tick()


def _new_cells(sources: Sequence[Source], job: Job) -> dict[str, Callable[[], Cell]]:
    """Functions that make the cells of the tiled picture, by the names of the sources.

    There are none if the tiled picture is not to be written.
    """
    videos = [source for source in sources if source.is_video]
    if "tiled" not in job.results.formats or not videos:
        return {}
    tiled = Tiled(
        job.results.tiled_path,
        are_live=[source.is_live for source in videos],
        bitrate=job.results.bitrate,
        threads=job.results.encoder_threads,
    )
    return {source.name: partial(tiled.cell, number) for number, source in enumerate(videos)}


def _with_error(status: Status, cells: RemoteCells) -> Status:
    """The status with the error of the source's cell of the tiled picture, if there is one."""
    error = cells.errors.get(status.name)
    return status if error is None else replace(status, errors=[*status.errors, error])
