"""A number that follows pieces, as a function of the step in a script."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from optlab.core import piecewise
from optlab.core.piecewise import Hold, Inverse, Jump, Move, NesterovSequence, Piece, Piecewise
from optlab.scripts.code_fields import Fields
from optlab.scripts.specialize import Specializer

MAX_SEGMENTS = 24
"""Segments that are written as branches; of more, the values at all steps are kept."""


class _Segment(NamedTuple):
    """Steps ``first`` to ``end`` − 1 (None: without end), with an expression of their value."""

    first: int
    end: int | None
    value: str


def written(name: str, function: Piecewise, base: float, steps: int) -> str | None:
    """Return the source of a function of the step; None where it has too many pieces.

    Args:
        name: of the function. function: with all epochs converted to steps. base: the field's own
            value. steps: the script asks for none after that many.
    """
    segments: list[_Segment] = []
    for segment in _segments(function.pieces, base, base, 0, 1.0):
        segments.append(segment)
        if segment.end is None or segment.end >= steps:
            break
        if len(segments) > MAX_SEGMENTS:
            return None
    lines = [f"def {name}(step):"]
    for segment in segments[:-1]:
        lines += [f"    if step < {segment.end}:", f"        return {segment.value}"]
    return "\n".join([*lines, f"    return {segments[-1].value}"])


def _segments(
    pieces: Sequence[Piece], value: float, base: float, first: int, stretch: float
) -> Iterator[_Segment]:
    """Yield the segments of all pieces, and one without end for the value after the last."""
    step, held = first, value
    for segment, end in _walked(pieces, value, base, first, stretch):
        if segment is not None:
            yield segment
            if segment.end is None:
                return
            step = segment.end
        held = end
    yield _Segment(step, None, repr(held))


def _walked(
    pieces: Sequence[Piece], value: float, base: float, first: int, stretch: float
) -> Iterator[tuple[_Segment | None, float]]:
    """Yield each segment, or None for a jump, with the value after it."""
    step = first
    for piece in pieces:
        if isinstance(piece, Jump):
            value = piece.to.of(base)
            yield None, value
        elif isinstance(piece, Inverse):
            length = piece.length.steps
            share = f"{length} / ({length} + {_since(step)})"
            factor = f"math.sqrt({share})" if piece.root else share
            yield _Segment(step, None, f"{value!r} * ({factor})"), value
            return
        elif isinstance(piece, NesterovSequence):
            yield _Segment(step, None, f"({_since(step)}) / ({_since(step)} + 3)"), value
            return
        elif isinstance(piece, piecewise.Repeat):
            cycle = 0
            while piece.times is None or cycle < piece.times:
                inner = stretch * piece.longer**cycle
                for segment, after in _walked(piece.pieces, value, base, step, inner):
                    yield segment, after
                    value = after
                    step = step if segment is None or segment.end is None else segment.end
                cycle += 1
        elif isinstance(piece, Hold):
            steps = max(1, round(piece.length.steps * stretch))
            yield _Segment(step, step + steps, repr(value)), value
            step += steps
        else:
            steps = max(1, round(piece.length.steps * stretch))
            end = piece.to.of(base)
            yield _Segment(step, step + steps, _move(piece, value, end, step, steps)), end
            value, step = end, step + steps


def _move(piece: Move, start: float, end: float, first: int, steps: int) -> str:
    """Return the expression of a value on its way."""
    space = Fields({"shape": piece.shape, "power": piece.power})
    body = Specializer().function(Move.at, {"self": space}).body
    returned = body[-1]
    assert isinstance(returned, ast.Return) and returned.value is not None
    if isinstance(returned.value, ast.IfExp):  # zero has no logarithm
        returned.value = returned.value.body if start else returned.value.orelse
    values = {"start": repr(start), "end": repr(end), "share": f"(({_since(first)}) / {steps})"}

    class Insert(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            text = values.get(node.id)
            return node if text is None else ast.parse(text, mode="eval").body

    return ast.unparse(Insert().visit(returned.value))


def _since(first: int) -> str:
    return f"step - {first}" if first else "step"
