"""The parts of the training: pictures, augmentation, assignment, loss and measures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from needs import needs

needs("torch", variable="REQUIRE_TORCH")

import torch  # noqa: E402

from tools.demo.training.assign import assign  # noqa: E402
from tools.demo.training.average_precision import Finding, average_precision  # noqa: E402
from tools.demo.training.boxes import complete_iou, iou  # noqa: E402
from tools.demo.training.gallery import Gallery, empty_gallery  # noqa: E402
from tools.demo.training.layout import letterbox_layout, random_layout  # noqa: E402
from tools.demo.training.loss import detection_loss  # noqa: E402
from tools.demo.training.pictures import Picture, scene  # noqa: E402
from tools.demo.training.predictions import build_grid, rows_of  # noqa: E402
from tools.demo.training.render import render  # noqa: E402
from tools.demo.training.riders import without_riders  # noqa: E402
from tools.demo.training.sampling import build_sampler  # noqa: E402
from tools.demo.training.schedule import learning_rate_factor, plain_share  # noqa: E402
from tools.demo.training.start import fresh_network, optimizer_for  # noqa: E402
from tools.demo.training.suppress import suppress  # noqa: E402
from tools.demo.training.targets import Targets, targets_of  # noqa: E402

CLASS_IDS = (1, 2, 3, 5, 7)
DEMO = "yolov7-tiny-half"
SIDE = 128
# With two threads on busy cores, each would mostly wait for the other.
torch.set_num_threads(1)


def picture(
    *, width: int = 640, height: int = 360, annotated: tuple[int, ...] = CLASS_IDS
) -> Picture:
    """A dark picture with one white car."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[100:180, 200:360] = 255
    box = np.array([[200, 100, 360, 180]], np.float32)
    nothing = np.zeros((0, 4), np.float32)
    return Picture(pixels, box, np.array([2]), nothing, annotated, "dk")


def gallery_of(*pictures: Picture) -> Gallery:
    gallery = empty_gallery(len(pictures), classes=len(CLASS_IDS), device=torch.device("cpu"))
    gallery.append(pictures, class_ids=CLASS_IDS)
    return gallery


def targets(box: list[float], *, channel: int = 1, ignored: list[float] | None = None) -> Targets:
    return Targets(
        boxes=torch.tensor([[box]]),
        channels=torch.tensor([[channel]]),
        ignored=torch.tensor([[ignored or [0.0] * 4]]),
        annotated=torch.ones(1, len(CLASS_IDS), dtype=torch.bool),
    )


def test_a_letterboxed_picture_is_unchanged_and_centered() -> None:
    source = replace(
        picture(), pixels=np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    )
    gallery = gallery_of(source)
    images, inside = render(gallery, letterbox_layout(gallery, torch.tensor([0])))
    shown = (images[0, :, 140:500] * 255).round().byte().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(shown, source.pixels)
    assert inside[0, 0, 140:500].all()
    assert inside.sum() == 360 * 640


def test_boxes_stay_on_their_objects() -> None:
    torch.manual_seed(0)
    gallery = gallery_of(picture(), picture(width=400, height=500))
    sampler = build_sampler(gallery, CLASS_IDS, scene_share=0.4)
    layout = random_layout(gallery, sampler, 12, plain_share=0.5)
    images, inside = render(gallery, layout)
    bright = (images.mean(dim=1) > 0.5) & inside[:, 0]
    found = targets_of(gallery, layout)
    for i in range(12):
        covered = torch.zeros_like(bright[i])
        regions = torch.cat([found.boxes[i][found.channels[i] >= 0], found.ignored[i]])
        for x1, y1, x2, y2 in regions.round().int().tolist():
            covered[y1:y2, x1:x2] = True
            inner = bright[i, y1 + 2 : max(y2 - 2, 0), x1 + 2 : max(x2 - 2, 0)]
            assert inner.numel() == 0 or inner.float().mean() > 0.9
        assert (bright[i] & ~covered).sum() <= 0.1 * covered.sum() + 40


def test_a_canvas_holds_pictures_with_the_same_labeled_classes() -> None:
    torch.manual_seed(0)
    gallery = gallery_of(picture(), picture(annotated=(2, 5)), picture(annotated=(2, 5)))
    drawn = build_sampler(gallery, CLASS_IDS, scene_share=0.4).draw(64, 4)
    partly = drawn > 0
    assert (partly.all(dim=1) | ~partly.any(dim=1)).all()
    assert partly.any()
    assert not partly.all()


def test_a_scene_is_downscaled_with_its_boxes() -> None:
    class Labels:
        class_ids = np.array([2, 7])
        boxes = np.array([[0, 0, 100, 50], [200, 100, 400, 300]], np.float32)
        ignore = np.array([False, True])

    def sampler(seed: int, *, width: int, height: int) -> tuple[np.ndarray, Labels]:
        return np.full((height, width, 3), seed, np.uint8), Labels()

    drawn = scene(7, sampler=sampler, annotated=CLASS_IDS)
    assert drawn.pixels.shape == (360, 640, 3)
    assert drawn.boxes.tolist() == [[0, 0, 50, 25]]
    assert drawn.ignored.tolist() == [[100, 50, 200, 150]]


def test_riders_are_removed_from_tall_two_wheelers_of_the_mixed_source() -> None:
    boxes = np.array([[0, 0, 10, 40], [0, 0, 10, 40], [0, 0, 40, 30], [0, 0, 10, 40]], np.float32)
    source = replace(picture(), boxes=boxes, class_ids=np.array([1, 3, 1, 2]))
    assert without_riders(source).boxes[:, 1].tolist() == pytest.approx([12, 8, 0, 0])
    np.testing.assert_array_equal(without_riders(source).boxes[:, [0, 2, 3]], boxes[:, [0, 2, 3]])
    np.testing.assert_array_equal(without_riders(replace(source, source="np")).boxes, boxes)


def test_a_label_is_assigned_near_its_center_and_each_row_gets_one_label() -> None:
    torch.manual_seed(0)
    network = fresh_network(DEMO, side=SIDE)
    grid = build_grid(network.detect, side=SIDE)
    predictions = torch.randn(1, grid.starts[-1], 5 + len(CLASS_IDS))
    labels = targets([40, 40, 64, 72])
    labels = replace(labels, boxes=labels.boxes.repeat(1, 2, 1), channels=torch.tensor([[1, 2]]))
    assignment = assign(predictions, labels, grid)
    rows = assignment.rows[assignment.matched]
    assert len(rows) >= 2
    assert len(rows.unique()) == len(rows)
    distance = (grid.cells[rows] + 0.5) * grid.strides[rows] - torch.tensor([52.0, 56.0])
    assert (distance.abs() <= 1.5 * grid.strides[rows]).all()


def gradient_of_loss(labels: Targets, maps: list[torch.Tensor]) -> torch.Tensor:
    """Gradient of the loss by the rows of the prediction, [R, fields]."""
    for level in maps:
        level.requires_grad_(True)
    grid = build_grid(fresh_network(DEMO, side=SIDE).detect, side=SIDE)
    detection_loss(maps, labels, grid).total.backward()
    gradients = [level.grad for level in maps if level.grad is not None]
    return rows_of(gradients, fields=5 + len(CLASS_IDS))[0]


def random_maps() -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(1, 3 * (5 + len(CLASS_IDS)), SIDE // s, SIDE // s) for s in (8, 16, 32)]


def test_unlabeled_classes_have_no_gradient() -> None:
    labels = targets([40, 40, 64, 72])
    labels.annotated[0, 4] = False
    maps = random_maps()
    best = rows_of(maps, fields=10)[0, :, 5:].argmax(dim=-1)
    gradient = gradient_of_loss(labels, maps)
    assert (gradient[:, 5 + 4] == 0).all()
    assert gradient[:, 5 + 1].any()
    is_background = gradient[:, :4].abs().sum(dim=1) == 0
    assert (gradient[is_background & (best == 4), 4] == 0).all()
    assert (gradient[is_background & (best != 4), 4] != 0).all()


def test_ignored_regions_do_not_count_as_background() -> None:
    gradient = gradient_of_loss(targets([8, 8, 30, 30], ignored=[64, 64, 128, 128]), random_maps())
    grid = build_grid(fresh_network(DEMO, side=SIDE).detect, side=SIDE)
    inside = (((grid.cells + 0.5) * grid.strides) >= 64).all(dim=1)
    assert (gradient[inside, 4] == 0).all()
    assert (gradient[~inside, 4] != 0).all()


def test_the_loss_falls_when_a_picture_is_repeated() -> None:
    torch.manual_seed(0)
    network = fresh_network(DEMO, side=SIDE).train()
    images = torch.rand(2, 3, SIDE, SIDE) * 0.2
    images[:, :, 40:72, 40:64] = 0.9
    labels = targets([40, 40, 64, 72])
    labels = Targets(*(getattr(labels, f).repeat_interleave(2, 0) for f in labels.__annotations__))
    grid = build_grid(network.detect, side=SIDE)
    optimizer = optimizer_for(network, rate=2e-3, decay=0.0)
    history = []
    for _ in range(15):
        loss = detection_loss(network.maps(images), labels, grid).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.5 * history[0]


def test_complete_iou_of_equal_and_of_distant_boxes() -> None:
    box = torch.tensor([10.0, 10.0, 30.0, 50.0])
    assert complete_iou(box, box)[0].item() == pytest.approx(1.0, abs=1e-5)
    full, plain = complete_iou(box, box + 100)
    assert plain.item() == 0.0
    assert -1.0 < full.item() < 0.0


def test_suppression_equals_that_of_a_simple_loop() -> None:
    torch.manual_seed(0)
    corner = torch.rand(2, 320, 2) * 60
    boxes = torch.cat([corner, corner + 10 + torch.rand(2, 320, 2) * 20], dim=2)
    classes = torch.randint(0, 2, (2, 320, 1)).float()
    rows, stands = suppress(torch.cat([boxes, torch.rand(2, 320, 1), classes], dim=2))
    for picture_rows, kept in zip(rows, stands, strict=True):
        rival = iou(picture_rows[:, None, :4], picture_rows[:, :4]) > 0.6
        rival &= picture_rows[:, None, 5] == picture_rows[:, 5]
        expected: list[int] = []
        for i in range(len(picture_rows)):
            if not rival[i, expected].any():
                expected.append(i)
        assert kept.nonzero().flatten().tolist() == expected


def test_average_precision_counts_hits_misses_and_ignored_regions() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    ignored = np.array([[50, 50, 90, 90]], np.float32)
    detections = np.array(
        [[60, 60, 70, 70, 0.95], [0, 0, 10, 10, 0.9], [0, 0, 10, 9, 0.8], [20, 20, 30, 31, 0.7]],
        np.float32,
    )
    assert average_precision([Finding(detections, boxes, ignored)]) == pytest.approx(
        0.5 + 0.5 * 2 / 3
    )
    assert np.isnan(average_precision([Finding(detections, boxes[:0], ignored)]))


def test_schedule_warms_up_falls_and_ends_without_mosaics() -> None:
    factors = [learning_rate_factor(p) for p in (0.0, 0.03, 0.5, 1.0, 1.1)]
    assert factors[0] == 0.0
    assert factors[1] == pytest.approx(1.0)
    assert factors[1] > factors[2] > factors[3] == factors[4] > 0
    assert plain_share(0.5) < 1.0
    assert plain_share(0.9) == 1.0
