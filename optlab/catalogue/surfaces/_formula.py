"""Typed-in formulas: a tokenizer, a parser by recursive descent, and a tree whose every node is on
a short list of operations.

Nothing that a person types is ever run as code: a text becomes a tree of :class:`Number`,
:class:`Variable` and :class:`Call`, whose operations are the keys of :data:`FUNCTIONS`, or one
sentence that says where it is wrong. Grammar, loosest first::

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/") signed)*
    signed  = ("+" | "-") signed | power
    power   = atom (("^" | "**") signed)?          so −x^2 is −(x^2), and 2^3^2 is 2^(3^2)
    atom    = number | name | function "(" sum ("," sum)* ")" | "(" sum ")"
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.core.lazy import torch

LONGEST = 400
"""Characters that a formula may have."""
DEEPEST = 40
"""How deeply parentheses, signs and powers may be nested: far below what would exhaust the
interpreter's stack.
"""
VARIABLES: Mapping[str, int] = {"x": 0, "y": 1, "x1": 0, "x2": 1}
CONSTANTS: Mapping[str, float] = {"pi": math.pi, "π": math.pi, "e": math.e}


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Variable:
    """A coordinate: 0 for x, 1 for y."""

    index: int


@dataclass(frozen=True)
class Call:
    """An operation of :data:`FUNCTIONS` on its arguments."""

    function: str
    arguments: tuple[Node, ...]


Node = Number | Variable | Call


FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., Any]]] = {
    "+": (2, 2, lambda a, b: a + b),
    "-": (2, 2, lambda a, b: a - b),
    "*": (2, 2, lambda a, b: a * b),
    "/": (2, 2, lambda a, b: a / b),
    "^": (2, 2, lambda a, b: a**b),
    "neg": (1, 1, lambda a: -a),
    "exp": (1, 1, lambda a: a.exp()),
    "log": (1, 1, lambda a: a.log()),
    "sqrt": (1, 1, lambda a: a.sqrt()),
    "sin": (1, 1, lambda a: a.sin()),
    "cos": (1, 1, lambda a: a.cos()),
    "tan": (1, 1, lambda a: a.tan()),
    "tanh": (1, 1, lambda a: a.tanh()),
    "sigmoid": (1, 1, lambda a: a.sigmoid()),
    "abs": (1, 1, lambda a: a.abs()),
    "min": (2, 8, lambda *a: functools.reduce(torch.minimum, torch.broadcast_tensors(*a))),
    "max": (2, 8, lambda *a: functools.reduce(torch.maximum, torch.broadcast_tensors(*a))),
}
"""Operation → fewest and most arguments, and what it does with tensors."""
_TYPED = [name for name in FUNCTIONS if name.isalpha() and name != "neg"]
"""Functions that can be typed by name."""
_TOKEN = re.compile(
    r"\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|(\*\*|[-+*/^(),−·×]))"
)
_SAME = {"**": "^", "−": "-", "·": "*", "×": "*"}


def parse(text: str, field: str = "surface.expression") -> Node:
    """The tree of a formula.

    Raises:
        InvalidInput: it is no formula; the message says at which character.
    """
    if len(text) > LONGEST:
        raise InvalidInput(
            f"{field} has {len(text)} characters, but a formula may have at most {LONGEST}.", field
        )
    return _Parser(text, field).whole()


def evaluate(node: Node, coordinates: Sequence[torch.Tensor]) -> torch.Tensor:
    """Values ``[...]`` for coordinates ``[...]`` of each variable; nan or infinite where an
    operation is not defined.
    """
    if isinstance(node, Number):
        return coordinates[0].new_tensor(node.value)
    if isinstance(node, Variable):
        return coordinates[node.index]
    arguments: list[Any] = [evaluate(argument, coordinates) for argument in node.arguments]
    if node.function == "^" and not variables(node.arguments[1]):
        # With a plain number as exponent torch also differentiates at negative and zero bases.
        arguments[1] = arguments[1].item()
    found: torch.Tensor = FUNCTIONS[node.function][2](*arguments)
    return found


def variables(node: Node) -> frozenset[int]:
    """The coordinates that occur."""
    if isinstance(node, Variable):
        return frozenset({node.index})
    return (
        frozenset().union(*(variables(a) for a in node.arguments))
        if isinstance(node, Call)
        else frozenset()
    )


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str, field: str) -> None:
        self._text, self._field = text, field
        self._depth = 0
        self._tokens: list[tuple[str, str, int]] = []
        place = 0
        end = len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:
                place += len(text[place:]) - len(text[place:].lstrip())
                raise self._wrong(f"'{text[place]}' has no meaning in a formula", place)
            kind = ("number", "name", "sign")[(match.lastindex or 1) - 1]
            word = match[match.lastindex or 1]
            self._tokens.append((kind, _SAME.get(word, word), match.start(match.lastindex or 1)))
            place = match.end()
        self._tokens.append(("end", "", end))
        self._next = 0

    def whole(self) -> Node:
        """The tree of the whole text."""
        found = self._sum()
        kind, word, place = self._tokens[self._next]
        if kind != "end":
            hint = " (write * to multiply)" if kind in ("number", "name") or word == "(" else ""
            raise self._wrong(
                f"an operator should stand before '{word}'{hint}"
                if hint
                else f"'{word}' is not expected here",
                place,
            )
        return found

    def _sum(self) -> Node:
        self._deeper()
        found = self._product()
        while self._sign() in ("+", "-"):
            found = Call(self._take(), (found, self._product()))
        self._depth -= 1
        return found

    def _product(self) -> Node:
        found = self._signed()
        while self._sign() in ("*", "/"):
            found = Call(self._take(), (found, self._signed()))
        return found

    def _signed(self) -> Node:
        self._deeper()
        if self._sign() in ("+", "-"):
            sign = self._take()
            inner = self._signed()
            found = inner if sign == "+" else Call("neg", (inner,))
        else:
            found = self._atom()
            if self._sign() == "^":
                self._take()
                found = Call("^", (found, self._signed()))
        self._depth -= 1
        return found

    def _atom(self) -> Node:
        kind, word, place = self._tokens[self._next]
        if kind == "number":
            self._next += 1
            if not math.isfinite(float(word)):
                raise self._wrong(f"the number '{word}' is too large", place)
            return Number(float(word))
        if kind == "name":
            self._next += 1
            return self._named(word, place)
        if word == "(":
            self._take()
            found = self._sum()
            self._close(place)
            return found
        if kind == "end":
            raise self._wrong(
                "the formula ends where a number, a variable or a parenthesis should follow"
                if place
                else "it is empty",
                place,
            )
        raise self._wrong(
            f"'{word}' stands where a number, a variable or a parenthesis should", place
        )

    def _named(self, word: str, place: int) -> Node:
        called = self._sign() == "("
        if word in VARIABLES and not called:
            return Variable(VARIABLES[word])
        if word in CONSTANTS and not called:
            return Number(CONSTANTS[word])
        if word not in _TYPED:
            known = ["x", "y", "pi", "e", *_TYPED]
            problem = (
                f"'{word}' is no function"
                if called and word in (*VARIABLES, *CONSTANTS)
                else f"'{word}' is not known{did_you_mean(word, known)}"
            )
            raise self._wrong(
                f"{problem}; a formula is made of {', '.join(known)}, numbers and + - * / ^ ( )",
                place,
            )
        if not called:
            raise self._wrong(f"{word} needs its argument in parentheses, as {word}(x)", place)
        opened = self._tokens[self._next][2]
        self._take()
        arguments = [self._sum()]
        while self._sign() == ",":
            self._take()
            arguments.append(self._sum())
        self._close(opened)
        least, most, _ = FUNCTIONS[word]
        if not least <= len(arguments) <= most:
            wanted = "one argument" if most == 1 else f"{least} to {most} arguments"
            raise self._wrong(f"{word} takes {wanted}, not {len(arguments)}", place)
        return Call(word, tuple(arguments))

    def _sign(self) -> str:
        """The sign that comes next, or ""."""
        kind, word, _ = self._tokens[self._next]
        return word if kind == "sign" else ""

    def _take(self) -> str:
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _close(self, opened: int) -> None:
        if self._sign() != ")":
            raise self._wrong(
                f"the parenthesis opened at character {opened + 1} is not closed",
                self._tokens[self._next][2],
            )
        self._take()

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > 2 * DEEPEST:  # a parenthesis passes here twice
            raise self._wrong(f"it is nested more than {DEEPEST} deep", self._tokens[self._next][2])

    def _wrong(self, what: str, place: int) -> InvalidInput:
        shown = self._text if len(self._text) <= 60 else self._text[:59] + "…"
        return InvalidInput(
            f"{self._field} is '{shown}', but at character {place + 1}: {what}.", self._field
        )
