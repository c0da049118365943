"""The groups and keys that deepstream-app 7.1 reads from an INI file, with the kinds of values.

deepstream-app only warns of unknown keys, among many other lines, and ignores unknown groups. A
value of the wrong kind makes its start fail.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping

from yolostream.doctor.check import Finding

_GROUPS = {
    "application": {
        "integer": "enable-perf-measurement perf-measurement-interval-sec global-gpu-id",
        "text": """
            gie-kitti-output-dir kitti-track-output-dir reid-track-output-dir
            terminated-track-output-dir shadow-track-output-dir
        """,
    },
    "tests": {"integer": "file-loop pipeline-recreate-sec"},
    "source": {
        "integer": """
            enable type num-sources gpu-id source-id camera-id camera-width camera-height
            camera-fps-n camera-fps-d camera-csi-sensor-id camera-v4l2-dev-node latency
            intra-decode-enable low-latency-decode num-decode-surfaces num-extra-surfaces
            drop-frame-interval cudadec-memtype nvbuf-memory-type select-rtp-protocol
            udp-buffer-size rtsp-reconnect-interval-sec rtsp-reconnect-attempts smart-record
            smart-rec-video-cache smart-rec-cache smart-rec-container smart-rec-start-time
            smart-rec-default-duration smart-rec-duration smart-rec-interval
            extract-sei-type5-data
        """,
        "boolean": "sensorID-padID-mapping",
        "text": "uri video-format alsa-device smart-rec-dir-path smart-rec-file-prefix",
    },
    "source-list": {
        "integer": "num-source-bins max-batch-size sgie-batch-size extract-sei-type5-data",
        "boolean": "use-nvmultiurisrcbin stream-name-display",
        "text": "list sensor-id-list sensor-name-list http-ip http-port",
    },
    "streammux": {
        "integer": """
            gpu-id live-source batch-size batched-push-timeout width height enable-padding
            nvbuf-memory-type buffer-pool-size attach-sys-ts-as-ntp sync-inputs max-latency
            frame-duration compute-hw num-surfaces-per-frame extract-sei-type5-data
        """,
        "boolean": """
            async-process drop-pipeline-eos frame-num-reset-on-eos frame-num-reset-on-stream-reset
        """,
        "text": "config-file",
    },
    "primary-gie": {
        "integer": """
            enable plugin-type batch-size interval gie-unique-id operate-on-gie-id gpu-id
            nvbuf-memory-type
        """,
        "boolean": "input-tensor-meta",
        "color": "bbox-border-color bbox-bg-color",
        "text": """
            config-file labelfile-path model-engine-file infer-raw-output-dir operate-on-class-ids
        """,
    },
    "tracker": {
        "integer": """
            enable tracker-width tracker-height gpu-id display-tracking-id tracking-id-reset-mode
            tracking-surface-type tracker-surface-type compute-hw user-meta-pool-size
            sub-batch-err-recovery-trial-cnt tensor-meta-gie-id
        """,
        "boolean": "input-tensor-meta",
        "text": "ll-lib-file ll-config-file sub-batches",
    },
    "osd": {
        "integer": """
            enable gpu-id nvbuf-memory-type process-mode border-width text-size show-clock
            clock-x-offset clock-y-offset clock-text-size display-text display-bbox display-mask
        """,
        "color": "border-color text-color text-bg-color clock-color",
        "text": "font hw-blend-color-attr",
    },
    "tiled-display": {
        "integer": "enable rows columns width height gpu-id nvbuf-memory-type compute-hw",
        "boolean": "square-seq-grid",
    },
    "sink": {
        "integer": """
            enable type source-id sync gpu-id nvbuf-memory-type width height container codec
            enc-type bitrate profile iframeinterval copy-meta output-io-mode sw-preset rtsp-port
            udp-port udp-buffer-size color-range conn-id plane-id set-mode link-to-demux
            compute-hw msg-conv-payload-type msg-conv-comp-id msg-conv-frame-interval
            msg-broker-comp-id disable-msgconv sleep-time
        """,
        "boolean": "qos multiple-payloads msg-conv-msg2p-new-api msg-conv-dummy-payload new-api",
        "text": """
            output-file msg-conv-config msg-conv-msg2p-lib debug-payload-dir msg-broker-proto-lib
            msg-broker-conn-str topic msg-broker-config
        """,
    },
}
_GROUPS["source-attr-all"] = _GROUPS["source"]
_KINDS = {
    group: {key: kind for kind, keys in kinds.items() for key in keys.split()}
    for group, kinds in _GROUPS.items()
}
_OTHER_GROUPS = (
    *("secondary-gie", "pre-process", "secondary-pre-process", "nvds-analytics", "ds-example"),
    *("dewarper", "segvisual", "img-save", "message-converter", "message-consumer"),
)
"""Groups of deepstream-app that this project does not use. Their keys are not checked."""

_NUMBER = re.compile(r"\d+$")


def check_keys(groups: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    """Report unknown groups and keys, and values of the wrong kind."""
    for group, keys in groups.items():
        kinds = _KINDS.get(_NUMBER.sub("", group))
        if kinds is not None:
            for key, value in keys.items():
                yield from _check_key(f"[{group}] {key}", key, value, kinds)
        elif _NUMBER.sub("", group) not in _OTHER_GROUPS:
            what = "deepstream-app 7.1 has no such group, and ignores it"
            yield f"[{group}]", what, _meant(group, _KINDS)


def _check_key(where: str, key: str, value: str, kinds: Mapping[str, str]) -> Iterator[Finding]:
    # A key may end with a class id: bbox-border-color3 is for class 3.
    kind = kinds.get(key) or kinds.get(_NUMBER.sub("", key))
    if kind is None:
        yield where, "deepstream-app 7.1 has no such key in this group", _meant(key, kinds)
    elif re.search(r"\s#", value):
        what = f"'{value}' contains a comment, which becomes part of the value"
        yield where, what, "put the comment on a line of its own"
    elif not _VALID[kind](value):
        yield (
            where,
            f"'{value}' is not {_NOUNS[kind]}, so the start fails",
            f"write {_EXAMPLES[kind]}",
        )


def _meant(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]}?" if close else "remove it"


def is_integer(value: str) -> bool:
    """Whether GLib parses the value as an integer."""
    return re.fullmatch(r"[+-]?\d+", value) is not None


def _is_color(value: str) -> bool:
    numbers = value.rstrip(";").split(";")
    return len(numbers) == 4 and all(re.fullmatch(r"\d*\.?\d+", n.strip()) for n in numbers)


_VALID: dict[str, Callable[[str], bool]] = {
    "integer": is_integer,
    "boolean": lambda value: value in ("0", "1", "true", "false"),
    "color": _is_color,
    "text": lambda value: value != "",
}
_NOUNS = {"integer": "an integer", "boolean": "a boolean", "color": "a color", "text": "a text"}
_EXAMPLES = {
    "integer": "a whole number, such as 1",
    "boolean": "0 or 1",
    "color": "red, green, blue, alpha in 0..1, such as 0;1;0;1",
    "text": "something, or remove the key",
}
