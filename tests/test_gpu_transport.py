"""Frames in GPU memory, from NVDEC to the network of the server, on a real GPU."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from clips import frames_of, noise, steps, turned, write_clip
from gpu import HAS_GPU, needs_gpu
from yolostream import Detector, gpu_memory
from yolostream.gpu_memory import on_host
from yolostream.server import embedded
from yolostream.sources import find_sources, nvdec

if HAS_GPU:
    import cupy

pytestmark = needs_gpu

REPOSITORY = Path(__file__).parents[1]
VIDEOS = REPOSITORY / "videos"
# The whole frame, mirrored rows, odd sides, and every other pixel.
VIEWS = (np.s_[:], np.s_[:, ::-1], np.s_[:481, :641], np.s_[::2, ::2])


def same(one, other, atol=1e-2):
    return (
        len(one) == len(other)
        and np.array_equal(one.class_ids, other.class_ids)
        and np.allclose(one.boxes, other.boxes, atol=atol)
        and np.allclose(one.scores, other.scores, atol=1e-3)
    )


def regions(detector):
    return detector._servers.first.client.get_cuda_shared_memory_status().regions


@pytest.fixture(scope="module")
def gpu_triton():
    with embedded.serve(
        REPOSITORY / "model_repository",
        environment=REPOSITORY / ".venv-server",
        models=["yolov7"],
        profile="onnx-gpu",
    ) as server:
        yield server


@pytest.fixture(scope="module")
def frame(demo_frames):
    return demo_frames("mb1_1", [120])[0]


def test_all_gpu_packages_are_installed():
    assert gpu_memory.missing() == ""
    assert nvdec.missing() == ""


def test_all_transports_give_the_same_boxes(gpu_triton, demo_frames):
    frames = demo_frames("mb1_1", range(0, 300, 60))
    with (
        Detector(gpu_triton.url, transport="cuda-shared-memory") as cuda,
        Detector(gpu_triton.url, transport="shared-memory") as shared,
        Detector(gpu_triton.url, transport="grpc") as grpc,
    ):
        for frame in frames:
            found = cuda.detect(frame)
            assert len(found) > 0
            assert same(found, shared.detect(frame))
            assert same(found, grpc.detect(frame))


def test_frames_in_gpu_memory_and_host_memory_give_the_same_boxes(gpu_triton, frame):
    with (
        Detector(gpu_triton.url, transport="cuda-shared-memory", downscale=False) as cuda,
        Detector(gpu_triton.url, transport="shared-memory", downscale=False) as shared,
    ):
        for view in VIEWS:
            picture, on_gpu = frame[view], cupy.asarray(frame)[view]
            expected = shared.detect(np.ascontiguousarray(picture))
            assert same(cuda.detect(on_gpu), expected)
            assert same(cuda.detect(picture), expected)
            assert same(shared.detect(on_gpu), expected)


def test_pending_work_on_the_stream_of_a_frame_is_waited_for(gpu_triton, frame):
    with Detector(gpu_triton.url, transport="cuda-shared-memory") as detector:
        expected = detector.detect(cupy.asarray(frame))
        stream = cupy.cuda.Stream(non_blocking=True)
        source = cupy.asarray(frame)
        for _ in range(5):
            with stream:
                late = cupy.zeros_like(source)
                busy = cupy.ones(1 << 26, cupy.float32)
                for _ in range(50):
                    cupy.sqrt(busy, out=busy)
                late[:] = source
                found = detector.detect(late)
            assert same(found, expected)


def test_a_region_is_reused_replaced_by_a_larger_one_and_removed(gpu_triton, frame):
    with Detector(gpu_triton.url, transport="grpc") as observer:
        before = set(regions(observer))
        with Detector(
            gpu_triton.url, transport="cuda-shared-memory", max_in_flight=1, downscale=False
        ) as detector:
            assert set(regions(observer)) == before
            for _ in range(3):
                detector.detect(np.ascontiguousarray(frame[:240, :320]))
            (small,) = set(regions(observer)) - before
            detector.detect(np.ascontiguousarray(frame[:200, :300]))
            assert set(regions(observer)) - before == {small}
            detector.detect(frame)
            (large,) = set(regions(observer)) - before
            assert large != small
            assert regions(observer)[large].byte_size >= frame.nbytes
        assert set(regions(observer)) == before


def test_gpu_memory_is_freed(gpu_triton, frame):
    def one_detector() -> None:
        with Detector(gpu_triton.url, transport="cuda-shared-memory", max_in_flight=8) as detector:
            list(detector.stream([cupy.asarray(frame)] * 16))

    one_detector()
    before, _ = cupy.cuda.runtime.memGetInfo()
    for _ in range(20):
        one_detector()
    after, _ = cupy.cuda.runtime.memGetInfo()
    # A leak of all 20 x 8 regions of 4 MiB would be 640 MiB.
    assert before - after < 64 << 20


def test_auto_falls_back_if_the_server_has_no_gpu(triton, frame):
    with Detector(triton.url) as detector:
        assert detector.transport == "shared-memory"
        assert same(detector.detect(frame), detector.detect(cupy.asarray(frame)), atol=1)


def read(path, decoder):
    (source,), _ = find_sources([str(path)], decoder=decoder)
    return frames_of(source)


def assert_decoded_the_same(path):
    frames, expected = read(path, "gpu"), read(path, "cpu")
    assert [(f.index, f.pts, f.time_base) for f in frames] == [
        (f.index, f.pts, f.time_base) for f in expected
    ]
    for frame, other in zip(frames, expected, strict=True):
        assert isinstance(frame.image, cupy.ndarray)
        image = on_host(frame.image).astype(int)
        assert image.shape == other.image.shape
        # H.264 decoders give equal YUV. FFmpeg converts to RGB in 16 bits and truncates at each
        # step, the kernel in 32 bits: up to four levels of difference, half a level on average.
        assert np.abs(image - other.image).max() <= 4
        assert np.abs(image - other.image).mean() < 1


@pytest.mark.parametrize("name", ["mb1_1", "mb2_2"])
def test_nvdec_decodes_the_demo_videos_as_ffmpeg_does(name):
    assert_decoded_the_same(VIDEOS / f"{name}.mp4")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov", ".h264"])
def test_nvdec_decodes_any_container_as_ffmpeg_does(tmp_path, suffix):
    images = [noise(number) // 4 + 40 * (number % 3) for number in range(24)]
    format = "h264" if suffix == ".h264" else None
    assert_decoded_the_same(write_clip(tmp_path / f"clip{suffix}", images, format=format))


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)])
def test_pictures_of_nvdec_are_rotated_upright(tmp_path, matrix):
    assert_decoded_the_same(turned(write_clip(tmp_path / "clip.mp4", [noise(1)] * 3), matrix))


def test_a_video_that_nvdec_cannot_decode_falls_back_with_one_log_line(tmp_path, caplog):
    frames = read(write_clip(tmp_path / "c.mp4", steps(5, width=33, height=47)), "gpu")
    (note,) = caplog.messages
    assert len(frames) == 5
    assert "is decoded on the CPU" in note


def rows(path):
    return list(csv.reader(path.read_text().splitlines()))


def test_detect_gives_the_same_results_with_both_decoders(gpu_triton, tmp_path, yolostream_cli):
    for decoder in ("cpu", "gpu"):
        done = yolostream_cli(
            *("detect", VIDEOS / "mb1_1.mp4", "--url", gpu_triton.url, "--decoder", decoder),
            *("--limit", 60, "--save", "mp4", "--save", "csv", "--output", tmp_path / decoder),
        )
        assert done.returncode == 0, done.stderr
        assert "note:" not in done.stderr
        assert (tmp_path / decoder / "mb1_1.mp4").stat().st_size > 0
    one, other = (rows(tmp_path / decoder / "mb1_1.csv") for decoder in ("cpu", "gpu"))
    # Pixels that differ by a level change detections with scores at the threshold.
    assert abs(len(one) - len(other)) <= 0.05 * len(one)


def test_a_copy_through_host_memory_is_logged(triton, tmp_path, yolostream_cli):
    arguments = ("--decoder", "gpu", "--limit", 5, "--save", "csv", "--output", tmp_path)
    done = yolostream_cli("detect", VIDEOS / "mb1_1.mp4", "--url", triton.url, *arguments)
    assert done.returncode == 0
    assert done.stderr.count("note:") == 1
    assert "through host memory" in done.stderr
