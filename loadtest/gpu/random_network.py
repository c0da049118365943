"""A whole YOLOv7 with random weights, exported as a real one is; needs PyTorch.

Speed does not depend on what the weights say, with one exception: `nms` works on the rows that
count. Random weights would give it none or thousands, so they are set to give it as many as a
street.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from yolostream.image import Image

from loadtest.gpu.bench import COUNTED, USUAL_CANDIDATES
from loadtest.repository import ENSEMBLE, MODELS, PREPROCESS, thresholds
from tools.bare import pure_module
from tools.exporting.check import runner
from tools.exporting.half import to_fp16
from tools.exporting.trace import traced
from tools.served_onnx import NAMES, read_served_onnx
from tools.yolov7 import Network, fuse_batch_norm, load_table
from tools.yolov7.head import BOX_FIELDS, Detect

TABLE = "yolov7"
SIDE = 640
THRESHOLD = thresholds()["confidence"]
"""Of the ensemble that serves it."""


def export(path: Path, frames: Sequence[Image], *, table: str = TABLE) -> None:
    """Make the network and write its float16 graph, and how many candidates each frame has by it.

    It goes through the steps of `tools.export_onnx`, save for the comparison with float32: random
    weights blow the rounding of float16 up to boxes elsewhere.

    Args:
        path: ONNX file to write.
        frames: uint8 [H, W, 3] each, RGB, that the network is set up with.
        table: Name of its layer table.
    """
    pictures = torch.stack([_picture(frame) for frame in frames])
    model = to_fp16(traced(fuse_batch_norm(_network(table, pictures)), size=(SIDE, SIDE)))
    names = (MODELS / ENSEMBLE / "labels.txt").read_text(encoding="utf-8").splitlines()
    source = f"{table}, random weights, seed 0"
    run = runner(model, threads=len(os.sched_getaffinity(0)))
    rows = [run(picture[None].numpy())[0] for picture in pictures]
    candidates = [int((one[:, 4] > THRESHOLD).sum()) for one in rows]
    told = {NAMES: json.dumps(names), "source": source, COUNTED: json.dumps(candidates)}
    onnx.helper.set_model_props(model, told)
    onnx.save(model, path)
    read_served_onnx(path)


def _network(table: str, pictures: Tensor) -> Network:
    """Random weights that answer to pictures, float32 [b, 3, H, W], as `USUAL_CANDIDATES` says."""
    torch.manual_seed(0)
    network = Network(load_table(table))
    with torch.no_grad():
        _set_statistics(network, pictures)
        logits = _logits(network.detect, network.maps(pictures))
        _add_objectness(network.detect, objectness_bias(logits, candidates=USUAL_CANDIDATES))
    return network


def _picture(frame: Image) -> Tensor:
    """A frame as the network sees it: float32 [3, SIDE, SIDE], 0..1."""
    picture = np.empty((3, SIDE, SIDE), np.float32)
    pure_module(MODELS / PREPROCESS, "letterbox").letterbox(frame, picture)
    return torch.from_numpy(picture)


def _set_statistics(network: Network, pictures: Tensor) -> None:
    """Give batch normalization the statistics of these pictures.

    Without them the signal fades from layer to layer, and every cell answers the same.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        # The plain mean of what passes.
        norm.momentum = None
    network.train()
    network.maps(pictures)
    network.eval()


def _logits(head: Detect, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Objectness, and the best class's probability, of each row: float [b, N] each."""
    objectness, best = [], []
    for level in maps:
        raw = level.reshape(len(level), head.anchors_per_level, head.fields, -1)
        objectness.append(raw[:, :, BOX_FIELDS].flatten(1))
        best.append(raw[:, :, BOX_FIELDS + 1 :].amax(dim=2).sigmoid().flatten(1))
    return torch.cat(objectness, dim=1), torch.cat(best, dim=1)


def objectness_bias(logits: tuple[Tensor, Tensor], *, candidates: int) -> float:
    """What to add to objectness so that a picture has so many candidates on average.

    Args:
        logits: Of objectness, float [b, N], and the best class's probability, 0..1, likewise.
        candidates: Rows of a picture above the threshold.
    """
    objectness, best = logits
    # A row counts from the bias on that lifts its probability times that of its class to the
    # threshold; none lifts one whose class is less probable than that.
    lifting = torch.logit((THRESHOLD / best).clamp(max=1.0)) - objectness
    return float(lifting.flatten().sort().values[candidates * len(best)])


def _add_objectness(head: Detect, bias: float) -> None:
    for conv in head.m:
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        conv.bias.view(head.anchors_per_level, head.fields)[:, BOX_FIELDS] += bias
