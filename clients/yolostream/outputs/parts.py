"""Files that follow each other, each named after the time at which it begins."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from yolostream.errors import OutputError
from yolostream.outputs.clock import SYSTEM_CLOCK, Clock
from yolostream.outputs.finishing import FINISHING_SUFFIX
from yolostream.outputs.limits import check_limits
from yolostream.outputs.output import writing
from yolostream.sources.naming import FILE_NAME_BYTES, fitted

Opened = TypeVar("Opened")

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_LONGEST_ADDITION = ".20261128T024500Z_99999.jsonl" + "." + FINISHING_SUFFIX
DAY_S = 86400.0


@dataclass(frozen=True)
class Retention:
    """Which finished parts stay; the oldest of the others are removed."""

    parts: int = 2000
    """Files at most."""
    age_s: float = 7 * DAY_S
    """Seconds since a part began at most."""
    total_bytes: int | None = None
    """Of all of them together at most; None sets no limit."""

    def __post_init__(self) -> None:
        check_limits(0, parts=self.parts, age_s=self.age_s, total_bytes=self.total_bytes or 0)


class Parts:
    """The parts of one output of one camera: `NAME.20261128T024500Z.jsonl`, in UTC.

    A part whose name is taken, because the clock was set back, gets `_2` and so on: nothing is
    overwritten. Of the parts that this process began, the order is known whatever the clock said.
    Only files with such names are looked at or removed.

    Args:
        folder: of the camera; made where it is missing.
        name: of the camera; shortened where it would not fit into a file's name.
        suffix: such as `.jsonl`.
        clock: what tells the time.

    Raises:
        OutputError: the folder cannot be read or made.
    """

    def __init__(
        self, folder: Path, name: str, suffix: str, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.folder = folder
        self._stem = fitted(name, FILE_NAME_BYTES - len(_LONGEST_ADDITION))
        self._suffix = suffix
        self._clock = clock
        self._pattern = re.compile(
            rf"{re.escape(self._stem)}\.(\d{{8}}T\d{{6}}Z)(?:_(\d+))?{re.escape(suffix)}"
        )
        self._growing: Path | None = None
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._finished = self._found()

    def begin(self, open_part: Callable[[Path], Opened]) -> Opened:
        """Begin the next part; the one before is finished.

        Args:
            open_part: opens a file, which is there and empty.

        Raises:
            OutputError: it cannot be written; nothing is left of it.
        """
        self.finish()
        path = self._new_file()
        try:
            opened = open_part(path)
        except OutputError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        self._growing = path
        return opened

    def discard(self) -> None:
        """Remove the part that was begun: nothing came of it."""
        if self._growing is not None:
            with writing(self._growing):
                self._growing.unlink(missing_ok=True)
            self._growing = None

    def finish(self) -> None:
        """The part that was begun grows no more."""
        if self._growing is not None:
            self._finished.append(self._growing)
            self._growing = None

    def remove_old(self, keep: Retention) -> None:
        """Remove the finished parts that are too many, too old or too large together.

        Raises:
            OutputError: one cannot be removed.
        """
        sizes = [size_of(path) for path in self._finished]
        too_many = len(sizes) - keep.parts
        too_large = sum(sizes) - keep.total_bytes if keep.total_bytes is not None else 0
        oldest = self._clock.wall() - keep.age_s
        for number, (path, size) in enumerate(zip(list(self._finished), sizes, strict=True)):
            if number < too_many or too_large > 0 or self._began(path) < oldest:
                self._remove(path)
                too_large -= size

    def make_room(self, free_bytes: int) -> bool:
        """Remove the oldest finished parts until so much of the disk is free.

        Returns:
            Whether it is.

        Raises:
            OutputError: one cannot be removed.
        """
        while (is_short := self._free() < free_bytes) and self._finished:
            self._remove(self._finished[0])
        return not is_short

    def _free(self) -> int:
        with writing(self.folder):
            return shutil.disk_usage(self.folder).free

    def _remove(self, path: Path) -> None:
        with writing(path):
            path.unlink(missing_ok=True)
        self._finished.remove(path)

    def _new_file(self) -> Path:
        now = datetime.fromtimestamp(self._clock.wall(), UTC)
        begin, number = f"{self._stem}.{now.strftime(_TIME_FORMAT)}", 1
        while True:
            path = self.folder / f"{begin}{f'_{number}' if number > 1 else ''}{self._suffix}"
            with writing(path), contextlib.suppress(FileExistsError):
                path.open("xb").close()
                return path
            number += 1

    def _found(self) -> list[Path]:
        """Parts of processes before this one, the oldest first; what they left half done goes."""
        found = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    continue
                if self._pattern.fullmatch(entry.name):
                    found.append(self.folder / entry.name)
                elif self._is_half_done(entry.name):
                    os.unlink(entry.path)
        return sorted(found, key=self._age_order)

    def _is_half_done(self, name: str) -> bool:
        whole = name.removeprefix(".").removesuffix(FINISHING_SUFFIX)
        return name == f".{whole}{FINISHING_SUFFIX}" and bool(self._pattern.fullmatch(whole))

    def _age_order(self, path: Path) -> tuple[bool, float, int]:
        matched = self._pattern.fullmatch(path.name)
        number = int(matched[2] or 1) if matched else 1
        began = self._began(path)
        # What claims to be of a day to come is of a clock that was wrong, and nobody knows when.
        return began <= self._clock.wall() + DAY_S, began, number

    def _began(self, path: Path) -> float:
        """Unix time in seconds that a part's name tells; 0 where there is no such day."""
        matched = self._pattern.fullmatch(path.name)
        try:
            began = datetime.strptime(matched[1] if matched else "", _TIME_FORMAT)
        except ValueError:
            return 0.0
        return began.replace(tzinfo=UTC).timestamp()


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where somebody has taken it away.

    Raises:
        OutputError: the disk does not tell.
    """
    with writing(path):
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0
