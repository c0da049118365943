"""Export of checkpoints to ONNX files for the ensemble."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from needs import needs

needs("torch", variable="REQUIRE_TORCH")

import torch  # noqa: E402
from networks import random_network  # noqa: E402

from tools.errors import ExportError, OnnxError  # noqa: E402
from tools.exporting.graph import Graph, write  # noqa: E402
from tools.exporting.trace import traced  # noqa: E402
from tools.served_onnx import read_served_onnx  # noqa: E402
from tools.yolov7 import Network, fuse_batch_norm  # noqa: E402
from tools.yolov7.checkpoint import Meta, save_checkpoint  # noqa: E402

ROOT = Path(__file__).parents[1]
OFFICIAL = Path(__file__).parent / "data" / "official"
CHECKPOINT = OFFICIAL / "yolov7-tiny-random.pt"
LABELS = ROOT / "model_repository" / "yolov7" / "labels.txt"
SMALL = "yolov7-tiny-half"


def export(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::UserWarning", "-m", "tools.export_onnx"]
    return subprocess.run(
        [*command, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )


def run(path: Path, pictures: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["output"], {"input": pictures})[0]


def graph_of(network: Network, *, side: int = 96) -> Graph:
    plain = fuse_batch_norm(network)

    def reference(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return plain(torch.from_numpy(pictures)).numpy()

    return Graph(traced(plain, size=(side, side)), (), reference=reference)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    done = export(CHECKPOINT, path)
    assert done.returncode == 0, done.stderr
    return path


def test_an_official_checkpoint_gives_the_official_numbers(exported):
    pictures = np.load(OFFICIAL / "input.npz")["images_u8"].astype(np.float32) / 255
    expected = np.load(OFFICIAL / "yolov7-tiny-random.out6.npz")["out6"]
    actual = run(exported, pictures)
    difference = np.abs(actual - expected)
    assert difference[..., :4].max() < 0.05
    assert difference[..., :4].mean() < 0.002
    assert difference[..., 4].max() < 5e-5
    assert np.array_equal(actual[..., 5], expected[..., 5])


def test_a_file_has_metadata_about_its_origin(exported):
    served = read_served_onnx(exported)
    assert (served.height, served.width, served.rows) == (640, 640, 25200)
    assert served.names == tuple(LABELS.read_text().splitlines())
    metadata = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    assert metadata["source"] == CHECKPOINT.name
    assert len(metadata["source_sha256"]) == 64
    assert metadata["exporter"].startswith("yolostream ")


def test_a_file_uses_only_standard_onnx_operators(exported):
    model = onnx.load(exported)
    onnx.checker.check_model(model, full_check=True)
    # TensorRT 10.3 and ONNX Runtime can both read this version.
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
    assert not any(node.domain for node in model.graph.node)


def test_the_performed_checks_are_printed(tmp_path):
    save_checkpoint(tmp_path / "demo.pt", random_network(SMALL), Meta(SMALL, 0, 0.0))
    done = export(tmp_path / "demo.pt", tmp_path / "demo.onnx", "--labels", LABELS, "--size", 64)
    assert "ONNX Runtime and PyTorch differ by 0.0" in done.stderr
    assert "Rows of a batch and the picture alone differ by 0.0" in done.stderr
    assert "252 rows of 80 classes for pictures of 64x64" in done.stdout


def test_a_checkpoint_is_exported_for_wide_pictures(tmp_path):
    save_checkpoint(tmp_path / "demo.pt", random_network(SMALL), Meta(SMALL, 0, 0.0))
    wide = tmp_path / "wide.onnx"
    done = export(tmp_path / "demo.pt", wide, "--labels", LABELS, "--size", "64x96")
    assert "378 rows of 80 classes for pictures of 64x96 (height x width)" in done.stdout
    served = read_served_onnx(wide)
    assert (served.height, served.width) == (64, 96)
    assert run(wide, np.zeros((2, 3, 64, 96), np.float32)).shape == (2, 378, 6)


def test_half_precision_keeps_inputs_outputs_and_boxes(tmp_path):
    graph = graph_of(random_network(SMALL))
    write(graph, tmp_path / "full.onnx", metadata={})
    write(graph, tmp_path / "half.onnx", half=True, metadata={})
    pictures = np.random.default_rng(3).random((2, 3, 96, 96), dtype=np.float32)
    full, half = run(tmp_path / "full.onnx", pictures), run(tmp_path / "half.onnx", pictures)
    assert half.dtype == np.float32
    assert 0 < np.abs(full - half)[..., :4].max() < 2.0
    size = (tmp_path / "half.onnx").stat().st_size
    assert size < 0.6 * (tmp_path / "full.onnx").stat().st_size
    kinds = {tensor.data_type for tensor in onnx.load(tmp_path / "half.onnx").graph.initializer}
    assert onnx.TensorProto.FLOAT16 in kinds


def test_a_graph_with_other_results_is_not_written(tmp_path):
    graph = graph_of(random_network(SMALL))
    other = random_network(SMALL)
    with torch.no_grad():
        other.detect.m[0].bias[0] += 0.05
    path = tmp_path / "model.onnx"
    path.write_text("earlier content")
    with pytest.raises(ExportError, match=r"differ by .* px at most"):
        write(Graph(graph.model, (), reference=graph_of(other).reference), path, metadata={})
    assert path.read_text() == "earlier content"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


def test_weights_with_nan_are_not_written(tmp_path):
    network = random_network(SMALL)
    with torch.no_grad():
        network.detect.m[0].bias[0] = float("nan")
    with pytest.raises(ExportError, match="nan px"):
        write(graph_of(network), tmp_path / "model.onnx", metadata={})


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([CHECKPOINT, "o.onnx", "--size", "650"], 2, "each a multiple of 32, is 650"),
        ([CHECKPOINT, "o.onnx", "--size", "0"], 2, "each a multiple of 32, is 0"),
        ([CHECKPOINT, "o.onnx", "--size", "64", "--labels", ROOT / "Makefile"], 18, "is empty"),
        (
            [CHECKPOINT, "o.onnx", "--size", "64", "--labels", "none.txt"],
            18,
            "cannot read class names",
        ),
        (["missing.pt", "o.onnx"], 12, "no file missing.pt"),
        ([LABELS, "o.onnx"], 12, "is not a checkpoint"),
        (["missing.onnx", "o.onnx"], 13, "no file missing.onnx"),
        ([CHECKPOINT, "/proc/o.onnx", "--size", "64"], 14, "cannot write /proc/o.onnx"),
    ],
)
def test_invalid_input_gives_one_line_and_an_exit_code(arguments, code, message):
    done = export(*arguments)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert re.search(message, done.stderr.splitlines()[-1])
    assert not (ROOT / "o.onnx").exists()


def test_a_checkpoint_without_class_names_requires_them_as_an_option(tmp_path):
    save_checkpoint(tmp_path / "demo.pt", random_network(SMALL), Meta(SMALL, 0, 0.0))
    done = export(tmp_path / "demo.pt", tmp_path / "demo.onnx", "--size", 64)
    assert done.returncode == 18
    assert "give --labels, a file" in done.stderr
    few = tmp_path / "few.txt"
    few.write_text("person\nbicycle\n")
    done = export(tmp_path / "demo.pt", tmp_path / "demo.onnx", "--size", 64, "--labels", few)
    assert done.returncode == 18
    assert "names 2 classes" in done.stderr
    assert not (tmp_path / "demo.onnx").exists()


def test_a_damaged_onnx_file_raises_its_own_error(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"not protobuf at all")
    with pytest.raises(OnnxError, match="is not an ONNX model"):
        read_served_onnx(tmp_path / "broken.onnx")
