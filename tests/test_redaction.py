from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yolostream.redaction import redact, redact_url

CANARY = "cAnArY7"
SHAPES = (
    "{scheme}://user:{secret}@{host}/street",
    "{scheme}://:{secret}@{host}/street",
    "{scheme}://{secret}:pw@{host}/street",
    "{scheme}://{secret}@{host}",
    "{scheme}://user:{secret}@{host}",
    "{scheme}://{host}/street?user=me&password={secret}",
    "{scheme}://{host}/street?password={secret}&channel=1",
    "{scheme}://{host}?{secret}",
    "{scheme}://{host}/user=me&password={secret}&channel=1&stream=0.sdp",
    "{scheme}://{host}/user=me_password={secret}_channel=1",
    "{scheme}://{host}/street?token={secret}",
    "{scheme}://{host}/street?{secret}=",
    "{scheme}://{host}/street#{secret}",
    "{scheme}://{host}/street;auth={secret}",
)
# Arbitrary printable characters around the canary: a password that is cut would be shown in part.
characters = st.text(string.ascii_letters + string.digits + string.punctuation, max_size=6)
secrets = st.builds("{}{}{}".format, characters, st.just(CANARY), characters)
addresses = st.builds(
    lambda shape, **parts: shape.format(**parts),
    st.sampled_from(SHAPES[:5]),
    scheme=st.sampled_from(["rtsp", "RTSP", "http", "https", "srt", "rtmp", "rtsps"]),
    secret=secrets | secrets.map(lambda secret: quote(secret, safe="")),
    host=st.sampled_from(["10.0.0.5", "cam.example:554", "[2001:db8::1]", "[::1]:8554"]),
)


@given(addresses)
def test_a_login_with_any_characters_is_redacted(address):
    assert CANARY not in redact_url(address)
    assert CANARY not in redact(f"cannot read {address}: check the address")


@given(
    st.sampled_from(SHAPES[5:]),
    st.text(string.ascii_letters + string.digits + "!$'()*,-.:@[]_~%+/?\"<>^`{|}", max_size=6),
)
def test_parameters_that_may_be_secret_are_redacted(shape, around):
    # Separators of parameters must be encoded in a password.
    for secret in (f"{CANARY}{around}", f"{around}{CANARY}", quote(f"{around}={CANARY}", safe="")):
        address = shape.format(scheme="rtsp", host="10.0.0.5", secret=secret)
        assert CANARY not in redact_url(address)
        assert CANARY not in redact(f"cannot read {address}: check the address")


@given(addresses | st.text())
def test_redaction_is_idempotent(text):
    once = redact(text)
    assert redact(once) == once


@given(st.text())
def test_text_without_an_address_is_not_changed(text):
    text = text.replace("://", "")
    assert redact(text) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://10.0.0.5:554/live/main", "rtsp://10.0.0.5:554/live/main"),
        ("rtsp://u:p@ss@10.0.0.5/street", "rtsp://10.0.0.5/street"),
        ("rtsp://u:p/ss@cam:554/a", "rtsp://***"),
        ("rtsp://h/a?password=p@ss", "rtsp://***"),
        ("rtsp://u@[::1]:8554", "rtsp://[::1]:8554"),
        ("rtsp://h/a?channel=1&subtype=0", "rtsp://h/a?channel=1&subtype=0"),
        ("rtsp://h/a?user=u&password=p&channel=2", "rtsp://h/a?***&channel=2"),
        (
            "rtsp://h/user=u&password=p&channel=1&stream=0.sdp",
            "rtsp://h/***&channel=1&stream=0.sdp",
        ),
        ("https://h/a.mp4?X-Amz-Signature=s", "https://h/a.mp4?***"),
        ("rtsp://u:${CAM1_PASSWORD}@${CAM1}/a", "rtsp://${CAM1}/a"),
        ("rtsp://admin:secret", "rtsp://admin:***"),
        ("admin:secret@10.0.0.5/street", "10.0.0.5/street"),
        ("street/monday.mp4", "street/monday.mp4"),
    ],
)
def test_the_parts_that_distinguish_cameras_are_shown(address, shown):
    assert redact_url(address) == shown


def test_the_text_around_an_address_is_kept():
    sentence = "rtsp://u:p@h/a: refused, 'http://h/b?key=k', (srt://h:1); see docs"
    assert redact(sentence) == "rtsp://h/a: refused, 'http://h/b?***', (srt://h:1); see docs"
