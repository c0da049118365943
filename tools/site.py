"""Completes the documentation site that Zensical has built: `python -m tools.site SITE`.

Pages link to files of the repository outside of `docs/`, so that they can be followed on GitHub.
The site gets a copy of each such file, and its links lead there.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from pathlib import Path

DOCS = Path("docs")
COPIES = "repository"
"""Folder of the site for files of the repository."""

_LINK = re.compile(r'(?<=href=")\.\./[^"#?]+|(?<=src=")\.\./[^"#?]+')


def main() -> None:
    """Complete the site in the folder that the command line names."""
    site = Path(sys.argv[1])
    for page in sorted(site.rglob("*.html")):
        complete(page, site)


def complete(page: Path, site: Path) -> None:
    """Copy what a page links to outside of `docs/`, and lead its links to the copies.

    Raises:
        FileNotFoundError: The repository has no such file.
    """
    folder = page.parent.relative_to(site)

    def inside(match: re.Match[str]) -> str:
        # As on GitHub, a link starts at the page's folder below docs/.
        target = posixpath.normpath(posixpath.join(DOCS.as_posix(), folder.as_posix(), match[0]))
        if target.startswith(f"{DOCS.as_posix()}/"):
            return match[0]
        copy = site / COPIES / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target, copy)
        return posixpath.relpath(copy.relative_to(site).as_posix(), folder.as_posix())

    text = page.read_text(encoding="utf-8")
    if (new := _LINK.sub(inside, text)) != text:
        page.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
