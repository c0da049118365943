"""The times at which cameras are opened again, with a simulated clock."""

from __future__ import annotations

import logging
from fractions import Fraction

import numpy as np
import pytest
from clips import gray
from yolostream.detections import Detections
from yolostream.errors import SourceDenied, SourceError, SourceUnsupported
from yolostream.frame import Frame
from yolostream.pipeline.numbering import Numbering
from yolostream.pipeline.status import Status
from yolostream.pipeline.supervision import STEADY_S, Limits, Retry, Supervision
from yolostream.sources.address import is_of_a_file

AWAY = SourceError("no answer")
LONGEST = 1.0


def supervised(*, jitter: float = LONGEST) -> Supervision:
    """The supervision of a camera that delivered frames until 0 s."""
    supervision = Supervision(Limits(), now=-100.0, jitter=lambda: jitter)
    supervision.gave_frames(-100.0, 0.0)
    return supervision


def delay(supervision: Supervision, problem: SourceError, now: float) -> float:
    retry = supervision.after(problem, now)
    assert retry is not None
    return retry.delay_s


@pytest.mark.parametrize(
    ("away_s", "longest_s"),
    [(0, 1), (5, 1), (20, 1), (30, 1.5), (300, 15), (1200, 60), (86_400, 60)],
)
def test_the_delay_is_at_most_a_twentieth_of_the_outage(away_s, longest_s) -> None:
    assert delay(supervised(), AWAY, away_s) == longest_s
    assert delay(supervised(jitter=0.25), AWAY, away_s) == longest_s / 4


def test_short_recoveries_do_not_reset_the_delay() -> None:
    supervision = supervised()
    for second in range(0, 300, 3):
        supervision.gave_frames(second, second + 1)
    assert delay(supervision, AWAY, 300) == 15
    supervision.gave_frames(300, 300 + STEADY_S)
    assert delay(supervision, AWAY, 300 + STEADY_S) == 1


@pytest.mark.parametrize(
    ("problem", "state"),
    [(SourceDenied("401"), "auth_failed"), (SourceUnsupported("sound"), "unsupported")],
)
def test_problems_that_need_a_manual_change_are_retried_rarely(problem, state) -> None:
    supervision, now, waits = supervised(jitter=0.0), 0.0, []
    for _ in range(6):
        retry = supervision.after(problem, now)
        assert retry is not None
        assert retry.state == state
        waits.append(retry.delay_s)
        now += retry.delay_s
    assert waits == [60, 120, 240, 480, 600, 600]
    # The problem persists for weeks.
    for _ in range(5000):
        assert delay(supervision, problem, now) == 600
    # After a success, the next refusal counts as the first one.
    supervision.gave_frames(now, now + 60)
    assert delay(supervision, problem, now + 60) == 60


def test_a_camera_without_any_frame_is_retried_until_the_patience_ends() -> None:
    supervision = Supervision(Limits(camera_patience_s=10), now=0.0, jitter=lambda: LONGEST)
    assert supervision.after(AWAY, 0.1) == Retry("backoff", 1)
    assert supervision.after(AWAY, 8.9) == Retry("backoff", 1)
    assert supervision.after(AWAY, 9.1) is None
    # A wrong password is an error at once.
    assert Supervision(Limits(), now=0.0).after(SourceDenied("401"), 0.1) is None
    for_ever = Supervision(Limits(camera_patience_s=float("inf")), now=0.0, jitter=lambda: LONGEST)
    assert for_ever.after(AWAY, 86_400) == Retry("backoff", 60)
    assert for_ever.after(SourceDenied("401"), 86_400) == Retry("auth_failed", 75)


def test_a_known_camera_is_retried_without_patience() -> None:
    supervision = Supervision(Limits(camera_patience_s=0), now=0.0, is_known=True)
    assert supervision.after(AWAY, 500) is not None


# States


def changes(caplog) -> list[tuple[str, str, str]]:
    fields = [record.__dict__ for record in caplog.records]
    assert {one["source"] for one in fields} == {"cam"}
    return [(one["from"], one["to"], one["levelname"]) for one in fields]


def test_each_change_is_logged_and_repeated_problems_only_once(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    status = Status("cam")
    for state, reason in [
        ("connecting", ""),
        ("live", ""),
        ("live", ""),
        ("stale", "no frame for 5 s"),
        ("backoff", "no frame for 5 s"),
        ("connecting", ""),
        ("backoff", "refused"),
        ("connecting", ""),
        ("backoff", "refused"),
        ("connecting", ""),
        ("live", ""),
    ]:
        status.enter(state, reason, then="opened again in 1.0 s" if state == "backoff" else "")
    assert changes(caplog) == [
        ("waiting", "connecting", "INFO"),
        ("connecting", "live", "INFO"),
        ("live", "stale", "WARNING"),
        ("stale", "backoff", "DEBUG"),
        ("backoff", "connecting", "DEBUG"),
        ("connecting", "backoff", "WARNING"),
        ("backoff", "connecting", "DEBUG"),
        ("connecting", "backoff", "DEBUG"),
        ("backoff", "connecting", "DEBUG"),
        ("connecting", "live", "WARNING"),
    ]
    assert caplog.records[5].reason == "refused"
    assert caplog.messages[5] == "cam: connecting -> backoff: refused; opened again in 1.0 s"


@pytest.mark.parametrize("last", ["ended", "failed"])
def test_the_final_state_does_not_change(caplog, last) -> None:
    caplog.set_level(logging.INFO)
    status = Status("cam")
    status.enter(last)
    status.enter("live")
    assert status.state == last
    assert len(caplog.records) == 1


MS = Fraction(1, 1000)

# Tracks

CAR = Detections(
    boxes=np.array([[10, 10, 30, 30]], np.float32),
    scores=np.array([0.9], np.float32),
    class_ids=np.array([2]),
    labels=("person", "bicycle", "car"),
)


def numbers(frames: list[Frame]) -> list[int]:
    """The track id of a stationary car in each frame."""
    numbering = Numbering()
    numbering.frame_rate = 10.0
    return [int(numbering.update(one, CAR).track_ids[0]) for one in frames]


def picture(seconds: float, *, side: int = 64, session: int = 0) -> Frame:
    image = gray(0, width=side, height=side)
    return Frame(image, 0, round(1000 * seconds), MS, session=session)


@pytest.mark.parametrize(
    ("after", "same"),
    [
        pytest.param(picture(0.3), True, id="the next picture"),
        pytest.param(picture(3.1), True, id="a short gap"),
        pytest.param(picture(3.5), False, id="a long gap"),
        pytest.param(picture(0.3, side=96), False, id="another size"),
        pytest.param(picture(0.3, session=1), False, id="another session"),
    ],
)
def test_tracks_are_reset_if_the_scene_may_have_changed(after, same) -> None:
    first = [picture(n / 10) for n in range(3)]
    seen = numbers(
        [*first, after, picture(after.pts_seconds + 0.1, side=after.size[0], session=after.session)]
    )
    assert seen[2] == 1
    assert seen[-1] == (1 if same else 2)


@pytest.mark.parametrize(
    ("address", "is_file"),
    [
        ("http://h/clip.mp4", True),
        ("https://h/a/Clip.MP4?X-Amz-Signature=s", True),
        ("http://h/live.m3u8", True),
        ("http://h/video.cgi?file=a.mp4", False),
        ("http://h/mjpeg", False),
        ("http://h", False),
        ("rtsp://h/clip.mp4", False),
    ],
)
def test_a_file_on_a_web_server_is_recognized_by_its_name(address, is_file) -> None:
    assert is_of_a_file(address, {".mp4", ".m3u8"}) == is_file
