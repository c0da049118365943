"""GStreamer's RTSP server, with cameras that play clips in a loop, or with recorders.

It runs in the system's Python, and ends when its standard input is closed, which happens when the
process that started it ends.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ELEMENTS = ("filesrc", "qtdemux", "appsink", "appsrc", "rtph264pay", "rtpbin", "multiudpsink")
ELEMENTS += ("rtph264depay", "h264parse", "matroskamux", "filesink")
ROLE = "viewer"


class Clip:
    """The encoded H.264 pictures of an MP4 file."""

    def __init__(self, path):
        reader = Gst.parse_launch(
            "filesrc name=file ! qtdemux ! appsink name=pictures sync=false wait-on-eos=false"
        )
        reader.get_by_name("file").set_property("location", path)
        reader.set_state(Gst.State.PLAYING)
        end = reader.get_bus().timed_pop_filtered(
            Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR
        )
        sink = reader.get_by_name("pictures")
        samples = list(iter(lambda: sink.emit("try-pull-sample", 0), None))
        reader.set_state(Gst.State.NULL)
        if end.type == Gst.MessageType.ERROR:
            sys.exit(f"cannot read {path}: {end.parse_error()[0].message}")
        self.caps = samples[0].get_caps()
        self.pictures = [sample.get_buffer() for sample in samples]
        self.nanoseconds = sum(picture.duration for picture in self.pictures)


def for_ever(clips):
    """The pictures of all clips in an endless loop, each with its clip."""
    shift = 0
    for clip in itertools.cycle(clips):
        for picture in clip.pictures:
            # A deep copy, because copy() would share the buffer.
            again = picture.copy_deep()
            again.pts, again.dts = picture.pts + shift, picture.dts + shift
            yield clip, again
        shift += clip.nanoseconds


def factory(clips, *, locked, transports):
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(
        "( appsrc name=clip format=time ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )

    def play(_factory, media):
        source, pictures = media.get_element().get_by_name("clip"), for_ever(clips)

        def push(source, _):
            clip, picture = next(pictures)
            source.set_property("caps", clip.caps)
            source.emit("push-buffer", picture)

        source.set_property("caps", clips[0].caps)
        source.connect("need-data", push)

    made.set_protocols(transports)
    made.connect("media-configure", play)
    if locked:
        allow(made)
    return made


def allow(made):
    """Give access to clients that are authenticated."""
    access = "media.factory.access=true, media.factory.construct=true"
    made.add_role_from_structure(Gst.Structure.new_from_string(f"{ROLE}, {access}"))


def recorder(path, *, locked, transports):
    """A factory of recorders that write H.264 into a file; each push overwrites the file."""
    made = GstRtspServer.RTSPMediaFactory()
    made.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    made.set_launch(
        "( rtph264depay name=depay0 ! h264parse"
        f" ! matroskamux streamable=true ! filesink location={path} buffer-mode=unbuffered )"
    )
    made.set_protocols(transports)
    if locked:
        allow(made)
    return made


def digest(user, password):
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, ROLE)
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    return auth


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="say what is missing and end")
    parser.add_argument("--port")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--only", choices=["tcp", "udp"], help="refuse other transports")
    parser.add_argument("--record", action="store_true", help="write to the files instead")
    parser.add_argument("cameras", nargs="*", metavar="NAME=FILE[,FILE...]")
    options = parser.parse_args()
    Gst.init(None)
    if options.check:
        missing = [name for name in ELEMENTS if not Gst.ElementFactory.find(name)]
        sys.exit(f"GStreamer lacks {', '.join(missing)}" if missing else 0)

    # Ctrl-C in a terminal must end only the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    # With the default of 5, many of 200 clients that connect at once wait for more than 20 s.
    server.set_backlog(1024)
    if options.user:
        server.set_auth(digest(options.user, options.password))
    transports = GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP
    if options.only:
        transports = getattr(GstRtsp.RTSPLowerTrans, options.only.upper())
    for camera in options.cameras:
        name, _, paths = camera.partition("=")
        access = {"locked": bool(options.user), "transports": transports}
        if options.record:
            made = recorder(paths, **access)
        else:
            made = factory([Clip(path) for path in paths.split(",")], **access)
        server.get_mount_points().add_factory(f"/{name}", made)
    loop = GLib.MainLoop()
    if not server.attach(None):
        sys.exit(f"cannot listen on port {options.port}")
    hang_up = GLib.IOCondition.HUP
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, hang_up, lambda *_: loop.quit())
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    loop.run()


if __name__ == "__main__":
    main()
