"""Outputs of a camera that another instance has taken over, in a folder of both instances."""

from __future__ import annotations

import threading
from fractions import Fraction
from functools import partial
from pathlib import Path
from unittest import mock

import av
from clips import MILLISECOND, gray, number_of, play
from running import lines, poll
from watched import NOTHING, RATE, watched
from yolostream.frame import Frame
from yolostream.outputs.fenced import Fenced, Permit
from yolostream.outputs.hls import PLAYLIST, Hls, hls_folder
from yolostream.outputs.output import Output
from yolostream.outputs.recording import Recording
from yolostream.outputs.segments import Segments
from yolostream.sources import Video

ANY_ROOM = {"min_free_bytes": 0, "min_free_percent": 0}


class Owner:
    """An instance that may write while its event is set."""

    def __init__(self, folder: Path, lease: int, **wanted: object) -> None:
        self.is_ours = threading.Event()
        self.is_ours.set()
        permit = Permit(lease, self.is_ours.is_set)
        recording = Recording(folder, **wanted)
        session = mock.Mock(frame_rate=Fraction(RATE))
        makers = recording.makers(Video("rtsp://somewhere/street", "street"), session, permit)
        self.outputs: list[Output] = [Fenced.of(make, permit) for make in makers]

    def write(self, *numbers: int) -> None:
        for number in numbers:
            image = gray(20 + 10 * number)
            frame = Frame(image, number, 100 * number, MILLISECOND)
            for output in self.outputs:
                output.write(frame, image, NOTHING)

    def close(self) -> None:
        for output in self.outputs:
            output.close()


def test_two_owners_of_a_folder_do_not_damage_each_other_s_files(tmp_path: Path) -> None:
    begin = partial(Owner, tmp_path, segments=Segments(**ANY_ROOM))
    first = begin(1)
    first.write(*range(8))
    # The first owner pauses; another owner starts before the first one continues.
    first.is_ours.clear()
    second = begin(2)
    second.write(10)
    first.write(*range(8, 12))
    second.write(11, 12)
    first.close()
    second.write(13)
    second.close()
    assert [output.lost for output in first.outputs] == [4, 4]
    assert [output.lost for output in second.outputs] == [0, 0]
    folder = tmp_path / "street"
    written = [
        [(one["lease"], one["frame"]) for one in lines(path)] for path in folder.glob("*.jsonl")
    ]
    assert sorted(written) == [
        [(1, number) for number in range(8)],
        [(2, number) for number in range(10, 14)],
    ]
    shown = [[number_of(image) for _, image in play(path)] for path in folder.glob("*.mp4")]
    assert sorted(shown) == [list(range(8)), list(range(10, 14))]


def test_a_player_gets_only_the_segments_of_the_new_owner(tmp_path: Path) -> None:
    is_ours = threading.Event()
    is_ours.set()
    hls = partial(hls_folder, tmp_path, Hls(4), name="street", frame_rate=Fraction(RATE))

    def listed() -> list[str]:
        path = tmp_path / PLAYLIST
        return [
            line
            for line in (path.read_text() if path.exists() else "").splitlines()
            if line.endswith(".m4s") or "MAP" in line
        ]

    with watched(hls(may_send=is_ours.is_set), [gray(40, width=320, height=240)]) as has_frames:
        poll(lambda: len(listed()) > 1, what="segments of the first owner")
        is_ours.clear()
        before = listed()
        with watched(hls(), [gray(200, width=320, height=240)]):
            poll(
                lambda: len(listed()) > 1 and listed()[0] != before[0],
                what="segments of the second owner",
            )
            # The first owner writes nothing, with or without new frames.
            begun = listed()[0]
            has_frames.clear()
            poll(lambda: len(listed()) > 3, what="more segments of the second owner")
            assert listed()[0] == begun
            assert len(list(tmp_path.glob("init_*.mp4"))) == 1
    assert listed()[0] == begun
    options = {"live_start_index": "0"}
    with av.open(str(tmp_path / PLAYLIST), options=options, timeout=60) as container:
        pictures = [frame.to_ndarray(format="gray") for frame in _some(container, 30)]
    assert min(picture.mean() for picture in pictures) > 150


def _some(container: av.container.InputContainer, count: int) -> list[av.VideoFrame]:
    frames = container.decode(video=0)
    return [next(frames) for _ in range(count)]
