"""A schedule composed of pieces: warm-up, then cosine decay; restarts; a table of rates."""

from __future__ import annotations

from typing import ClassVar, Self

import pydantic

from optlab.catalogue.schedules.base import Schedule
from optlab.core.errors import InvalidInput
from optlab.core.fields import text
from optlab.core.piecewise import Piecewise
from optlab.core.piecewise_text import PiecewiseProblem, parse


class Pieces(Schedule):
    """The rate follows pieces that are written as a line of text.

    One line composes what other libraries have a class each for: a warm-up followed by cosine
    decay, warm-up–stable–decay, polynomial decay, warm restarts, cyclic rates, a table of rates.

    The pieces are "from V", which starts at the value V or jumps to it; "hold N", which keeps the
    value for N steps; "linear to V in N", and likewise "cosine", "exponential" and "polynomial P",
    which reach V after N steps; "inverse N" and "inverse root N", which multiply the value by
    N/(N+k), or its root, without end; and "repeat (…)", "repeat C times (…)" and
    "repeat longer F (…)". A value is a number, or a share of the optimizer's learning rate such as
    10%. A duration counts steps, or epochs where it says so: "hold 5 epochs". The rate starts at
    100%, and after the last piece it stays the same.
    """

    name: ClassVar[str] = "pieces"
    label: ClassVar[str] = "Pieces"
    sort_order: ClassVar[int] = 90
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k = \epsilon_0\, f(k)",)
    symbols: ClassVar[dict[str, str]] = {"ε₀": "the optimizer's learning rate", "k": "step"}
    source: ClassVar[str] = (
        "Warm restarts: I. Loshchilov, F. Hutter (2017), SGDR. Cyclic rates: L. Smith (2017). "
        "Warm-up–stable–decay: S. Hu et al. (2024), MiniCPM. Not in the notes."
    )
    differences: ClassVar[str] = (
        "torch.optim.lr_scheduler.SequentialLR of LinearLR, CosineAnnealingLR, PolynomialLR, …: a "
        "piece of N steps reaches its value at the step after them, where the next piece begins."
    )

    pieces: str = text(
        "from 0%; linear to 100% in 100; cosine to 1% in 1900",
        "Pieces",
        longest=2000,
        help="The pieces, separated by semicolons, in the order in which they follow each other.",
    )

    @pydantic.model_validator(mode="after")
    def _checked(self) -> Self:
        try:
            function = parse(self.pieces)
        except PiecewiseProblem as problem:
            raise InvalidInput(
                f"schedule.pieces is {self.pieces!r}, but {problem}.", "schedule.pieces"
            ) from None
        if not function.range(1.0)[1] > 0.0:
            raise InvalidInput(
                f"schedule.pieces is {self.pieces!r}, but the rate is 0 at every step.",
                "schedule.pieces",
            )
        return self

    @property
    def function(self) -> Piecewise:
        """The rate as a function of the step."""
        return parse(self.pieces)

    def in_steps(self, steps_per_epoch: int) -> Self:
        function = self.function
        if not function.has_epochs:
            return self
        return self.model_copy(update={"pieces": str(function.in_steps(steps_per_epoch))})

    @property
    def sum_diverges(self) -> bool:
        _, factor = self.function.tail(1.0)
        return factor > 0.0

    @property
    def squares_converge(self) -> bool:
        power, factor = self.function.tail(1.0)
        return factor == 0.0 or power > 0.5

    def rate(self, lr: float, step: int) -> float:
        return self.function.at(step, lr)
