"""A fake of TensorRT's trtexec, with its options, messages and exit codes.

The messages are from its published source and from logs of TensorRT 10. A "plan" is a line of text
with the GPU, the version and the largest batch; it loads only with the same GPU and version.
Environment variables set the GPU, the version and the errors.
"""

import os
import re
import signal
import sys
from pathlib import Path

import onnx

VERSION = os.environ.get("STAND_IN_TENSORRT", "10.3.0")
GPU = os.environ.get("STAND_IN_GPU", "NVIDIA H200")
OPTIONS = {
    *("onnx", "saveEngine", "timingCacheFile", "minShapes", "optShapes", "maxShapes"),
    *("stronglyTyped", "memPoolSize", "loadEngine", "shapes", "iterations", "duration", "warmUp"),
}


def write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def say(level: str, text: str) -> None:
    write(f"[11/23/2026-02:12:45] [{level}] {text}")


def fail(*errors: str) -> None:
    for error in errors:
        say("E", error)
    sys.exit(1)


def batch(shape: str) -> int:
    return int(re.fullmatch(r"input:(\d+)x3x\d+x\d+", shape).group(1))


def build(options: dict[str, str]) -> None:
    if "stronglyTyped" not in options:
        fail("the types in the graph would not be kept")
    cache = Path(options["timingCacheFile"])
    if cache.exists() and cache.read_text() != VERSION:
        fail("TimingCache creation failed", "Engine could not be created from network")
    say("I", f"Loaded {cache.stat().st_size if cache.exists() else 0} bytes of timing cache")
    network = onnx.load(options["onnx"])
    onnx.checker.check_model(network, full_check=True)
    for tensor in (*network.graph.input, *network.graph.output):
        assert tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    sizes = [batch(options[f"{which}Shapes"]) for which in ("min", "opt", "max")]
    assert sizes == sorted(sizes)
    say("W", "[TRT] a warning")
    if "STAND_IN_HANGS" in os.environ:
        Path(os.environ["STAND_IN_HANGS"]).write_text(str(os.getpid()))
        signal.pause()
    if "STAND_IN_FAILS" in os.environ:
        fail(*os.environ["STAND_IN_FAILS"].splitlines())
    cache.write_text(VERSION)
    if "STAND_IN_FORGETS" not in os.environ:
        Path(options["saveEngine"]).write_text(f"{GPU}|{VERSION}|{sizes[-1]}")


def load(options: dict[str, str]) -> None:
    gpu, version, largest = Path(options["loadEngine"]).read_text().split("|")
    if (gpu, version) != (GPU, VERSION):
        fail("Engine deserialization failed", "Got invalid engine!", "Inference set up failed")
    if batch(options["shapes"]) > int(largest) or "STAND_IN_FAILS" in os.environ:
        fail("Inference set up failed")


options = dict(re.fullmatch(r"--(\w+)(?:=(.*))?", text).groups() for text in sys.argv[1:])
write(f"&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # {' '.join(sys.argv)}")
if unknown := options.keys() - OPTIONS:
    fail(f"Unknown option: --{min(unknown)}")
say("I", "=== Device Information ===")
if not GPU:
    say("I", "Cannot find any available devices (GPUs)!")
    sys.exit(1)
say("I", f"Selected Device: {GPU}")
say("I", "Selected Device ID: 0")
say("I", "Compute Capability: 9.0")
say("I", f"TensorRT version: {VERSION}")
(load if "loadEngine" in options else build)(options)
write("&&&& PASSED TensorRT.trtexec [TensorRT v100300]")
