"""Draws the precision-recall curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from tools.evaluation.scoring import RECALLS, Scores

_NAMED = 10
"""Largest number of curves with a color and a name each: the length of the color cycle."""


def write_precision_recall(scores: Scores, path: Path) -> None:
    """Draw precision over recall at IoU 0.5, with one curve per class and one for their mean."""
    classes = [one for one in scores.classes if one.labels]
    figure = Figure(figsize=(8, 6), dpi=120, layout="constrained")
    axes = figure.add_subplot(
        title="Precision and recall at IoU 0.5",
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1),
        ylim=(0, 1.02),
    )
    few = len(classes) <= _NAMED
    for one in classes:
        (curve,) = axes.plot(RECALLS, one.precisions)
        if few:
            curve.set_label(f"{one.name} {one.precisions.mean():.3f}")
        else:
            curve.set(color="0.75", linewidth=0.7)
    if classes:
        mean = np.mean([one.precisions for one in classes], axis=0)
        label = f"mean of {len(classes)} classes {mean.mean():.3f}"
        axes.plot(RECALLS, mean, color="black", linewidth=3, label=label)
        axes.legend(title="AP50", loc="lower left")
    axes.grid(alpha=0.3)
    figure.savefig(path)
