from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import yolostream
from letterbox import letterbox
from needs import lacking
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from repository import ROOT, config, parameters

from tools import build_engine
from tools.engine import trtexec
from tools.engine.recipe import Recipe, read_recipe
from tools.engine.trtexec import IMAGE, IN_IMAGE
from tools.errors import EngineError, OnnxError, RepositoryError
from tools.exporting.half import to_fp16

SHIPPED = ROOT / "yolov7_fp16"
RECIPE = Recipe("0" * 64, (3, 640, 640), min_batch=1, opt_batch=8, max_batch=16)
# In pixels of a 640 x 640 input, where neighboring FP16 numbers differ by half a pixel.
CLOSE_PX = 0.05


def install(path: Path, script: Path | str) -> None:
    text = script.read_text() if isinstance(script, Path) else script
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)


@pytest.fixture
def no_tensorrt(tmp_path, monkeypatch):
    """Set PATH to an empty folder; return the folder."""
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setattr(trtexec, "IN_IMAGE", str(programs / "not-there"))
    return programs


@pytest.fixture
def stand_in(no_tensorrt):
    install(no_tensorrt / "trtexec", Path(__file__).with_name("stand_in_trtexec.py"))
    return no_tensorrt


@pytest.fixture
def model(tmp_path):
    """A copy of the shipped network's folder, in a repository of its own."""
    folder = tmp_path / "repository" / SHIPPED.name
    (folder / "1").mkdir(parents=True)
    shutil.copy(SHIPPED / "config.pbtxt", folder)
    shutil.copy(SHIPPED / "1" / "model.onnx", folder / "1")
    return folder


@pytest.fixture
def tool(model):
    def run(*arguments: str) -> int:
        try:
            build_engine.main(["yolov7", f"--repository={model.parent}", *arguments])
        except SystemExit as end:
            return end.code
        return 0

    return run


def plan_of(model: Path) -> Path:
    return model / "1" / "model.plan"


def sidecar_of(model: Path) -> Path:
    return model / "1" / "model.plan.json"


def contents(model: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (model / "1").iterdir()}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def run_network(network: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        network.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["output"], {"input": images})[0]


def test_the_shapes_of_a_plan_come_from_the_config():
    settings = config("yolov7_fp16")
    recipe = read_recipe(SHIPPED)
    assert recipe.dims == tuple(settings.input[0].dims)
    assert recipe.min_batch == 1
    assert recipe.opt_batch == max(settings.dynamic_batching.preferred_batch_size)
    assert recipe.max_batch == settings.max_batch_size
    assert (
        recipe.onnx_sha256
        == hashlib.sha256((SHIPPED / "1" / "model.onnx").read_bytes()).hexdigest()
    )


def test_without_preferred_sizes_the_plan_is_optimized_for_the_largest_batch(model):
    edit(model / "config.pbtxt", "preferred_batch_size: [ 4, 8, 16 ]", "")
    edit(model / "config.pbtxt", "max_batch_size: 16", "max_batch_size: 12")
    assert read_recipe(model).opt_batch == 12


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("dims: [ 3, 640, 640 ]", "dims: [ 3, 640, 320 ]", EngineError, "320"),
        ('name: "input"', 'name: "images"', EngineError, "images"),
        ("dims: [ 25200, 6 ]", "dims: [ 300, 6 ]", EngineError, "25200"),
        ("max_batch_size: 16", "max_batch_size: 0", EngineError, "max_batch_size"),
        ("max_batch_size: 16", "max_batch_size: many", RepositoryError, "config.pbtxt"),
    ],
)
def test_a_config_for_another_network_is_named(model, old, new, error, words):
    edit(model / "config.pbtxt", old, new)
    with pytest.raises(error, match=words):
        read_recipe(model)


def test_boxes_do_not_move_because_only_the_convolutions_are_fp16(demo_frames):
    exact = onnx.load(SHIPPED / "1" / "model.onnx")
    image = np.empty((1, 3, 640, 640), np.float32)
    letterbox(demo_frames("mb1_1", [40])[0], image[0])
    expected = run_network(exact, image)
    seen = expected[..., 4] > float(parameters("nms")["confidence_threshold"])
    assert seen.any()

    mixed = run_network(to_fp16(exact), image)
    off = np.abs(mixed - expected)[seen]
    assert off[:, :4].max() < CLOSE_PX
    assert off[:, 4].max() < 0.005
    assert not off[:, 5].any()
    assert off.any(), "nothing was computed in FP16"

    everything = convert_float_to_float16(exact, keep_io_types=True)
    assert np.abs(run_network(everything, image) - expected)[seen][:, :4].max() > CLOSE_PX


def test_the_graph_contains_the_types():
    graph = to_fp16(onnx.load(SHIPPED / "1" / "model.onnx"))
    typed = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in typed.value_info}
    produced = {node.op_type: {kinds.get(node.output[0])} for node in typed.node}
    assert produced["Conv"] == {TensorProto.FLOAT16}
    for after in ("Sigmoid", "Mul", "Add", "Sub", "ReduceMax"):
        assert produced[after] == {TensorProto.FLOAT}
    assert len(graph.opset_import) == 1


def test_a_network_without_convolutions_is_refused():
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 6])
        for name in ("input", "output")
    ]
    node = helper.make_node("Relu", ["input"], ["output"])
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    with pytest.raises(OnnxError, match="no convolution"):
        to_fp16(helper.make_model(graph))


def test_a_constant_may_be_used_before_and_after_the_last_convolutions():
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", 3, 8, 8])
        for name in ("input", "output")
    ]
    nodes = [
        helper.make_node("Reshape", ["input", "shape"], ["before"], name="before"),
        helper.make_node("Conv", ["before", "kernel"], ["after"], name="conv"),
        helper.make_node("Reshape", ["after", "shape"], ["output"], name="after"),
    ]
    constants = [
        numpy_helper.from_array(np.array([0, 3, 8, 8]), "shape"),
        numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "kernel"),
    ]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], constants)
    opset = [helper.make_opsetid("", 17)]
    network = helper.make_model(graph, opset_imports=opset, ir_version=8)
    image = np.ones((1, 3, 8, 8), np.float32)
    assert np.array_equal(run_network(to_fp16(network), image), run_network(network, image))


def test_a_network_that_was_exported_with_half_is_not_changed():
    graph = to_fp16(onnx.load(SHIPPED / "1" / "model.onnx"))
    assert to_fp16(graph) == graph


def test_trtexec_gets_exactly_these_arguments(tmp_path):
    arguments = trtexec.build_arguments(
        tmp_path / "a.onnx", tmp_path / "a.plan", tmp_path / "a.cache", RECIPE, workspace_gib=1.5
    )
    assert arguments == [
        f"--onnx={tmp_path}/a.onnx",
        f"--saveEngine={tmp_path}/a.plan",
        f"--timingCacheFile={tmp_path}/a.cache",
        "--minShapes=input:1x3x640x640",
        "--optShapes=input:8x3x640x640",
        "--maxShapes=input:16x3x640x640",
        "--stronglyTyped",
        "--memPoolSize=workspace:1536",
        "--iterations=1",
        "--duration=0",
        "--warmUp=0",
    ]
    assert trtexec.load_arguments(tmp_path / "a.plan", RECIPE) == [
        f"--loadEngine={tmp_path}/a.plan",
        "--shapes=input:16x3x640x640",
        *("--iterations=1", "--duration=0", "--warmUp=0"),
    ]


@pytest.mark.parametrize("image", [None, "example/triton:1"])
def test_without_a_local_trtexec_that_of_the_image_is_used(no_tensorrt, tmp_path, image):
    install(no_tensorrt / "docker", "")
    assert trtexec.command(tmp_path, image=image) == [
        *(f"{no_tensorrt}/docker", "run", "--rm", "--gpus", "all", "--init"),
        *("--user", f"{os.getuid()}:{os.getgid()}"),
        *("--mount", f"type=bind,source={tmp_path},target={tmp_path}"),
        *(image or IMAGE, trtexec.IN_IMAGE),
    ]


def test_a_local_trtexec_is_used_unless_an_image_is_named(stand_in, tmp_path):
    install(stand_in / "docker", "")
    assert trtexec.command(tmp_path, image=None) == [f"{stand_in}/trtexec"]
    assert trtexec.command(tmp_path, image="example/triton:1")[0] == f"{stand_in}/docker"


def test_the_sidecar_of_a_plan_records_how_it_was_built(stand_in, model, tool, capsys):
    assert tool() == 0
    assert sorted(contents(model)) == [
        *("model.onnx", "model.plan", "model.plan.cache", "model.plan.json")
    ]
    plan = plan_of(model).read_bytes()
    known = json.loads(sidecar_of(model).read_text())
    seconds, built_at = known.pop("build_seconds"), known.pop("built_at")
    assert known == {
        "recipe": {
            "onnx_sha256": hashlib.sha256((model / "1" / "model.onnx").read_bytes()).hexdigest(),
            "dims": [3, 640, 640],
            "min_batch": 1,
            "opt_batch": 16,
            "max_batch": 16,
            "precision": "FP16 up to the last convolutions, FP32 after them",
        },
        "machine": {"gpu": "NVIDIA H200", "compute_capability": "9.0", "tensorrt": "10.3.0"},
        "plan_bytes": len(plan),
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        "tool_version": yolostream.__version__,
    }
    assert 0 < seconds < 60
    assert datetime.datetime.fromisoformat(built_at).tzinfo == datetime.UTC
    out, err = capsys.readouterr()
    assert "NVIDIA H200 (compute 9.0), TensorRT 10.3.0" in out
    assert "[W] [TRT] a warning" in err


def test_a_plan_that_fits_is_not_built_again(stand_in, model, tool, capsys):
    tool()
    written = sidecar_of(model).stat().st_mtime_ns
    assert tool() == 0
    assert "fits: nothing to do" in capsys.readouterr().out
    assert tool("--check") == 0
    assert sidecar_of(model).stat().st_mtime_ns == written
    assert tool("--force") == 0
    assert sidecar_of(model).stat().st_mtime_ns > written


def another_gpu(model, monkeypatch):
    monkeypatch.setenv("STAND_IN_GPU", "NVIDIA A10")
    return "gpu: NVIDIA H200, now NVIDIA A10"


def another_tensorrt(model, monkeypatch):
    monkeypatch.setenv("STAND_IN_TENSORRT", "10.9.0")
    return "tensorrt: 10.3.0, now 10.9.0"


def another_network(model, monkeypatch):
    path = model / "1" / "model.onnx"
    network = onnx.load(path)
    network.doc_string = "another one"
    onnx.save(network, path)
    return "onnx_sha256: "


def another_batch(model, monkeypatch):
    edit(model / "config.pbtxt", "max_batch_size: 16", "max_batch_size: 32")
    return "max_batch: 16, now 32"


def a_crash_between_plan_and_sidecar(model, monkeypatch):
    plan_of(model).write_text("a newer plan")
    return "its SHA-256 is not the one in model.plan.json"


def a_damaged_sidecar(model, monkeypatch):
    sidecar_of(model).write_text('{"recipe": {}')
    return "missing or damaged"


def a_sidecar_of_another_version(model, monkeypatch):
    edit(sidecar_of(model), '"gpu"', '"card"')
    return "missing or damaged"


def a_missing_plan(model, monkeypatch):
    plan_of(model).unlink()
    return "not built yet"


@pytest.mark.parametrize(
    "change",
    [
        another_gpu,
        another_tensorrt,
        another_network,
        another_batch,
        a_crash_between_plan_and_sidecar,
        a_damaged_sidecar,
        a_sidecar_of_another_version,
        a_missing_plan,
    ],
)
def test_a_plan_that_does_not_fit_is_reported_and_built_again(
    stand_in, model, tool, monkeypatch, capsys, change
):
    tool()
    reason = change(model, monkeypatch)
    before = contents(model)
    capsys.readouterr()
    assert tool("--check") == EngineError.exit_code
    error = capsys.readouterr().err
    assert reason in error
    assert "python -m tools.build_engine yolov7" in error
    assert contents(model) == before

    assert tool() == 0
    assert reason in capsys.readouterr().err
    assert tool("--check") == 0


def test_a_plan_that_does_not_run_does_not_fit(stand_in, tool, monkeypatch, capsys):
    tool()
    monkeypatch.setenv("STAND_IN_FAILS", "")
    assert tool("--check") == EngineError.exit_code
    assert "[E] Inference set up failed" in capsys.readouterr().err


def test_the_duration_of_the_last_build_is_the_estimate_for_the_next_one(
    stand_in, model, tool, capsys
):
    tool()
    known = json.loads(sidecar_of(model).read_text())
    sidecar_of(model).write_text(json.dumps(known | {"build_seconds": 372.4}))
    capsys.readouterr()
    tool("--force")
    assert "of about 0:06:12" in capsys.readouterr().err


def test_the_timing_cache_is_kept_for_the_next_build(stand_in, model, tool, monkeypatch):
    tool()
    timings = model / "1" / "model.plan.cache"
    assert timings.read_text() == "10.3.0"
    # The fake refuses the cache of another TensorRT, as createTimingCache may.
    monkeypatch.setenv("STAND_IN_TENSORRT", "10.9.0")
    assert tool("--force") == 0
    assert timings.read_text() == "10.9.0"


PARSER = """[TRT] ModelImporter.cpp:949: While parsing node number 3 [Foo -> "/m/Foo_output_0"]:
In node 3 with name: /m/Foo and operator: Foo (parseNode): UNSUPPORTED_NODE"""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"STAND_IN_FAILS": PARSER}, ["/m/Foo_output_0", "name: /m/Foo"]),
        (
            {"STAND_IN_FAILS": "Error[1]: Error Code 1: Cuda Runtime (out of memory)"},
            ["--workspace-gib", "Cuda Runtime", "NVIDIA H200"],
        ),
        ({"STAND_IN_FAILS": "Unknown option: --stronglyTyped"}, ["use TensorRT 10 or newer"]),
        ({"STAND_IN_FORGETS": "1"}, ["wrote no plan"]),
        ({"STAND_IN_GPU": ""}, ["Cannot find any available devices", "nvidia-smi"]),
    ],
)
def test_a_failed_build_shows_the_reason_and_changes_no_file(
    stand_in, model, tool, monkeypatch, capsys, variables, words
):
    tool()
    before = contents(model)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert tool("--force") == EngineError.exit_code
    error = capsys.readouterr().err.partition("error: ")[2]
    assert all(text in error for text in words), error
    assert contents(model) == before


def test_a_plan_that_cannot_be_replaced_is_named(stand_in, model, tool, capsys):
    plan_of(model).mkdir()
    assert tool() == EngineError.exit_code
    assert f"cannot write {plan_of(model)}" in capsys.readouterr().err
    assert sorted(path.name for path in (model / "1").iterdir()) == ["model.onnx", "model.plan"]


def test_without_tensorrt_and_docker_the_error_names_what_to_install(no_tensorrt, tool, capsys):
    assert tool() == EngineError.exit_code
    error = capsys.readouterr().err
    assert IMAGE in error
    assert "NVIDIA Container Toolkit" in error


def test_a_trtexec_that_cannot_be_started_is_named(stand_in, tool, capsys):
    (stand_in / "trtexec").write_text("#!/no/such/interpreter\n")
    assert tool() == EngineError.exit_code
    assert str(stand_in / "trtexec") in capsys.readouterr().err


def test_a_missing_model_is_reported_with_the_fix(tool, model, capsys):
    shutil.rmtree(model)
    assert tool() == EngineError.exit_code
    assert "tools.install_model" in capsys.readouterr().err


def test_docker_builds_and_checks_in_the_mounted_folder(no_tensorrt, model, tool, capsys):
    install(no_tensorrt / "in-image", Path(__file__).with_name("stand_in_trtexec.py"))
    install(
        no_tensorrt / "docker",
        f"""
import os, sys
at = sys.argv.index({IMAGE!r})
folder = sys.argv[at - 1].rpartition("target=")[2]
files = [text.partition("=")[2] for text in sys.argv if text.startswith(("--onnx", "--load"))]
assert files and all(os.path.dirname(file) == folder for file in files), sys.argv
program = {str(no_tensorrt / "in-image")!r}
os.execv(program, [program, *sys.argv[at + 2 :]])
""",
    )
    assert tool() == 0
    assert plan_of(model).exists()
    assert tool("--check") == 0


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        ("could not select device driver '' with capabilities: [[gpu]]", "Container Toolkit"),
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "start Docker"),
    ],
)
def test_an_error_of_docker_is_shown_with_its_fix(no_tensorrt, model, tool, capsys, words, fix):
    install(no_tensorrt / "docker", f'import sys; sys.exit("docker: " + {words!r})')
    assert tool() == EngineError.exit_code
    error = capsys.readouterr().err.partition("error: ")[2]
    assert words in error
    assert fix in error
    assert list(contents(model)) == ["model.onnx"]


def test_ctrl_c_ends_trtexec_and_leaves_no_files(stand_in, model, tmp_path):
    hanging = tmp_path / "pid"
    tool = subprocess.Popen(
        [sys.executable, "-m", "tools.build_engine", f"--repository={model.parent}"],
        cwd=ROOT.parent,
        env={**os.environ, "STAND_IN_HANGS": str(hanging)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with tool:
        while not (hanging.exists() and hanging.read_text()):
            assert tool.poll() is None
            time.sleep(0.05)
        tool.send_signal(signal.SIGINT)
        _, log = tool.communicate(timeout=60)
    assert tool.returncode == 130
    assert "interrupted" in log
    assert not Path("/proc", hanging.read_text()).exists()
    assert list(contents(model)) == ["model.onnx"]


@pytest.fixture
def tensorrt():
    if shutil.which("trtexec") or shutil.which(IN_IMAGE):
        return
    lacking("trtexec", variable="REQUIRE_TENSORRT")


@pytest.mark.timeout(1800)
def test_tensorrt_builds_the_shipped_model(tensorrt, model, tool):
    assert tool() == 0
    assert tool("--check") == 0
    assert plan_of(model).stat().st_size > 1_000_000
