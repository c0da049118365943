"""Samples the pictures of training batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.demo.training.gallery import Gallery
from tools.demo.training.pictures import SCENE_SOURCE

# COCO ids that are rare in the photographs, and how much oftener their pictures are drawn.
_RARE = {1: 2.5, 3: 1.6, 5: 1.5, 7: 1.3}
# Pictures of one fixed camera are similar, so they have a lower weight.
_SOURCE_WEIGHTS = {"rf": 0.4, "np": 1.3, "oi": 1.6}
_ENOUGH_SCENES = 600


@dataclass(frozen=True)
class Sampler:
    """Samples pictures by weight. All pictures of one canvas have the same labeled classes.

    Attributes:
        group_weights: Float [groups].
        picture_weights: Float [groups, pictures]; zero outside the group.
    """

    group_weights: Tensor
    picture_weights: Tensor

    def draw(self, count: int, tiles: int) -> Tensor:
        """Int64 [count, tiles] indices of pictures."""
        groups = torch.multinomial(self.group_weights, count, replacement=True)
        return torch.multinomial(self.picture_weights[groups], tiles, replacement=True)


def build_sampler(gallery: Gallery, class_ids: tuple[int, ...], *, scene_share: float) -> Sampler:
    """Make a sampler with weights for the pictures of a gallery.

    Args:
        gallery: The pictures.
        class_ids: COCO id of each class channel.
        scene_share: Part of generated scenes among the sampled pictures, 0..1. It is smaller if
            there are few scenes, which the network would learn by heart.
    """
    device, count = gallery.device, len(gallery)
    weights = torch.tensor([_SOURCE_WEIGHTS.get(s, 1.0) for s in gallery.sources], device=device)
    for channel, class_id in enumerate(class_ids):
        present = (gallery.channels[:count] == channel).any(dim=1)
        weights = torch.where(present, weights.clamp(min=_RARE.get(class_id, 1.0)), weights)
    scene = torch.tensor([s == SCENE_SOURCE for s in gallery.sources], device=device)
    scenes = gallery.sources.count(SCENE_SOURCE)
    if 0 < scenes < count:
        share = scene_share * min(1.0, scenes / _ENOUGH_SCENES)
        factor = share / weights[scene].sum(), (1 - share) / weights[~scene].sum()
        weights = weights * torch.where(scene, *factor)
    _, group = torch.unique(gallery.annotated[:count].int(), dim=0, return_inverse=True)
    member = group == torch.arange(int(group.max()) + 1, device=device)[:, None]
    picture_weights = torch.where(member, weights, 0.0)
    return Sampler(picture_weights.sum(dim=1), picture_weights)
