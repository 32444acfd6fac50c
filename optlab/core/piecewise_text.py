"""Reading a number as a function of the step from a line of text; see :data:`GRAMMAR`."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence

from optlab.core.piecewise import (
    Hold,
    Inverse,
    Jump,
    Length,
    Move,
    NesterovSequence,
    Piece,
    Piecewise,
    Repeat,
    Shape,
    Value,
    endless,
)

GRAMMAR = """\
from V                        start at the value V; later in the line, jump to V
hold N                        keep the value for N steps
linear to V in N              go to V along a straight line
cosine to V in N              go to V along half a cosine
exponential to V in N         go to V by equal factors
polynomial P to V in N        go to V as (1 - k/N)^P does to 0
inverse N                     value · N / (N + k), without end
inverse root N                value · sqrt(N / (N + k)), without end
nesterov                      (k - 1) / (k + 2) for k = 1, 2, …, without end
repeat (…)                    the pieces in parentheses again and again
repeat C times (…)            C times
repeat longer F (…)           again and again, each time F times as long

V is a number, or a share of the field's own value such as 10%. N counts steps, or epochs where it
says so (5 epochs). The line starts at 100%; after the last piece the value stays the same.
"""
"""The grammar, for help texts."""

_SHAPES: tuple[Shape, ...] = ("linear", "cosine", "exponential", "polynomial")
_LONGEST = 10**12
_DEEPEST = 8
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?)|"
    r"(?P<word>[a-z]+)|(?P<sign>[;()%]))"
)


class PiecewiseProblem(ValueError):
    """A line that is not of the grammar; the message completes "…, but "."""


@functools.lru_cache(maxsize=512)
def parse(line: str) -> Piecewise:
    """Return the function that a line describes.

    Raises:
        PiecewiseProblem: the line is not of the grammar (:data:`GRAMMAR`).
    """
    reader = _Reader(_tokens(line))
    pieces = reader.pieces(depth=0)
    if not reader.finished:
        raise PiecewiseProblem(f"{reader.peek!r} does not belong there")
    return Piecewise(pieces)


def _tokens(line: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    text = line.strip().lower()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise PiecewiseProblem(f"{text[at:].strip()[:20]!r} is not understood")
        tokens.append(match.group().strip())
        at = match.end()
    if not tokens:
        raise PiecewiseProblem("it is empty")
    return tokens


class _Reader:
    """Reads pieces from the tokens of a line."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def finished(self) -> bool:
        return self._at == len(self._tokens)

    @property
    def peek(self) -> str:
        return "" if self.finished else self._tokens[self._at]

    def pieces(self, depth: int) -> tuple[Piece, ...]:
        if depth > _DEEPEST:
            raise PiecewiseProblem(f"its parentheses are nested more than {_DEEPEST} deep")
        found: list[Piece] = []
        while True:
            piece = self._piece(depth)
            if found and endless(found[-1]):
                raise PiecewiseProblem(f"nothing can follow '{found[-1]}', which has no end")
            if isinstance(piece, Move) and piece.shape == "exponential" and _zero(found):
                raise PiecewiseProblem("equal factors never leave 0; begin at a value above 0")
            found.append(piece)
            if self.peek == ";":
                self._at += 1
            if self.finished or self.peek == ")":
                return tuple(found)
            if self._tokens[self._at - 1] != ";":
                raise PiecewiseProblem(f"a ; is missing before {self.peek!r}")

    def _piece(self, depth: int) -> Piece:
        word = self._next("a piece such as hold 100 or linear to 0 in 500")
        if word == "from":
            return Jump(self._value())
        if word == "hold":
            return Hold(self._length())
        if word in _SHAPES:
            return self._move(word)
        if word == "inverse":
            root = self._accept("root")
            return Inverse(self._length(), root)
        if word == "nesterov":
            return NesterovSequence()
        if word == "repeat":
            return self._repeat(depth)
        known = ("from", "hold", *_SHAPES, "inverse", "nesterov", "repeat")
        raise PiecewiseProblem(f"{word!r} is not a piece; pieces are {', '.join(known)}")

    def _move(self, shape: Shape) -> Move:
        power = self._number("a power") if shape == "polynomial" else 1.0
        if power <= 0.0:
            raise PiecewiseProblem("the power of a polynomial must be above 0")
        self._expect("to")
        to = self._value()
        if shape == "exponential" and to.number == 0.0:
            raise PiecewiseProblem("equal factors never reach 0; give a value above 0")
        self._expect("in")
        return Move(shape, to, self._length(), power)

    def _repeat(self, depth: int) -> Repeat:
        times: int | None = None
        if self.peek[:1].isdigit():
            count = self._number("a number of times")
            if not count.is_integer() or not 1 <= count <= 1_000_000:
                raise PiecewiseProblem(
                    f"repeat {count:g} times: it must be a whole number from 1 to 1,000,000"
                )
            times = int(count)
            self._expect("times")
        longer = self._number("a factor") if self._accept("longer") else 1.0
        if longer != 1.0 and not 1.01 <= longer <= 100.0:
            raise PiecewiseProblem(f"longer {longer:g}: the factor must be 1, or from 1.01 to 100")
        self._expect("(")
        pieces = self.pieces(depth + 1)
        self._expect(")")
        if endless(pieces[-1]):
            raise PiecewiseProblem(f"'{pieces[-1]}' has no end, so nothing repeats it")
        if longer != 1.0 and (
            (times or 0) > 100 or any(isinstance(p, Repeat) and p.longer != 1.0 for p in pieces)
        ):
            raise PiecewiseProblem(
                "what grows longer repeats at most 100 times, and not within another that does"
            )
        if not any(isinstance(piece, Hold | Move | Repeat) for piece in pieces):
            raise PiecewiseProblem("what repeats must last at least a step")
        return Repeat(pieces, times, longer)

    def _value(self) -> Value:
        number = self._number("a value such as 0.9 or 10%")
        share = self._accept("%")
        return Value(number / 100.0 if share else number, share)

    def _length(self) -> Length:
        number = self._number("a number of steps")
        epochs = self.peek in ("epoch", "epochs")
        if epochs or self.peek in ("step", "steps"):
            self._at += 1
        if not 0.0 < number <= _LONGEST or not (epochs or number.is_integer()):
            raise PiecewiseProblem(
                f"{number:g} is not a duration; it must be a whole number of steps from 1, or a "
                "number of epochs above 0"
            )
        return Length(number, epochs)

    def _number(self, what: str) -> float:
        token = self._next(what)
        try:
            number = float(token)
        except ValueError:
            raise PiecewiseProblem(f"{token!r} stands where {what} is needed") from None
        if not math.isfinite(number):
            raise PiecewiseProblem(f"{token!r} is too large")
        return number

    def _next(self, what: str) -> str:
        if self.finished:
            raise PiecewiseProblem(f"it ends where {what} is needed")
        self._at += 1
        return self._tokens[self._at - 1]

    def _accept(self, token: str) -> bool:
        if self.peek != token:
            return False
        self._at += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._accept(token):
            seen = repr(self.peek) if self.peek else "the end"
            raise PiecewiseProblem(f"{token!r} is missing before {seen}")


def _zero(before: Sequence[Piece]) -> bool:
    """Return whether the value after some pieces is 0 whatever the field's own value is."""
    for piece in reversed(before):
        if isinstance(piece, Jump | Move):
            return piece.to.number == 0.0
        if isinstance(piece, Repeat):
            return _zero(piece.pieces)
    return False
