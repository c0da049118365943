"""A one-process peer with the network inside, Ultralytics' YOLOv8m, on the same clips.

Its licence is the AGPL, so nothing of it is imported here: its command runs in another environment.
One process decodes with OpenCV in a thread for each source, makes a batch of one frame of
each source, and tracks with ByteTrack. It prints a line for each frame, and writes nothing.

Its weights are random, with which it finds the same in every frame. No confidence leaves about
`WANTED` objects. The one below leaves the cells of its coarsest level; of these, the first `WANTED`
that do not overlap count (`max_det`). The thresholds of ByteTrack are below their scores. Objects
that do not move spare its tracker work, and its input, of the usual size, has less padding than
ours. Its suppression has more work than in a street, 240 boxes a frame.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtest.clips import Material
from loadtest.endtoend.client import WANTED
from loadtest.endtoend.watching import Moment, Watched
from loadtest.errors import LoadTestError
from loadtest.processes import started
from loadtest.result_file import say

SOURCES = (8, 24)
"""Numbers of sources for which there is a bar."""

CONFIDENCE = 1e-4
"""Between the scores of its two coarser levels, 0.00004 and 0.00016."""

_LIST, _TRACKER = "list.streams", "tracker.yaml"
_TRACKER_SETTINGS = """\
tracker_type: bytetrack
track_high_thresh: 0.00001
track_low_thresh: 0.000001
new_track_thresh: 0.00001
track_buffer: 30
match_thresh: 0.8
fuse_score: false
"""
_START_S = 240.0
"""Seconds that a run may take in addition to ten times its length."""
_FEWEST_BATCHES = 10

_FRAME = re.compile(r"(\d+): (\d+x\d+) (.*), \d+\.\d+ms")
"""Source, height x width of the network's input, and objects, as `2 persons, 1 car`."""
_OBJECTS = re.compile(r"(\d+) [^,]+")
_VERSION = re.compile(r"Ultralytics (\d\S*) ")
_ERROR = re.compile(r"[\w.]*(Error|Exception): ")


@dataclass
class Log:
    """What a run has printed so far.

    Attributes:
        sources: Number of sources.
        version: Of the program.
        size: Of the network's input, height x width in pixels.
        objects: Of each frame.
        batches: When each batch was complete.
        error: The last error, or else the last line.
    """

    sources: int
    version: str = ""
    size: str = ""
    objects: list[int] = field(default_factory=list)
    batches: list[Moment] = field(default_factory=list)
    error: str = "it said nothing"

    def add(self, line: str, at_s: float) -> None:
        """Read a line that came at `at_s` seconds."""
        line = line.strip()
        if found := _FRAME.fullmatch(line):
            self.size = found[2]
            self.objects.append(sum(map(int, _OBJECTS.findall(found[3]))))
            # The lines of a batch come at once, when all of it is done.
            if int(found[1]) == self.sources - 1:
                self.batches.append(Moment(at_s, len(self.objects)))
        elif told := _VERSION.match(line):
            self.version = told[1]
        elif _ERROR.match(line) or (line and not _ERROR.match(self.error)):
            self.error = line

    @property
    def measured_s(self) -> float:
        """Seconds since the end of the first batch, which warms up."""
        return self.batches[-1].at_s - self.batches[0].at_s if self.batches else 0.0

    def figures(self) -> dict[str, Any]:
        """The figures of a run that has ended.

        Returns:
            `frames`; `frames_per_s` of all sources in the middle of the run; `objects_per_frame`.

        Raises:
            LoadTestError: It was too short, or its frames had another number of objects.
        """
        rate, objects = Watched(self.batches).steady_frames_per_s, objects_per_frame([self])
        if rate is None or objects is None:
            raise LoadTestError(f"too few frames: {len(self.objects)}")
        if abs(objects - WANTED) > 1:
            raise LoadTestError(f"{objects} objects a frame, not {WANTED}")
        frames = len(self.objects)
        return {"frames": frames, "frames_per_s": round(rate, 2), "objects_per_frame": objects}


def objects_per_frame(logs: Iterable[Log]) -> float | None:
    """The mean of some runs; None if there was no frame."""
    counted = [objects for log in logs for objects in log.objects]
    return round(statistics.fmean(counted), 1) if counted else None


def chosen(sources: Sequence[int], *, on_gpu: bool) -> tuple[int, ...]:
    """The numbers of sources that the peer runs with: without a GPU all, for none has a bar.

    Raises:
        LoadTestError: There is none.
    """
    numbers = tuple(number for number in sources if not on_gpu or number in SOURCES)
    if not numbers:
        words = ",".join(map(str, sources))
        raise LoadTestError(f"--peer runs with 8 and 24 sources, and --sources {words} has neither")
    return numbers


@dataclass(frozen=True)
class Peer:
    """How it is run.

    Attributes:
        python: Of an environment with `ultralytics` and `lap`.
        on_gpu: Whether it runs on a GPU, in half precision.
        seconds: Length of a run, without its start.
        scratch: Temporary folder for its settings and lists; is made.
        raw: Folder for its logs; is made.
    """

    python: Path
    on_gpu: bool
    seconds: float
    scratch: Path
    raw: Path

    def ready(self) -> None:
        """Check that it is installed, and turn off its reports to its makers.

        Raises:
            LoadTestError: It is not installed.
        """
        self.scratch.mkdir(parents=True, exist_ok=True)
        for command in (
            [*self._program, "settings", "sync=False"],
            [self._program[0], "-c", "import lap"],
        ):
            try:
                subprocess.run(
                    command,
                    cwd=self.scratch,
                    env=self._variables,
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=_START_S,
                )
            except (OSError, subprocess.SubprocessError) as error:
                told = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
                raise LoadTestError(
                    f"--peer {self.python} is not the Python of an environment with ultralytics "
                    f">= 8.4 and lap: {told[-1]}"
                ) from None

    def measure(self, material: Material, numbers: Sequence[int]) -> dict[str, Any]:
        """Run it with each number of sources.

        Returns:
            `version`; `half`, whether in half precision; `input`, height x width in pixels; `conf`;
            `objects_per_frame` of all runs; and `runs`, by number of sources, with the figures of
            each, or `error`, why it failed.
        """
        logs = {number: Log(number) for number in numbers}
        runs = {str(number): self._measured(material, log) for number, log in logs.items()}
        return {
            "version": next((log.version for log in logs.values() if log.version), None),
            "half": self.on_gpu,
            "input": next((log.size for log in logs.values() if log.size), None),
            "conf": CONFIDENCE,
            "objects_per_frame": objects_per_frame(logs.values()),
            "runs": runs,
        }

    def _measured(self, material: Material, log: Log) -> dict[str, Any]:
        folder = self.scratch / f"peer-{log.sources}"
        _lay_out(folder, material.of(log.sources))
        try:
            self._run(folder, log)
            told = log.figures()
        except LoadTestError as error:
            told = {"error": str(error)}
        say(f"the peer with {log.sources} sources: {told}")
        return told

    def _run(self, folder: Path, log: Log) -> None:
        """Run it until that is long enough, or the clips end."""
        path = self.raw / folder.name / "peer.log"
        path.parent.mkdir(parents=True)
        with (
            path.open("w", encoding="utf-8") as file,
            started(
                [*self._program, *self._arguments],
                subprocess.PIPE,
                cwd=folder,
                env=self._variables,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            # One that hangs prints no line.
            late = threading.Timer(_START_S + 10 * self.seconds, process.kill)
            late.start()
            try:
                assert process.stdout is not None  # a pipe
                for line in process.stdout:
                    log.add(line, time.monotonic())
                    file.write(line)
                    if log.measured_s >= self.seconds and len(log.batches) >= _FEWEST_BATCHES:
                        return
                code = process.wait()
            finally:
                late.cancel()
        if code != 0:
            raise LoadTestError(f"ended with {code}: {log.error}")

    @property
    def _program(self) -> list[str]:
        # The path is not resolved, because a virtual environment is known by its link. The first
        # line of `yolo` may name a Python that has moved.
        python = self.python.absolute()
        return [str(python), str(python.with_name("yolo"))]

    @property
    def _arguments(self) -> list[str]:
        return [
            *["track", "model=yolov8m.yaml", f"source={_LIST}", f"tracker={_TRACKER}"],
            *[f"conf={CONFIDENCE}", f"max_det={WANTED}"],
            # Otherwise it takes the newest frame of each source, and drops those before.
            "stream_buffer=True",
            *["save=False", "verbose=True"],
            *(["device=0", "half=True"] if self.on_gpu else ["device=cpu"]),
        ]

    @property
    def _variables(self) -> dict[str, str]:
        """With these it uses no network, installs nothing, and finds only its own packages."""
        return {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "YOLO_CONFIG_DIR": str(self.scratch),
            "PYTHONUNBUFFERED": "1",
            "PYTHONIOENCODING": "utf-8",
        }


def _lay_out(folder: Path, clips: Sequence[Path]) -> None:
    """Make what it reads. It splits its list at every space, so the clips get other names."""
    folder.mkdir(parents=True)
    names = [f"clip-{number}.mp4" for number in range(len(clips))]
    for name, clip in zip(names, clips, strict=True):
        (folder / name).symlink_to(clip.resolve())
    (folder / _LIST).write_text("\n".join(names), encoding="utf-8")
    (folder / _TRACKER).write_text(_TRACKER_SETTINGS, encoding="utf-8")
