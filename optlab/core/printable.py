"""Texts of others as they can be shown: nothing in them acts on a terminal or a window.

Titles, names of columns, classes and files, and messages come from files. An escape sequence in one
could repaint a terminal, a newline forge a line, and a bidirectional override show it in another
order than it has. JSON documents need none of this: their own escapes keep every character.
"""

from __future__ import annotations

import re

_ACTING = (
    "\x00-\x1f\x7f-\x9f"  # C0 and C1: escape, bell, newline, …
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks and overrides of direction
    "\u200b\u2028\u2029\u2060-\u2064\ufeff"  # breaks, and characters without a width
    "\ud800-\udfff"  # halves of a character: bytes that are not UTF-8
)
_IN_A_LINE = re.compile(f"[{_ACTING}]")
_IN_LINES = re.compile(f"(?![\n\t])[{_ACTING}]")


def printable(text: str, *, lines: bool = False) -> str:
    """Return ``text`` with each character that acts, rather than shows, escaped as in Python.

    Args:
        text: any text.
        lines: whether newlines and tabs are meant, and stay as they are.
    """
    # Several times as fast as a search, and true of most texts.
    if (text.replace("\n", "").replace("\t", "") if lines else text).isprintable():
        return text
    return (_IN_LINES if lines else _IN_A_LINE).sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    short = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
