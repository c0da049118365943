"""User name and password of a camera, kept apart from its address."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from yolostream.errors import SourceError


@dataclass(frozen=True)
class Login:
    """User name and password of a camera. They are put into the address when it is opened."""

    username: str = field(repr=False)
    password: str = field(default="", repr=False)
    """Both may contain `${VARIABLES}` of the environment."""
    password_file: Path | None = None
    """A file with the password, instead of `password`. It is read at each use, so it may change."""

    def secret(self) -> str:
        """The password.

        Raises:
            SourceError: its file cannot be read.
        """
        if self.password_file is None:
            return self.password
        try:
            return self.password_file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise SourceError(
                f"the password cannot be read from {self.password_file} ({reason}): let the "
                "service read that file, or name another one as password_file"
            ) from error
