"""Random batches of training pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from tools.demo.training.color import jitter
from tools.demo.training.gallery import Gallery
from tools.demo.training.layout import random_layout
from tools.demo.training.render import FILL, render
from tools.demo.training.sampling import Sampler
from tools.demo.training.targets import Targets, targets_of


@torch.no_grad()
def draw_batch(
    gallery: Gallery, sampler: Sampler, count: int, *, plain: float
) -> tuple[Tensor, Targets]:
    """Random training pictures and their labels.

    Args:
        gallery: Sources.
        sampler: Chooses among them.
        count: Pictures.
        plain: Share of pictures that are not mosaics, 0..1.

    Returns:
        Float [count, 3, 640, 640] RGB 0..1, and the labels.
    """
    layout = random_layout(gallery, sampler, count, plain_share=plain)
    images, inside = render(gallery, layout)
    return torch.where(inside, jitter(images), FILL), targets_of(gallery, layout)
