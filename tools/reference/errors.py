"""The error tree as a table."""

from __future__ import annotations

from collections.abc import Iterator

from yolostream import errors

_START, _END = "<!-- errors -->\n", "<!-- /errors -->"


def filled(page: str) -> str:
    """A page with the table of errors between its marks, in place of the old one."""
    before, rest = page.split(_START)
    _, after = rest.split(_END)
    return f"{before}{_START}{_table()}{_END}{after}"


def _table() -> str:
    """One line an error class, children below their parents."""
    rows = [
        f"| {kind.exit_code} | `{kind.__name__}` | {(kind.__doc__ or '').split(chr(10))[0]} |\n"
        for kind in _tree(errors.YolostreamError)
    ]
    return "| exit code | error | meaning |\n| ---: | --- | --- |\n" + "".join(rows)


def _tree(kind: type[errors.YolostreamError]) -> Iterator[type[errors.YolostreamError]]:
    """A class of `yolostream.errors` and all below it, in the order of the file."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)
