"""The page, in a real Chromium, on a real service."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from api import Api, serve_api
from chromium import Browser, chromium, needs_chromium
from clips import gray, write_clip
from loopback import reserved_port
from selenium.webdriver.common.keys import Keys
from watching import Site, street
from web_camera import WebCamera, web_camera
from yolostream.service.leases.lease import Lease, Owner
from yolostream.service.tokens import Tokens, new_token
from yolostream.service.web.access import Access

pytestmark = needs_chromium

SIDE = 80
FRAMES = 20
STEP = 8
_AXE = Path(importlib.util.find_spec("axe_playwright_python").origin).with_name("axe.min.js")


def square_at(number: int) -> tuple[int, int]:
    """Left and top of the square in a frame of the clip, in pixels."""
    return 36 + 2 * STEP * number, 124 + STEP * (number % 5)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A red square on dark gray, which jumps with each frame."""
    images = []
    for number in range(FRAMES):
        image = gray(50, width=640, height=360)
        left, top = square_at(number)
        image[top : top + SIDE, left : left + SIDE] = 255, 0, 0
        images.append(image)
    return write_clip(tmp_path_factory.mktemp("clip") / "square.mp4", images)


@pytest.fixture(scope="module")
def windows():
    with chromium() as open_window:
        yield open_window


@pytest.fixture(scope="module")
def window(windows) -> Browser:
    return windows()


@pytest.fixture
def page(window: Browser) -> Iterator[Browser]:
    """A window like any other at first. Nothing may go wrong in it, nor be fetched elsewhere."""
    window.look()
    yield window
    fetched = "return performance.getEntriesByType('resource').map((one) => one.name)"
    origin = window.run("return location.origin + '/'")
    assert [url for url in window.run(fetched) if not url.startswith(origin)] == []
    assert window.messages() == []
    window.open("about:blank")


@pytest.fixture(scope="module")
def api(instant, clip) -> Iterator[Api]:
    with serve_api(instant.url, cameras={"square": {"source": str(clip)}}) as api:
        yield api


@pytest.fixture
def web(api) -> Iterator[WebCamera]:
    """A camera, and afterwards none but the clip."""
    with web_camera() as camera:
        yield camera
        for one in api.get("/api/v1/cameras").json():
            if one["name"] != "square":
                api.ask("DELETE", f"/api/v1/cameras/{one['name']}")


def card(name: str, part: str = "") -> str:
    return f"[data-camera={name}] {part}".strip()


def painted(page: Browser, name: str) -> tuple[float, int]:
    """Time of a camera's video, and how many of its frames were shown."""
    return tuple(
        page.run(
            "const video = document.querySelector(arguments[0]);"
            "return video ? [video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames]"
            ": [0, 0]",
            card(name, "video"),
        )
    )


def wait_for_video(page: Browser, name: str) -> None:
    """It goes on from where it is now."""
    page.wait(lambda: painted(page, name)[1] > 2, f"video of {name}")
    time_s, frames = painted(page, name)
    page.wait(
        lambda: painted(page, name)[0] != time_s and painted(page, name)[1] > frames + 3,
        f"more video of {name}",
    )


def wait_for_state(page: Browser, name: str, word: str) -> None:
    page.wait(lambda: page.text(card(name, ".state")) == word, f"{name} to be {word}")


def test_the_video_advances_and_boxes_are_where_the_truth_is(page: Browser, api: Api) -> None:
    page.open(api.url)
    wait_for_video(page, "square")
    # What was found, by time, beside the pixels of the same frames: of the middles of the box's
    # edges and of places outside.
    seen = page.driver.execute_async_script(
        """
        const done = arguments[0];
        const video = document.querySelector("[data-camera=square] video");
        const canvas = document.createElement("canvas");
        const context = canvas.getContext("2d", { willReadFrequently: true });
        const records = new Map(), pictures = new Map();
        const socket = new WebSocket(`ws://${location.host}/api/v1/live`);
        socket.onopen = () => socket.send(JSON.stringify({ detections: ["square"] }));
        socket.onmessage = ({ data }) => {
          const { found } = JSON.parse(data);
          records.set(Math.round(found.pts_seconds * 1000), found);
        };
        video.requestVideoFrameCallback(function look(now, { mediaTime }) {
          [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
          context.drawImage(video, 0, 0);
          pictures.set(Math.round(mediaTime * 1000), context.getImageData(0, 0, 640, 360));
          const both = [...pictures].filter(([time]) => records.has(time));
          if (both.length < 8) return video.requestVideoFrameCallback(look);
          socket.close();
          done(both.map(([time, { data }]) => {
            const [left, top, right, bottom] = records.get(time).detections[0].box;
            const [x, y] = [(left + right) / 2, (top + bottom) / 2];
            const at = (column, row) => {
              const from = 4 * (640 * Math.round(row) + Math.round(column));
              return [...data.slice(from, from + 3)];
            };
            return {
              box: [left, top, right, bottom],
              edges: [at(left, y), at(right, y), at(x, bottom)],
              inside: at(x, y),
              outside: [at(left - 12, y), at(right + 12, y), at(x, bottom + 12)],
            };
          }));
        });
        """
    )
    truth = {(left, top) for left, top in map(square_at, range(FRAMES))}
    assert len(seen) >= 8
    for frame in seen:
        left, top, right, bottom = frame["box"]
        assert (left, top) in truth
        assert (right - left, bottom - top) == (SIDE, SIDE)
        # Of a color that is brighter than both the red and the gray.
        assert min(map(brightness, frame["edges"])) > 110, frame
        assert max(map(brightness, frame["outside"])) < 80, frame
        assert frame["inside"][0] > 150 > 100 > frame["inside"][1], frame
    assert len({tuple(frame["box"]) for frame in seen}) > 3


def brightness(pixel: list[int]) -> float:
    return float(np.dot(pixel, (0.299, 0.587, 0.114)))


def test_one_camera_is_shown_large_with_what_is_in_it(page: Browser, api: Api) -> None:
    page.open(api.url)
    page.wait(lambda: page.text(card("square", ".state")) == "live", "a live camera")
    page.tab_to(card("square", ".picture"))
    page.type(Keys.ENTER)
    page.wait(lambda: "person" in page.text(card("square", "tbody")), "objects in a list")
    assert "#" in page.text(card("square", "tbody"))
    assert page.run("return document.title") == "square · yolostream"
    wait_for_video(page, "square")
    page.type(Keys.ESCAPE)
    page.wait(lambda: page.run("return document.title") == "Cameras · yolostream", "all cameras")
    assert page.run("return document.activeElement.matches('[data-camera=square] .picture')")


def test_what_is_listed_is_in_the_frame_that_is_shown(windows, instant, tmp_path: Path) -> None:
    page = windows()
    images = [gray(50, width=640, height=360) for _ in range(FRAMES)]
    for number, image in enumerate(images):
        if number % 4 < 2:
            image[140:220, 280:360] = 255, 0, 0
    path = write_clip(tmp_path / "blinking.mp4", images)
    with serve_api(instant.url, cameras={"blinking": {"source": str(path)}}) as api:
        page.open(f"{api.url}/#blinking")
        wait_for_video(page, "blinking")
        page.wait(lambda: "person" in page.text(card("blinking", "tbody")), "objects in a list")
        # Of each picture: how red its middle is, and what stands beside it.
        seen = page.driver.execute_async_script(
            """
            const done = arguments[0], seen = [];
            const [video, table, nothing] = ["video", "table", ".nothing"].map(
              (part) => document.querySelector(`[data-camera=blinking] ${part}`));
            const canvas = document.createElement("canvas");
            [canvas.width, canvas.height] = [640, 360];
            const context = canvas.getContext("2d", { willReadFrequently: true });
            video.requestVideoFrameCallback(function look() {
              context.drawImage(video, 0, 0);
              const [red] = context.getImageData(320, 180, 1, 1).data;
              // In the same turn, after all that is told of the new picture.
              requestAnimationFrame(() => {
                seen.push([red, !table.hidden, !nothing.hidden]);
                if (seen.length < 30) video.requestVideoFrameCallback(look);
                else done(seen);
              });
            });
            """
        )
    page.driver.close()
    assert {red > 150 for red, _, _ in seen} == {True, False}
    assert all(is_listed != is_nothing for _, is_listed, is_nothing in seen), seen
    # A busy browser may draw the next picture already; the newest record would be wrong for half.
    right = [red for red, is_listed, _ in seen if is_listed == (red > 150)]
    assert len(right) >= 0.9 * len(seen), seen


def test_a_camera_that_dies_says_so_and_comes_back(page: Browser, api: Api, web) -> None:
    assert api.put("/api/v1/cameras/gate", {"source": web.url}).status_code == 201
    page.open(api.url)
    wait_for_video(page, "gate")
    web.is_on = False
    wait_for_state(page, "gate", "away")
    page.wait(lambda: "Away since" in page.text(card("gate", ".away")), "words on its picture")
    page.wait(lambda: "next attempt" in page.text(card("gate", ".away")), "when it is tried again")
    # The last picture is still there behind the words.
    assert page.run("return document.querySelector('[data-camera=gate] video').readyState") >= 2
    web.is_on = True
    wait_for_state(page, "gate", "live")
    assert not page.find(card("gate", ".away")).is_displayed()
    wait_for_video(page, "gate")


@pytest.mark.parametrize("is_on_meanwhile", [False, True])
def test_a_camera_may_change_its_size_while_it_is_watched(
    page: Browser, api: Api, web, is_on_meanwhile: bool
) -> None:
    assert api.put("/api/v1/cameras/gate", {"source": web.url}).status_code == 201
    page.open(api.url)
    wait_for_video(page, "gate")
    for height, width in [(480, 640), (360, 640), (96, 128)]:
        web.is_on = is_on_meanwhile
        web.size = height, width
        if not is_on_meanwhile:
            wait_for_state(page, "gate", "away")
            web.is_on = True
        page.wait(
            lambda size=[width, height]: sides(page, "gate") == size, f"{width}x{height} pixels"
        )
        wait_for_video(page, "gate")


def sides(page: Browser, name: str) -> list[int]:
    """Width and height of a camera's video, in pixels."""
    return page.run(
        "const video = document.querySelector(arguments[0]);"
        "return [video.videoWidth, video.videoHeight]",
        card(name, "video"),
    )


def test_a_service_that_is_started_again_is_found_again(windows, instant, clip) -> None:
    page = windows()
    cameras = {"square": {"source": str(clip)}}
    with reserved_port() as port:
        with serve_api(instant.url, cameras=cameras, access=Access(port=port)) as api:
            page.open(api.url)
            wait_for_video(page, "square")
        page.wait(lambda: "does not answer" in page.text("#banners"), "the page to say it")
        with serve_api(instant.url, cameras=cameras, access=Access(port=port)):
            page.wait(lambda: page.text("#banners") == "", "the banner to go")
            wait_for_video(page, "square")
    page.driver.close()


def test_a_token_is_asked_for_and_one_that_only_reads_changes_nothing(
    windows, instant, clip, tmp_path: Path
) -> None:
    page, file = windows(), tmp_path / "tokens"
    tokens = {scope: new_token(file, scope) for scope in ("read", "write")}
    access = Access(port=0, tokens=Tokens(file))

    def enter(token: str) -> None:
        page.wait(lambda: page.find("#token-dialog").is_displayed(), "the question for a token")
        page.find("[name=token]").clear()
        page.find("[name=token]").send_keys(token)
        page.find("[name=enter]").click()

    cameras = {"square": {"source": str(clip)}}
    with serve_api(instant.url, cameras=cameras, access=access) as api:
        page.open(api.url)
        enter("wrong")
        page.wait(lambda: "unknown" in page.text("#token-error"), "why it is refused")
        assert not page.text("#cameras")
        page.type(Keys.ESCAPE, Keys.ESCAPE)
        enter(tokens["read"])
        wait_for_video(page, "square")
        assert not page.find("#token-dialog").is_displayed()
        page.find(card("square", ".pause")).click()
        page.wait(lambda: "may only read" in page.text("#banners"), "why it is not paused")
        page.wait(lambda: page.text("#banners") == "", "the banner to go")
        wait_for_video(page, "square")
        # Without its line in the file it counts no longer.
        lines = file.read_text().splitlines()
        file.write_text("\n".join(line for line in lines if not line.startswith("read")))
        enter(tokens["write"])
        page.find(card("square", ".pause")).click()
        wait_for_state(page, "square", "paused")
        assert page.text("#banners") == ""
    page.driver.close()


def test_a_configuration_that_is_broken_is_told_until_it_is_mended(
    windows, instant, tmp_path: Path
) -> None:
    page = windows()
    site = Site(tmp_path, instant.url)
    cameras = {"gate": {"source": str(street(tmp_path))}}
    site.write(cameras)
    with site.running() as service:
        page.open(service.address)
        wait_for_state(page, "gate", "live")
        assert page.text("#banners") == ""
        site.path.write_text("cameras: {gate: {sorce: 1}}")
        page.wait(lambda: "is it source?" in page.text("#banners"), "what is wrong")
        assert "The configuration file is broken." in page.text("#banners")
        wait_for_state(page, "gate", "live")
        site.write(cameras)
        page.wait(lambda: page.text("#banners") == "", "the banner to go")
    page.driver.close()


def test_cameras_are_added_paused_and_removed_by_clicks(page: Browser, api: Api, web) -> None:
    page.open(api.url)
    page.find("#add").click()
    page.find("[name=name]").send_keys("gate")
    page.find("[name=source]").send_keys(web.url)
    page.find("[name=check]").click()
    page.wait(
        lambda: "MJPEG, 64 \N{MULTIPLICATION SIGN} 48" in page.text("#probed"),
        "what the camera sends",
    )
    page.find("[name=save]").click()
    wait_for_video(page, "gate")
    page.find(card("gate", ".pause")).click()
    wait_for_state(page, "gate", "paused")
    page.find(card("gate", ".pause")).click()
    wait_for_state(page, "gate", "live")
    wait_for_video(page, "gate")
    page.find(card("gate", ".edit")).click()
    page.wait(lambda: page.find("#camera-dialog").is_displayed(), "the dialog")
    page.find("#camera-dialog summary").click()
    page.find("[name=confidence]").send_keys("0.5")
    page.find("[name=save]").click()
    page.wait(lambda: api.camera("gate")["settings"]["confidence"] == 0.5, "the change")
    page.find(card("gate", ".remove")).click()
    page.find("[name=remove]").click()
    page.wait(lambda: not page.text(card("gate")), "the camera to go")
    assert [one["name"] for one in api.get("/api/v1/cameras").json()] == ["square"]


def test_an_address_where_nothing_is_says_so_before_it_is_added(page: Browser, api: Api) -> None:
    with reserved_port() as port:
        page.open(api.url)
        page.find("#add").click()
        page.find("[name=name]").send_keys("nobody")
        page.find("[name=source]").send_keys(f"rtsp://127.0.0.1:{port}/cam")
        page.find("[name=save]").click()
        page.wait(lambda: "The connection was refused." in page.text("#probed"), "the reason")
        assert page.find("[name=save]").text == "Add anyway"
        page.find("[name=cancel]").click()
    assert api.get("/api/v1/cameras/nobody").status_code == 404


def test_a_refused_address_says_why_once_and_for_this_page(page: Browser, api: Api) -> None:
    page.open(api.url)
    page.find("#add").click()
    page.find("[name=name]").send_keys("file")
    page.find("[name=source]").send_keys("street.mp4")
    for button in ("check", "save"):
        page.find(f"[name={button}]").click()
        page.wait(lambda: "only the configuration file" in page.text("#camera-error"), "the reason")
        page.wait(lambda: page.find("[name=check]").is_enabled(), "the end of the check")
        assert page.text("#camera-dialog").count("not the network address of a camera") == 1
        assert "API" not in page.text("#camera-dialog")
    page.find("[name=source]").send_keys("!")
    page.wait(lambda: page.text("#camera-error") == "", "the words to go")
    assert all("422" in message for message in page.messages())


def test_the_plots_share_the_width(page: Browser, api: Api) -> None:
    page.open(api.url)
    wait_for_state(page, "square", "live")
    for width, rows in [(1920, 1), (1280, 1), (390, 2)]:
        page.look(width=width)
        plots, first, second = page.run(
            "return ['#plots', '#plot-objects', '#plot-age'].map("
            "(one) => document.querySelector(one).getBoundingClientRect().toJSON())"
        )
        assert first["top"] == second["top"] if rows == 1 else first["bottom"] < second["top"]
        assert first["left"] - plots["left"] < 40
        assert plots["right"] - second["right"] < 40
        assert second["left"] - first["right"] < 40


def test_cameras_are_added_paused_and_removed_by_keyboard(page: Browser, api: Api, web) -> None:
    page.open(api.url)
    page.tab_to("#add")
    page.type(Keys.ENTER)
    page.tab_to("[name=name]")
    page.type("door", Keys.TAB, web.url, Keys.ENTER)
    wait_for_video(page, "door")
    page.tab_to(card("door", ".pause"))
    page.type(Keys.ENTER)
    wait_for_state(page, "door", "paused")
    page.tab_to(card("door", ".remove"))
    page.type(Keys.ENTER)
    page.wait(lambda: page.find("#remove-dialog").is_displayed(), "the question")
    page.tab_to("[name=remove]")
    page.type(Keys.ENTER)
    page.wait(lambda: not page.text(card("door")), "the camera to go")


def test_a_browser_without_fragments_is_sent_pictures(windows, api: Api) -> None:
    page = windows()
    gone = "delete window.MediaSource; delete window.ManagedMediaSource;"
    page.cdp("Page.addScriptToEvaluateOnNewDocument", source=gone)
    page.open(api.url)
    picture = (
        "const image = document.querySelector('[data-camera=square] img');"
        "if (!image?.naturalWidth) return '';"
        "const canvas = document.createElement('canvas');"
        "[canvas.width, canvas.height] = [160, 90];"
        "canvas.getContext('2d').drawImage(image, 0, 0, 160, 90);"
        "return canvas.toDataURL();"
    )
    first = page.wait(lambda: page.run(picture), "a picture")
    page.wait(lambda: page.run(picture) != first, "another one")
    assert page.run("return document.querySelector('[data-camera=square] img').src").endswith(
        "/api/v1/cameras/square/stream.mjpeg"
    )
    page.driver.close()


LOOKS = {
    "light": {},
    "dark": {"dark": True},
    "phone": {"width": 360, "height": 740},
    "dark phone": {"width": 360, "height": 740, "dark": True},
}


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_is_kept_out(page: Browser, api: Api, web, look: str) -> None:
    page.look(**LOOKS[look])
    api.put("/api/v1/cameras/paused", {"source": web.url, "enabled": False})
    with reserved_port() as port:
        api.put("/api/v1/cameras/away", {"source": f"rtsp://127.0.0.1:{port}/cam"})
        page.open(api.url)
        wait_for_state(page, "away", "away")
        wait_for_state(page, "paused", "paused")
        check_accessible(page)
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        page.find("#add").click()
        page.run("document.querySelector('#camera-dialog details').open = true")
        check_accessible(page)
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
        page.find("[name=cancel]").click()
        page.find(card("square", ".picture")).click()
        page.wait(lambda: "person" in page.text(card("square", "tbody")), "a list of objects")
        check_accessible(page)
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")


def check_accessible(page: Browser) -> None:
    page.cdp("Runtime.evaluate", expression=_AXE.read_text())
    result = page.driver.execute_async_script("axe.run().then(arguments[0])")
    assert [
        (one["id"], one["impact"], [node["target"] for node in one["nodes"]])
        for one in result["violations"]
    ] == []


def test_nothing_moves_by_itself(page: Browser, api: Api) -> None:
    page.open(api.url)
    watch = (
        "window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach("
        "(one) => window.shift += one.value)).observe({type: 'layout-shift', buffered: true})"
    )
    page.run(watch)
    wait_for_video(page, "square")
    assert page.run("return window.shift") < 0.02


def test_the_page_may_load_nothing_from_elsewhere(api: Api) -> None:
    rules = api.get("/").headers["Content-Security-Policy"]
    assert "default-src 'none'" in rules
    assert "unsafe" not in rules
    assert "*" not in rules


def test_a_reader_of_mjpeg_gets_one_picture_after_the_other(api: Api) -> None:
    url = f"{api.url}/api/v1/cameras/square/stream.mjpeg"
    with contextlib.closing(requests.get(url, stream=True, timeout=60)) as answer:
        kind = answer.headers["content-type"]
        assert kind == "multipart/x-mixed-replace; boundary=picture"
        received = b""
        for chunk in answer.iter_content(4096):
            received += chunk
            if received.count(b"\xff\xd8\xff") > 2:
                break
    first = received.split(b"--picture")[1]
    head, _, jpeg = first.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(jpeg) - 2}".encode() in head
    assert api.get("/api/v1/cameras/nobody/stream.mjpeg").status_code == 404


def test_a_camera_of_another_instance_is_not_away_and_nothing_can_be_changed(
    page: Browser, instant, clip: Path
) -> None:
    cameras = {name: {"source": str(clip)} for name in ("here", "there", "nowhere")}
    with serve_api(instant.url, cameras=cameras, instance="north-1") as api:
        api.service.leased.extend("north-1_0", math.inf)
        api.service.leased.acquire("here", Lease(3, "north-1_0"))
        api.service.leased.note_owners({"there": Owner("south-2", 7)})
        page.open(api.url)
        wait_for_state(page, "here", "live")
        wait_for_state(page, "there", "on south-2")
        assert "On south-2" in page.text(card("there", ".away"))
        # Nobody runs the third one.
        assert "1 live · 1 away · 1 elsewhere" in page.text("#summary")
        for part in ("#add", card("here", ".pause"), card("there", ".remove")):
            assert not page.run("return document.querySelector(arguments[0]).offsetParent", part)
        assert (api.camera("here")["instance"], api.camera("here")["lease"]) == ("north-1", 3)
        assert (api.camera("there")["instance"], api.camera("there")["lease"]) == ("south-2", 7)
        assert api.camera("there")["state"] == "elsewhere"
        assert (api.camera("nowhere")["instance"], api.camera("nowhere")["lease"]) == (None, None)
        # It is given up.
        api.service.leased.lose_leases("that is how it is")
        wait_for_state(page, "here", "waiting")
        # Before the service ends, which it would miss.
        page.open("about:blank")
