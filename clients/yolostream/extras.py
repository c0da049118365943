"""Optional packages, which `pip install 'yolostream[EXTRA]'` installs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from yolostream.errors import PackageMissing


@contextlib.contextmanager
def needed(extra: str, whose: str) -> Iterator[None]:
    """Turn a failed import in the block into an error that tells how to install the package.

    Args:
        extra: name of the extra that installs the package.
        whose: the feature that needs the package, for the message.

    Raises:
        PackageMissing: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f"{whose} needs the package {error.name}: pip install 'yolostream[{extra}]'"
        ) from error
