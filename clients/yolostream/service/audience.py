"""Those who look at a camera, and where its video begins for one who comes later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from yolostream.service.messages import Found, Fragment, Made, Picture, Watch

Kind = TypeVar("Kind", bound=Made)


class Audience:
    """Who is told of the frames of one camera; nothing is made that nobody wants.

    Args:
        camera: its name.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._takers: dict[type[Any], set[Callable[[Any], None]]] = {
            Fragment: set(),
            Picture: set(),
            Found: set(),
        }
        # A header, and the fragments from the last one that a player may join at.
        self._video: list[Fragment] = []

    @property
    def wanted(self) -> Watch:
        """What the camera's worker has to make."""
        return Watch(
            self._camera,
            video=bool(self._takers[Fragment]),
            pictures=bool(self._takers[Picture]),
            detections=bool(self._takers[Found]),
        )

    @property
    def viewers(self) -> int:
        """How many look at its video."""
        return len(self._takers[Fragment])

    def join(self, kind: type[Kind], take: Callable[[Kind], None]) -> None:
        """Tell one more, who is given the video from its last key on at once."""
        if kind is Fragment:
            for fragment in self._video:
                take(fragment)  # type: ignore[arg-type]
        self._takers[kind].add(take)

    def leave(self, kind: type[Kind], take: Callable[[Kind], None]) -> None:
        """Tell this one no more."""
        self._takers[kind].discard(take)
        if not self._takers[Fragment]:
            self._video.clear()

    def tell(self, made: Made) -> None:
        """Hand on what was made."""
        takers = self._takers[type(made)]
        if takers and isinstance(made, Fragment):
            self._remember(made)
        for take in list(takers):
            take(made)

    def _remember(self, fragment: Fragment) -> None:
        if fragment.kind == "header":
            self._video = [fragment]
        elif fragment.kind == "key":
            # What is left of a video that began before somebody looked has no header.
            if self._video:
                self._video[1:] = [fragment]
        elif len(self._video) > 1:
            self._video.append(fragment)
