"""Who looks at a camera, and what one who comes later is given."""

from __future__ import annotations

from yolostream.service.audience import Audience
from yolostream.service.messages import Found, Fragment, FragmentKind, Picture, Watch


def fragment(kind: FragmentKind, data: bytes) -> Fragment:
    return Fragment("street", kind, data)


def test_who_comes_later_gets_the_video_from_its_last_key_on() -> None:
    audience = Audience("street")
    first: list[Fragment] = []
    later: list[Fragment] = []
    audience.join(Fragment, first.append)
    video = [
        fragment("header", b"head"),
        *(fragment("key", b"1"), fragment("delta", b"2")),
        *(fragment("key", b"3"), fragment("delta", b"4")),
    ]
    for one in video:
        audience.publish(one)
    audience.join(Fragment, later.append)
    assert later == [video[0], *video[3:]]
    audience.publish(last := fragment("delta", b"5"))
    assert first == [*video, last]
    assert later == [video[0], *video[3:], last]


def test_a_video_of_another_size_begins_anew() -> None:
    audience = Audience("street")
    audience.join(Fragment, lambda one: None)
    for one in (fragment("header", b"small"), fragment("key", b"1"), fragment("header", b"large")):
        audience.publish(one)
    later: list[Fragment] = []
    audience.join(Fragment, later.append)
    assert later == [fragment("header", b"large")]


def test_nothing_is_kept_of_a_video_that_nobody_looks_at() -> None:
    audience = Audience("street")
    audience.join(Fragment, first := [].append)
    audience.publish(fragment("header", b"head"))
    audience.publish(fragment("key", b"1"))
    audience.leave(Fragment, first)
    # What was on its way still comes.
    for one in (fragment("delta", b"2"), fragment("header", b"late"), fragment("key", b"late")):
        audience.publish(one)
    later: list[Fragment] = []
    audience.join(Fragment, later.append)
    assert later == []
    # It has no header: no player could begin with it.
    audience.publish(fragment("key", b"3"))
    latest: list[Fragment] = []
    audience.join(Fragment, latest.append)
    assert latest == []


def test_each_gets_what_it_asked_for_and_nothing_else_is_made() -> None:
    audience = Audience("street")
    assert audience.wanted == Watch("street")
    pictures: list[Picture] = []
    found: list[Found] = []
    audience.join(Picture, pictures.append)
    assert audience.wanted == Watch("street", pictures=True)
    audience.join(Found, found.append)
    assert audience.wanted == Watch("street", pictures=True, detections=True)
    audience.publish(picture := Picture("street", b"jpeg"))
    audience.publish(record := Found("street", b"{}"))
    assert (pictures, found) == ([picture], [record])
    audience.leave(Picture, pictures.append)
    assert audience.wanted == Watch("street", detections=True)
