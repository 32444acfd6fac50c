"""A function typed in by the user."""

from __future__ import annotations

import ast
import functools
from typing import ClassVar, Self

import pydantic

from optlab.catalogue.surfaces._formula import MAX_LENGTH, evaluate, parse, variables
from optlab.catalogue.surfaces.base import Interval, Start, Surface
from optlab.core.errors import InvalidInput
from optlab.core.fields import number, text
from optlab.core.lazy import torch

_parsed = functools.lru_cache(maxsize=64)(parse)


class Formula(Surface):
    """A function that you type in, of x alone or of x and y.

    It consists of + − * / ^ and parentheses, x and y (or x1 and x2), numbers, pi and e, and exp,
    log, sqrt, sin, cos, tan, tanh, sigmoid, abs, min and max. Without y it is a function of one
    variable. Where it is undefined, as log(x) for x below zero, the picture has a hole, and a path
    that enters it ends.
    """

    name: ClassVar[str] = "formula"
    label: ClassVar[str] = "Formula"
    group: ClassVar[str] = "Your own"
    sort_order: ClassVar[int] = 400

    expression: str = text(
        "x^2 - y^2 + y^4/4",
        "Formula",
        help="The function, for example x^2 + sin(3*y).",
        longest=MAX_LENGTH,
    )
    x_from: float = number(-2.0, "From x", ge=-1e9, le=1e9, help="Left end of the domain to show.")
    x_to: float = number(2.0, "To x", ge=-1e9, le=1e9, help="Right end of the domain to show.")
    y_from: float = number(-2.0, "From y", ge=-1e9, le=1e9, help="Lower end of the domain to show.")
    y_to: float = number(2.0, "To y", ge=-1e9, le=1e9, help="Upper end of the domain to show.")

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        _parsed(self.expression)
        for low, high in (("x_from", "x_to"), ("y_from", "y_to")):
            if getattr(self, low) >= getattr(self, high):
                raise InvalidInput(
                    f"surface.{low} is {getattr(self, low):g}, but it must be below "
                    f"surface.{high}, {getattr(self, high):g}.",
                    f"surface.{low}",
                )
        return self

    def tree(self) -> ast.expr:
        """Return the syntax tree of the formula."""
        return _parsed(self.expression)

    def domain(self) -> tuple[Interval, ...]:
        across = (self.x_from, self.x_to)
        return (across, (self.y_from, self.y_to)) if 1 in variables(self.tree()) else (across,)

    def starts(self) -> tuple[Start, ...]:
        # Off the center, where a symmetric function is likely to have a critical point.
        return (
            Start("off the middle", tuple(low + 0.8 * (high - low) for low, high in self.domain())),
        )

    def value(self, points: torch.Tensor) -> torch.Tensor:
        # A constant has no gradient: the broadcast and the zero give it the shape and the graph
        # of other surfaces.
        return (
            torch.broadcast_to(evaluate(self.tree(), points.unbind(dim=-1)), points.shape[:-1])
            + 0.0 * points[..., 0]
        )
