"""Packages that only a part of this program needs, and `pip install 'yolostream[EXTRA]'` brings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from yolostream.errors import PackageMissing


@contextlib.contextmanager
def needed(extra: str, whose: str) -> Iterator[None]:
    """Say how to install what the block imports, where it is not there.

    Args:
        extra: that brings it.
        whose: what cannot do without.

    Raises:
        PackageMissing: it is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f"{whose} needs the package {error.name}: pip install 'yolostream[{extra}]'"
        ) from error
