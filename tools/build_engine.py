"""Build the TensorRT plan of a model for the GPU of this machine.

It reads NAME_fp16/1/model.onnx and the shapes in NAME_fp16/config.pbtxt. It writes
NAME_fp16/1/model.plan, and model.plan.json with the network, GPU and TensorRT that the plan is for.
A plan that still fits is not built again. TensorRT need not be installed: without trtexec on PATH,
Docker runs the one in NVIDIA's Triton image. INT8 is not supported, because it needs pictures for
calibration.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.command import one_line_errors
from tools.engine.plan import Target, build, misfits
from tools.engine.recipe import read_recipe
from tools.engine.trtexec import IMAGE
from tools.errors import EngineError
from tools.model_folders.files import REPOSITORY, network_of


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.build_engine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("name", nargs="?", default="yolov7", help="ensemble that the plan is for (yolov7)")
    add("--repository", type=Path, default=REPOSITORY, help="model repository with the model")
    add(
        "--image",
        help=f"Docker image whose TensorRT builds the plan, even if there is a local trtexec "
        f"(default without a local trtexec: {IMAGE})",
    )
    add(
        "--workspace-gib",
        type=float,
        help="largest workspace of a kernel in GPU memory, in GiB (default: all memory)",
    )
    either = parser.add_mutually_exclusive_group().add_argument
    either("--force", action="store_true", help="build even if the plan fits")
    either(
        "--check",
        action="store_true",
        help="only check whether the plan fits; the exit code is not 0 if it does not",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line."""
    arguments = _arguments(argv)
    with one_line_errors():
        model = arguments.repository / network_of(arguments.name)
        target = Target(model / "1" / "model.plan", read_recipe(model), arguments.image)
        reasons = ["--force"] if arguments.force else misfits(target)
        if not reasons:
            print(f"{target.plan} fits: nothing to do")
            return
        why = "; ".join(reasons)
        if arguments.check:
            raise EngineError(
                f"{target.plan} cannot serve here; build it with python -m tools.build_engine "
                f"{arguments.name}: {why}"
            )
        print(f"{target.plan}: {why}", file=sys.stderr)
        made = build(target, workspace_gib=arguments.workspace_gib)
        print(
            f"{target.plan}: {made.plan_bytes / 1e6:.1f} MB, batch {target.recipe.min_batch} to "
            f"{target.recipe.max_batch}, {made.build_seconds:.0f} s, for {made.machine}"
        )


if __name__ == "__main__":
    main()
