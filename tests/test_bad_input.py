"""Every error ends with one line that names the cause and the fix, an exit code and whole files."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest
from clips import Image, gray, noise, packets, play, play_torn, steps, write_clip
from running import (
    Finished,
    check,
    check_nothing_left,
    ended,
    errors_of,
    has_lines,
    lines,
    poll,
    started,
)
from yolostream.cli import main
from yolostream.errors import (
    ModelUnavailable,
    OutputError,
    ServerStartError,
    ServerUnavailable,
    SourceError,
)
from yolostream.interruption import EXIT_INTERRUPTED
from yolostream.outputs.video import LOOKAHEAD
from yolostream.pipeline.sink import CAPACITY
from yolostream.server import embedded, run_folder

REPOSITORY = Path(__file__).parents[1]
SHARED_MEMORY = Path("/dev/shm")
Cli = Callable[..., Finished]


def abandoned() -> set[str]:
    """Shared memory of clients that have ended; clients that run hold a lock on theirs."""
    found = set()
    for path in SHARED_MEMORY.glob("yolostream-frames-*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.add(path.name)
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_in_shared_memory() -> Iterator[None]:
    before = abandoned()
    yield
    poll(lambda: abandoned() <= before, what="shared memory to go", deadline_s=5)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """The command line in this process, which saves the seconds that a new interpreter takes."""
    log = logging.getLogger("yolostream")

    def run(*arguments: object) -> Finished:
        # The command replaces stderr, and adds a handler.
        monkeypatch.setattr(sys, "stderr", sys.stderr)
        monkeypatch.setattr(log, "handlers", list(log.handlers))
        monkeypatch.setattr(sys, "argv", ["yolostream", *map(str, arguments)])
        # Any other exception would show a traceback.
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capfd.readouterr()
        code = int(ended.value.code or 0)
        return subprocess.CompletedProcess(arguments, code, captured.out, captured.err)

    return run


def clip(folder: Path, name: str = "clip", images: list[Image] | None = None) -> Path:
    return write_clip(folder / f"{name}.mp4", images or steps(4))


# Sources


def test_a_missing_file_is_named(tmp_path: Path, here: Cli) -> None:
    finished = here("detect", tmp_path / "gone.mp4", "--output", tmp_path / "out")
    check(finished, SourceError.exit_code, str(tmp_path / "gone.mp4"))


def test_an_empty_folder_is_named(tmp_path: Path, here: Cli) -> None:
    check(here("detect", tmp_path), SourceError.exit_code, str(tmp_path), "put pictures or videos")


@pytest.mark.parametrize("content", [b"I am a text.\n", b""])
def test_a_file_named_mp4_with_text_or_without_content_is_named(
    tmp_path: Path, here: Cli, content: bytes
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    check(here("detect", path), SourceError.exit_code, str(path), "check that it is a video file")


@pytest.mark.parametrize("name", ["cam[red].mp4", "cam[/b].mp4", "cam:car:.mp4", "a [1, w].mp4"])
def test_a_name_with_markup_is_shown_unchanged(tmp_path: Path, here: Cli, name: str) -> None:
    # Rich, which prints errors, treats brackets and colons as markup.
    check(here("detect", tmp_path / name), SourceError.exit_code, str(tmp_path / name))


@pytest.mark.parametrize("name", ["[/b]", ":car:"])
def test_a_source_with_any_name_is_detected_and_reported(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton, name: str
) -> None:
    source = tmp_path / f"cam{name.replace('/', '')}" / f"{name.replace('/', '')}.mp4"
    source.parent.mkdir()
    out = tmp_path / f"out{name}"
    clip(source.parent, source.stem, steps(1))
    finished = here("detect", source, "--url", triton.url, "--output", out, "--save", "jsonl")
    assert finished.returncode == 0
    assert not errors_of(finished)
    assert len(lines(out / f"{source.stem}.jsonl")) == 1
    assert f"{out}/" in finished.stdout.replace("\n", "")


def test_a_name_that_is_not_utf8_is_reported(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    # Recorders with an old file system encode names in Latin-1.
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    clip(tmp_path, "plain", steps(1)).rename(path)
    out = tmp_path / "out"
    finished = here("detect", path, "--url", triton.url, "--output", out, "--save", "jsonl")
    assert finished.returncode in (0, SourceError.exit_code)
    assert len(errors_of(finished)) == (finished.returncode != 0)


def test_a_truncated_mp4_keeps_the_results_before_its_end(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    path = clip(tmp_path, images=steps(10))
    path.write_bytes(path.read_bytes()[: packets(path)[5][0] + 3])
    out = tmp_path / "out"
    check(
        here("detect", path, "--url", triton.url, "--output", out),
        SourceError.exit_code,
        f"{path} breaks off",
        "copy the file again",
    )
    written = lines(out / "clip.jsonl")
    assert [record["frame"] for record in written][:5] == list(range(5))
    assert len(play(out / "clip.mp4")) == len(written)


def test_a_bad_source_does_not_stop_the_others(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    cut = clip(tmp_path, "cut", steps(6))
    cut.write_bytes(cut.read_bytes()[: packets(cut)[2][0]])
    (tmp_path / "text.mp4").write_text("no video")
    sources = [tmp_path / "gone.mp4", clip(tmp_path, "a"), cut, tmp_path / "text.mp4"]
    sources.append(clip(tmp_path, "b"))
    out = tmp_path / "out"
    finished = here("detect", *sources, "--url", triton.url, "--output", out)
    assert finished.returncode == SourceError.exit_code
    errors = errors_of(finished)
    assert len(errors) == 3
    for name in ("gone.mp4", "cut.mp4", "text.mp4"):
        assert sum(name in error for error in errors) == 1
    for name in ("a", "b"):
        assert [record["frame"] for record in lines(out / f"{name}.jsonl")] == [0, 1, 2, 3]
        assert len(play(out / f"{name}.mp4")) == 4
    assert len(play(out / "tiled.mp4")) == 4
    assert len(lines(out / "cut.jsonl")) == len(play(out / "cut.mp4")) > 0


# Outputs


def test_a_missing_output_folder_is_created(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    out = tmp_path / "not" / "yet"
    finished = here("detect", clip(tmp_path, images=steps(1)), "--url", triton.url, "--output", out)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    assert sorted(path.suffix for path in out.iterdir()) == [".csv", ".jsonl", ".mp4", ".txt"]


@pytest.mark.parametrize("below", ["", "deeper"])
def test_an_output_folder_that_cannot_be_written_is_named(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton, below: str
) -> None:
    # A file at this path, not permissions, because tests may run as root.
    (tmp_path / "out").write_text("mine")
    out = tmp_path / "out" / below
    finished = here("detect", clip(tmp_path), "--url", triton.url, "--output", out)
    check(finished, OutputError.exit_code, f"cannot write {out}", "--output")
    assert (tmp_path / "out").read_text() == "mine"


def test_an_output_file_that_cannot_be_written_is_named(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    out = tmp_path / "out"
    (out / "clip.mp4").mkdir(parents=True)
    finished = here("detect", clip(tmp_path), "--url", triton.url, "--output", out)
    check(finished, OutputError.exit_code, f"cannot write {out / 'clip.mp4'}", "--output")


def test_a_source_is_never_overwritten(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    path = clip(tmp_path)
    picture = tmp_path / "street" / "a.png"
    picture.parent.mkdir()
    assert cv2.imwrite(str(picture), gray(90))
    originals = {original: original.read_bytes() for original in (path, picture)}
    finished = here(*("detect", path, picture.parent, "--url", triton.url, "--output", tmp_path))
    # The run is refused or writes elsewhere, but never loses a source.
    assert finished.returncode in (0, OutputError.exit_code)
    for original, content in originals.items():
        assert original.read_bytes() == content


def test_a_source_with_the_name_of_the_tiled_video_keeps_both_results(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    sources = [clip(tmp_path, name, steps(2)) for name in ("tiled", "other")]
    out = tmp_path / "out"
    finished = here("detect", *sources, "--url", triton.url, "--output", out)
    assert (finished.returncode, errors_of(finished)) == (0, [])
    sizes = sorted(play(path)[0][1].shape[1] for path in out.glob("*.mp4"))
    assert sizes == [64, 64, 1280]


def test_a_full_disk_keeps_the_results_before_it(
    tmp_path: Path, yolostream_cli: Cli, triton: embedded.EmbeddedTriton
) -> None:
    images = [noise(n) for n in range(14)]
    path = write_clip(tmp_path / "clip.mp4", images, rate=2)
    out = tmp_path / "out"
    # The largest size of a file. At 2 frames/s there is a keyframe every 4 frames, or about 300 kB.
    limit = 700_000
    finished = yolostream_cli(
        *("detect", path, "--url", triton.url, "--output", out, "--save", "mp4"),
        *("--save", "jsonl", "--save", "csv"),
        largest_file=limit,
    )
    check(finished, OutputError.exit_code, f"cannot write {out / 'clip.mp4'}", "free space")
    played = len(play_torn(out / "clip.mp4"))
    written = lines(out / "clip.jsonl")
    assert 4 <= played < len(images)
    assert played <= len(written) + 1
    assert [record["frame"] for record in written] == list(range(len(written)))
    assert (out / "clip.csv").read_text().endswith("\n")
    assert not list(out.glob(".*"))


def test_full_shared_memory_is_handled_without_a_traceback(
    tmp_path: Path, yolostream_cli: Cli, triton: embedded.EmbeddedTriton
) -> None:
    # Docker's default is 64 MB. Here, only a trial buffer and small frames fit.
    limit = 1_500_000
    path = clip(tmp_path, images=[gray(100, width=1280, height=720)])
    finished = yolostream_cli(
        *("detect", path, "--url", triton.url, "--output", tmp_path / "out"),
        *("--save", "jsonl", "--no-downscale"),
        largest_file=limit,
    )
    errors = errors_of(finished)
    assert len(errors) == (finished.returncode != 0)
    if errors:
        assert "/dev/shm" in errors[0]
    else:
        assert len(lines(tmp_path / "out" / "clip.jsonl")) == 1


# Servers


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_missing_server_is_named(tmp_path: Path, here: Cli, closed_port: str) -> None:
    out = tmp_path / "out"
    finished = here("detect", clip(tmp_path), "--url", closed_port, "--output", out)
    check(finished, ServerUnavailable.exit_code, closed_port, "start it")
    assert not out.exists()


def test_the_http_port_instead_of_the_grpc_port_is_explained(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    check(
        here("detect", clip(tmp_path), "--url", triton.http_url, "--output", tmp_path / "out"),
        ServerUnavailable.exit_code,
        triton.http_url,
        "gRPC port",
    )


@pytest.mark.parametrize("model", ["yolov9", "nms"])
def test_a_model_that_is_not_loaded_or_is_no_ensemble_is_named(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton, model: str
) -> None:
    check(
        here("detect", clip(tmp_path), "--url", triton.url, "--model", model),
        ModelUnavailable.exit_code,
        f"'{model}'",
        triton.url,
    )


def test_a_missing_server_environment_is_named(tmp_path: Path, here: Cli) -> None:
    missing = tmp_path / "venv"
    check(
        here("detect", clip(tmp_path), "--server-environment", missing),
        ServerStartError.exit_code,
        str(missing),
        "yolostream install-server",
    )


def test_a_server_killed_during_a_run_keeps_the_results_before_it(
    tmp_path: Path, here: Cli
) -> None:
    sources = [clip(tmp_path, name, steps(4) * 100) for name in ("a", "b")]
    out = tmp_path / "out"
    with embedded.serve(
        REPOSITORY / "model_repository", environment=REPOSITORY / ".venv-server", profile="cpu"
    ) as server:

        def kill() -> None:
            poll(lambda: all(has_lines(out / f"{n}.jsonl", 2) for n in "ab"), what="two frames")
            os.killpg(server.process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        finished = here(
            *("detect", *sources, "--url", server.url, "--output", out, "--server-patience", 1)
        )
        killer.join()
    check(finished, ServerUnavailable.exit_code, server.url, "start it")
    for name in ("a", "b"):
        written = lines(out / f"{name}.jsonl")
        assert [record["frame"] for record in written] == list(range(len(written)))
        assert len(play(out / f"{name}.mp4")) == len(written) >= 2
    assert len(play(out / "tiled.mp4")) >= 2


# Signals


def check_interrupted(finished: Finished, out: Path) -> None:
    check(finished, EXIT_INTERRUPTED, "interrupted", "kept")
    written = lines(out / "clip.jsonl")
    assert [record["frame"] for record in written] == list(range(len(written)))
    assert len(play(out / "clip.mp4")) == len(written) >= 2
    assert f"{out}/" in finished.stdout.replace("\n", "")


def test_ctrl_c_completes_the_files(tmp_path: Path, triton: embedded.EmbeddedTriton) -> None:
    out = tmp_path / "out"
    path = clip(tmp_path, images=steps(4) * 200)
    with started(tmp_path, "detect", path, "--url", triton.url, "--output", out) as process:
        poll(lambda: has_lines(out / "clip.jsonl", 2), what="two frames")
        process.send_signal(signal.SIGINT)
        check_interrupted(ended(process), out)
    check_nothing_left(tmp_path)


def test_sigterm_completes_the_files_and_ends_the_embedded_server(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = clip(tmp_path, images=steps(4) * 200)
    with started(tmp_path, "detect", path, "--output", out, "--profile", "cpu") as process:
        poll(lambda: has_lines(out / "clip.jsonl", 2), what="two frames")
        process.send_signal(signal.SIGTERM)
        check_interrupted(ended(process), out)
    check_nothing_left(tmp_path)


def test_ctrl_c_while_the_server_starts_leaves_nothing(tmp_path: Path) -> None:
    path = clip(tmp_path)
    with started(
        tmp_path, "detect", path, "--output", tmp_path / "out", "--profile", "cpu"
    ) as process:
        poll(lambda: bool(list((tmp_path / "tmp").glob("*/pid"))), what="the server's process")
        process.send_signal(signal.SIGINT)
        finished = ended(process)
    check(finished, EXIT_INTERRUPTED, "interrupted")
    check_nothing_left(tmp_path)


@pytest.mark.alone
def test_a_killed_process_leaves_playable_files_and_the_next_run_cleans_up(
    tmp_path: Path, here: Cli, triton: embedded.EmbeddedTriton
) -> None:
    out = tmp_path / "out"
    # At 1 frame/s, every second frame is a keyframe.
    path = write_clip(tmp_path / "clip.mp4", steps(4) * 100, rate=1)
    with started(tmp_path, "detect", path, "--url", triton.url, "--output", out) as process:
        poll(lambda: has_lines(out / "clip.jsonl", 20), what="twenty frames")
        process.kill()
        assert ended(process).returncode == -signal.SIGKILL
    assert abandoned()
    # The next run must remove the shared memory, which the fixture of this module checks.
    short = clip(tmp_path, "short", steps(1))
    next_out = tmp_path / "next"
    assert here("detect", short, "--url", triton.url, "--output", next_out).returncode == 0
    # The frames in the encoder, in an incomplete fragment and in the queue of the output are
    # lost; the outputs do not wait for each other.
    held_back = LOOKAHEAD + CAPACITY + 3
    assert len(play(out / "clip.mp4")) >= len(lines(out / "clip.jsonl")) - held_back


def test_nothing_is_left_in_the_temporary_folder() -> None:
    # The folders of servers that run now are locked by their owners.
    for run in Path(tempfile.gettempdir()).glob("yolostream-server-*"):
        with pytest.raises(BlockingIOError), run_folder.locked(run, fcntl.LOCK_NB):
            pass
