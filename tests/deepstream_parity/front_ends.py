"""The two front ends, and the modes of DeepStream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from yolostream import Detections, Detector
from yolostream.doctor.deepstream.letterbox import Size

from tests.deepstream_parity.material import Material
from tests.nvinferserver.config import App, read_app, read_element
from tests.nvinferserver.element import Element
from tests.nvinferserver.frames import BLACK, Place, mux
from tests.nvinferserver.requests import connect
from tests.nvinferserver.surfaces import Surface

CONFIGURATIONS = Path(__file__).parents[2] / "clients" / "deepstream"
APP = CONFIGURATIONS / "dual_video.txt"
GRAY = 114
"""Gray level around the picture in the ensemble's letterbox."""


@dataclass(frozen=True)
class Mode:
    title: str
    configuration: str
    """The configuration file of nvinferserver."""
    padding: int = BLACK
    filter: int | None = None
    """Replaces `frame_scaling_filter` of the configuration; None keeps it."""


MODES = {
    "A": Mode("A, DeepStream letterboxes", "config_infer_yolov7.txt"),
    "A gray": Mode("A, if it could pad with gray (a control)", "config_infer_yolov7.txt", GRAY),
    "B": Mode("B, the ensemble letterboxes", "config_infer_yolov7_full_frame.txt"),
    "B shrunk": Mode("B, DeepStream shrinks first", "config_infer_yolov7_shrunk.txt"),
}


def app_of(mode: Mode) -> App:
    """The demo application, with the element's configuration of `mode`."""
    app = read_app(APP)
    infer, labels = read_element(CONFIGURATIONS / mode.configuration)
    infer.max_batch_size = app.infer.max_batch_size
    if mode.filter is not None:
        infer.preprocess.frame_scaling_filter = mode.filter
    return replace(app, infer=infer, labels=labels)


def by_client(url: str, material: Material, *, downscale: bool) -> list[Detections]:
    """The detections of the Python client in each frame, source by source."""
    with Detector(url, downscale=downscale) as detector:
        return [found for _, found in detector.stream(material.images())]


def by_deepstream(url: str, material: Material, mode: Mode) -> list[Detections]:
    """The detections of DeepStream in each frame, source by source, in pixels of the frame."""
    app = app_of(mode)
    surfaces = [map(Surface.of, source) for source in material.sources]
    with connect(url) as channel:
        element = Element(channel, app.infer, app.labels, padding=mode.padding)
        answers = [
            (muxed.source, muxed.number, found)
            for muxed, found in element.detect(mux(surfaces, app.mux))
        ]
    answers.sort(key=lambda answer: answer[:2])
    return [
        replace(found, boxes=found.boxes * _scale(app, (frame.width, frame.height)))
        for frame, (*_, found) in zip(material.frames, answers, strict=True)
    ]


def reach(size: Size, mode: Mode) -> npt.NDArray[np.float32]:
    """The largest x and y of a box in both front ends, as x, y, x, y; float32 [4].

    DeepStream's parser clips to the last pixel of the tensor, width - 1 and height - 1, the client
    to the edge of the frame. Which of the two is smaller depends on the padding.
    """
    app = app_of(mode)
    height, width, _ = app.infer.backend.inputs[0].dims
    place = Place.fit((app.mux.width, app.mux.height), (width, height), app.infer.preprocess)
    last = place.to_mux(np.array([[width - 1, height - 1, 0, 0]], np.float32))[0, :2]
    frame = np.array([app.mux.width, app.mux.height], np.float32)
    return np.tile(np.minimum(last, frame), 2) * _scale(app, size)


def _scale(app: App, size: Size) -> npt.NDArray[np.float32]:
    """Factors from the muxer's pixels to those of a frame of `size`, float32 [4]."""
    width, height = size
    return np.array([width / app.mux.width, height / app.mux.height] * 2, np.float32)
