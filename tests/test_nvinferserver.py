"""The emulation of nvinferserver: its rules, its requests, and the answers of a real Triton."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest
from clips import play, write_clip
from conftest import REPOSITORY
from recording_triton import recording_triton
from repository import ROOT, config, tensors
from tritonclient.grpc import model_config_pb2
from tritonclient.grpc import service_pb2 as pb
from yolostream.doctor.deepstream.letterbox import Rectangle

from tests.nvinferserver import tfssd
from tests.nvinferserver.__main__ import main as replay
from tests.nvinferserver.config import Mux, read_app, read_element, read_labels, thresholds
from tests.nvinferserver.element import IN_FLIGHT, Element
from tests.nvinferserver.errors import PipelineFailed, StartFailed
from tests.nvinferserver.frames import MuxedFrame, Place, mux, write_tensor
from tests.nvinferserver.requests import connect
from tests.nvinferserver.scaling import colors, scaled
from tests.nvinferserver.surfaces import Surface, as_video
from tools.compare_kitti import compare, read_kitti

CONFIGURATIONS = REPOSITORY / "clients" / "deepstream"
MODE_A = CONFIGURATIONS / "config_infer_yolov7.txt"
MODE_B = CONFIGURATIONS / "config_infer_yolov7_full_frame.txt"
APPS = sorted(set(CONFIGURATIONS.glob("*.txt")) - set(CONFIGURATIONS.glob("config_*.txt")))
FRAMES = 4
YEAR_S = 365 * 24 * 3600
OUTPUTS = ["detection_boxes", "detection_classes", "detection_scores", "num_detections"]

# Full batches keep all cores busy for seconds. On a machine that is busy with other tests, a step
# may then stand still for so long that Triton is restarted.
pytestmark = pytest.mark.alone


@pytest.fixture
def infer():
    """The InferenceConfig of mode A, with batches of 4."""
    infer, _ = read_element(MODE_A)
    infer.max_batch_size = 4
    return infer


def element(url, infer, **options):
    return Element(connect(url), infer, read_labels(ROOT / "yolov7" / "labels.txt"), **options)


def muxed(count, *, width=64, height=48):
    surface = plain((200, 200, 200), width=width, height=height)
    return [MuxedFrame(0, number, surface) for number in range(count)]


def plain(color, *, width, height):
    return Surface.of(as_video(np.full((height, width, 3), color, np.uint8)))


# Geometry: size of the muxed frame, size of the picture in 640x640, its corner, its scale.
PLACES = [
    ((1920, 1080), (640, 360), (0, 140), (1 / 3, 1 / 3)),
    ((3840, 2160), (640, 360), (0, 140), (1 / 6, 1 / 6)),
    ((1280, 720), (640, 360), (0, 140), (1 / 2, 1 / 2)),
    ((1080, 1920), (360, 640), (140, 0), (1 / 3, 1 / 3)),
    ((640, 480), (640, 480), (0, 80), (1, 1)),
    ((1366, 768), (640, 358), (0, 141), (0.468521, 0.466146)),
    ((704, 576), (640, 522), (0, 59), (0.909091, 0.906250)),
    ((1920, 1088), (640, 362), (0, 139), (0.333333, 0.332721)),
]


@pytest.mark.parametrize(("frame", "size", "corner", "scale"), PLACES)
def test_the_position_of_a_frame_is_that_of_deepstream(infer, frame, size, corner, scale):
    place = Place.fit(frame, (640, 640), infer.preprocess)
    assert place.rectangle == (*corner, *size)
    assert (place.scale_x, place.scale_y) == pytest.approx(scale, abs=5e-7)


def test_without_symmetric_padding_the_frame_is_in_the_corner(infer):
    infer.preprocess.symmetric_padding = 0
    place = Place.fit((1920, 1080), (640, 640), infer.preprocess)
    assert place.rectangle == (0, 0, 640, 360)


def test_without_a_kept_aspect_ratio_the_frame_fills_the_tensor(infer):
    infer.preprocess.maintain_aspect_ratio = 0
    place = Place.fit((1920, 1080), (640, 640), infer.preprocess)
    assert place.rectangle == (0, 0, 640, 640)


def test_an_odd_side_loses_its_last_pixel(infer):
    assert Place.fit((641, 481), (640, 640), infer.preprocess) == Place.fit(
        (640, 480), (640, 640), infer.preprocess
    )


@pytest.mark.parametrize("frame", [frame for frame, *_ in PLACES])
def test_boxes_are_converted_to_pixels_of_the_muxer(infer, frame):
    place = Place.fit(frame, (640, 640), infer.preprocess)
    whole = np.array([place.rectangle], np.float32)
    assert place.to_mux(whole)[0] == pytest.approx([0, 0, *frame], rel=1e-6)


def tensor_of(infer, surface, *, padding=0):
    out = np.empty((640, 640, 3), np.uint8)
    place = Place.fit(surface.size, (640, 640), infer.preprocess)
    write_tensor(surface, place, out, infer.preprocess, padding=padding)
    return out


def test_the_padding_is_black(infer):
    tensor = tensor_of(infer, plain((200, 200, 200), width=1920, height=1080))
    assert (tensor[:140] == 0).all()
    assert (tensor[140:500] == 200).all()
    assert (tensor[500:] == 0).all()


@pytest.mark.parametrize(
    ("size", "corner", "first", "last"),
    [((1366, 768), (0, 141), 142, 500), ((704, 576), (0, 59), 60, 582)],
)
def test_a_picture_at_an_odd_row_is_shifted_but_its_boxes_are_not(infer, size, corner, first, last):
    surface = plain((200, 200, 200), width=size[0], height=size[1])
    lit = tensor_of(infer, surface).any(axis=(1, 2)).nonzero()[0]
    assert (lit[0], lit[-1] + 1) == (first, last)
    place = Place.fit(size, (640, 640), infer.preprocess)
    assert place.to_mux(np.array([[*corner, 0, 0]], np.float32))[0].tolist() == [0, 0, 0, 0]


def test_the_scaling_filter_is_that_of_the_configuration(infer):
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    surface = Surface.of(as_video(noise))
    for number in range(6):
        infer.preprocess.frame_scaling_filter = number
        expected = scaled(surface, Rectangle(0, 140, 640, 360), number)
        assert np.array_equal(tensor_of(infer, surface)[140:500], expected)


def test_pixels_are_normalized_as_the_configuration_says(infer):
    surface = plain((10, 20, 200), width=640, height=640)
    red, green, blue = (int(level) for level in colors(surface)[0, 0])
    assert red < green < blue
    assert tensor_of(infer, surface)[0, 0].tolist() == [red, green, blue]
    infer.preprocess.network_format = infer.preprocess.network_format + 1
    assert tensor_of(infer, surface)[0, 0].tolist() == [blue, green, red]
    infer.preprocess.normalize.scale_factor = 0.0039
    assert tensor_of(infer, surface).max() == 0
    infer.preprocess.normalize.scale_factor = 2
    infer.preprocess.normalize.channel_offsets.extend([5.0, 5.0, 50.0])
    assert tensor_of(infer, surface)[0, 0].tolist() == [255, 2 * green - 10, 0]


def test_the_muxer_takes_a_frame_of_each_source_in_turn():
    surfaces = [plain((level,) * 3, width=64, height=48) for level in (0, 100, 200)]
    batches = list(mux([surfaces, surfaces[:2]], Mux(width=32, height=24, batch_size=2)))
    order = [[(frame.source, frame.number) for frame in batch] for batch in batches]
    assert order == [[(0, 0), (1, 0)], [(0, 1), (1, 1)], [(0, 2)]]
    assert batches[2][0].surface.size == (32, 24)
    assert (colors(batches[2][0].surface) == 200).all()


# The parser TfSSD


def layers(boxes, scores=None, classes=None, count=None):
    """The layers of an answer with these rows; boxes are y1, x1, y2, x2 in 0..1."""
    rows = len(boxes)
    answer = {
        "detection_boxes": np.array(boxes, np.float32),
        "detection_scores": np.array(scores or [0.9] * rows, np.float32),
        "detection_classes": np.array(classes or [0] * rows, np.float32),
    }
    if count is not None:
        answer["num_detections"] = np.array([count])
    return answer


def parsed(answer, lowest=(0.25,) * 80):
    return tfssd.parse(answer, width=640, height=480, thresholds=np.array(lowest, np.float32))


BOX = (0.25, 0.5, 0.5, 0.75)


def test_the_parser_returns_left_top_width_height_in_tensor_pixels():
    objects = parsed(layers([BOX]))
    assert objects.rectangles.tolist() == [[320, 120, 160, 120]]
    assert objects.rectangles.dtype == objects.scores.dtype == np.float32


def test_a_box_ends_at_the_last_pixel():
    assert parsed(layers([(-1, -1, 2, 2)])).rectangles.tolist() == [[0, 0, 639, 479]]


@pytest.mark.parametrize("name", ["detection_boxes", "detection_scores", "detection_classes"])
def test_a_layer_that_is_not_fp32_ends_the_pipeline(name):
    answer = layers([BOX])
    answer[name] = answer[name].astype(np.int32)
    with pytest.raises(PipelineFailed, match=name):
        parsed(answer)


@pytest.mark.parametrize(
    ("count", "kept"),
    [
        (None, 3),
        (np.float32(2), 2),
        (np.float32(0), 0),
        (np.float32(400), 3),
        (np.float32(-1), 3),
        (np.float32("nan"), 3),
        (np.int32(1), 3),
    ],
)
def test_the_number_of_rows_that_are_parsed(count, kept):
    assert len(parsed(layers([BOX] * 3, count=count)).scores) == kept


def test_the_parser_drops_weak_unknown_or_empty_objects_and_keeps_the_order():
    flat, inverted, outside = (0.5, 0.5, 0.5, 0.6), (0.6, 0.6, 0.5, 0.5), (0.5, 1.1, 0.6, 1.2)
    rows = [
        (BOX, 0.3, 7),
        (BOX, 0.25, 79),  # a score equal to the threshold is kept
        (BOX, 0.24, 0),
        (BOX, 0.9, 80),
        (BOX, 0.9, -1),
        (flat, 0.9, 0),
        (inverted, 0.9, 0),
        (outside, 0.9, 0),
        (BOX, float("nan"), 3),  # NaN is not below the threshold
    ]
    boxes, scores, classes = map(list, zip(*rows, strict=True))
    assert parsed(layers(boxes, scores, classes)).class_ids.tolist() == [7, 79, 3]


def test_each_class_has_its_own_threshold(infer):
    detection = infer.postprocess.detection
    detection.simple_cluster.threshold = 0.5
    detection.per_class_params.add(key=2).value.pre_threshold = 0.1
    lowest = thresholds(infer)
    assert lowest.shape == (detection.num_detected_classes,)
    assert lowest[[1, 2, 3]].tolist() == pytest.approx([0.5, 0.1, 0.5])


def test_labels_are_read_as_deepstream_reads_them(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_bytes(b"person;mensch\n\ncar\r\ntraffic light\n")
    assert read_labels(path) == ("person", "car\r", "traffic light")


def test_a_missing_label_file_is_named(tmp_path):
    with pytest.raises(StartFailed, match="labelfile_path"):
        read_labels(tmp_path / "labels.txt")


def test_an_application_of_nvinfer_is_refused(tmp_path):
    path = tmp_path / "application.txt"
    text = (CONFIGURATIONS / "dual_video.txt").read_text()
    path.write_text(text.replace("plugin-type=1", "plugin-type=0"))
    with pytest.raises(StartFailed, match="plugin-type"):
        read_app(path)


# Requests, recorded by a server


def test_the_start_sends_the_requests_of_deepstream(infer):
    infer.max_batch_size = 16
    with recording_triton() as triton:
        element(triton.url, infer)
    live, ready, model, configuration, warm_up = triton.requests
    assert live == pb.ServerLiveRequest()
    assert ready == pb.ServerReadyRequest()
    assert model == pb.ModelReadyRequest(name="yolov7", version="")
    assert configuration == pb.ModelConfigRequest(name="yolov7", version="")
    assert warm_up.id == "0"
    assert list(warm_up.inputs[0].shape) == [16, 640, 640, 3]
    (noise,) = warm_up.raw_input_contents
    assert len(set(noise[:10_000])) > 200


def test_a_request_equals_that_of_deepstream_in_every_byte(infer):
    infer.max_batch_size = 8
    surface = plain((10, 20, 200), width=1920, height=1080)
    color = colors(surface)[0, 0].tobytes()
    with recording_triton() as triton:
        batches = [[MuxedFrame(0, number, surface) for number in range(8)]]
        assert len(list(element(triton.url, infer).detect(batches))) == 8
    _, request = triton.inferences
    picture = bytes(140 * 640 * 3) + color * 360 * 640 + bytes(140 * 640 * 3)
    expected = pb.ModelInferRequest(model_name="yolov7", id="1")
    expected.parameters["triton_enable_empty_final_response"].bool_param = False
    expected.inputs.add(name="frames", datatype="UINT8", shape=[8, 640, 640, 3])
    for name in OUTPUTS:
        expected.outputs.add(name=name)
    expected.raw_input_contents.append(picture * 8)
    assert request.SerializeToString() == expected.SerializeToString()
    assert len(request.raw_input_contents[0]) == 8 * 1_228_800


def test_requests_have_no_deadline_and_no_metadata(infer):
    with recording_triton() as triton:
        list(element(triton.url, infer).detect([muxed(1)]))
    assert min(triton.deadlines) > YEAR_S, "without a deadline, gRPC reports a very long time"
    assert {name for metadata in triton.metadata for name in metadata} == {"user-agent"}


def test_only_inferences_request_a_version(infer):
    infer.backend.triton.version = 3
    with recording_triton() as triton:
        element(triton.url, infer)
    assert [request.version for request in triton.requests[2:4]] == ["", ""]
    assert [request.model_version for request in triton.inferences] == ["3"]


def test_a_large_batch_is_split_and_its_rest_is_sent_as_a_smaller_batch(infer):
    with recording_triton() as triton:
        answers = list(element(triton.url, infer).detect([muxed(10), muxed(3)]))
    assert [frame.number for frame, _ in answers] == [*range(10), *range(3)]
    sent = {request.id: request.inputs[0].shape[0] for request in triton.inferences}
    assert sent == {"0": 4, "1": 4, "2": 4, "3": 2, "4": 3}


def test_at_most_two_requests_are_in_flight(infer):
    with recording_triton(hold_s=0.5) as triton:
        list(element(triton.url, infer).detect([muxed(1)] * 6))
    assert triton.most_at_once == IN_FLIGHT == 2


def test_all_outputs_are_requested_if_none_is_listed(infer):
    del infer.backend.outputs[:]
    with recording_triton() as triton:
        element(triton.url, infer)
    every = sorted(tensors(config("yolov7").output))
    assert set(every) > set(OUTPUTS)
    assert [output.name for output in triton.inferences[0].outputs] == every


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"detection_classes": np.int32(0)}, "unsupported data types: .*detection_classes"),
        ({"detection_boxes": None}, "lacks detection_boxes"),
    ],
)
def test_an_answer_that_the_parser_cannot_read_ends_the_pipeline(infer, answers, reason):
    with recording_triton() as triton:
        started = element(triton.url, infer)
        triton.answers |= answers
        triton.answers = {k: v for k, v in triton.answers.items() if v is not None}
        with pytest.raises(PipelineFailed, match=reason):
            list(started.detect([muxed(1)]))


def test_a_lost_server_ends_the_pipeline(infer):
    with recording_triton() as triton:
        started = element(triton.url, infer)
    with pytest.raises(PipelineFailed):
        list(started.detect([muxed(1)]))


@pytest.mark.parametrize("path", APPS, ids=lambda path: path.stem)
def test_every_shipped_application_starts(path):
    app = read_app(path)
    with recording_triton() as triton:
        Element(connect(triton.url), app.infer, app.labels)
    (warm_up,) = triton.inferences
    assert warm_up.inputs[0].shape[0] == app.infer.max_batch_size <= triton.model.max_batch_size
    assert len(app.labels) == app.infer.postprocess.detection.num_detected_classes
    assert app.uris


def set_dims(infer, *dims):
    infer.backend.inputs[0].dims[:] = dims


def set_order(infer, name):
    orders = infer.preprocess.DESCRIPTOR.fields_by_name["tensor_order"].enum_type
    infer.preprocess.tensor_order = orders.values_by_name[name].number


def clear_format(model):
    model.input[0].format = model_config_pb2.ModelInput.FORMAT_NONE


@pytest.mark.parametrize(
    ("reason", "broken"),
    [
        (r"wildcard dims \[-1, -1, 3\]", lambda infer, _: infer.backend.ClearField("inputs")),
        (r"wildcard dims \[-1, 640, 3\]", lambda infer, _: set_dims(infer, -1, 640, 3)),
        ("4 configured, 3 in the model", lambda infer, _: set_dims(infer, 640, 640, 4)),
        (r"configured as \[640, 640\]", lambda infer, _: set_dims(infer, 640, 640)),
        # The dims are those of a tensor that the model lacks, so that the model's stay variable.
        (
            r"wildcard dims \[-1, -1, 3\]",
            lambda infer, _: setattr(infer.backend.inputs[0], "name", "images"),
        ),
        ("'images'", lambda infer, _: setattr(infer.preprocess, "tensor_name", "images")),
        ("masks", lambda infer, _: infer.backend.outputs.add(name="masks")),
        ("NCHW, the model expects NHWC", lambda infer, _: set_order(infer, "TENSOR_ORDER_LINEAR")),
        (
            "read as NCHW",
            lambda infer, model: (set_order(infer, "TENSOR_ORDER_LINEAR"), clear_format(model)),
        ),
        (
            "tensor_order is not set",
            lambda infer, model: (set_order(infer, "TENSOR_ORDER_NONE"), clear_format(model)),
        ),
        ("threshold", lambda _, model: model.input.add(name="threshold", dims=[1])),
        (
            "num_detected_classes is 0",
            lambda infer, _: setattr(infer.postprocess.detection, "num_detected_classes", 0),
        ),
        (
            "class 80, of 80",
            lambda infer, _: infer.postprocess.detection.per_class_params.add(key=80),
        ),
        ("1025", lambda infer, _: setattr(infer, "max_batch_size", 1025)),
        ("max_batch_size 0", lambda infer, _: setattr(infer, "max_batch_size", 0)),
    ],
)
def test_models_that_deepstream_refuses_are_refused_before_a_frame_is_sent(infer, reason, broken):
    model = config("yolov7")
    broken(infer, model)
    with recording_triton(model=model) as triton, pytest.raises(StartFailed, match=reason):
        element(triton.url, infer)
    assert not triton.inferences


def test_a_model_without_a_format_has_that_of_the_configuration(infer):
    model = config("yolov7")
    clear_format(model)
    with recording_triton(model=model) as triton:
        element(triton.url, infer)
    assert list(triton.inferences[0].inputs[0].shape) == [4, 640, 640, 3]


# A real Triton


@pytest.mark.parametrize("path", [MODE_A, MODE_B], ids=["mode A", "mode B"])
def test_a_real_triton_answers_the_warm_up_at_full_batch(triton, path):
    infer, _ = read_element(path)
    assert infer.max_batch_size == config("yolov7").max_batch_size
    element(triton.url, infer)


def test_a_batch_size_above_that_of_the_model_fails_at_the_start(triton, infer):
    infer.max_batch_size = config("yolov7").max_batch_size + 1
    with pytest.raises(StartFailed, match=f"batch.* <= {config('yolov7').max_batch_size}"):
        element(triton.url, infer)


def test_a_missing_model_fails_at_the_start(triton, infer):
    infer.backend.triton.model_name = "yolo11"
    with pytest.raises(StartFailed, match="yolo11"):
        element(triton.url, infer)


def test_a_smaller_last_batch_gets_the_answers_of_its_frames(triton, infer, demo_frames):
    images = demo_frames("mb1_1", range(0, 300, 60))
    surfaces = [Surface.of(as_video(image)) for image in images]
    batch = [MuxedFrame(0, number, surface) for number, surface in enumerate(surfaces)]
    together = [found for _, found in element(triton.url, infer).detect([batch])]
    infer.max_batch_size = 1
    alone = [found for _, found in element(triton.url, infer).detect([batch])]
    assert len(together) == 5
    for one, other in zip(together, alone, strict=True):
        assert one.names == other.names
        np.testing.assert_allclose(one.boxes, other.boxes, atol=0.1)


@pytest.fixture(scope="module")
def videos(tmp_path_factory, demo_frames):
    """A few frames of both demo clips."""
    folder = tmp_path_factory.mktemp("videos")
    return [
        write_clip(folder / f"{name}.mp4", demo_frames(name, range(FRAMES)))
        for name in ("mb1_1", "mb2_2")
    ]


@pytest.fixture(scope="module")
def dumps(triton, videos, tmp_path_factory):
    """The KITTI folders that the command line writes for these videos in both modes."""
    folders = {}
    for mode in (MODE_A, MODE_B):
        folder = tmp_path_factory.mktemp("kitti")
        # The copy of the shipped application is in another folder, so it needs absolute paths.
        text = (CONFIGURATIONS / "dual_video.txt").read_text()
        text = re.sub(r"^config-file=.*", f"config-file={mode}", text, flags=re.MULTILINE)
        text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
        for video in videos:
            text = text.replace(f"file://../../videos/{video.name}", video.as_uri())
        application = folder / "application.txt"
        application.write_text(text)
        folders[mode] = folder / "kitti"
        replay([str(application), "--output", str(folders[mode]), "--url", triton.url])
    return folders


def test_the_command_writes_files_like_those_of_gie_kitti_output_dir(dumps):
    files = sorted(dumps[MODE_A].iterdir())
    assert [path.name for path in files] == [
        f"00_{source:03}_{frame:06}.txt" for source in (0, 1) for frame in range(FRAMES)
    ]
    for path in files:
        lines = path.read_text().splitlines()
        assert lines, "every frame of the demo clips has objects"
        for line in lines:
            label, *columns = line.split()
            assert label in read_labels(ROOT / "yolov7" / "labels.txt")
            assert [columns[i] for i in (0, 1, 2, *range(7, 14))] == ["0.0", "0", *["0.0"] * 8]
            left, top, right, bottom = (float(column) for column in columns[3:7])
            assert 0 <= left < right <= 1280
            assert top < bottom
            assert 0.25 <= float(columns[14]) <= 1


def test_two_folders_are_compared_frame_by_frame(dumps):
    same, frames = compare(dumps[MODE_A], dumps[MODE_A])
    assert frames == 2 * FRAMES
    assert same.share == 1
    assert same.boxes[0] == same.boxes[1] == len(same.ious) > 8
    other, _ = compare(dumps[MODE_A], dumps[MODE_B])
    assert 0 < len(other.ious) <= min(other.boxes)
    assert (other.ious < 1).any()
    assert np.median(other.ious) > 0.9


def test_the_files_agree_with_the_python_client(dumps, detector, videos):
    for source, video in enumerate(videos):
        for number, (_, frame) in enumerate(play(video)):
            dumped = read_kitti(dumps[MODE_B] / f"00_{source:03}_{number:06}.txt")
            assert Counter(dumped.names) == Counter(detector.detect(frame).names)


def test_a_missing_server_is_reported_in_one_line(tmp_path, capsys):
    arguments = [str(CONFIGURATIONS / "dual_video.txt"), "--output", str(tmp_path / "kitti")]
    with pytest.raises(SystemExit) as ended:
        replay([*arguments, "--url", "127.0.0.1:1"])
    assert ended.value.code == StartFailed.exit_code
    assert "127.0.0.1:1" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
