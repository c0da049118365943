"""Writes the generated pages: `python -m tools.reference`."""

from __future__ import annotations

from pathlib import Path

from tools.reference.pages import pages

DOCS = Path("docs")


def main() -> None:
    """Write every page whose text has changed."""
    for name, text in pages(DOCS).items():
        path = DOCS / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
