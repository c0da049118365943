"""Drawing of boxes, labels and titles on frames."""

from __future__ import annotations

import numpy as np
import pytest
from clips import noise
from yolostream.detections import Detections
from yolostream.pipeline.drawing import Annotator, LabelOptions

GRAY = 128
SIZE = 200
MIDDLE = (80, 100, 120, 140)
NO_LABELS = LabelOptions(name=False, confidence=False, track_id=False)


def found(*boxes, class_ids=None, track_ids=None):
    count = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(count, 0.5, np.float32),
        class_ids=np.zeros(count, np.int64) if class_ids is None else np.array(class_ids),
        labels=("car", "bus", "bicycle"),
        track_ids=None if track_ids is None else np.array(track_ids),
    )


def gray(height=SIZE, width=SIZE):
    return np.full((height, width, 3), GRAY, np.uint8)


def dark_pixels(box):
    """The number of dark pixels, which only the letters of the label have."""
    picture = Annotator("").draw(gray(), found(box))
    return int((picture < GRAY // 2).all(axis=2).sum())


def color_at(detections, row, column):
    """The color of a pixel when only boxes are drawn, as red, green, blue."""
    return tuple(Annotator("", labels=NO_LABELS).draw(gray(), detections)[row, column].tolist())


@pytest.mark.parametrize(
    "box",
    [
        (SIZE - 20, 100, SIZE, 140),
        (80, 0, 120, 40),
        (80, 5, 120, 40),
        (0, SIZE - 5, 20, SIZE),
        (0, 0, SIZE, SIZE),
        (-5, -5, 5, 5),
        (SIZE, SIZE, SIZE, SIZE),
    ],
    ids=["right", "top", "near the top", "bottom left", "whole picture", "outside", "a dot"],
)
def test_a_label_at_the_edge_is_complete(box):
    assert dark_pixels(box) == dark_pixels(MIDDLE) > 0


def test_the_title_hides_no_label():
    detections = found((0, 0, 40, 40))
    titled, untitled = (Annotator(title).draw(gray(), detections) for title in ("street", ""))
    drawn = (untitled != GRAY).any(axis=2)
    assert np.array_equal(titled[drawn], untitled[drawn])
    assert (titled != untitled).any()


def test_the_title_is_at_the_top_left():
    changed = (Annotator("street").draw(gray(), found()) != GRAY).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert 0 < rows.max() < 45
    assert 0 < columns.max() < 110


def test_drawing_does_not_change_the_frame():
    image = noise(1)
    before = image.copy()
    drawn = Annotator("street").draw(image, found(MIDDLE, track_ids=[1]))
    assert np.array_equal(image, before)
    assert (drawn != before).any()
    assert not np.shares_memory(drawn, image)


def test_without_objects_and_title_nothing_is_drawn():
    image = noise(1)
    assert np.array_equal(Annotator("").draw(image, found()), image)


def test_a_frame_that_is_a_view_can_be_drawn_on():
    flipped = noise(1)[::-1, ::-1, ::-1]
    expected = Annotator("a").draw(flipped.copy(), found(MIDDLE))
    assert np.array_equal(Annotator("a").draw(flipped, found(MIDDLE)), expected)


def test_the_color_depends_on_the_track_or_else_on_the_class():
    def color(class_id, track_ids):
        return color_at(found(MIDDLE, class_ids=[class_id], track_ids=track_ids), 120, 80)

    assert color(0, [3]) == color(1, [3]) != color(0, [4])
    assert color(0, None) == color(0, [-1]) != color(1, None)
    # The order is RGB, as everywhere in this package.
    assert color(0, None) == (255, 176, 0)


def test_a_box_is_drawn_at_its_coordinates():
    drawn = Annotator("", labels=NO_LABELS).draw(gray(), found((50.4, 60.4, 99.6, 149.6)))
    rows, columns = np.nonzero((drawn != GRAY).any(axis=2))
    for edge, expected in zip(
        (columns.min(), rows.min(), columns.max(), rows.max()), (50, 60, 100, 150), strict=True
    ):
        assert abs(int(edge) - expected) <= 1
    # Only the outline is drawn.
    assert (drawn[63:147, 53:97] == GRAY).all()


def test_all_sides_of_a_box_at_the_edge_are_visible():
    drawn = Annotator("", labels=NO_LABELS).draw(gray(), found((0, 0, SIZE, SIZE)))
    edges = (drawn[0], drawn[-1], drawn[:, 0], drawn[:, -1])
    assert all((edge != GRAY).any(axis=1).all() for edge in edges)


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        (LabelOptions(), {"track", "name", "score"}),
        (LabelOptions(track_id=False), {"name", "score"}),
        (LabelOptions(name=False), {"track", "score"}),
        (LabelOptions(confidence=False), {"track", "name"}),
        (NO_LABELS, set()),
    ],
)
def test_a_label_shows_the_selected_parts(options, texts):
    drawn = Annotator("", labels=options)

    shown = set()
    base = found(MIDDLE, class_ids=[0], track_ids=[8])
    # Tracks 8 and 16 have the same color, and the class of a tracked object does not affect it.
    others = {
        "track": found(MIDDLE, class_ids=[0], track_ids=[16]),
        "name": found(MIDDLE, class_ids=[1], track_ids=[8]),
        "score": Detections(**{**vars(base), "scores": np.array([0.75], np.float32)}),
    }
    for what, other in others.items():
        if (drawn.draw(gray(), base) != drawn.draw(gray(), other)).any():
            shown.add(what)
    assert shown == texts


def test_the_label_with_the_highest_score_is_on_top():
    both = found(MIDDLE, MIDDLE, track_ids=[1, 2])
    best = found(MIDDLE, track_ids=[1])
    drawn, expected = (Annotator("").draw(gray(), one) for one in (both, best))
    assert np.array_equal(drawn[80:98], expected[80:98])


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 300), (300, 1), (7, 5), (31, 47), (361, 641), (1081, 1923)]
)
def test_any_size_can_be_drawn_on(height, width):
    corners = np.random.default_rng(0).uniform(0, 1, (300, 2, 2)) * [width, height]
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    crowd = found(*boxes, track_ids=np.arange(300) - 1)
    drawn = Annotator("a title that is long", labels=LabelOptions()).draw(
        gray(height, width), crowd
    )
    assert drawn.shape == (height, width, 3)
    assert drawn.dtype == np.uint8
    assert (drawn != GRAY).any()


def test_letters_are_larger_in_larger_frames():
    def dark_height(size):
        box = tuple(round(part * size) for part in (0.4, 0.5, 0.6, 0.7))
        picture = Annotator("").draw(gray(size, size), found(box))
        rows = np.nonzero((picture < GRAY // 2).all(axis=2).any(axis=1))[0]
        return int(rows.max() - rows.min())

    small, large, largest = map(dark_height, (360, 1080, 2160))
    assert 1.4 < large / small < 2.1
    assert 2 < largest / small < 3
    assert dark_height(180) == small


def test_unknown_classes_and_titles_in_any_script_are_drawn():
    unknown = Annotator("Straße 道").draw(gray(), found(MIDDLE, class_ids=[7]))
    assert ((unknown < GRAY // 2).all(axis=2)).any()
