"""Which files a DeepStream configuration may refer to."""

from __future__ import annotations

from pathlib import Path

DEEPSTREAM = "/opt/nvidia/deepstream/deepstream"
PARSERS = f"{DEEPSTREAM}/lib/libnvds_infercustomparser.so"
DIRECT_PARSERS = "/opt/deepstream-yolo/libnvdsinfer_custom_impl_Yolo.so"
"""Where clients/deepstream/direct/Dockerfile puts it."""

_SHIPPED_TRACKERS = (
    "IOU",
    "NvSORT",
    "NvDCF_max_perf",
    "NvDCF_perf",
    "NvDCF_accuracy",
    "NvDeepSORT",
)
IN_IMAGE = frozenset(
    {
        PARSERS,
        DIRECT_PARSERS,
        f"{DEEPSTREAM}/lib/libnvds_nvmultiobjecttracker.so",
        f"{DEEPSTREAM}/lib/libnvds_kafka_proto.so",
        *(
            f"{DEEPSTREAM}/samples/configs/deepstream-app/config_tracker_{name}.yml"
            for name in _SHIPPED_TRACKERS
        ),
    }
)
"""Files that DeepStream's image is known to have, of those that matter here."""

FIX = "write it relative to this file, or absolute if it is in DeepStream's image"


def exists(path: str, config: Path) -> bool:
    """Whether DeepStream finds `path`, named in the file `config`.

    DeepStream takes a relative path from the folder of the file that names it.
    """
    return path in IN_IMAGE or (bool(path) and (config.parent / path).exists())
