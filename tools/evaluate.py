"""Measure the accuracy of a served model by COCO's rules.

The pictures are sent to a real Triton, to an ensemble `NAME_evaluation`. It differs from the
ensemble of ordinary clients only in two thresholds (see `tools.evaluation.variant`). With `--bare`,
ONNX Runtime also detects in the same pictures without a server. The difference is the loss of
accuracy by serving.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

import numpy as np
from rich.console import Console
from yolostream import Detector, ModelUnavailable
from yolostream.client.connection import connect
from yolostream.client.detector import DEFAULT_MODEL
from yolostream.client.model import Model
from yolostream.client.transport.buffers import resize
from yolostream.client.triton_errors import translated
from yolostream.image import Image
from yolostream.server import embedded

from tools.bare import BareDetector, Rows, load_detector
from tools.command import one_line_errors
from tools.evaluation import report
from tools.evaluation.dataset import Dataset, Matching, match
from tools.evaluation.datasets import read_dataset
from tools.evaluation.passes import Detect, run
from tools.evaluation.report import Evaluation, Side
from tools.evaluation.scoring import coco_results, score
from tools.evaluation.variant import SUFFIX, served_thresholds, write_variant
from tools.model_folders.files import REPOSITORY
from tools.served_onnx import read_served_onnx

_SERVER_ENVIRONMENT = REPOSITORY.with_name(".venv-server")

IN_FLIGHT = 16
"""Pictures in flight: a full batch of the ensemble."""
TIMEOUT_S = 120.0
"""Timeout of one picture. A large network on few cores takes long for a full batch."""

stdout = Console()
stderr = Console(stderr=True)


def evaluate(arguments: argparse.Namespace) -> None:
    """Evaluate, print the figures, and write the result files if there was no error."""
    dataset = read_dataset(arguments.dataset, pictures=arguments.images, limit=arguments.limit)
    with _detector(arguments) as detector:
        matching = match(dataset, detector.labels)
        *_, network, suppression = detector.model.steps
        onnx = None
        # A server at --url may serve another file, so this one is only read for the comparison.
        if arguments.bare or arguments.url is None:
            onnx = read_served_onnx(arguments.repository / network / "1" / "model.onnx")
        thresholds = served_thresholds(detector.url, suppression, timeout_s=TIMEOUT_S)
        server_version = _server_version(detector.url)
        served = _side("served", dataset, matching, partial(_stream, detector))
    bare = None
    if arguments.bare and onnx is not None:
        bare_detector = load_detector(
            onnx.path, **asdict(thresholds), repository=arguments.repository
        )
        detect = partial(_loop, bare_detector, detector.model)
        bare = _side("bare", dataset, matching, detect)
    evaluation = Evaluation(
        dataset, matching, arguments.model, onnx, server_version, thresholds, served, bare
    )
    report.show(evaluation, stdout)
    report.write(evaluation, arguments.output)
    stdout.print(f"Written to {arguments.output}/", soft_wrap=True, markup=False, highlight=False)


def _side(title: str, dataset: Dataset, matching: Matching, detect: Detect) -> Side:
    ran = run(dataset.pictures, detect, title=title, console=stderr)
    return Side(ran, score(dataset, matching, coco_results(dataset, matching, ran.rows)))


def _stream(detector: Detector, pictures: Iterable[Image]) -> Iterator[Rows]:
    for _, found in detector.stream(pictures, in_flight=IN_FLIGHT):
        yield np.column_stack([found.boxes, found.scores, found.class_ids]).astype(np.float32)


def _loop(detect: BareDetector, network: Model, pictures: Iterable[Image]) -> Iterator[Rows]:
    """Detect in one picture after the other, downscaled as by the client."""
    for picture in pictures:
        height, width = picture.shape[:2]
        sent_height, sent_width = network.downscaled(height, width)
        rows = detect(resize(picture, height=sent_height, width=sent_width))
        enlarged = (width / sent_width, height / sent_height)
        yield rows * np.array([*enlarged, *enlarged, 1, 1], np.float32)


@contextlib.contextmanager
def _detector(arguments: argparse.Namespace) -> Iterator[Detector]:
    """Connect to the variant of the model, on the server at --url or on a new one."""
    with contextlib.ExitStack() as stack:
        url = arguments.url
        if url is None:
            url = stack.enter_context(_embedded(arguments)).url
        yield stack.enter_context(_connected(url, arguments.model + SUFFIX))


@contextlib.contextmanager
def _embedded(arguments: argparse.Namespace) -> Iterator[embedded.EmbeddedTriton]:
    with TemporaryDirectory() as folder:
        variant = Path(folder) / "models"
        write_variant(arguments.repository, arguments.model, variant)
        stderr.print("Starting Triton ...", style="dim")
        with embedded.serve(
            arguments.repository,
            environment=_SERVER_ENVIRONMENT,
            more_repositories=[variant],
            models=[arguments.model + SUFFIX],
            profile=arguments.profile,
        ) as server:
            yield server


def _connected(url: str, model: str) -> Detector:
    try:
        return Detector(url, model, max_in_flight=IN_FLIGHT, timeout_s=TIMEOUT_S)
    except ModelUnavailable as error:
        raise ModelUnavailable(
            f"{url} does not serve '{model}': write it with --write-variant DIR, and start Triton "
            "with a second --model-repository=DIR"
        ) from error


def _server_version(url: str) -> str:
    with translated(url, "metadata"), connect(url) as client:
        return str(client.get_server_metadata(client_timeout=TIMEOUT_S).version)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate", description=__doc__)
    add = parser.add_argument
    add(
        "dataset",
        type=Path,
        nargs="?",
        help="COCO annotation file, folder in COCO's layout, or YOLO folder or data.yaml",
    )
    add("--images", type=Path, help="folder of a COCO file's pictures, if not beside it")
    add("--model", default=DEFAULT_MODEL, help="name of the ensemble")
    add("--url", help="gRPC address of a Triton, host:port; by default one is started here")
    add(
        "--profile",
        choices=get_args(embedded.Profile),
        help="of the server that is started here; by default what the machine supports",
    )
    add(
        "--bare",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also evaluate model.onnx without a server, and print the difference",
    )
    add("--output", type=Path, default=Path("evaluation"), help="folder for the results")
    add("--limit", type=_positive, help="use only the first so many pictures")
    add(
        "--repository",
        type=Path,
        default=REPOSITORY,
        help="model repository; with --url, the one that --bare compares with",
    )
    add(
        "--write-variant",
        type=Path,
        metavar="DIR",
        help="write the models that a server for --url needs, and evaluate nothing",
    )
    arguments = parser.parse_args(argv)
    if (arguments.dataset is None) == (arguments.write_variant is None):
        parser.error("give either DATASET or --write-variant")
    return arguments


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, is {number}")
    return number


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _arguments(argv)
    with one_line_errors():
        if arguments.write_variant is None:
            evaluate(arguments)
        else:
            folder = arguments.write_variant
            write_variant(arguments.repository, arguments.model, folder)
            print(
                f"{folder} holds '{arguments.model}{SUFFIX}': start Triton with "
                f"--model-repository={arguments.repository} --model-repository={folder}"
            )


if __name__ == "__main__":
    main()
