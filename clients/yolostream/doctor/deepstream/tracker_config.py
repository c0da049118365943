"""Checks a YAML file of the low-level tracker, by the names in NVIDIA's own files.

The source of the tracker library is not public, so it may know further names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from yolostream.doctor.check import Problem

_KEYS = {
    "BaseConfig": "minDetectorConfidence",
    "TargetManagement": """
        maxTargetsPerStream enableBboxUnClipping preserveStreamUpdateOrder minIouDiff4NewTarget
        minTrackerConfidence probationAge maxShadowTrackingAge earlyTerminationAge
        outputTerminatedTracks terminatedTrackFilename
    """,
    "TrajectoryManagement": """
        useUniqueID enableReAssoc minMatchingScore4Overall minTrackletMatchingScore
        minMatchingScore4ReidSimilarity matchingScoreWeight4TrackletSimilarity
        matchingScoreWeight4ReidSimilarity minTrajectoryLength4Projection
        prepLength4TrajectoryProjection trajectoryProjectionLength maxAngle4TrackletMatching
        minSpeedSimilarity4TrackletMatching minBboxSizeSimilarity4TrackletMatching
        maxTrackletMatchingTimeSearchRange trajectoryProjectionProcessNoiseScale
        trajectoryProjectionMeasurementNoiseScale trackletSpacialSearchRegionScale
        reidExtractionInterval
    """,
    "DataAssociator": """
        dataAssociatorType associationMatcherType checkClassMatch minMatchingScore4Overall
        minMatchingScore4SizeSimilarity minMatchingScore4Iou minMatchingScore4VisualSimilarity
        matchingScoreWeight4VisualSimilarity matchingScoreWeight4SizeSimilarity
        matchingScoreWeight4Iou tentativeDetectorConfidence minMatchingScore4TentativeIou
        usePrediction4Assoc
    """,
    "StateEstimator": """
        stateEstimatorType processNoiseVar4Loc processNoiseVar4Size processNoiseVar4Vel
        measurementNoiseVar4Detector measurementNoiseVar4Tracker noiseWeightVar4Loc
        noiseWeightVar4Vel useAspectRatio
    """,
    "VisualTracker": """
        visualTrackerType vpiBackend4DcfTracker useColorNames useHog featureImgSizeLevel
        featureFocusOffsetFactor_y filterLr filterChannelWeightsLr gaussianSigma
    """,
}
_HEADER = "%YAML:1.0"
"""The first line of NVIDIA's files, as OpenCV needs it. It is not valid YAML."""


def check_tracker_config(path: Path) -> list[Problem]:
    """Find sections and keys in a `config_tracker_*.yml` that the tracker does not know."""
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8").removeprefix(_HEADER))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [Problem(path.name, f"is not YAML: {error}", "indent with spaces, one key per line")]
    if not isinstance(sections, dict):
        return [Problem(path.name, "has no sections", f"begin with {next(iter(_KEYS))}:")]
    return list(_unknown(path.name, sections))


def _unknown(file: str, sections: dict[str, object]) -> Iterator[Problem]:
    for section, keys in sections.items():
        known = _KEYS.get(section, "").split()
        if not known or not isinstance(keys, dict):
            what = "the tracker of DeepStream 7.1 has no such section"
            yield Problem(f"{file}: {section}", what, f"choose of: {', '.join(_KEYS)}")
            continue
        for key in keys.keys() - set(known):
            what = "the tracker of DeepStream 7.1 has no such key there"
            yield Problem(f"{file}: {section}.{key}", what, "remove it, or move it to its section")
