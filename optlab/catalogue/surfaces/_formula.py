"""Typed-in formulas: parsed by Python's own parser, evaluated by walking the syntax tree.

What a person types is never compiled or executed. A text passes three checks:

1. :class:`_Reader` splits it into numbers, names and operators, all of them on short lists, and
   checks that operands and operators alternate and that parentheses match. Its messages say at
   which character a formula is wrong.
2. ``ast.parse`` parses what the reader wrote in Python's spelling (``^`` as ``**``), and so settles
   what binds first: −x^2 is −(x^2), and 2^3^2 is 2^(3^2). Length and nesting are bounded before.
3. :func:`check_nodes` refuses every syntax node that is not on a short list.

:func:`evaluate` turns the nodes that are left into torch operations.
"""

from __future__ import annotations

import ast
import functools
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.core.lazy import torch

MAX_LENGTH = 400
"""Characters that a formula may have."""
MAX_DEPTH = 40
"""How deeply parentheses may be nested, and half of how deeply signs, powers and functions may be:
far below what would exhaust the stack of the interpreter or of its parser.
"""
VARIABLES: Mapping[str, int] = {"x": 0, "y": 1, "x1": 0, "x2": 1}
CONSTANTS: Mapping[str, float] = {"pi": math.pi, "e": math.e}
FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., Any]]] = {
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
"""Function → fewest and most arguments, and what it computes from tensors."""
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: lambda a: a,
    ast.USub: operator.neg,
}
_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Load, ast.Constant)
"""Syntax nodes that a formula may have, beside the keys of :data:`_OPERATORS`."""
_TOKEN = re.compile(
    r"\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|(\*\*|[-+*/^(),−·×]))"
)
_SPELLING = {"**": "^", "−": "-", "·": "*", "×": "*", "π": "pi"}
"""Other spelling of an operator or a name → the usual one."""


def parse(text: str, field: str = "surface.expression") -> ast.expr:
    """Return the syntax tree of a formula.

    Raises:
        InvalidInput: the text is not a formula; the message says at which character.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidInput(
            f"{field} has {len(text)} characters, but a formula may have at most {MAX_LENGTH}.",
            field,
        )
    reader = _Reader(text, field)
    tree = ast.parse(reader.in_python(), mode="eval")
    check_nodes(tree)
    if _depth(tree) >= 2 * MAX_DEPTH:
        raise reader.too_deep()
    return tree.body


def check_nodes(tree: ast.AST) -> None:
    """Check that a syntax tree holds nothing but what a formula is made of.

    Raises:
        InvalidInput: it holds another syntax node, name or constant.
    """
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        allowed: object = type(node) in _NODES or type(node) in _OPERATORS
        if isinstance(node, ast.Constant):
            allowed = type(node.value) is float
        elif isinstance(node, ast.Name):
            allowed = node.id in (FUNCTIONS if id(node) in called else {**VARIABLES, **CONSTANTS})
        elif isinstance(node, ast.Call):
            allowed = isinstance(node.func, ast.Name) and not node.keywords
        if not allowed:
            raise InvalidInput(
                f"A formula may not contain {ast.unparse(node) or type(node).__name__}.",
                "surface.expression",
            )


def evaluate(node: ast.expr, coordinates: Sequence[torch.Tensor]) -> torch.Tensor:
    """Evaluate a formula.

    Args:
        node: syntax tree of the formula, from :func:`parse`.
        coordinates: values ``[...]`` of each variable.

    Returns:
        Values ``[...]``; nan or infinite where an operation is not defined.

    Raises:
        TypeError: the tree is not that of a formula.
    """
    match node:
        case ast.Constant(value=float(value)):
            return coordinates[0].new_tensor(value)
        case ast.Name(id=name) if name in VARIABLES:
            return coordinates[VARIABLES[name]]
        case ast.Name(id=name) if name in CONSTANTS:
            return coordinates[0].new_tensor(CONSTANTS[name])
        case ast.UnaryOp():
            arguments, function = [node.operand], _OPERATORS[type(node.op)]
        case ast.BinOp():
            arguments, function = [node.left, node.right], _OPERATORS[type(node.op)]
        case ast.Call(func=ast.Name(id=name)):
            arguments, function = node.args, FUNCTIONS[name][2]
        case _:
            raise TypeError(f"{type(node).__name__} is not part of a formula")
    values: list[Any] = [evaluate(argument, coordinates) for argument in arguments]
    if function is operator.pow and not variables(arguments[1]):
        # With a plain number as exponent torch also differentiates at negative and zero bases.
        values[1] = values[1].item()
    result: torch.Tensor = function(*values)
    return result


def variables(node: ast.expr) -> frozenset[int]:
    """Return the coordinates that occur in a formula: 0 for x, 1 for y."""
    names = (part.id for part in ast.walk(node) if isinstance(part, ast.Name))
    return frozenset(VARIABLES[name] for name in names if name in VARIABLES)


def _depth(node: ast.AST) -> int:
    """Return how many signs, powers and function calls are nested in each other."""
    counts = isinstance(node, ast.UnaryOp | ast.Call) or (
        isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow)
    )
    return counts + max((_depth(part) for part in ast.iter_child_nodes(node)), default=0)


class _Token(NamedTuple):
    """A number, a name or an operator of a formula.

    Attributes:
        kind: ``"number"``, ``"variable"`` (constants included), ``"function"``, ``"operator"``, or
            ``"start"`` and ``"end"`` around the others.
        text: the normal spelling.
        position: index of its first character.
    """

    kind: str
    text: str
    position: int


@dataclass
class _Parenthesis:
    """An open parenthesis: its position, the function whose arguments it holds, and their count."""

    position: int
    function: _Token | None
    arguments: int = 1


class _Reader:
    """Reads a text token by token, and refuses what is not a formula."""

    def __init__(self, text: str, field: str) -> None:
        self._text, self._field = text, field

    def in_python(self) -> str:
        """Return the formula as a Python expression on one line, in ASCII.

        Raises:
            InvalidInput: the text is not a formula.
        """
        tokens = [_Token("start", "", 0), *self._tokens()]
        opened: list[_Parenthesis] = []
        for before, token in itertools.pairwise(tokens):
            self._check_order(before, token)
            self._check_token(token)
            if token.text == "(":
                function = before if before.kind == "function" else None
                opened.append(_Parenthesis(token.position, function))
                if len(opened) >= MAX_DEPTH:
                    raise self.too_deep(token.position)
            elif token.text in (")", ",") and not opened:
                raise self._wrong(f"'{token.text}' is not expected here", token.position)
            elif token.text == ")":
                self._check_count(opened.pop())
            elif token.text == "," and opened[-1].function:
                opened[-1].arguments += 1
            elif opened and (token.text == "," or token.kind == "end"):
                start = opened[-1].position + 1
                raise self._wrong(
                    f"the parenthesis opened at character {start} is not closed", token.position
                )
        spelled = (repr(float(t.text)) if t.kind == "number" else t.text for t in tokens)
        return " ".join(spelled).strip().replace("^", "**")

    def too_deep(self, position: int = 0) -> InvalidInput:
        """Return the error of a formula that is nested too deeply."""
        return self._wrong(f"it is nested more than {MAX_DEPTH} deep", position)

    def _tokens(self) -> Iterator[_Token]:
        """Yield the tokens of the text."""
        position, end = 0, len(self._text.rstrip())
        while position < end:
            match = _TOKEN.match(self._text, position)
            if match is None:
                rest = self._text[position:]
                position += len(rest) - len(rest.lstrip())
                raise self._wrong(f"'{self._text[position]}' has no meaning in a formula", position)
            number, _, sign = match.groups()
            position = match.start(match.lastindex or 0)
            word = _SPELLING.get(match.group().strip(), match.group().strip())
            kind = "number" if number else "operator" if sign else "variable"
            yield _Token("function" if word in FUNCTIONS else kind, word, position)
            position = match.end()
        yield _Token("end", "", end)

    def _check_token(self, token: _Token) -> None:
        """Check that a number is finite and a name known."""
        if token.kind == "number" and not math.isfinite(float(token.text)):
            raise self._wrong(f"the number '{token.text}' is too large", token.position)
        if token.kind == "variable" and token.text not in {**VARIABLES, **CONSTANTS}:
            known = ["x", "y", *CONSTANTS, *FUNCTIONS]
            raise self._wrong(
                f"'{token.text}' is not known{did_you_mean(token.text, known)}; a formula is made "
                f"of {', '.join(known)}, numbers and + - * / ^ ( )",
                token.position,
            )

    def _check_order(self, before: _Token, token: _Token) -> None:
        """Check that operands and operators alternate."""
        starts_operand = token.kind in ("number", "variable", "function") or token.text == "("
        if before.kind == "function":
            if token.text != "(":
                problem = f"{before.text} needs its argument in parentheses, as {before.text}(x)"
                raise self._wrong(problem, before.position)
        elif before.kind in ("number", "variable") or before.text == ")":
            if starts_operand:
                problem = f"an operator is missing before '{token.text}' (write * to multiply)"
                raise self._wrong(problem, token.position)
        elif token.kind == "end":
            raise self._wrong(
                "the formula ends where a number, a variable or a parenthesis is expected"
                if token.position
                else "it is empty",
                token.position,
            )
        elif not (starts_operand or token.text in ("+", "-")):
            raise self._wrong(
                f"'{token.text}' stands where a number, a variable or a parenthesis is expected",
                token.position,
            )

    def _check_count(self, opened: _Parenthesis) -> None:
        """Check the number of arguments of the function that a parenthesis belongs to."""
        if opened.function is None:
            return
        name = opened.function.text
        low, high, _ = FUNCTIONS[name]
        if not low <= opened.arguments <= high:
            allowed = "one argument" if high == 1 else f"{low} to {high} arguments"
            raise self._wrong(
                f"{name} takes {allowed}, not {opened.arguments}", opened.function.position
            )

    def _wrong(self, problem: str, position: int) -> InvalidInput:
        shown = self._text if len(self._text) <= 60 else self._text[:59] + "…"
        return InvalidInput(
            f"{self._field} is '{shown}', but at character {position + 1}: {problem}.", self._field
        )
