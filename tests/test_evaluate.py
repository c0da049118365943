from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from google.protobuf import text_format
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from repository import ROOT
from tritonclient.grpc.model_config_pb2 import ModelConfig
from yolostream import Detector
from yolostream.server import embedded

from tools import evaluate
from tools.demo.streets import CLASS_NAMES, sample
from tools.demo.training.pictures import scene
from tools.errors import DatasetError, RepositoryError
from tools.evaluation.dataset import Dataset, match
from tools.evaluation.datasets import read_dataset
from tools.evaluation.picture import Picture
from tools.evaluation.scoring import coco_results, score
from tools.evaluation.variant import THRESHOLDS, write_variant

REPOSITORY = Path(__file__).parents[1]
SCENES = range(9_600_000, 9_600_024)
SIZE = (640, 360)
# COCO's category ids, which have gaps, with different spellings of the names.
COCO_CATEGORIES = {2: "Bicycle", 3: "car", 4: "MOTORCYCLE", 6: "bus", 8: "truck", 99: "hover-craft"}
COCO_IDS = dict(zip(CLASS_NAMES, COCO_CATEGORIES, strict=False))
EVERY_CATEGORY_ANOTHER_S = {2: "car", 3: "motorcycle", 4: "bus", 6: "truck", 8: "bicycle"}


@dataclass(frozen=True)
class Streets:
    """The same labeled scenes in the formats of COCO and YOLO."""

    root: Path
    coco: dict

    @property
    def images(self) -> Path:
        return self.root / "images" / "val"

    def annotated(self, path: Path, **changes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.coco | changes))
        return path


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp("streets")
    images, labels = root / "images" / "val", root / "labels" / "val"
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    coco = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": name} for i, name in COCO_CATEGORIES.items()],
    }
    for number, seed in enumerate(SCENES):
        picture = scene(seed, sampler=sample, annotated=tuple(CLASS_NAMES))
        name = f"{number:03}.jpg"
        cv2.imwrite(str(images / name), cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR))
        coco["images"].append({"id": number, "file_name": name, "width": 640, "height": 360})
        lines = []
        for (x1, y1, x2, y2), class_id in zip(
            picture.boxes.tolist(), picture.class_ids.tolist(), strict=True
        ):
            coco["annotations"].append(
                {
                    "id": 1 + len(coco["annotations"]),
                    "image_id": number,
                    "category_id": COCO_IDS[class_id],
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
            center_size = np.array([x1 + x2, y1 + y2, 2 * (x2 - x1), 2 * (y2 - y1)]) / 2
            shares = center_size / [*SIZE, *SIZE]
            lines.append(f"{class_id} {' '.join(map(str, shares))}\n")
        if lines:
            (labels / f"{number:03}.txt").write_text("".join(lines))
    streets = Streets(root, coco)
    streets.annotated(root / "coco" / "annotations" / "instances_val.json")
    shutil.copytree(images, root / "coco" / "val")
    return streets


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the ensemble and with the variant for evaluations."""
    variant = tmp_path_factory.mktemp("variant") / "models"
    evaluate.main(["--write-variant", str(variant)])
    with embedded.serve(
        ROOT,
        environment=REPOSITORY / ".venv-server",
        more_repositories=[variant],
        profile="cpu",
        stop_timeout_s=0,
    ) as server:
        yield server


@pytest.fixture
def evaluated(server, tmp_path):
    def run(dataset, *arguments):
        output = tmp_path / "evaluation"
        evaluate.main(
            [str(dataset), "--url", server.url, "--output", str(output), *map(str, arguments)]
        )
        return json.loads((output / "evaluation.json").read_text())

    return run


@pytest.fixture(scope="module")
def whole_run(streets, tmp_path_factory):
    """One complete run of the command."""
    output = tmp_path_factory.mktemp("evaluation")
    command = [sys.executable, "-m", "tools.evaluate", streets.root / "coco", "--output", output]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=200)
    assert done.returncode == 0, done.stderr
    return done, output


@pytest.fixture(scope="module")
def figures(whole_run):
    return json.loads((whole_run[1] / "evaluation.json").read_text())


def test_the_served_model_is_as_accurate_as_the_bare_model(figures):
    served, bare = figures["served"], figures["bare"]
    for name, value in served["overall"].items():
        assert value == pytest.approx(bare["overall"][name], abs=0.001), name
        assert figures["served_minus_bare"][name] == value - bare["overall"][name]
    assert served["overall"]["AP50"] > 0.8
    assert 0.4 < served["overall"]["AP"] < served["overall"]["AP50"]
    assert set(served["classes"]) == set(CLASS_NAMES.values())


def test_the_figures_equal_those_of_pycocotools_for_the_written_files(
    streets, whole_run, figures, capsys
):
    truth = COCO(str(streets.root / "coco" / "annotations" / "instances_val.json"))
    again = COCOeval(truth, truth.loadRes(str(whole_run[1] / "detections.json")), "bbox")
    again.params.catIds = sorted(COCO_IDS.values())
    again.evaluate()
    again.accumulate()
    again.summarize()
    capsys.readouterr()
    assert list(figures["served"]["overall"].values()) == pytest.approx(list(again.stats))


def test_the_report_describes_the_run(streets, whole_run, figures):
    done, output = whole_run
    network = ROOT / "yolov7_fp16" / "1" / "model.onnx"
    assert figures["model"] == {
        "name": "yolov7",
        "onnx": str(network),
        "sha256": subprocess.check_output(["sha256sum", network], text=True).split()[0],
    }
    assert figures["dataset"]["pictures"] == len(SCENES)
    assert figures["dataset"]["categories_not_scored"] == ["hover-craft"]
    assert "hover-craft" in done.stdout
    thresholds = figures["thresholds"]
    assert (thresholds["confidence"], thresholds["iou"]) == tuple(map(float, THRESHOLDS.values()))
    for name, values in figures["served"]["classes"].items():
        row = next(line for line in done.stdout.splitlines() if f" {name} " in line)
        assert f" {values['labels']} " in row
        assert f" {values['AP']:.3f} " in row
    plot = cv2.imread(str(output / "precision_recall.png"))
    assert min(plot.shape[:2]) > 400
    assert plot.std() > 10


def parsed(path):
    return text_format.Parse(path.read_text(), ModelConfig())


def test_the_variant_differs_from_the_ensemble_in_two_thresholds_and_two_names(tmp_path, capsys):
    evaluate.main(["--write-variant", str(tmp_path)])
    assert f"--model-repository={tmp_path}" in capsys.readouterr().out
    copied = [path for model in ("yolov7", "nms") for path in (ROOT / model).rglob("*.pbtxt")]
    for path in copied:
        model, *rest = path.relative_to(ROOT).parts
        original, variant = parsed(path), parsed(tmp_path.joinpath(f"{model}_evaluation", *rest))
        assert variant.name == f"{model}_evaluation"
        variant.name = model
        if model == "nms":
            for name, value in THRESHOLDS.items():
                assert variant.parameters[name].string_value == value
                variant.parameters[name].CopyFrom(original.parameters[name])
        else:
            assert variant.ensemble_scheduling.step[-1].model_name == "nms_evaluation"
            variant.ensemble_scheduling.step[-1].model_name = "nms"
        assert variant == original, path
    assert len(copied) > 2
    for path in ("1/model.py", "1/nms.py"):
        copy = tmp_path / "nms_evaluation" / path
        assert copy.read_bytes() == (ROOT / "nms" / path).read_bytes()


def test_a_variant_is_not_written_into_a_folder_with_files(tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(RepositoryError, match="new or an empty folder"):
        write_variant(ROOT, "yolov7", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_yolo_folder_gives_the_figures_of_the_same_coco_folder(
    streets, evaluated, figures, tmp_path
):
    names = list(CLASS_NAMES.values())
    folder = tmp_path / "described"
    shutil.copytree(streets.root / "images", folder / "images")
    (folder / "labels" / "val").mkdir(parents=True)
    for path in (streets.root / "labels" / "val").iterdir():
        rows = [line.split(maxsplit=1) for line in path.read_text().splitlines()]
        lines = [f"{names.index(CLASS_NAMES[int(number)])} {box}\n" for number, box in rows]
        (folder / "labels" / "val" / path.name).write_text("".join(lines))
    (folder / "data.yaml").write_text(f"names: {json.dumps(names)}\nval: images/val\n")
    result = evaluated(folder, "--no-bare")
    assert result["served"]["overall"] == pytest.approx(figures["served"]["overall"], abs=1e-6)
    assert "bare" not in result


def test_class_numbers_without_names_are_those_of_the_model(streets):
    labels = (ROOT / "yolov7" / "labels.txt").read_text().splitlines()
    named, numbered = read_dataset(streets.root / "coco"), read_dataset(streets.root)
    names = match(named, labels).names, match(numbered, labels).names
    assert len(named.annotations) == len(numbered.annotations)
    for one, other in zip(named.annotations, numbered.annotations, strict=True):
        assert names[0][one["category_id"]] == names[1][other["category_id"]]
        np.testing.assert_allclose(one["bbox"], other["bbox"], atol=1e-6)


def test_wrong_labels_lower_the_score(streets, evaluated, tmp_path):
    wrong = [{"id": i, "name": name} for i, name in EVERY_CATEGORY_ANOTHER_S.items()]
    path = streets.annotated(tmp_path / "wrong.json", categories=wrong)
    result = evaluated(path, "--images", streets.images, "--no-bare", "--limit", 8)
    assert result["served"]["overall"]["AP50"] < 0.1
    assert result["dataset"]["pictures"] == 8


def test_an_evaluation_does_not_affect_other_clients(streets, server, evaluated):
    frame = cv2.cvtColor(cv2.imread(str(streets.images / "000.jpg")), cv2.COLOR_BGR2RGB)
    answers, over = [], threading.Event()
    with Detector(server.url) as caller:
        before = caller.detect(frame)

        def call():
            while not over.is_set():
                answers.append(caller.detect(frame))

        thread = threading.Thread(target=call)
        thread.start()
        try:
            evaluated(streets.root, "--no-bare", "--limit", 8)
        finally:
            over.set()
            thread.join()
    assert len(before) > 0
    assert len(answers) > 3
    for answer in answers:
        np.testing.assert_array_equal(answer.scores, before.scores)
        np.testing.assert_array_equal(answer.boxes, before.boxes)


def test_an_evaluation_that_is_stopped_keeps_earlier_results(streets, server, tmp_path):
    pictures = streets.coco["images"]
    many = [pictures[i % len(pictures)] | {"id": i} for i in range(20 * len(pictures))]
    path = streets.annotated(tmp_path / "many.json", images=many)
    earlier = tmp_path / "evaluation" / "evaluation.json"
    earlier.parent.mkdir()
    earlier.write_text("of an earlier run")
    with Detector(server.url, "yolov7_evaluation") as variant:
        before = variant.statistics()["nms_evaluation"].requests
        command = [sys.executable, "-m", "tools.evaluate", path, "--images", streets.images]
        command += ["--url", server.url, "--output", earlier.parent]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)
        try:
            deadline = time.monotonic() + 60
            while variant.statistics()["nms_evaluation"].requests < before + 20:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            _, complaint = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 130
    assert "error: interrupted" in complaint
    assert [found.name for found in earlier.parent.iterdir()] == [earlier.name]
    assert earlier.read_text() == "of an earlier run"


def test_a_damaged_picture_ends_the_evaluation(streets, server, tmp_path, capsys):
    images = tmp_path / "images"
    shutil.copytree(streets.images, images)
    broken = images / "011.jpg"
    broken.write_bytes(broken.read_bytes()[:5000])
    path = streets.annotated(tmp_path / "annotations.json")
    with pytest.raises(SystemExit) as end:
        evaluate.main([str(path), "--url", server.url, "--output", str(tmp_path / "evaluation")])
    assert end.value.code == DatasetError.exit_code
    assert str(broken) in capsys.readouterr().err
    assert not (tmp_path / "evaluation").exists()


def test_a_server_without_the_variant_is_reported_with_the_fix(streets, server, capsys):
    with pytest.raises(SystemExit) as end:
        evaluate.main([str(streets.root), "--url", server.url, "--model", "yolo99"])
    assert end.value.code == 9
    message = capsys.readouterr().err
    assert "yolo99_evaluation" in message
    assert "--write-variant" in message


def test_categories_are_matched_by_name_ignoring_case_and_separators():
    categories = {13: "Stop-Sign", 10: "traffic_light", 1: "PERSON", 7: "tank"}
    matching = match(
        Dataset(Path("d"), (), (), categories), ["person", "traffic light", "stop sign"]
    )
    assert matching.category_ids == {0: 1, 1: 10, 2: 13}
    assert matching.unknown == ("tank",)


@pytest.mark.parametrize(
    ("categories", "complaint"),
    [({1: "tank"}, "none of the categories"), ({1: "Car", 2: "car"}, "two categories")],
)
def test_categories_that_cannot_be_scored_are_refused(categories, complaint):
    with pytest.raises(DatasetError, match=complaint):
        match(Dataset(Path("d"), (), (), categories), ["person", "car"])


def found(image_id, box, *, crowd=0):
    x, y, width, height = box
    return {
        "image_id": image_id,
        "category_id": 5,
        "bbox": [x, y, width, height],
        "area": width * height,
        "iscrowd": crowd,
    }


CAR, ELSEWHERE = (10, 10, 50, 50), (200, 100, 60, 40)


@pytest.mark.parametrize(
    ("annotations", "ap50"),
    [
        pytest.param([found(1, CAR), found(2, ELSEWHERE)], 1.0, id="both are found"),
        pytest.param([found(1, CAR)], 0.5, id="a picture without objects counts as a negative"),
        pytest.param(
            [found(1, CAR), found(2, ELSEWHERE, crowd=1)], 1.0, id="a crowd is not a false positive"
        ),
    ],
)
def test_scores_follow_the_rules_of_coco(annotations, ap50):
    pictures = tuple(Picture(i, Path(f"{i}.jpg"), 640, 360) for i in (1, 2))
    dataset = Dataset(Path("d"), pictures, tuple(annotations), {5: "car"})
    matching = match(dataset, ["person", "car"])
    rows = [
        np.array([[x, y, x + width, y + height, confidence, 1]], np.float32)
        for (x, y, width, height), confidence in ((CAR, 0.5), (ELSEWHERE, 0.9))
    ]
    scores = score(dataset, matching, coco_results(dataset, matching, rows))
    assert scores.overall["AP50"] == pytest.approx(ap50)
    assert scores.classes[0].labels == sum(not a["iscrowd"] for a in annotations)


def test_the_score_without_detections_is_zero(streets):
    dataset = read_dataset(streets.root / "coco")
    matching = match(dataset, tuple(CLASS_NAMES.values()))
    assert score(dataset, matching, []).overall["AP"] == 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"images": []}, "images"),
        ({"categories": None}, "categories"),
        ({"images": [{"id": 0, "file_name": "000.jpg", "width": 360, "height": 640}]}, "640x360"),
        ({"images": [{"id": 0, "file_name": "gone.jpg"}]}, "gone.jpg"),
        ({"images": 2 * [{"id": 0, "file_name": "000.jpg"}]}, "more than one image"),
        ({"annotations": [{"image_id": 0, "category_id": 2, "bbox": [0, 0, -5, 5]}]}, "-5"),
        ({"annotations": [{"image_id": 0, "category_id": 2, "bbox": [0, 0, 5]}]}, "bbox"),
        ({"annotations": [{"image_id": 0, "category_id": 77, "bbox": [0, 0, 5, 5]}]}, "77"),
        ({"annotations": [{"image_id": 777, "category_id": 2, "bbox": [0, 0, 5, 5]}]}, "777"),
    ],
)
def test_an_invalid_annotation_file_is_named(streets, tmp_path, changes, complaint):
    images = streets.coco["images"][:1]
    path = streets.annotated(
        tmp_path / "annotations.json", **({"images": images, "annotations": []} | changes)
    )
    with pytest.raises(DatasetError, match=complaint):
        read_dataset(path, pictures=streets.images)


@pytest.mark.parametrize(
    "line",
    [
        "2 0.5 0.5 0.1",
        "2 0.5 0.5 0.1 1.5",
        "car 0.5 0.5 0.1 0.1",
        "2 0.5 0.5 0.1 nan",
        "-1 0.5 0.5 0.1 0.1",
    ],
)
def test_an_invalid_label_is_reported_with_its_line(streets, tmp_path, line):
    folder = yolo_folder(tmp_path, streets, f"2 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(DatasetError, match=r"000\.txt:2"):
        read_dataset(folder)


def test_an_outline_is_read_as_its_bounding_box(streets, tmp_path):
    folder = yolo_folder(tmp_path, streets, "2 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n")
    (annotation,) = read_dataset(folder).annotations
    assert annotation["bbox"] == [160, 90, 320, 180]


def yolo_folder(root: Path, streets: Streets, labels: str) -> Path:
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    shutil.copy(streets.images / "000.jpg", root / "images")
    (root / "labels" / "000.txt").write_text(labels)
    return root


@pytest.mark.parametrize("name", ["nowhere", "nothing", "no_labels", "picture.json", "picture.jpg"])
def test_a_path_that_is_no_dataset_has_an_exit_code_of_its_own(streets, tmp_path, capsys, name):
    (tmp_path / "nothing").mkdir()
    (tmp_path / "no_labels" / "labels").mkdir(parents=True)
    shutil.copytree(streets.images, tmp_path / "no_labels" / "images")
    for suffix in ("json", "jpg"):
        shutil.copy(streets.images / "000.jpg", tmp_path / f"picture.{suffix}")
    with pytest.raises(SystemExit) as end:
        evaluate.main([str(tmp_path / name)])
    assert end.value.code == DatasetError.exit_code
    assert name in capsys.readouterr().err
