"""Parsing TOML that others wrote, with bounds on what it may cost.

``tomllib`` takes time and memory that grow with the square of the number of parts of a dotted key,
recurses into nested brackets, and converts whole numbers of any length. A scan that costs nothing
looks for such documents before they are parsed.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

LARGEST_DOCUMENT = 262_144
"""Bytes or characters that a document may have; real ones have about a hundredth of that."""
MAX_PARTS = 16
"""Parts that a dotted key may have; ours have at most three."""
MAX_DEPTH = 32
"""Brackets that may be open at once; ours have at most three."""
LONGEST_WORD = 256
"""Characters of an unquoted key or number."""

_TOKEN = re.compile(
    # Texts, in which nothing counts. One without an end is an error wherever it stands, so the rest
    # belongs to it: looking for its end again from each later quote would take quadratic time.
    r'"""(?:[^\\]|\\.)*?(?:"""|\\?\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+(?:"|\\?(?=\n|\Z))'
    r"|'[^'\n]*+(?:'|(?=\n|\Z))"
    r"|#[^\n]*"
    r"|(?P<word>[\w+-]+)"
    r"|(?P<dot>\.)"
    r"|(?P<open>[\[{])"
    r"|(?P<close>[\]}])"
    r"|(?P<end>[\n=,])",
    re.DOTALL,
)


class TOMLProblem(ValueError):
    """A document is not TOML, or none that is parsed; the message is the rest of a sentence."""


def parse(document: str) -> dict[str, Any]:
    """Return the tables of a document.

    Raises:
        TOMLProblem: it is not TOML, or too large, too deep or too long to be parsed.
    """
    _refuse_costly(document)
    try:
        return tomllib.loads(document)
    except RecursionError:
        raise TOMLProblem("it is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and a number or date that Python refuses
        raise TOMLProblem(" ".join(str(error).split())) from None


def _refuse_costly(document: str) -> None:
    if len(document) > LARGEST_DOCUMENT:
        raise TOMLProblem(
            f"it has {len(document):,} characters, more than the {LARGEST_DOCUMENT:,} that are read"
        )
    depth, parts = 0, 1
    for token in _TOKEN.finditer(document):
        kind = token.lastgroup
        if kind == "dot":
            parts += 1
            if parts > MAX_PARTS:
                raise _at(token, f"a key has more than {MAX_PARTS} parts")
        elif kind == "open":
            depth += 1
            parts = 1
            if depth > MAX_DEPTH:
                raise _at(token, f"more than {MAX_DEPTH} brackets are open at once")
        elif kind == "close":
            depth -= 1
            parts = 1
        elif kind == "end":
            parts = 1
        elif kind == "word" and token.end() - token.start() > LONGEST_WORD:
            length = token.end() - token.start()
            raise _at(token, f"a key or number has {length:,} characters, more than {LONGEST_WORD}")


def _at(token: re.Match[str], what: str) -> TOMLProblem:
    line = token.string.count("\n", 0, token.start()) + 1
    return TOMLProblem(f"{what} (at line {line})")
