from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from tools.demo.streets import CLASS_NAMES, Annotations, Street, demo_street, random_street, sample
from tools.demo.streets.annotations import Sighting, annotate
from tools.demo.streets.footprint import corners, in_front, overlap
from tools.demo.streets.scenes import DEMOS
from tools.demo.streets.traffic import Demand

VIDEOS = Path(__file__).parent.parent / "videos"
NAMES = ("mb1_1", "mb2_2")


@cache
def demo(name: str) -> Street:
    return demo_street("mb1_1" if name == "mb1_1" else "mb2_2")


def without_noise(street: Street) -> Street:
    street.design = replace(street.design, lighting=replace(street.design.lighting, noise=0.0))
    return street


def test_sample_is_deterministic() -> None:
    image, truth = sample(5)
    again, same = sample(5)
    assert np.array_equal(image, again)
    for field in ("track_ids", "class_ids", "boxes", "visibility", "ignore"):
        assert np.array_equal(getattr(truth, field), getattr(same, field))
    assert not np.array_equal(image, sample(6)[0])


def test_a_street_renders_the_same_frame_after_any_other_frame() -> None:
    street = random_street(3, width=320, height=180)
    first, _ = street.render(1.0)
    street.render(2.5)
    assert np.array_equal(street.render(1.0)[0], first)


@pytest.mark.parametrize("size", [(640, 360), (640, 480), (360, 640), (512, 512)])
def test_sample_sizes_and_types(size: tuple[int, int]) -> None:
    width, height = size
    image, truth = sample(9, width=width, height=height)
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
    assert (truth.track_ids.dtype, truth.class_ids.dtype) == (np.int64, np.int64)
    assert (truth.boxes.dtype, truth.visibility.dtype) == (np.float32, np.float32)
    assert truth.boxes.shape == (len(truth.track_ids), 4)
    assert len(truth.boxes) > 0
    assert (truth.boxes[:, :2] < truth.boxes[:, 2:]).all()
    assert (truth.boxes >= 0).all()
    assert (truth.boxes <= [width, height, width, height]).all()
    assert set(truth.class_ids.tolist()) <= set(CLASS_NAMES)
    assert ((truth.visibility > 0) & (truth.visibility <= 1)).all()


def test_samples_range_from_empty_to_dense() -> None:
    counts = [len(sample(seed, width=160, height=90)[1].boxes) for seed in (5, 9, 15, 102)]
    assert min(counts) == 0
    assert max(counts) >= 20


def alone(street: Street, track_id: int, time_s: float) -> tuple[np.ndarray, Annotations]:
    """The pixels that a single vehicle changes in an otherwise empty, evenly lit street."""
    everyone = street.trips
    try:
        street.trips = []
        empty = street.render(time_s)[0].astype(int)
        street.trips = [everyone[track_id - 1]]
        image, truth = street.render(time_s)
    finally:
        street.trips = everyone
    return np.abs(image.astype(int) - empty).max(axis=2) > 12, truth


def shadowless(seed: int) -> Street:
    street = without_noise(random_street(seed, width=640, height=360, duration_s=0.0))
    lighting = replace(street.design.lighting, shadow=0.0, lamps_on=False)
    street.design = replace(street.design, lighting=lighting)
    return street


def test_boxes_bound_the_pixels_that_a_vehicle_changes() -> None:
    checked = 0
    for seed in (1, 3, 9):
        street = shadowless(seed)
        for track_id in street.render(0.0)[1].track_ids.tolist():
            changed, truth = alone(street, track_id, 0.0)
            x, y, width, height = cv2.boundingRect(changed.astype(np.uint8))
            if width * height < 400 or len(truth.boxes) != 1:
                continue
            # A dark tire on dark asphalt may be invisible, so the box may only be larger.
            box = truth.boxes[0]
            assert (box[:2] <= np.array([x, y]) + 1.0).all()
            assert (box[2:] >= np.array([x + width, y + height]) - 1.0).all()
            slack = np.abs(box - [x, y, x + width, y + height])
            checked += int((slack <= 2.5).all())
    assert checked >= 10


@pytest.mark.parametrize("name", NAMES)
def test_a_vehicle_that_enters_is_cropped_and_partly_visible(name: str) -> None:
    street = Street(DEMOS[name], width=320, height=180)
    found = 0
    for step in range(12):
        _, truth = street.render(step * 0.8)
        at_border = (truth.boxes[:, 0] <= 0) | (truth.boxes[:, 2] >= street.width)
        found += int((at_border & (truth.visibility < 0.9)).sum())
    assert found > 0


def test_visibility_falls_behind_another_vehicle() -> None:
    fallen = 0
    for seed in (2, 3, 5, 9):
        street = random_street(seed, width=320, height=180, duration_s=0.0)
        _, crowd = street.render(0.0)
        for track_id, visible in zip(crowd.track_ids.tolist(), crowd.visibility, strict=True):
            _, single = alone(street, track_id, 0.0)
            assert single.visibility[0] >= visible - 1e-6
            fallen += int(single.visibility[0] > visible + 0.2)
    assert fallen >= 3


def test_hidden_and_tiny_objects_are_ignored() -> None:
    fine = Sighting(1, 2, (100, 100, 160, 140), 0.9)
    hidden = replace(fine, visibility=0.3)
    narrow = replace(fine, box=(100, 100, 110, 140))
    low = replace(fine, box=(100, 100, 160, 118))
    truth = annotate([fine, hidden, narrow, low], width=1280, height=720)
    assert truth.ignore.tolist() == [False, True, True, True]
    half = annotate([replace(fine, box=(50, 50, 60, 62))], width=640, height=360)
    assert half.ignore.tolist() == [False]
    assert annotate([], width=640, height=360).boxes.shape == (0, 4)


def test_footprints_overlap_and_order() -> None:
    ahead = corners(np.array([0.0, 10.0, 0.0]), length_m=12, width_m=2.5)
    near = corners(np.array([5.0, 7.0, 0.0]), length_m=1.8, width_m=0.6)
    crossing = corners(np.array([0.0, 9.0, np.pi / 2]), length_m=4.0, width_m=2.0)
    assert not overlap(ahead, near)
    assert overlap(ahead, crossing)
    eye = np.array([0.0, 0.0])
    # The edges decide: the middle of the bus may be nearer than a bicycle in front of its end.
    assert in_front(near, ahead, eye=eye)
    assert not in_front(ahead, near, eye=eye)


@pytest.mark.parametrize("name", NAMES)
def test_objects_in_the_demo_do_not_collide(name: str) -> None:
    street = demo(name)
    times = np.arange(0, 10, 1 / 30)
    rooms = [
        corners(t.places(times), length_m=t.model.length_m, width_m=t.model.width_m)
        for t in street.trips
    ]
    assert len(rooms) > 10
    for a, b in combinations(rooms, 2):
        both = ~np.isnan(a[:, 0, 0]) & ~np.isnan(b[:, 0, 0])
        assert not overlap(a[both], b[both]).any()


def test_an_empty_street_has_no_ground_truth() -> None:
    design = replace(DEMOS["mb1_1"], demand=Demand(0, 0.0, {2: 1.0}))
    image, truth = Street(design, width=320, height=180).render(0.0)
    assert len(truth.boxes) == 0
    assert image.std() > 10


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_ground_truth_is_complete_and_agrees_with_the_generator(name: str) -> None:
    coco = json.loads((VIDEOS / f"{name}.coco.json").read_text())
    rows = np.loadtxt(VIDEOS / f"{name}.mot.txt", delimiter=",")
    assert len(coco["images"]) == 300
    assert {c["id"]: c["name"] for c in coco["categories"]} == CLASS_NAMES
    assert len(rows) == len(coco["annotations"])
    assert set(rows[rows[:, 6] == 1, 7].astype(int)) == set(CLASS_NAMES)
    assert 10 <= len(set(rows[rows[:, 6] == 1, 1])) <= 22
    for frame in (1, 137, 300):
        _, truth = demo(name).render((frame - 1) / 30)
        shipped = rows[rows[:, 0] == frame]
        assert shipped[:, 1].tolist() == truth.track_ids.tolist()
        assert shipped[:, 7].tolist() == truth.class_ids.tolist()
        assert shipped[:, 6].tolist() == (~truth.ignore).tolist()
        boxes = np.column_stack([shipped[:, 2:4], shipped[:, 2:4] + shipped[:, 4:6]])
        assert np.abs(boxes - truth.boxes).max() <= 1.0
        marked = [a for a in coco["annotations"] if a["image_id"] == frame - 1]
        assert [a["track_id"] for a in marked] == truth.track_ids.tolist()
        assert np.abs(np.array([a["bbox"] for a in marked]) - shipped[:, 2:6]).max() <= 0.11


@pytest.mark.parametrize("name", NAMES)
def test_objects_in_the_demo_are_not_hidden_for_long(name: str) -> None:
    rows = np.loadtxt(VIDEOS / f"{name}.mot.txt", delimiter=",")
    counted = rows[rows[:, 6] == 1]
    for track_id in set(counted[:, 1]):
        frames = counted[counted[:, 1] == track_id, 0]
        assert np.diff(frames).max(initial=1) <= 30


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_video_agrees_with_the_generator(name: str) -> None:
    path = VIDEOS / f"{name}.mp4"
    assert path.stat().st_size < 2_000_000
    video = cv2.VideoCapture(str(path))
    size = (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    assert size == (1280, 720)
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(30)
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 300
    readable, frame = video.read()
    assert readable
    drawn, _ = demo(name).render(0.0)
    assert np.abs(frame[..., ::-1].astype(int) - drawn).mean() < 6
