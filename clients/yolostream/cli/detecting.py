"""The run of `yolostream detect`, from sources and a server to files and a report."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace

import cv2
from rich.console import Console

from yolostream.cli.progress import Progress
from yolostream.cli.report import Report
from yolostream.client.access import Tls, target_of
from yolostream.client.detector import Detector
from yolostream.client.model import Model
from yolostream.client.statistics import StepTotals
from yolostream.client.transport.choice import Transport
from yolostream.errors import ServerError
from yolostream.outputs.output import writing
from yolostream.pipeline import workers as pipeline
from yolostream.pipeline.dispatcher import Batching
from yolostream.pipeline.job import Job
from yolostream.pipeline.share import MAX_BATCH, MAX_IN_FLIGHT, MAX_IN_FLIGHT_ON_GPU, batch_size
from yolostream.pipeline.status import Status
from yolostream.pipeline.worker_process import Connect
from yolostream.server.run_folder import gpu_sharing_of
from yolostream.sources import Source, nvdec
from yolostream.sources.decoding import DecoderName

MAX_DECODER_THREADS = 8

MAX_OPENCV_THREADS = 4
"""OpenCV's threads spin while they wait for each other. More of them cost more than they save."""

_log = logging.getLogger(__name__)


def run(
    sources: Sequence[Source],
    job: Job,
    connect: Connect,
    *,
    about: Detector,
    workers: int,
    batch: int | None = None,
    warm_up_s: float = 0.0,
    console: Console,
) -> Report:
    """Run every source to its end or to Ctrl-C, with a progress bar for each on `console`.

    Args:
        sources: all sources.
        job: what to do with them; this function sets its threads and batches.
        connect: makes the detector of each process.
        about: a detector that is used for the server's statistics.
        workers: number of processes that read the sources.
        batch: most frames in one request; None chooses by the server.
        warm_up_s: seconds at the start that are left out of the report, unless the run is shorter.
        console: where the progress bars are drawn.

    Raises:
        OutputError: the output folder cannot be written.
    """
    _prepare(about.url, job, sources)
    frames = _frames_in_flight(about.model, sources, job)
    size = batch_size(
        frames,
        workers,
        wanted=batch or _usual_batch(about, sources),
        most=about.model.max_batch_size,
    )
    job = _with_threads(replace(job, batching=Batching(size)), sources)
    before = about.statistics()
    interrupted = False
    statuses: list[Status] = []
    with Progress(sources, console=console, warm_up_s=warm_up_s) as progress:
        try:
            statuses = pipeline.run(
                sources,
                job,
                connect,
                workers=workers,
                max_in_flight=max(workers, frames // size),
                on_tick=progress.update,
            )
        except KeyboardInterrupt:
            interrupted = True
            statuses = progress.statuses
    return Report(
        statuses=progress.since_warm_up(statuses),
        # After an interruption, do not wait for a server that may hang.
        steps={} if interrupted else _served_since(before, about),
        folder=job.results.folder,
        workers=workers,
        interrupted=interrupted,
    )


def connect(
    url: str,
    model: str,
    *,
    timeout_s: float,
    downscale: bool,
    transport: Transport,
    decoder: DecoderName,
    max_in_flight: int,
    token: str | None = None,
    tls: Tls | None = None,
) -> Detector:
    """Make a detector; log a warning if frames in GPU memory have to be copied to the host."""
    detector = Detector(
        url,
        model,
        max_in_flight=max_in_flight,
        timeout_s=timeout_s,
        downscale=downscale,
        transport=transport,
        token=token,
        tls=tls,
    )
    detour = transport == "auto" and detector.transport != "cuda-shared-memory"
    if decoder == "gpu" and detour and not nvdec.missing():
        _log.warning(
            "frames that the GPU decodes are copied to %s through host memory; run with "
            "'--transport cuda-shared-memory' to see why",
            url,
        )
    return detector


def _prepare(url: str, job: Job, sources: Sequence[Source]) -> None:
    cv2.setNumThreads(min(MAX_OPENCV_THREADS, len(os.sched_getaffinity(0))))
    # Before CUDA is initialized. Variables that the user has set take precedence.
    for name, value in gpu_sharing_of(target_of(url)).items():
        os.environ.setdefault(name, value)
    with writing(job.results.folder):
        job.results.folder.mkdir(parents=True, exist_ok=True)
    job.results.check_apart_from(sources)


def _frames_in_flight(model: Model, sources: Sequence[Source], job: Job) -> int:
    most = MAX_IN_FLIGHT_ON_GPU if model.gpus else MAX_IN_FLIGHT
    return min(job.in_flight * len(sources), most)


def _usual_batch(about: Detector, sources: Sequence[Source]) -> int:
    return MAX_BATCH if about.model.gpus and len(sources) > 1 else 1


def _with_threads(job: Job, sources: Sequence[Source]) -> Job:
    """Share the cores among the videos that are decoded and encoded."""
    cores = len(os.sched_getaffinity(0))
    videos = max(1, sum(source.is_video for source in sources))
    written = videos + ("tiled" in job.results.formats)
    results = replace(job.results, encoder_threads=max(1, cores // (2 * written)))
    threads = min(MAX_DECODER_THREADS, max(1, cores // videos))
    return replace(job, results=results, decoder_threads=threads)


def _served_since(before: dict[str, StepTotals], detector: Detector) -> dict[str, StepTotals]:
    try:
        after = detector.statistics()
    except ServerError:
        # The server is gone. The sources report that; the report lacks the server's steps.
        return {}
    return {
        # The counters of a server that was restarted begin at zero.
        step: totals.since(before[step]) if totals.requests >= before[step].requests else totals
        for step, totals in after.items()
    }
