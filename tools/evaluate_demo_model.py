"""Measure the demo model's accuracy with ONNX Runtime and the pure modules of the steps."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tools.bare import BareDetector, load_detector
from tools.demo.streets import CLASS_NAMES, sample
from tools.demo.training.pictures import (
    Floats,
    Picture,
    annotated_classes,
    photograph,
    photograph_paths,
    scene,
)
from tools.demo.training.scoring import MAX_DETECTIONS, Score, score_class
from tools.digest import sha256_of

# Larger than all seeds of the training and validation scenes.
FIRST_SCENE_SEED = 9_500_000


def scores(pictures: list[Picture], detections: list[Floats]) -> dict[str, Any]:
    """Scores of each class, by source and over all sources.

    Returns:
        Source (or `all`) -> `with_ignored` or `without_ignored` -> class name -> `ap50`, `ap`,
        `labels`. Next to the class names there is `mean_ap50`.
    """
    result: dict[str, Any] = {}
    sources = sorted({picture.source for picture in pictures})
    for source in ["all", *sources] if len(sources) > 1 else sources:
        chosen = [i for i, p in enumerate(pictures) if source in ("all", p.source)]
        subset = [pictures[i] for i in chosen]
        found = [detections[i] for i in chosen]
        result[source] = {
            "images": len(subset),
            "with_ignored": _class_scores(subset, found, use_ignored=True),
            "without_ignored": _class_scores(subset, found, use_ignored=False),
        }
    return result


def _class_scores(
    pictures: list[Picture], detections: list[Floats], *, use_ignored: bool
) -> dict[str, Any]:
    by_class: dict[str, Score] = {}
    for class_id, name in CLASS_NAMES.items():
        score = score_class(class_id, pictures, detections, use_ignored=use_ignored)
        if score is not None:
            by_class[name] = score
    mean = float(np.mean([score.ap50 for score in by_class.values()]))
    rounded = {
        name: {key: round(value, 4) for key, value in asdict(score).items()}
        for name, score in by_class.items()
    }
    return {"mean_ap50": round(mean, 4), **rounded}


def evaluate(detect: BareDetector, pictures: Iterable[Picture]) -> dict[str, Any]:
    """Detect on all pictures and score the result."""
    kept, detections = [], []
    for picture in pictures:
        detections.append(detect(picture.pixels))
        kept.append(picture)
    return scores(kept, detections)


def table(results: dict[str, Any]) -> str:
    """A Markdown table of AP50 with ignored regions, one row per source."""
    names = list(CLASS_NAMES.values())
    lines = [
        "| pictures | count | " + " | ".join(names) + " | mean |",
        "| --- | ---: |" + " ---: |" * (len(names) + 1),
    ]
    for kind, sources in results.items():
        for source, result in sources.items():
            values = result["with_ignored"]
            cells = [f"{values[n]['ap50']:.3f}" if n in values else "" for n in names]
            mean = f"{values['mean_ap50']:.3f}"
            row = [f"{kind}: {source}", str(result["images"]), *cells, mean]
            lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.evaluate_demo_model", description=__doc__
    )
    add = parser.add_argument
    add("model", type=Path, help="ONNX file from tools.export_onnx")
    add("--photographs", type=Path, required=True, help="folder of the street photographs")
    add("--scenes", type=int, default=200, help="generated scenes, none of which was trained on")
    add("--output", type=Path, default=Path("docs/model_accuracy.json"), help="JSON file to write")
    add("--confidence", type=float, default=0.001, help="least confidence of a detection")
    add("--iou", type=float, default=0.45, help="overlap above which a box is suppressed")
    add("--threads", type=int, default=2, help="threads of ONNX Runtime")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _arguments(argv)
    detect = load_detector(
        arguments.model,
        confidence=arguments.confidence,
        iou=arguments.iou,
        max_detections=MAX_DETECTIONS,
        threads=arguments.threads,
    )
    annotated = annotated_classes(arguments.photographs)
    paths = photograph_paths(arguments.photographs, "val")
    seeds = range(FIRST_SCENE_SEED, FIRST_SCENE_SEED + arguments.scenes)
    every_class = tuple(CLASS_NAMES)
    results = {
        "photographs": evaluate(detect, (photograph(p, annotated=annotated) for p in paths)),
        "scenes": evaluate(
            detect, (scene(s, sampler=sample, annotated=every_class) for s in seeds)
        ),
    }
    settings = {
        "model_sha256": sha256_of(arguments.model),
        "confidence": arguments.confidence,
        "iou": arguments.iou,
        "max_detections": MAX_DETECTIONS,
    }
    text = json.dumps({"settings": settings, **results}, indent=2)
    arguments.output.write_text(text + "\n", encoding="utf-8")
    print(table(results))


if __name__ == "__main__":
    main()
