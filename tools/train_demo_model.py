"""Train the demo detector on street photographs and generated scenes, within a given time."""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import torch
from yolostream.replacing import refuse_special_file

from tools.demo.training.batch import draw_batch
from tools.demo.training.gallery import SIDE, empty_gallery
from tools.demo.training.pictures import (
    Picture,
    annotated_classes,
    photograph,
    photograph_paths,
    scene,
)
from tools.demo.training.preview import write_sheet
from tools.demo.training.riders import without_riders
from tools.demo.training.sampling import build_sampler
from tools.demo.training.settings import Data, Settings
from tools.demo.training.start import fresh_network
from tools.demo.training.trainer import SCENE_SHARE, train
from tools.yolov7 import load_table
from tools.yolov7.checkpoint import load_checkpoint

# Seeds of the generated scenes. Those for validation are larger than all training seeds.
TRAINING_SEED = 1_000_000
VALIDATION_SEED = 9_000_000
_WATCHED_SCENES = 96
_PREVIEWED = 16

_log = logging.getLogger("train_demo_model")


def load_data(arguments: argparse.Namespace, pool: Executor, *, class_ids: tuple[int, ...]) -> Data:
    """Read the photographs, and start rendering the scenes in the processes of the pool."""
    annotated = annotated_classes(arguments.photographs)
    read = partial(photograph, annotated=annotated)
    study = partial(_photograph_without_riders, annotated=annotated)
    draw = partial(_scene, annotated=class_ids)
    paths = {
        split: photograph_paths(arguments.photographs, split)[: arguments.limit]
        for split in ("train", "val")
    }
    unseen = range(VALIDATION_SEED, VALIDATION_SEED + min(_WATCHED_SCENES, arguments.scenes))
    galleries = {}
    for name, function, inputs, room in (
        ("training", study, paths["train"], arguments.scenes),
        ("photographs", read, paths["val"], 0),
        ("scenes", draw, unseen, 0),
    ):
        device = torch.device(arguments.device)
        if not inputs:
            continue
        gallery = empty_gallery(len(inputs) + room, classes=len(class_ids), device=device)
        gallery.append(pool.map(function, inputs, chunksize=4), class_ids=class_ids)
        galleries[name] = gallery
    seeds = range(TRAINING_SEED, TRAINING_SEED + arguments.scenes)
    return Data(galleries.pop("training"), Arrivals(pool, draw, seeds), galleries)


def _prepare_worker() -> None:
    # Lower priority, because the training process must not wait for a core to launch kernels.
    os.nice(10)
    cv2.setNumThreads(1)


def _photograph_without_riders(path: Path, *, annotated: dict[str, tuple[int, ...]]) -> Picture:
    return without_riders(photograph(path, annotated=annotated))


def _scene(seed: int, *, annotated: tuple[int, ...]) -> Picture:
    from tools.demo.streets import sample

    return scene(seed, sampler=sample, annotated=annotated)


class Arrivals:
    """Pictures that other processes render while this one trains."""

    def __init__(self, pool: Executor, draw: Callable[[int], Picture], seeds: range) -> None:
        self._waiting = deque(pool.submit(draw, seed) for seed in seeds)

    def __call__(self) -> list[Picture]:
        """The pictures that are ready since the last call, in the order of their seeds."""
        ready = []
        while self._waiting and self._waiting[0].done():
            done = self._waiting.popleft()
            if error := done.exception():
                _log.warning("a scene could not be drawn: %r", error)
            else:
                ready.append(done.result())
        return ready


def _file(text: str) -> Path:
    """Parse the path of an output file, and check before the training that it can be written."""
    try:
        refuse_special_file(Path(text))
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from error
    return Path(text)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.train_demo_model", description=__doc__)
    add = parser.add_argument
    add(
        "--photographs",
        type=Path,
        required=True,
        help="folder with images, labels, ignore, annotated_classes.json",
    )
    add("--scenes", type=int, default=6000, help="generated scenes to train on")
    add(
        "--output",
        type=_file,
        default=Path("runs/demo.pt"),
        help="final checkpoint; earlier ones have the second of the training in their names",
    )
    add(
        "--minutes",
        type=float,
        default=15.0,
        help="length of the training, without loading the data",
    )
    add("--batch", type=int, default=128, help="pictures per step")
    add("--rate", type=float, default=2e-3, help="peak learning rate")
    add("--decay", type=float, default=0.05, help="weight decay")
    add("--table", default="yolov7-tiny-half", help="network table")
    add("--initial", type=Path, help="checkpoint to start from")
    add("--device", default="cuda", help="cuda or cpu")
    add(
        "--workers",
        type=int,
        default=max((os.cpu_count() or 1) - 1, 1),
        help="processes that read and draw pictures",
    )
    add("--limit", type=int, help="use only so many photographs of each split")
    add("--seed", type=int, default=0, help="seed of everything random")
    add("--compile", action="store_true", help="use torch.compile; takes a minute to start")
    add("--preview", type=Path, help="write a sheet of training pictures to this PNG file")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(arguments.seed)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        # For the workers only: this process has read the variable already.
        os.environ[variable] = "1"
    # Forking is unsafe in a process that uses CUDA or threads, so workers are spawned.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(arguments.workers, context, initializer=_prepare_worker)
    try:
        _load_and_train(arguments, pool)
    finally:
        pool.shutdown(cancel_futures=True)


def _load_and_train(arguments: argparse.Namespace, pool: Executor) -> None:
    started_s = time.monotonic()
    table = load_table(arguments.table)
    data = load_data(arguments, pool, class_ids=table.class_ids)
    _log.info("%d pictures ready after %.1f s", len(data.training), time.monotonic() - started_s)
    if arguments.preview:
        sampler = build_sampler(data.training, table.class_ids, scene_share=SCENE_SHARE)
        write_sheet(arguments.preview, *draw_batch(data.training, sampler, _PREVIEWED, plain=0.3))
    if arguments.initial:
        network, _ = load_checkpoint(arguments.initial)
    else:
        network = fresh_network(arguments.table, side=SIDE)
    settings = Settings(
        minutes=arguments.minutes,
        batch=arguments.batch,
        rate=arguments.rate,
        decay=arguments.decay,
        output=arguments.output,
        compiled=arguments.compile,
    )
    train(network.to(arguments.device), data, settings)


if __name__ == "__main__":
    main()
