"""Installation of further detectors into the model repository, and serving them."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from clips import full_disk
from conftest import REPOSITORY
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper
from repository import PROFILES, ROOT
from running import poll
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.grpc.model_config_pb2 import ModelConfig
from yolostream import Detector
from yolostream.server import embedded

from tools.errors import LabelsError, OnnxError, RepositoryError
from tools.install_model import install, main

SHIPPED = ("nms", "preprocess", "yolov7", "yolov7_fp16")
SHIPPED_ONNX = ROOT / "yolov7_fp16" / "1" / "model.onnx"
CELL = 32
SIDES = ("left", "right")
TAIL_ROWS = 1200
CLIP = "mb1_1"


def copy_of_the_repository(folder):
    for name in SHIPPED:
        unserved = shutil.ignore_patterns("__pycache__", "*.plan", "*.plan.json")
        shutil.copytree(ROOT / name, folder / name, ignore=unserved)
    return folder


@pytest.fixture
def repository(tmp_path):
    return copy_of_the_repository(tmp_path / "models")


def cells_onnx(
    path,
    *,
    height=320,
    width=320,
    names=SIDES,
    rows=None,
    batch=0,
    divisor=1.0,
    class_offset=0.0,
):
    """A detector that finds bright cells of 32x32 pixels; class 1 is the right half of the input.

    `rows` is the declared number of rows, `batch` the computed batch size (0: that of the input).
    """
    across, down = width // CELL, height // CELL
    left, top = np.meshgrid(np.arange(across), np.arange(down))
    corners = np.stack([left, top, left + 1, top + 1], axis=-1).reshape(1, -1, 4) * CELL
    sides = (left >= across / 2).reshape(1, -1, 1) + class_offset
    cells = corners.shape[1]
    constants = {
        "corners": corners.astype(np.float32),
        "sides": sides.astype(np.float32),
        "column": np.array([batch, cells, 1], np.int64),
        "zero": np.float32(0),
        "divisor": np.float32(divisor),
    }
    pooling = {"kernel_shape": [CELL, CELL], "strides": [CELL, CELL]}
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pooled"], **pooling),
        helper.make_node("ReduceMean", ["pooled"], ["mean"], axes=[1]),
        helper.make_node("Div", ["mean", "divisor"], ["divided"]),
        # Cells must be brighter than the gray of the letterbox.
        helper.make_node("ThresholdedRelu", ["divided"], ["bright"], alpha=0.5),
        helper.make_node("Reshape", ["bright", "column"], ["brightness"]),
        helper.make_node("Mul", ["brightness", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "corners"], ["boxes"]),
        helper.make_node("Add", ["nothing", "sides"], ["classes"]),
        helper.make_node("Concat", ["boxes", "brightness", "classes"], ["output"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, height, width])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", rows or cells, 6])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    if names:
        helper.set_model_props(model, {"names": json.dumps(names)})
    onnx.save(model, path)
    return path


def tail_onnx(path):
    """Write the shipped detector with only the rows of its coarsest grid."""
    model = onnx.load(SHIPPED_ONNX)
    for node in model.graph.node:
        node.output[:] = ["all_rows" if name == "output" else name for name in node.output]
    bounds = {"starts": [-TAIL_ROWS], "ends": [np.iinfo(np.int64).max], "axes": [1]}
    for name, value in bounds.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    model.graph.node.append(helper.make_node("Slice", ["all_rows", *bounds], ["output"]))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = TAIL_ROWS
    onnx.save(model, path)
    return path


def retrained_onnx(path):
    """Write the shipped detector as a different file."""
    model = onnx.load(SHIPPED_ONNX)
    model.producer_name = "another training"
    onnx.save(model, path)
    return path


@pytest.fixture
def cells(tmp_path):
    return cells_onnx(tmp_path / "cells.onnx")


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def times(folder):
    return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in [folder, *folder.rglob("*")]}


def config(repository, model, profile=None):
    path = repository / model / f"configs/{profile}.pbtxt"
    if not path.exists():
        path = repository / model / "config.pbtxt"
    return text_format.Parse(path.read_text(), ModelConfig())


# Files


@pytest.mark.parametrize("profile", PROFILES)
def test_the_config_of_a_network_differs_from_the_shipped_one_only_in_names_and_sizes(
    repository, cells, profile
):
    install(cells, "cells", repository=repository)

    network = config(repository, "cells_fp16", profile)
    assert network.name == "cells_fp16"
    assert list(network.input[0].dims) == [3, 320, 320]
    assert list(network.output[0].dims) == [100, 6]
    shipped = config(repository, "yolov7_fp16", profile)
    assert [list(w.inputs["input"].dims) for w in network.model_warmup] == [[3, 320, 320]] * len(
        shipped.model_warmup
    )
    network.name = shipped.name
    network.input[0].dims[:] = shipped.input[0].dims
    network.output[0].dims[:] = shipped.output[0].dims
    for warmup in network.model_warmup:
        warmup.inputs["input"].dims[:] = shipped.input[0].dims
    assert network == shipped


@pytest.mark.parametrize("profile", PROFILES)
def test_the_config_of_a_preprocess_stage_differs_from_the_shipped_one_only_in_its_size(
    repository, cells, profile
):
    install(cells, "cells", repository=repository)

    stage, shipped = (config(repository, m, profile) for m in ("preprocess_320", "preprocess"))
    assert list(stage.output[0].dims) == [3, 320, 320]
    stage.name = shipped.name
    stage.output[0].dims[:] = shipped.output[0].dims
    assert stage == shipped


def test_an_ensemble_differs_from_the_shipped_one_only_in_its_name_and_steps(repository, cells):
    install(cells, "cells", repository=repository)

    ensemble, shipped = config(repository, "cells"), config(repository, "yolov7")
    steps = [step.model_name for step in ensemble.ensemble_scheduling.step]
    assert steps == ["preprocess_320", "cells_fp16", "nms"]
    ensemble.name = shipped.name
    for step, shipped_step in zip(
        ensemble.ensemble_scheduling.step, shipped.ensemble_scheduling.step, strict=True
    ):
        step.model_name = shipped_step.model_name
    assert ensemble == shipped


def test_every_config_names_the_tool_and_the_source(repository, cells):
    install(cells, "cells", repository=repository)

    for model, source in (
        ("cells", "yolov7"),
        ("cells_fp16", "yolov7_fp16"),
        ("preprocess_320", "preprocess"),
    ):
        for path in (repository / model).rglob("*.pbtxt"):
            first, *_ = path.read_text().splitlines()
            assert first.startswith("#")
            assert "tools.install_model" in first
            assert str(Path(source) / path.relative_to(repository / model)) in first


def test_code_and_model_are_copied_and_labels_are_those_of_the_model(repository, cells):
    install(cells, "cells", repository=repository)

    written = contents(repository)
    assert written[Path("cells_fp16/1/model.onnx")] == cells.read_bytes()
    assert written[Path("cells/labels.txt")] == b"left\nright\n"
    for copy, source in (("cells_fp16", "yolov7_fp16"), ("preprocess_320", "preprocess")):
        version = ROOT / source / "1"
        code_files = [path for path in version.rglob("*") if path.suffix in (".py", ".cu")]
        for code in code_files:
            assert written[Path(copy, "1", code.relative_to(version))] == code.read_bytes()
        assert len(code_files) > len(list(version.glob("*.py")))
    assert (repository / "cells" / "1").is_dir(), (
        "Triton needs a version folder, which Git does not store if it is empty"
    )


def test_a_model_of_the_shipped_size_shares_preprocess(repository, tmp_path):
    install(cells_onnx(tmp_path / "m.onnx", height=640, width=640), "m", repository=repository)
    assert {p.name for p in repository.iterdir()} == {*SHIPPED, "m", "m_fp16"}


def test_models_of_one_size_share_their_preprocess_stage(repository, cells):
    install(cells, "first", repository=repository)
    before = times(repository / "preprocess_320")

    _, changes, _ = install(cells, "second", repository=repository)

    assert {change.path.parts[0] for change in changes} == {"second", "second_fp16"}
    assert times(repository / "preprocess_320") == before


def test_a_second_run_changes_neither_files_nor_times(repository, cells, capsys):
    command = [str(cells), "cells", "--repository", str(repository)]
    main(command)
    assert "installed cells" in capsys.readouterr().out
    before = times(repository)

    main(command)

    assert "up to date" in capsys.readouterr().out
    assert times(repository) == before


def test_a_dry_run_prints_the_changes_of_a_real_run_and_makes_none(repository, cells, capsys):
    before = times(repository)
    command = [str(cells), "cells", "--repository", str(repository)]

    main([*command, "--dry-run"])

    assert times(repository) == before
    plan = [line for line in capsys.readouterr().out.splitlines() if line.startswith(" ")]
    shipped = set(contents(repository))
    main(command)
    done = capsys.readouterr().out
    assert [line for line in done.splitlines() if line.startswith(" ")] == plan
    assert {Path(line.split()[-1]) for line in plan} == set(contents(repository)) - shipped
    assert f"yolostream detect VIDEO --model cells --model-repository {repository}" in done


def test_installed_models_are_ignored_by_git(tmp_path, repository, cells):
    def git(*arguments):
        command = ["git", "-C", tmp_path, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    git("init")
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    repository.rename(tmp_path / "model_repository")
    git("add", "model_repository")
    before = git("status", "--porcelain", "model_repository")
    assert all(name in before for name in SHIPPED)

    install(cells, "cells", repository=tmp_path / "model_repository")

    assert git("status", "--porcelain", "model_repository") == before


# Replacement


def test_a_new_model_replaces_the_one_with_its_name(repository, tmp_path, cells):
    install(cells, "cells", repository=repository)
    larger = cells_onnx(tmp_path / "larger.onnx", height=640, width=640, names=("l", "r"))

    install(larger, "cells", repository=repository)

    assert list(config(repository, "cells_fp16", "cpu").output[0].dims) == [400, 6]
    assert (repository / "cells" / "labels.txt").read_text() == "l\nr\n"
    steps = config(repository, "cells").ensemble_scheduling.step
    assert steps[0].model_name == "preprocess"


def test_replacing_the_shipped_model_does_not_change_its_configs(repository, tmp_path):
    before = contents(repository)
    retrained = retrained_onnx(tmp_path / "retrained.onnx")

    install(retrained, "yolov7", repository=repository)

    after = contents(repository)
    assert after.pop(Path("yolov7_fp16/1/model.onnx")) == retrained.read_bytes()
    assert before.pop(Path("yolov7_fp16/1/model.onnx")) != retrained.read_bytes()
    assert after == before


def test_a_plan_is_removed_when_its_onnx_file_is_replaced(repository, tmp_path, capsys):
    version = repository / "yolov7_fp16" / "1"
    plans = [version / "model.plan", version / "model.plan.json"]
    for plan in plans:
        plan.write_text("built from the shipped one")
    main([str(SHIPPED_ONNX), "yolov7", "--repository", str(repository)])
    assert all(plan.exists() for plan in plans), "the ONNX file is the same"
    capsys.readouterr()

    retrained = retrained_onnx(tmp_path / "retrained.onnx")
    main([str(retrained), "yolov7", "--repository", str(repository)])

    assert not any(plan.exists() for plan in plans)
    output = capsys.readouterr().out
    assert all(f"remove   {plan.relative_to(repository)}" in output for plan in plans)


# Errors, which must not change the repository


@pytest.fixture
def refused(repository):
    def check(path, name, *, error=RepositoryError, match, **options):
        before = times(repository), contents(repository)
        with pytest.raises(error, match=match):
            install(path, name, repository=repository, **options)
        assert (times(repository), contents(repository)) == before

    return check


@pytest.mark.parametrize(
    "name",
    [
        *("", "9lives", "_a", "-a", "a b", "a/b", "../a", "é", "a\n"),
        *("yolo_fp16", "nms", "preprocess", "preprocess_320", "yolov7_evaluation"),
    ],
)
def test_an_invalid_name_is_refused(refused, cells, name):
    refused(cells, name, match=f"^'{name}'")


def test_the_shipped_name_keeps_the_shipped_sizes(refused, cells):
    refused(cells, "yolov7", match=r"yolov7_fp16.*25200, 6.*100, 6.*another NAME")


def test_a_folder_that_the_tool_did_not_write_is_not_overwritten(refused, repository, cells):
    (repository / "mine").mkdir()
    (repository / "mine" / "config.pbtxt").write_text('name: "mine" backend: "python"')
    refused(cells, "mine", match="mine/config.pbtxt was written by hand")


def test_an_nms_for_another_number_of_rows_is_an_error(refused, repository, cells):
    path = repository / "nms" / "configs" / "cpu.pbtxt"
    path.write_text(path.read_text().replace("[ -1, 6 ]", "[ 25200, 6 ]"))
    refused(cells, "cells", match=r"'output' of .*cpu.pbtxt takes \[25200, 6\].*\[100, 6\]")


def test_a_repository_without_the_shipped_folders_is_named(refused, repository, cells):
    shutil.rmtree(repository / "yolov7")
    refused(cells, "cells", match=r"cannot read .*yolov7/config\.pbtxt")


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"divisor": 0.0}, "not finite"),
        ({"batch": 1}, "on one picture and on a batch of two"),
        ({"rows": 101}, "101"),
        ({"class_offset": 1.0}, "class 2, but there are only 2 names"),
        ({"class_offset": 0.5}, "instead of class ids"),
        ({"class_offset": -1.0}, "instead of class ids"),
    ],
)
def test_a_model_whose_outputs_contradict_its_declaration_is_refused(
    refused, tmp_path, wrong, match
):
    refused(cells_onnx(tmp_path / "m.onnx", **wrong), "m", error=OnnxError, match=match)


def test_a_file_that_is_no_model_is_refused(refused, tmp_path):
    (tmp_path / "m.onnx").write_text("no model")
    refused(tmp_path / "m.onnx", "m", error=OnnxError, match="m.onnx")


def test_a_model_without_its_external_data_is_refused(refused, tmp_path, cells):
    outside = {"save_as_external_data": True, "location": "weights.data", "size_threshold": 0}
    onnx.save(onnx.load(cells), tmp_path / "m.onnx", **outside)
    (tmp_path / "weights.data").unlink()
    refused(tmp_path / "m.onnx", "m", error=OnnxError, match=r"a second file 'weights\.data'")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"left\n", "1 names.* 2 classes"),
        (b"left\nright\nthird\n", "3 names.* 2 classes"),
        (b"left\n\n", "1 names"),
        (b"", "no class names"),
        (b"\nright\n", "name 1 of .* is empty"),
        (b"left\nleft\n", "names 1 and 2 .* 'left'"),
        (b"left\nr\xe9\n", "UTF-8"),
        (b"left\nri\x07ght\n", "remove control characters"),
    ],
)
def test_invalid_labels_are_refused(refused, tmp_path, cells, text, match):
    labels = tmp_path / "labels.txt"
    labels.write_bytes(text)
    refused(cells, "cells", labels=labels, error=LabelsError, match=match)


def test_a_model_without_labels_is_refused(refused, tmp_path):
    nameless = cells_onnx(tmp_path / "m.onnx", names=())
    refused(nameless, "m", error=LabelsError, match="--labels")
    (tmp_path / "empty.txt").touch()
    refused(nameless, "m", labels=tmp_path / "empty.txt", error=LabelsError, match="no class names")
    refused(
        nameless, "m", labels=tmp_path / "missing.txt", error=LabelsError, match=r"missing\.txt"
    )


def test_fewer_labels_than_classes_in_the_answers_are_refused(refused, tmp_path):
    labels = tmp_path / "labels.txt"
    labels.write_text("left\n")
    nameless = cells_onnx(tmp_path / "m.onnx", names=())
    refused(nameless, "m", labels=labels, error=OnnxError, match="class 1.* only 1 names")


def test_more_labels_than_a_client_can_read_are_refused(refused, repository, tmp_path):
    (most,) = (o.dims[0] for o in config(repository, "yolov7").output if o.label_filename)
    names = [f"class {number}" for number in range(most + 1)]
    many = cells_onnx(tmp_path / "m.onnx", names=names)
    refused(many, "m", error=LabelsError, match=f"{most + 1} names.*{most}")


def test_labels_with_the_line_ends_and_encoding_of_windows_are_read(repository, tmp_path, cells):
    labels = tmp_path / "labels.txt"
    labels.write_bytes(b"\xef\xbb\xbflinks \r\nrechts\r\n\r\n")
    install(cells, "cells", labels=labels, repository=repository)
    assert (repository / "cells" / "labels.txt").read_bytes() == b"links\nrechts\n"


@pytest.mark.parametrize(
    "text", ["names: [links, 'rechts, da']", "names:\n  0: links\n  1: rechts, da"]
)
def test_labels_may_come_from_the_description_of_the_training_data(
    repository, tmp_path, cells, text
):
    labels = tmp_path / "data.yaml"
    labels.write_text(f"path: ../street\ntrain: images\nnc: 2\n{text}\n")
    install(cells, "cells", labels=labels, repository=repository)
    assert (repository / "cells" / "labels.txt").read_text() == "links\nrechts, da\n"


@pytest.mark.parametrize("text", ["nc: 2", "links", "names: 2", "names: {1: a, 2: b}", "names: [a"])
def test_a_description_without_names_is_refused(refused, tmp_path, cells, text):
    labels = tmp_path / "data.yml"
    labels.write_text(text)
    refused(cells, "cells", labels=labels, error=LabelsError, match="has no 'names', a list or")


@pytest.mark.parametrize("name", ["new", "yolov7"])
def test_a_full_disk_does_not_change_the_repository(repository, tmp_path, name):
    before = contents(repository)
    retrained = retrained_onnx(tmp_path / "retrained.onnx")
    with (
        full_disk(retrained.stat().st_size // 2),
        pytest.raises(RepositoryError, match="cannot change"),
    ):
        install(retrained, name, repository=repository)
    assert contents(repository) == before
    assert {p.name for p in repository.iterdir()} == set(SHIPPED)


def test_a_read_only_repository_is_named(cells):
    # The user that this test switches to cannot access the folders of pytest.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        repository = copy_of_the_repository(Path(folder, "models"))
        model = shutil.copy(cells, folder)
        for path in repository.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        user = os.geteuid()
        if user == 0:  # Root can write to read-only folders.
            os.seteuid(65534)
        try:
            before = times(repository)
            with pytest.raises(RepositoryError, match=f"cannot change {repository}"):
                install(Path(model), "cells", repository=repository)
            assert times(repository) == before
        finally:
            os.seteuid(user)
            for path in repository.rglob("*"):
                path.chmod(0o755)


@pytest.mark.parametrize("name", ["yolov7", "new"])
@pytest.mark.parametrize("cause", [OSError(errno.EIO, "the disk went away"), KeyboardInterrupt()])
def test_a_failure_of_any_step_leaves_the_old_model_complete(
    repository, tmp_path, cells, monkeypatch, name, cause
):
    version = repository / "yolov7_fp16" / "1"
    (version / "model.plan").write_text("built from the shipped one")
    before, folders = contents(repository), set(repository.rglob("*/"))
    model = cells if name == "new" else retrained_onnx(tmp_path / "retrained.onnx")
    labels = tmp_path / "labels.txt"
    count = 2 if name == "new" else 80
    labels.write_text("".join(f"thing {number}\n" for number in range(count)))

    move = os.replace
    for step in itertools.count():
        calls = itertools.count()

        def move_or_fail(source, target, calls=calls, step=step):
            if next(calls) == step:
                raise cause
            move(source, target)

        monkeypatch.setattr(os, "replace", move_or_fail)
        try:
            install(model, name, labels=labels, repository=repository)
        except (RepositoryError, KeyboardInterrupt):
            assert contents(repository) == before, step
            assert set(repository.rglob("*/")) == folders, step
        else:
            break
    assert step > 1, "several steps have failed"
    assert (repository / f"{name}_fp16" / "1" / "model.onnx").read_bytes() == model.read_bytes()


def test_a_killed_installation_leaves_no_folder_that_triton_loads(repository):
    leftover = repository / "preprocess" / ".install-killed" / "new" / "half"
    leftover.mkdir(parents=True)
    (leftover / "config.pbtxt").write_text("half")
    environment = REPOSITORY / ".venv-server"
    with (
        embedded.serve(
            repository, environment=environment, profile="cpu", stop_timeout_s=0
        ) as server,
        Detector(server.url) as detector,
    ):
        assert detector.labels


@pytest.mark.parametrize(
    ("name", "code"),
    [("nms", RepositoryError.exit_code), ("fine", OnnxError.exit_code)],
)
def test_errors_have_one_line_and_an_exit_code(repository, tmp_path, capsys, name, code):
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "none.onnx"), name, "--repository", str(repository)])
    assert ended.value.code == code
    output = capsys.readouterr()
    assert not output.out
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1


# Serving


@pytest.fixture(scope="module")
def repository_of_four(tmp_path_factory):
    folder = tmp_path_factory.mktemp("four")
    repository = copy_of_the_repository(folder / "models")
    install(tail_onnx(folder / "tail.onnx"), "tail", repository=repository)
    install(cells_onnx(folder / "cells.onnx"), "cells", repository=repository)
    wide = cells_onnx(folder / "wide.onnx", height=192, width=320)
    install(wide, "wide", repository=repository)
    return repository


@pytest.fixture(scope="module")
def four_detectors(repository_of_four):
    """A server of `yolov7`, `tail` with fewer rows, `cells` at 320x320 and `wide` at 192x320."""
    environment = REPOSITORY / ".venv-server"
    with embedded.serve(
        repository_of_four, environment=environment, profile="cpu", stop_timeout_s=0
    ) as server:
        yield server


def block(height, width, *, x1, y1, x2, y2):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[y1:y2, x1:x2] = 255
    return frame


@pytest.mark.parametrize(
    ("model", "size", "stage", "frame_size", "box", "name"),
    [
        ("cells", (320, 320), "preprocess_320", (320, 320), (96, 160, 128, 192), "left"),
        ("cells", (320, 320), "preprocess_320", (640, 640), (576, 64, 640, 128), "right"),
        ("wide", (192, 320), "preprocess_192x320", (192, 320), (96, 160, 128, 192), "left"),
        ("wide", (192, 320), "preprocess_192x320", (384, 640), (576, 64, 640, 128), "right"),
        # The frame has the height of the input, with a padding of 96 pixels on both sides.
        ("wide", (192, 320), "preprocess_192x320", (192, 128), (32, 64, 64, 96), "left"),
    ],
)
def test_other_input_sizes_give_boxes_in_pixels_of_the_frame(
    four_detectors, model, size, stage, frame_size, box, name
):
    frame = block(*frame_size, **dict(zip(("x1", "y1", "x2", "y2"), box, strict=True)))
    for downscale in (True, False):
        with Detector(four_detectors.url, model, downscale=downscale) as detector:
            assert detector.labels == SIDES
            assert detector.model.input_size == size
            assert detector.model.steps == (stage, f"{model}_fp16", "nms")
            found = detector.detect(frame)
            np.testing.assert_allclose(found.boxes, [box], atol=1e-3)
            np.testing.assert_allclose(found.scores, [1.0], atol=1e-5)
            assert found.names == [name]


def test_detectors_with_different_numbers_of_rows_work_concurrently(four_detectors, demo_frames):
    frames = demo_frames(CLIP, range(0, 240, 30))
    models = ("yolov7", "tail", "yolov7", "tail", "cells")
    with contextlib.ExitStack() as stack:
        detectors = {
            name: stack.enter_context(Detector(four_detectors.url, name)) for name in set(models)
        }
        alone = {name: [d.detect(frame) for frame in frames] for name, d in detectors.items()}
        together = threading.Barrier(len(models))

        def run(name):
            together.wait()
            return [detectors[name].detect(frame) for frame in frames]

        with ThreadPoolExecutor(len(models)) as pool:
            answers = list(pool.map(run, models))

    counts = {name: [len(found.scores) for found in alone[name]] for name in alone}
    assert counts["tail"] != counts["yolov7"], "fewer rows must give fewer objects"
    assert sum(counts["tail"]) > 0
    for name, answer in zip(models, answers, strict=True):
        for got, expected in zip(answer, alone[name], strict=True):
            np.testing.assert_allclose(got.boxes, expected.boxes, atol=1e-2)
            np.testing.assert_allclose(got.scores, expected.scores, atol=2e-5)
            assert got.names == expected.names


def test_nms_batches_requests_with_different_numbers_of_rows(four_detectors):
    rng = np.random.default_rng(0)
    requests = [
        boxes_of(rng, batch=1 + number % 2, rows=rows)
        for number, rows in enumerate([25200] * 3 + [8400] * 3 + [100] * 3 + [8400, 25200] * 3)
    ]
    # This request keeps the stage busy, so that the others wait in its queue.
    blocker = boxes_of(rng, batch=16, rows=25200)
    with InferenceServerClient(four_detectors.url) as client:
        alone = [answer_of(client.infer("nms", nms_inputs(r))) for r in requests]
        assert all((answer["num_detections"] > 0).all() for answer in alone)
        answers = [None] * len(requests)
        done = threading.Semaphore(0)

        def keep(number):
            def callback(result, error):
                answers[number] = error or answer_of(result)
                done.release()

            return callback

        def are_batched():
            before = executions(client)
            client.async_infer("nms", nms_inputs(blocker), lambda result, error: done.release())
            for number, request in enumerate(requests):
                client.async_infer("nms", nms_inputs(request), keep(number))
            for _ in [blocker, *requests]:
                assert done.acquire(timeout=60)
            return executions(client) - before < 1 + len(requests)

        # On a busy machine, the requests may still arrive one by one.
        poll(are_batched, what="requests that meet in the queue")

    for got, expected in zip(answers, alone, strict=True):
        assert isinstance(got, dict), got
        for name, value in expected.items():
            np.testing.assert_array_equal(got[name], value, err_msg=name)


def boxes_of(rng, *, batch, rows):
    corners = rng.uniform(0, 600, (batch, rows, 2))
    sides = rng.uniform(5, 40, (batch, rows, 2))
    scores = rng.uniform(0, 1, (batch, rows, 1))
    classes = rng.integers(0, 80, (batch, rows, 1))
    return np.concatenate([corners, corners + sides, scores, classes], axis=2).astype(np.float32)


def nms_inputs(output):
    place = np.tile(np.array([0, 140, 640, 360, 1, 2], np.float32), (len(output), 1))
    tensors = []
    for name, values in (("output", output), ("letterbox", place)):
        tensors.append(InferInput(name, list(values.shape), "FP32"))
        tensors[-1].set_data_from_numpy(values)
    return tensors


def answer_of(result):
    return {o.name: result.as_numpy(o.name) for o in result.get_response().outputs}


def executions(client):
    return client.get_inference_statistics("nms").model_stats[0].execution_count


def test_detect_uses_an_installed_model_by_its_name(repository_of_four, tmp_path, yolostream_cli):
    finished = yolostream_cli(
        *("detect", REPOSITORY / "videos" / f"{CLIP}.mp4", "--model", "tail", "--limit", 4),
        *("--model-repository", repository_of_four, "--profile", "cpu"),
        *("--save", "jsonl", "--output", tmp_path),
    )
    assert finished.returncode == 0, finished.stderr
    lines = [json.loads(line) for line in (tmp_path / f"{CLIP}.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    names = set((REPOSITORY / "model_repository/yolov7/labels.txt").read_text().splitlines())
    found = [thing for line in lines for thing in line["detections"]]
    assert found
    assert {thing["class"] for thing in found} <= names
