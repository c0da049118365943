"""Cameras over the API: with real workers and a real Triton, whose models cost nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import websocket
from api import TIMEOUT_S, Api, at_once, check_problem, serve_api
from clips import steps, write_clip
from instant import BROKEN, MODEL, OTHER, serve_instant, with_others
from running import poll
from yolostream.access_token import new_token
from yolostream.client.served import served_ensembles
from yolostream.errors import AccessDenied
from yolostream.server import embedded
from yolostream.server.access import Access
from yolostream.service.ensembles import Ensembles
from yolostream.service.web import cameras, model_check

CAMERAS = "/api/v1/cameras"
TOKEN = new_token()
CANARY = "cAnArY7"
# Nothing is there.
AWAY = "rtsp://127.0.0.1:1/x"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[embedded.EmbeddedTriton]:
    repository = with_others(tmp_path_factory.mktemp("models"))
    # As `run` starts it: who knows its token may list its models.
    access = Access(TOKEN)
    with serve_instant(
        repository=repository, models=[MODEL, OTHER, BROKEN], access=access
    ) as triton:
        yield triton


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", steps(20), rate=5)


@pytest.fixture(scope="module")
def api(triton: embedded.EmbeddedTriton, clip: Path) -> Iterator[Api]:
    # Nothing is too old on a slow machine: every frame counts.
    street = {"source": str(clip), "max_age": 60}
    with serve_api(triton.url, cameras={"street": street}, token=TOKEN) as api:
        poll(lambda: api.camera("street")["frames_done"] > 0, what="the first frame")
        yield api


@pytest.fixture
def away(api: Api) -> Iterator[str]:
    """The path of a camera that is away."""
    path = f"{CAMERAS}/away"
    assert api.put(path, {"source": AWAY}).status_code == 201
    yield path
    api.ask("DELETE", path)


def test_a_camera_tells_how_it_is(api: Api) -> None:
    camera = api.camera("street")
    assert camera["state"] == "live"
    assert camera["size"] == [64, 48]
    assert camera["model"] == MODEL
    assert 0 < camera["age_p50_s"] <= camera["age_p99_s"]
    poll(lambda: 2 < api.camera("street")["frames_per_second"] < 8, what="5 frames a second")
    assert [one["name"] for one in api.get(CAMERAS).json()] == ["street"]
    picture = api.get(f"{CAMERAS}/street/frame.jpg")
    assert picture.headers["content-type"] == "image/jpeg"
    assert picture.content.startswith(b"\xff\xd8")


def test_put_patch_and_delete(api: Api) -> None:
    path = f"{CAMERAS}/gate"
    added = api.put(path, {"source": AWAY, "confidence": 0.5})
    assert added.status_code == 201
    assert added.json()["kind"] == "added"
    version = added.headers["etag"]
    again = api.put(path, {"source": AWAY, "confidence": 0.5})
    assert (again.status_code, again.json()["kind"]) == (200, "untouched")
    assert again.headers["etag"] == version == api.get(path).headers["etag"]
    poll(lambda: api.camera("gate")["state"] == "backoff", what="the camera to be away")
    assert "refused" in api.camera("gate")["trouble"]
    changed = api.patch(path, {"confidence": None, "enabled": False})
    assert changed.json()["keys"] == ["enabled", "confidence"]
    assert changed.headers["etag"] != version
    assert api.camera("gate")["state"] == "disabled"
    assert api.camera("gate")["settings"]["confidence"] == 0
    removed = api.ask("DELETE", path)
    assert removed.json() == {"kind": "removed", "keys": [], "camera": None}
    check_problem(api.get(path), 404, "no-camera")
    check_problem(api.ask("DELETE", path), 404, "no-camera")
    check_problem(api.patch(path, {}), 404, "no-camera")


def test_a_dry_run_only_tells(api: Api, away: str) -> None:
    would = api.put(f"{CAMERAS}/gate?dry_run=true", {"source": AWAY})
    assert (would.status_code, would.json()["kind"]) == (200, "added")
    check_problem(api.get(f"{CAMERAS}/gate"), 404, "no-camera")
    assert api.patch(f"{away}?dry_run=true", {"track": False}).json()["keys"] == ["track"]
    assert api.ask("DELETE", f"{away}?dry_run=true").json()["kind"] == "removed"
    assert api.get(away).json()["settings"]["track"] is True


def test_who_has_an_old_version_changes_nothing(api: Api, away: str) -> None:
    version = api.get(away).headers["etag"]
    current = {"If-Match": version}
    assert api.patch(away, {"confidence": 0.3}, headers=current).status_code == 200
    check_problem(api.patch(away, {"confidence": 0.4}, headers=current), 412, "other-version")
    check_problem(api.put(away, {"source": AWAY}, headers=current), 412, "other-version")
    check_problem(api.ask("DELETE", away, headers=current), 412, "other-version")
    new = {"If-None-Match": "*"}
    check_problem(api.put(away, {"source": AWAY}, headers=new), 412, "other-version")
    there = {"If-Match": "*"}
    check_problem(api.put(f"{CAMERAS}/gate", {"source": AWAY}, headers=there), 412, "other-version")
    assert api.patch(away, {"confidence": 0.4}, headers=there).status_code == 200


@pytest.mark.parametrize(
    "source",
    [
        *("/etc/passwd", "file:///etc/passwd", "0", "/dev/video0", "-", "clip.mp4", "~/x.mp4"),
        *("concat:rtsp://host/a|file:/etc/passwd", "crypto+rtsp://host/x", "pipe:0", "data:,x"),
        *("subfile,,start,0,end,9,,:/etc/passwd", "tcp://host:1", "ftp://host/x", "unix:///x"),
        *("rtsp://", "rtsp:///x", "http://[::1", "rtsp://host/\nx", "rtsp://host/${HOME}"),
        *("rtsp://host:99999/x", "rtsp://host:-1/x", "rtsp://host:port/x", "rtsp://host:0/x"),
        "rtsp://host/" + "x" * 3000,
    ],
)
def test_over_the_api_a_source_is_a_camera_on_a_network(api: Api, source: str) -> None:
    problem = check_problem(
        api.put(f"{CAMERAS}/gate", {"source": source}), 422, "source-not-allowed"
    )
    assert len(problem["detail"]) < 1000
    asked = api.ask("POST", "/api/v1/probe", json={"source": source})
    assert asked.status_code == 422
    check_problem(api.get(f"{CAMERAS}/gate"), 404, "no-camera")


def test_a_camera_of_the_file_keeps_its_file(api: Api, clip: Path) -> None:
    assert api.patch(f"{CAMERAS}/street", {"confidence": 0.2}).status_code == 200
    own = {"source": str(clip), "max_age": 60}
    assert api.put(f"{CAMERAS}/street", own).json()["keys"] == ["confidence"]
    check_problem(
        api.patch(f"{CAMERAS}/street", {"source": f"{clip}.x"}), 422, "source-not-allowed"
    )


def test_what_is_shown_may_be_sent_back(api: Api) -> None:
    path = f"{CAMERAS}/gate"
    logins = (
        {"source": f"rtsp://user:{CANARY}@127.0.0.1:1/x?token={CANARY}"},
        {"source": AWAY, "username": "user", "password": CANARY},
    )
    for settings in logins:
        api.put(path, settings)
        shown = api.get(path).json()["settings"]
        assert api.put(path, {**shown, "confidence": 0.5}).json()["keys"] == ["confidence"]
        assert CANARY in str(api.control.own_settings("gate").revealed())
        api.ask("DELETE", path)


def test_an_address_that_video_is_pushed_to_is_shown_as_stars(api: Api) -> None:
    path = f"{CAMERAS}/gate"
    pushed = f"rtsp://user:{CANARY}@127.0.0.1:1/out"
    try:
        outputs = {"jsonl": False, "push": pushed}
        assert api.put(path, {"source": AWAY, "outputs": outputs}).status_code == 201
        shown = api.get(path).json()["settings"]
        assert set(shown["outputs"]["push"]) == {"*"}
        assert api.put(path, {**shown, "confidence": 0.5}).json()["keys"] == ["confidence"]
        # A merge patch reaches into what is nested.
        assert api.patch(path, {"outputs": {"jsonl": True}}).status_code == 200
        assert api.control.settings()["gate"].outputs.push.get_secret_value() == pushed
        assert api.patch(path, {"outputs": {"push": None}}).status_code == 200
        assert api.control.settings()["gate"].outputs.push is None
        stars = {"outputs": {"push": shown["outputs"]["push"]}}
        check_problem(api.patch(path, stars), 422, "source-not-allowed")
        assert api.patch(path, {"outputs": {"push": "file:///etc/x"}}).status_code == 422
    finally:
        api.ask("DELETE", path)


@pytest.mark.parametrize(
    "outputs",
    [
        *({"push": f"rtsp://host/{odd}"} for odd in ("\0", "x\r\nX: 1", "x y", "\ud800")),
        *({"push": f"rtsp://{odd}"} for odd in ("[/x", "host:99999/x", ":1/x")),
        *({"jsonl": {"max_bytes": 0}}, {"csv": {"keep": {"age_s": -1}}}, {"hls": {"segments": 0}}),
    ],
)
def test_outputs_that_make_no_sense_are_refused(api: Api, outputs: dict[str, object]) -> None:
    answer = api.put(f"{CAMERAS}/gate", {"source": AWAY, "outputs": outputs})
    check_problem(answer, 422, "invalid-request")


@pytest.mark.parametrize(
    ("typo", "where", "nearest"),
    [
        ({"confidance": 0.5}, "confidance", "confidence"),
        ({"outputs": {"jsonl": {"max_byte": 1}}}, "outputs.jsonl.Rotation.max_byte", "max_bytes"),
    ],
)
def test_of_an_unknown_key_the_nearest_is_said(
    api: Api, typo: dict[str, object], where: str, nearest: str
) -> None:
    settings = {"source": AWAY, "enabled": False}
    check_nearest(api.put(f"{CAMERAS}/gate", settings | typo), f"body.{where}", nearest)
    assert api.put(f"{CAMERAS}/gate", settings).ok
    check_nearest(api.patch(f"{CAMERAS}/gate", typo), where, nearest)


def test_a_probe_knows_its_own_keys(api: Api) -> None:
    asked = api.ask("POST", "/api/v1/probe", json={"source": AWAY, "user": "me"})
    check_nearest(asked, "body.user", "username")


def check_nearest(answer: requests.Response, where: str, nearest: str) -> None:
    errors = {error["where"]: error["message"] for error in answer.json()["errors"]}
    assert errors[where] == f"there is no such key: is it {nearest}?"


def test_half_a_character_is_no_defect(api: Api) -> None:
    half = {"source": AWAY, "username": "me", "password": "\ud800"}
    check_problem(api.put(f"{CAMERAS}/gate", half), 422, "invalid-request")
    check_problem(api.ask("POST", "/api/v1/probe", json=half), 422, "invalid-request")


def test_a_password_is_sent_to_no_other_host(api: Api) -> None:
    path = f"{CAMERAS}/gate"
    api.put(path, {"source": AWAY, "username": "user", "password": CANARY})
    try:
        for elsewhere in ("rtsp://evil.example/x", "http://127.0.0.1:1/x", "rtsp://127.0.0.1/x"):
            check_problem(api.patch(path, {"source": elsewhere}), 422, "source-not-allowed")
            whole = {**api.get(path).json()["settings"], "source": elsewhere}
            check_problem(api.put(path, whole), 422, "source-not-allowed")
        assert api.patch(path, {"source": AWAY + "/y"}).status_code == 200
        anew = {"source": "rtsp://127.0.0.1:2/x", "password": "new"}
        assert api.patch(path, anew).status_code == 200
    finally:
        api.ask("DELETE", path)


def test_a_thousand_changes_at_once(api: Api, away: str) -> None:
    statuses: list[int] = []

    def change(number: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            for step in range(100):
                settings = {"source": AWAY, "confidence": (100 * number + step) / 1000}
                answer = session.put(api.url + away, json=settings, timeout=TIMEOUT_S)
                statuses.append(answer.status_code)

    at_once(change, 10)
    assert len(statuses) == 1000
    assert set(statuses) <= {200, 429}
    assert api.put(away, {"source": AWAY, "confidence": 0.123}).status_code == 200
    assert api.get(away).json()["settings"]["confidence"] == 0.123
    with api.service.cameras() as known:
        assert known["away"].task.job.detection_filter.min_confidence == 0.123
    # The others were not disturbed.
    assert api.camera("street")["state"] == "live"


class Frames:
    """Numbers of the frames of a camera, as they are told."""

    def __init__(self, follow: Callable[[], dict]) -> None:
        self._follow = follow
        self.numbers: list[int] = []

    def more(self, count: int) -> None:
        for _ in range(count):
            self.numbers.append(self._follow()["frame"])


def test_a_camera_gets_another_model_and_loses_no_frame(api: Api) -> None:
    path = f"{CAMERAS}/street"
    before = api.camera("street")
    with (
        api.events("/api/v1/events") as event,
        api.events(f"{path}/detections") as follow,
    ):
        frames = Frames(follow)
        frames.more(5)
        for model in (OTHER, MODEL, OTHER, MODEL):
            asked = _requests_of(api, model)
            assert api.patch(path, {"model": model}).status_code == 200
            while (told := event())["type"] != "model_switched":
                assert told["type"] != "model_failed"
            assert told["details"] == {"model": model}
            frames.more(5)
            # One to try it, and those that came since.
            assert _requests_of(api, model) >= asked + 3
    begin = frames.numbers[0]
    assert frames.numbers == list(range(begin, begin + len(frames.numbers)))
    after = api.camera("street")
    assert after["model"] == MODEL
    assert (after["reconnects"], after["dropped"]) == (before["reconnects"], before["dropped"])


def _requests_of(api: Api, model: str) -> int:
    return api.context.ensembles.detector(model).statistics()[f"{model}_answer"].requests


def test_a_model_that_does_not_work_changes_nothing(api: Api) -> None:
    path = f"{CAMERAS}/street"
    with api.events(f"{path}/detections") as follow:
        frames = Frames(follow)
        frames.more(2)
        for model, status in (("nothing", 409), (BROKEN, 502)):
            assert api.patch(path, {"model": model}).status_code == status
            frames.more(2)
        # The file is no less careful, and the camera goes on.
        settings = api.control.own_settings("street").model_copy(update={"model": BROKEN})
        settings = type(settings).model_validate({**settings.revealed(), "model": BROKEN})
        api.control.put("street", settings)
        poll(lambda: api.camera("street")["model_trouble"], what="the trouble to be told")
        assert api.camera("street")["model"] == MODEL
        frames.more(5)
        api.patch(path, {"model": MODEL})
        poll(lambda: not api.camera("street")["model_trouble"], what="the trouble to be over")
    begin = frames.numbers[0]
    assert frames.numbers == list(range(begin, begin + len(frames.numbers)))


def test_nobody_waits_for_a_model_that_somebody_else_wants(
    api: Api, away: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    may_answer = threading.Event()
    check = api.context.ensembles.check

    def hang(model: str) -> None:
        asked.append(model)
        assert may_answer.wait(TIMEOUT_S)
        check(model)

    monkeypatch.setattr(api.context.ensembles, "check", hang)
    answers: list[requests.Response] = []
    path = f"{CAMERAS}/street"

    def switch(number: int) -> None:
        # A session of its own: requests go on side by side.
        url, model = api.url + path, {"model": OTHER}
        answers.append(requests.patch(url, json=model, timeout=TIMEOUT_S))

    switching = threading.Thread(target=at_once, args=(switch, model_check.MAX_CONCURRENT))
    switching.start()
    try:
        poll(lambda: len(asked) == model_check.MAX_CONCURRENT, what="all of them to be checked")
        assert api.patch(away, {"confidence": 0.7}).status_code == 200
        assert api.patch(path, {"confidence": 0.3}).status_code == 200
        assert len(api.get(CAMERAS).json()) == 2
        check_problem(api.patch(path, {"model": BROKEN}), 429, "busy")
        assert answers == []
    finally:
        may_answer.set()
        switching.join()
    assert {answer.status_code for answer in answers} == {200}
    # What was changed meanwhile holds.
    settings = api.camera("street")["settings"]
    assert (settings["model"], settings["confidence"]) == (OTHER, 0.3)
    assert api.patch(path, {"model": MODEL, "confidence": None}).status_code == 200


def test_models_are_listed_with_their_cameras(api: Api, away: str) -> None:
    models = {one["name"]: one for one in api.get("/api/v1/models").json()}
    assert models.keys() == {MODEL, OTHER, BROKEN}
    assert models[MODEL] == {"name": MODEL, "is_served": True, "cameras": ["street", "away"]}
    assert models[OTHER]["cameras"] == []


def test_a_server_that_tells_nobody_is_no_error(api: Api, triton: embedded.EmbeddedTriton) -> None:
    with pytest.raises(AccessDenied):
        served_ensembles(triton.url)
    assert Ensembles(lambda model: None, lambda: served_ensembles(triton.url)).served() is None


def test_events_are_told_also_those_before(api: Api) -> None:
    path = f"{CAMERAS}/gate"
    with api.events("/api/v1/events") as event:
        api.put(path, {"source": AWAY})
        first = event()
        assert (first["type"], first["camera"]) == ("camera_added", "gate")
        told = [event() for _ in range(2)]
        assert [one["details"]["to"] for one in told] == ["connecting", "backoff"]
        assert "refused" in told[-1]["details"]["reason"]
    api.patch(path, {"enabled": False})
    api.ask("DELETE", path)
    with api.events("/api/v1/events", headers={"Last-Event-ID": told[-1]["id"]}) as event:
        while (seen := event())["type"] == "camera_state":
            pass
        assert seen["type"] == "camera_changed"
        assert event()["type"] == "camera_removed"
    socket = websocket.create_connection(
        api.url.replace("http", "ws") + f"/api/v1/events/ws?after={first['id']}", timeout=TIMEOUT_S
    )
    try:
        assert json.loads(socket.recv())["id"] == told[0]["id"]
    finally:
        socket.shutdown()
    with api.events("/api/v1/events?after=of-another-start") as event:
        assert event()["type"] == "missed"


def test_no_answer_has_a_password_in_it(
    api: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "PICTURE_TIMEOUT_S", 0.1)
    path = f"{CAMERAS}/gate"
    sources = (
        {"source": f"rtsp://user:{CANARY}@127.0.0.1:1/x"},
        {"source": f"rtsp://127.0.0.1:1/x?token={CANARY}"},
        {"source": AWAY, "username": "user", "password": CANARY},
        {"source": f"rtsp://us er:{CANARY}@@127.0.0.1:x/{CANARY}@"},
        {"source": f"ftp://user:{CANARY}@127.0.0.1/x"},
        {"source": f"user:{CANARY}@127.0.0.1"},
        {"source": AWAY, "password": CANARY},
        {"source": AWAY, "username": "user", "password": {"secret": CANARY}},
    )
    told: list[str] = []
    for settings in sources:
        told.append(api.put(path, settings).text)
        told.append(api.patch(path, settings).text)
        told.append(api.ask("POST", "/api/v1/probe", json=settings).text)
        seen = (path, CAMERAS, "/api/v1/models", f"{path}/frame.jpg", "/openapi.json")
        told += [api.get(one).text for one in seen]
        told.append(api.ask("DELETE", path).text)
    with api.session.get(
        api.url + "/api/v1/events?after=x", stream=True, timeout=TIMEOUT_S
    ) as answer:
        told.append(next(answer.iter_content(1 << 20)).decode())
    assert not [text for text in told if CANARY in text]
    assert CANARY not in caplog.text
