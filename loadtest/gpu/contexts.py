"""What processes, queues, pools and MPS buy: `python -m loadtest.gpu.contexts`."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Annotated, Any

import typer
from yolostream.errors import ServerError, ServerStartError
from yolostream.server.cores import busy_poll_cores

from loadtest.gpu import bench, engine, memory, options, profiles, requests
from loadtest.gpu.bench import Bench, say
from loadtest.gpu.inherited import inherited
from loadtest.gpu.measuring import ask, serving
from loadtest.gpu.model_folders import ENSEMBLE, edit_configs, write_repository
from loadtest.gpu.profiles import Profile
from loadtest.gpu.variants import VARIANTS, Variant
from loadtest.gpu.variants_table import RATES, table
from loadtest.repository import REPOSITORY, RESULTS_FOLDER, SERVER_ENVIRONMENT
from tools.command import one_line_errors

RESULTS = RESULTS_FOLDER / "gpu_contexts.json"
ROWS = ("one_stream", *RATES)


def main(
    profile: Annotated[str, typer.Option(help="To vary.")] = "onnx-gpu",
    only: Annotated[
        list[str] | None, typer.Option(help=f"Variants: {', '.join(VARIANTS)}. All by default.")
    ] = None,
    quick: options.Quick = False,
    server_environment: options.ServerEnvironment = SERVER_ENVIRONMENT,
    onnx: options.Onnx = None,
    raw: options.Raw = REPOSITORY / "output" / "gpu_contexts",
    output: options.Output = RESULTS,
) -> None:
    """Measure each variant on a server of its own: half a minute each."""
    with one_line_errors():
        names = bench.chosen(only or [], [*VARIANTS], what="variant")
        (chosen,) = profiles.chosen([profile])
        with bench.opened(
            output,
            tool="loadtest.gpu.contexts",
            onnx=onnx,
            environment=server_environment,
            raw=raw,
            quick=quick,
        ) as (ready, figures):
            figures["profile"] = chosen.name
            figures["bare"] = engine.bare(
                ready.environment, ready.repository, chosen, ready.lengths
            )
            figures["variants"] = {}
            for name in names:
                figures["variants"][name] = measure(ready, chosen, name)
        typer.echo(table(figures))


def measure(ready: Bench, profile: Profile, name: str) -> dict[str, Any]:
    """Measure a variant.

    Args:
        ready: The bench of the ensemble as it is shipped.
        profile: That is varied.
        name: Of the variant.

    Returns:
        `setting`, in words; what `ask` returns by row, and on a GPU `memory_gb`, gigabytes that
        the server has taken after the work; or in place of these `words`, why there are none.

    Raises:
        RepositoryError: A configuration is not to be read.
        GpuError: nvidia-smi does not tell the memory.
        ResultError: The folder for what perf_analyzer writes cannot be made.
    """
    variant, repository = VARIANTS[name], ready.work / "variants" / name
    write_repository(repository, ready.network.path)
    edit_configs(repository, profile.name, variant.edits)
    own = dataclasses.replace(ready, repository=repository)
    try:
        return {"setting": variant.words, **_rows_and_memory(own, profile, name, variant)}
    # A setting that a machine does not take is a finding; the others go on.
    except (ServerError, ServerStartError) as error:
        say(f"{name}: {error}")
        return {"setting": variant.words, "words": str(error)}


def _rows_and_memory(own: Bench, profile: Profile, name: str, variant: Variant) -> dict[str, Any]:
    empty_gb = memory.settled_gb() if profile.on_gpu else 0.0
    awake = busy_poll_cores() if variant.awake else contextlib.nullcontext()
    server = serving(own, profile.name, share_gpu=variant.mps, options=variant.options)
    with inherited(variant.variables), server as target, awake:
        load_of = requests.loads(own.perf, target.url, ENSEMBLE, own.work)
        figures: dict[str, Any] = {row: ask(own, name, target, load_of, row) for row in ROWS}
        if profile.on_gpu:
            figures["memory_gb"] = round(memory.used_gb() - empty_gb, 3)
    return figures


if __name__ == "__main__":
    typer.run(main)
