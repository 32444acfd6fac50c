"""Local and global minima of one variable (Fig 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.surfaces.base import Interval, Known, Start, Surface

if TYPE_CHECKING:
    import torch

_ROOTS = (-2.0, -1.2, 0.0, 1.3, 2.1)
"""Where the derivative is zero: minimum, maximum, minimum, maximum, minimum."""


def _coefficients() -> tuple[float, ...]:
    """Return the coefficients of the function whose derivative is ``Π (x − root)``.

    The constant, which is 0, comes first.
    """
    product = [1.0]
    for root in _ROOTS:
        shifted = [0.0, *product]
        product = [
            above - root * same for above, same in zip(shifted, [*product, 0.0], strict=True)
        ]
    return (0.0, *(c / (power + 1) for power, c in enumerate(product)))


class Valleys(Surface):
    """Three valleys of different depth: the start determines where descent ends.

    The middle one is the lowest. One of the others is nearly as good, and the last is poor: a local
    minimum that would be a bad result.
    """

    name: ClassVar[str] = "valleys"
    label: ClassVar[str] = "Local and global minima"
    group: ClassVar[str] = "One variable"
    sort_order: ClassVar[int] = 50
    rule: ClassVar[tuple[str, ...]] = (
        r"f'(x) = (x + 2)(x + 1.2)\, x\, (x - 1.3)(x - 2.1),\quad f(0) = 0",
    )
    source: ClassVar[str] = "Notes, Fig 4.3 (after its picture)."
    lr: ClassVar[float] = 0.01
    note: ClassVar[str] = "Start from many points at once and see which minimum each one reaches."

    def domain(self) -> tuple[Interval, ...]:
        return ((-2.4, 2.5),)

    def starts(self) -> tuple[Start, ...]:
        return (
            Start("above the poor valley", (2.45,)),
            Start("above the left valley", (-2.35,)),
            Start("above the lowest valley", (1.2,)),
        )

    def known(self) -> tuple[Known, ...]:
        coefficients = _coefficients()
        heights = [sum(c * root**power for power, c in enumerate(coefficients)) for root in _ROOTS]
        return tuple(
            Known((r,), h, "maximum" if n % 2 else "minimum")
            for n, (r, h) in enumerate(zip(_ROOTS, heights, strict=True))
        )

    def value(self, points: torch.Tensor) -> torch.Tensor:
        x = points[..., 0]
        values = 0.0 * x
        for coefficient in reversed(_coefficients()):
            values = values * x + coefficient
        return values
