r"""Clauses: the assignments in the lines of a rule, and numbers in the place of their symbols.

A line such as ``\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{r} = …`` has two. A symbol is known by
its Unicode text, as fields declare it: ``\rho_1`` is ``ρ₁``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from optlab.core.plain_math import plain

_ASSIGNS = re.compile(r"\\leftarrow(?![a-zA-Z])|=")
_ACCENTED = r"\\(?:hat|tilde|bar|widehat)\s*(?:\{[^{}]*\}|[A-Za-z])"
_SCRIPT = r"(?:_(?:\{[^{}]*\}|\\[A-Za-z]+|[A-Za-z0-9+]))?"
_TOKEN = re.compile(
    rf"(?P<words>\\(?:mathrm|text|operatorname|mathbb)\{{[^{{}}]*\}})"
    rf"|(?P<atom>(?:{_ACCENTED}|\\[A-Za-z]+|[A-Za-z]){_SCRIPT})"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<space>\\[,;: ]|\s+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_STRUCTURE = frozenset(
    {"frac", "sqrt", "odot", "cdot", "times", "left", "right", "top", "sum", "exp", "log", "quad"}
)
_OPENS = frozenset({"(", r"\frac", r"\sqrt", r"\left"})


@dataclass(frozen=True)
class Clause:
    """One assignment of a rule, in LaTeX.

    Attributes:
        line: number of the line that it stands in.
        symbol: the left side as Unicode text.
        left, arrow, right: the left side, the sign between, and the right side.
    """

    line: int
    symbol: str
    left: str
    arrow: str
    right: str

    @property
    def latex(self) -> str:
        """The assignment as it stands in the rule."""
        return f"{self.left} {self.arrow} {self.right}"


def clauses(lines: tuple[str, ...]) -> list[Clause]:
    """Return the assignments of a rule, in order."""
    found: list[Clause] = []
    for number, line in enumerate(lines):
        for part in _parts(line):
            place = next(_outside(part, _ASSIGNS), None)
            if place is not None:
                left, right = part[: place.start()].strip(), part[place.end() :].strip()
                found.append(Clause(number, plain(left), left, place.group(), right))
    return found


def _parts(line: str) -> Iterator[str]:
    begin = 0
    for place in _outside(line, re.compile(r"\\quad(?![a-zA-Z])|(?<!\\);")):
        yield line[begin : place.start()].strip().rstrip(",").rstrip()
        begin = place.end()
    yield line[begin:].strip().rstrip(",")


def _outside(text: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Yield the matches that stand in no braces or parentheses."""
    for match in pattern.finditer(text):
        before = text[: match.start()]
        if all(before.count(a) <= before.count(b) for a, b in ("{}", "()")):
            yield match


def with_numbers(right: str, number: Callable[[str], str | None]) -> str:
    """Return the right side of an assignment with numbers in the place of symbols, in LaTeX.

    Args:
        right: the right side.
        number: Unicode text of a symbol → its number as LaTeX, without a sign in front unless it is
            negative; None for what stays a symbol.
    """
    out: list[str] = []
    ends = False  # whether a factor has just ended, so that a number after it needs a sign between
    script = False
    for match in _TOKEN.finditer(right):
        kind, text = match.lastgroup, match.group()
        if kind == "space":
            out.append(text)
            continue
        value = number(plain(text)) if kind == "atom" and text[1:] not in _STRUCTURE else None
        starts = value is not None or kind == "number" or text in _OPENS
        if ends and starts and not script:
            out.append(r" \cdot ")
        if value is None:
            out.append(text if script or not _is_word(text) else f"{text} ")
        elif script:
            out.append(f"{{{value}}}")
        else:
            out.append(f"({value})" if value.startswith("-") else f"{{{value}}}")
        # A symbol that stays one reads as a product with what follows it.
        ends = (
            value is not None
            or kind == "number"
            or text in (")", "}")
            or (ends and script and text not in "{")
        )
        if text == "(" or (kind == "other" and text in "+-{=,|"):
            ends = False
        script = text in ("^", "_")
    return "".join(out).replace(r"\right )", r"\right)").strip()


def _is_word(text: str) -> bool:
    return re.fullmatch(r"\\[A-Za-z]+", text) is not None
