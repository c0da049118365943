"""Model files of users: files that ONNX Runtime can run are accepted, others are identified."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
from test_layouts import exported, in_a_branch, named, noise, run, ultralytics

from tools import export_onnx, install_model
from tools.errors import CheckpointError, ExportError, OnnxError
from tools.model_folders.files import REPOSITORY
from tools.onnx_file import content_of, load_onnx
from tools.yolo_layouts import served


@pytest.fixture
def model(tmp_path):
    """The file of a YOLOv8 with random weights."""
    path = tmp_path / "best.onnx"
    onnx.save(exported("v8"), path)
    return path


def export(source, target):
    export_onnx.main([str(source), str(target)])
    return onnx.load(target)


def refusal(tool, capsys, *arguments):
    """The only line of an error, and its exit code."""
    with pytest.raises(SystemExit) as end:
        tool.main([*map(str, arguments)])
    output = capsys.readouterr()
    assert not output.out
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    return output.err, end.value.code


# Files that ONNX Runtime can run


def backwards(model):
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    return model


@pytest.mark.parametrize("kind", ["v5", "v8"])
@pytest.mark.parametrize("branch", [False, True])
def test_nodes_in_any_order_are_sorted(kind, branch, tmp_path):
    # microsoft/onnxconverter-common#240: a converter to float16 appends its casts.
    plain = exported(kind)
    if kind == "v5":
        ultralytics(plain, names=named(5))
    if branch:
        in_a_branch(plain)
        for attribute in plain.graph.node[-1].attribute:
            nodes = list(attribute.g.node)
            del attribute.g.node[:]
            attribute.g.node.extend(reversed(nodes))
    onnx.save(backwards(plain), tmp_path / "best.onnx")
    result = export(tmp_path / "best.onnx", tmp_path / "served.onnx")
    expected = run(served(exported(kind), source=""), noise(2))
    np.testing.assert_array_equal(run(result, noise(2)), expected)


def test_sorted_nodes_are_not_changed(model):
    assert load_onnx(model).graph.node == onnx.load(model).graph.node
    assert content_of(model) == model.read_bytes()


def test_cyclic_nodes_are_refused(tmp_path, capsys):
    broken = exported("v8")
    broken.graph.node[0].input[0] = "boxes"
    onnx.save(broken, tmp_path / "best.onnx")
    message, code = refusal(export_onnx, capsys, tmp_path / "best.onnx", tmp_path / "o.onnx")
    assert "is not an ONNX model, or is damaged" in message
    assert code == OnnxError.exit_code


def test_external_weights_are_found_in_the_folder_of_the_model(tmp_path, monkeypatch):
    # microsoft/onnxruntime#6696: ONNX Runtime searches the current folder.
    folder = tmp_path / "models"
    folder.mkdir()
    outside = {"save_as_external_data": True, "location": "best.onnx.data", "size_threshold": 0}
    onnx.save(exported("v8"), folder / "best.onnx", **outside)
    monkeypatch.chdir(tmp_path)
    for path in (Path("models/best.onnx"), folder / "best.onnx"):
        result = export(path, tmp_path / "served.onnx")
        expected = run(served(exported("v8"), source=""), noise(2))
        np.testing.assert_array_equal(run(result, noise(2)), expected)


def test_missing_external_weights_are_named(tmp_path, capsys):
    outside = {"save_as_external_data": True, "location": "best.onnx.data", "size_threshold": 0}
    onnx.save(exported("v8"), tmp_path / "best.onnx", **outside)
    (tmp_path / "best.onnx.data").unlink()
    message, _ = refusal(export_onnx, capsys, tmp_path / "best.onnx", tmp_path / "o.onnx")
    assert "its weights in a second file 'best.onnx.data', which is not in the same" in message


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd"])
def test_external_weights_are_not_read_from_other_folders(location, tmp_path, capsys):
    (tmp_path / "secret").write_bytes(bytes(1 << 16))
    folder = tmp_path / "models"
    folder.mkdir()
    outside = {"save_as_external_data": True, "location": "data", "size_threshold": 0}
    onnx.save(exported("v8"), folder / "best.onnx", **outside)
    model = onnx.load(folder / "best.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "best.onnx").write_bytes(model.SerializeToString())
    message, code = refusal(export_onnx, capsys, folder / "best.onnx", tmp_path / "o.onnx")
    assert code == OnnxError.exit_code
    assert "best.onnx" in message


def test_a_newer_ir_version_is_supported(tmp_path):
    # microsoft/onnxruntime#23602: "Unsupported model IR version".
    newer = exported("v8")
    newer.ir_version = onnx.IR_VERSION + 7
    (tmp_path / "best.onnx").write_bytes(newer.SerializeToString())
    result = export(tmp_path / "best.onnx", tmp_path / "served.onnx")
    expected = run(served(exported("v8"), source=""), noise(2))
    np.testing.assert_array_equal(run(result, noise(2)), expected)


class Pictures(CalibrationDataReader):
    def __init__(self, size):
        self.left = [{"images": noise(2, size)} for _ in range(4)]

    def get_next(self):
        return self.left.pop() if self.left else None


@pytest.mark.parametrize("format_", [QuantFormat.QDQ, QuantFormat.QOperator])
@pytest.mark.parametrize(
    ("side", "what"),
    [
        (128, "have one of 2 scores: its last nodes are quantized"),
        (320, "last nodes are quantized"),
        (640, "have the score 0: its last nodes are quantized"),
    ],
)
def test_scores_that_quantization_has_rounded_to_one_value_are_reported(
    side, what, format_, tmp_path, capsys
):
    # meituan/YOLOv6#969: all scores are 0. ultralytics/ultralytics#1695: all are 0 or 1.32.
    paths = [tmp_path / name for name in ("best.onnx", "int8.onnx", "served.onnx")]
    onnx.save(exported("v8", size=(side, side)), paths[0])
    quantize_static(*paths[:2], Pictures((side, side)), quant_format=format_)
    with contextlib.suppress(SystemExit):
        export_onnx.main([*map(str, paths[1:])])
    output = capsys.readouterr().err
    assert what in output


def test_there_is_no_warning_about_different_scores(model, tmp_path, capsys):
    export(model, tmp_path / "served.onnx")
    assert "warning" not in capsys.readouterr().err


# Files that are no ONNX model


def archive(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, "content")
    return content.getvalue()


def tar(name):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        file.addfile(tarfile.TarInfo(name))
    return content.getvalue()


def safetensors():
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(4)


def ultralytics_engine():
    header = json.dumps({"task": "detect", "stride": 32}).encode()
    return len(header).to_bytes(4, "little") + header + b"ptrt" + bytes(100)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
PAGE = b"\n<!DOCTYPE html>\n<html><head></head></html>"
FILES = {
    # microsoft/onnxruntime-genai#684
    "a Git LFS pointer": (POINTER, "a Git LFS pointer: 'git lfs pull'"),
    "a page": (PAGE, "an HTML page: fetch the file that the page offers"),
    "nothing": (b"", "empty: fetch or export it again"),
    "an engine": (b"ptrt" + bytes(100), "a TensorRT engine, which fits one GPU"),
    "Ultralytics' engine": (ultralytics_engine(), "a TensorRT engine, which fits one GPU"),
    "TensorFlow Lite": (b"\x1c\0\0\0TFL3" + bytes(100), "a TensorFlow Lite model"),
    "ONNX Runtime's": (b"\x1c\0\0\0ORTM" + bytes(100), "a model in ONNX Runtime's own format"),
    "safetensors": (safetensors(), "safetensors, which hold weights without their network"),
    "TorchScript": (archive("best/data.pkl", "best/constants.pkl"), "a traced TorchScript"),
    "torch.export": (archive("best/models/exported_program.json"), "a program of torch.export"),
    "Core ML": (archive("best.mlpackage/Manifest.json"), "a Core ML model"),
    "Keras": (archive("config.json", "model.weights.h5"), "a Keras model"),
    "a zip archive": (archive("best.onnx", "readme"), "a zip archive: unpack it"),
    "a tar archive": (tar("best.onnx"), "a tar archive: unpack it"),
    "a gzip archive": (b"\x1f\x8b\x08" + bytes(100), "a gzip archive: unpack it"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "OpenVINO": (b'<?xml version="1.0"?>\n<net name="best">', "an XML file, such as OpenVINO"),
    "NCNN": (b"7767517\n3 3\n", "an NCNN model"),
    "Darknet": (b"\0\0\0\0\2\0\0\0\5\0\0\0" + bytes(100), "Darknet weights"),
    "RKNN": (b"RKNN" + bytes(100), "an RKNN model"),
}


@pytest.mark.parametrize(("content", "what"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("tool", [export_onnx, install_model])
def test_a_file_that_is_no_onnx_model_is_identified_with_the_fix(
    tool, content, what, tmp_path, capsys
):
    path = tmp_path / "best.onnx"
    path.write_bytes(content)
    message, code = refusal(tool, capsys, path, "served" if tool is install_model else "o.onnx")
    assert f"best.onnx is {what}" in message
    assert code == OnnxError.exit_code


@pytest.mark.parametrize(("content", "what"), FILES.values(), ids=FILES)
def test_a_file_that_is_no_checkpoint_is_identified_without_pytorch(
    content, what, tmp_path, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "best.pt").write_bytes(content)
    message, code = refusal(export_onnx, capsys, tmp_path / "best.pt", tmp_path / "o.onnx")
    assert f"best.pt is {what}" in message
    assert code == CheckpointError.exit_code


def test_a_checkpoint_without_pytorch_is_an_error_with_the_fix(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "best.pt").write_bytes(archive("best/data.pkl"))
    message, code = refusal(export_onnx, capsys, tmp_path / "best.pt", tmp_path / "o.onnx")
    assert "needs PyTorch: run 'make tools', and start this with .venv-tools/bin/python" in message
    assert code == CheckpointError.exit_code


def test_a_folder_is_named(tmp_path, capsys):
    # Ultralytics exports some formats, such as OpenVINO, to folders.
    message, _ = refusal(install_model, capsys, tmp_path, "served")
    assert f"{tmp_path} is a folder: give the .onnx or .pt file in it" in message


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("tool", [export_onnx, install_model])
def test_a_truncated_file_is_reported_in_one_line(tool, share, model, tmp_path, capsys):
    for whole in (archive("best/data.pkl", "best/version"), model.read_bytes()):
        path = tmp_path / "half.onnx"
        path.write_bytes(whole[: int(len(whole) * share)])
        message, _ = refusal(tool, capsys, path, "served")
        assert "half.onnx is not an ONNX model, or is damaged" in message
    path.write_bytes(archive("readme").replace(b"PK\x01\x02", b"PK\x09\x09"))
    message, _ = refusal(tool, capsys, path, "served")
    assert "half.onnx is not an ONNX model" in message


def test_a_pipe_is_refused_without_reading(tmp_path, capsys):
    os.mkfifo(tmp_path / "best.onnx")
    message, _ = refusal(install_model, capsys, tmp_path / "best.onnx", "served")
    assert "best.onnx is a pipe or a device: save the model as a file" in message


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("tool", [export_onnx, install_model])
def test_a_checkpoint_that_is_given_as_onnx_is_not_unpickled(
    tool, zipped, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Evil(), protocol=2)
    if zipped:
        with zipfile.ZipFile("best.onnx", "w") as file:
            file.writestr("best/data.pkl", content)
    else:
        Path("best.onnx").write_bytes(content)
    message, _ = refusal(tool, capsys, "best.onnx", "served")
    assert "'python -m tools.export_onnx best.pt best.onnx'" in message
    assert [entry.name for entry in tmp_path.iterdir()] == ["best.onnx"]


# Output files


def special_files(folder):
    """Paths that are no regular files, each with its description."""
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("pipe")
    (folder / "folder").mkdir()
    kinds = {"pipe": "a pipe", "link": "a pipe", "folder": "a folder"}
    if os.geteuid() == 0:
        os.mknod(folder / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        kinds["null"] = "a device"
    return kinds


def test_only_a_regular_file_is_replaced(model, tmp_path, capsys):
    folder = tmp_path / "targets"
    folder.mkdir()
    for name, what in special_files(folder).items():
        before = (folder / name).lstat().st_mode, sorted(folder.iterdir())
        message, code = refusal(export_onnx, capsys, model, folder / name)
        assert f"cannot write {folder / name}: it is {what}" in message
        assert code == ExportError.exit_code
        assert ((folder / name).lstat().st_mode, sorted(folder.iterdir())) == before


# Installation


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    for name in ("nms", "preprocess", "yolov7", "yolov7_fp16"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    return folder


def installed(repository, path):
    install_model.main([str(path), "mine", "--repository", str(repository)])
    return onnx.load(repository / "mine_fp16" / "1" / "model.onnx")


def test_an_export_with_unsorted_nodes_and_external_weights_is_installed(
    repository, model, tmp_path
):
    plain = export(model, tmp_path / "served.onnx")
    outside = {"save_as_external_data": True, "location": "data", "size_threshold": 0}
    onnx.save(backwards(onnx.load(tmp_path / "served.onnx")), tmp_path / "parts.onnx", **outside)
    result = installed(repository, tmp_path / "parts.onnx")
    assert sorted(p.name for p in (repository / "mine_fp16" / "1").glob("*.onnx*")) == [
        "model.onnx"
    ]
    onnx.checker.check_model(result)
    np.testing.assert_array_equal(run(result, noise(2)), run(plain, noise(2)))


def test_rows_in_0_to_1_are_not_installed(repository, model, tmp_path, capsys):
    plain = export(model, tmp_path / "served.onnx")
    output = plain.graph.node[-1].output
    output[0] = "pixels"
    parts = np.array([1 / 128, 1 / 128, 1 / 128, 1 / 128, 1, 1], np.float32)
    plain.graph.initializer.append(onnx.numpy_helper.from_array(parts, "parts"))
    plain.graph.node.append(helper.make_node("Mul", ["pixels", "parts"], ["output"]))
    onnx.save(plain, tmp_path / "parts.onnx")
    capsys.readouterr()
    message, _ = refusal(
        install_model, capsys, tmp_path / "parts.onnx", "mine", "--repository", repository
    )
    assert "are in 0..1, not in pixels of the 128x128 input (height x width)" in message
    assert "tools.export_onnx scales them" in message
    result = export(tmp_path / "parts.onnx", tmp_path / "again.onnx")
    expected = run(served(exported("v8"), source=""), noise(2))
    np.testing.assert_allclose(run(result, noise(2)), expected, rtol=1e-5, atol=1e-4)


def test_the_installation_warns_about_scores_of_one_value(repository, model, tmp_path, capsys):
    plain = export(model, tmp_path / "served.onnx")
    plain.graph.node[-1].output[0] = "scored"
    scores = np.array([1, 1, 1, 1, 0, 1], np.float32)
    plain.graph.initializer.append(onnx.numpy_helper.from_array(scores, "scores"))
    plain.graph.node.append(helper.make_node("Mul", ["scored", "scores"], ["output"]))
    onnx.save(plain, tmp_path / "blind.onnx")
    capsys.readouterr()
    installed(repository, tmp_path / "blind.onnx")
    output = capsys.readouterr()
    assert "have the score 0: check that it is trained" in output.err
    assert "installed mine (128x128 pixels (height x width)" in output.out


def test_the_installation_says_that_a_running_server_must_be_restarted(
    repository, model, tmp_path, capsys
):
    export(model, tmp_path / "served.onnx")
    installed(repository, tmp_path / "served.onnx")
    assert "'yolostream serve' that runs already" in capsys.readouterr().out
    installed(repository, tmp_path / "served.onnx")
    assert "runs already" not in capsys.readouterr().out, "nothing has changed"
