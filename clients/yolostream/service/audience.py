"""The viewers of a camera, and the part of its video that a new viewer starts with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from yolostream.service.messages import Found, Fragment, Made, Picture, Watch

Kind = TypeVar("Kind", bound=Made)


class Audience:
    """Passes what a worker makes of a camera's frames to the viewers of the camera.

    Args:
        camera: name of the camera.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._receivers: dict[type[Any], set[Callable[[Any], None]]] = {
            Fragment: set(),
            Picture: set(),
            Found: set(),
        }
        # The header, and all fragments from the latest key on.
        self._video: list[Fragment] = []

    @property
    def wanted(self) -> Watch:
        """What the camera's worker has to make: only what somebody receives."""
        return Watch(
            self._camera,
            video=bool(self._receivers[Fragment]),
            pictures=bool(self._receivers[Picture]),
            detections=bool(self._receivers[Found]),
        )

    @property
    def viewers(self) -> int:
        """Number of viewers of the video."""
        return len(self._receivers[Fragment])

    def join(self, kind: type[Kind], receive: Callable[[Kind], None]) -> None:
        """Add a viewer. A viewer of the video receives it from its latest key on, at once."""
        if kind is Fragment:
            for fragment in self._video:
                receive(fragment)  # type: ignore[arg-type]
        self._receivers[kind].add(receive)

    def leave(self, kind: type[Kind], receive: Callable[[Kind], None]) -> None:
        """Remove a viewer."""
        self._receivers[kind].discard(receive)
        if not self._receivers[Fragment]:
            self._video.clear()

    def publish(self, made: Made) -> None:
        """Pass a message of the worker to all viewers that receive this kind."""
        receivers = self._receivers[type(made)]
        if receivers and isinstance(made, Fragment):
            self._remember(made)
        for receive in list(receivers):
            receive(made)

    def _remember(self, fragment: Fragment) -> None:
        if fragment.kind == "header":
            self._video = [fragment]
        elif fragment.kind == "key":
            # The rest of a video that began before the first viewer joined has no header.
            if self._video:
                self._video[1:] = [fragment]
        elif len(self._video) > 1:
            self._video.append(fragment)
