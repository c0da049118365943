"""What the live load tests are run against."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from yolostream.server import embedded

from loadtest.server import Target, served


@dataclass(frozen=True)
class Setting:
    """A server, and how long is looked.

    Attributes:
        url: Of a Triton that runs; None starts one.
        profile: Of the one that is started.
        model: Name of the ensemble.
        repository: Where it lies.
        environment: Of the server that is started.
        seconds: Length of each window.
        raw: Folder for logs and clips.
    """

    url: str | None
    profile: embedded.Profile
    model: str
    repository: Path
    environment: Path
    seconds: float
    raw: Path

    @contextlib.contextmanager
    def serving(self) -> Iterator[Target]:
        """The server, until the block ends."""
        with served(
            self.url,
            model=self.model,
            profile=self.profile,
            repository=self.repository,
            environment=self.environment,
        ) as target:
            yield target
