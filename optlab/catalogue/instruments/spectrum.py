"""Extreme eigenvalues of the Hessian, its trace, and for small models its negative share."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from optlab.catalogue.instruments.base import (
    Ends,
    Instrument,
    Named,
    Quantity,
    Reading,
    StepContext,
    schedule,
)
from optlab.core.fields import integer, number
from optlab.core.lazy import torch

_MAX_EXACT_PARAMETERS = 600
"""P up to which a reading computes all eigenvalues."""
_STABILITY = "Edge of stability"
_MAX_PRODUCTS = 300
"""Hessian products that a reading may compute."""


class Spectrum(Instrument):
    """The largest and smallest eigenvalues of the Hessian, its trace and its negative share.

    Eigenvalues are computed by the Lanczos method on Hessian products. The largest limits the
    learning rate of plain gradient descent to 2/λ₁. A negative eigenvalue is a direction of descent
    that the gradient may not show: near a saddle, the eigenvector of the smallest one leads away.
    Each computation starts from the eigenvectors of the last one, so all but the first need few
    products.

    For models of up to 600 parameters the share of negative eigenvalues is reported, too; it shows
    whether a critical point is a minimum, a saddle or a maximum.

    For rules with a bound of stability, the curvature that the bound is for is recorded beside it:
    2/ε for gradient descent, (2 + 2α)/ε with momentum, less by a factor of 1 + 2α with Nesterov's,
    and 38/ε for Adam's default, there for the Hessian preconditioned as its steps are. Training on
    all examples tends to raise the curvature until it hovers at the bound.
    """

    name: ClassVar[str] = "spectrum"
    label: ClassVar[str] = "Hessian eigenvalues"
    group: ClassVar[str] = "Curvature"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (
        r"H v_i = \lambda_i v_i,\quad \lambda_1 \geq \lambda_2 \geq \dots \geq \lambda_P,\quad "
        r"\epsilon_\text{max} = \frac{2}{\lambda_1}",
        r"D^{-1} H v = \lambda v,\quad \lambda \leq \frac{2}{\epsilon}\ \text{without momentum}",
        r"\text{trace:}\quad \text{tr}\, H \approx \text{mean}\ z^\top H z,\quad "
        r"z \in \left\{ -1, 1 \right\}^P",
    )
    symbols: ClassVar[dict[str, str]] = {
        "H": "Hessian of the objective, including weight decay",
        "z": "random signs",
        "D": "what the rule divides the gradient of each parameter by, as Adam does; else 1",
        "P": "number of parameters",
    }
    source: ClassVar[str] = (
        "Notes, sections 4.3 and 8.2; C. Lanczos (1950); trace: M. Hutchinson (1990); index of "
        "critical points: Y. Dauphin et al. (2014)."
    )
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("top", "Largest eigenvalues", vector=True),
        Quantity("bottom", "Smallest eigenvalues", vector=True),
        Quantity("largest_rate", "Rate limit 2/λ₁", log=True),
        Quantity("curvature", "Largest eigenvalue of D⁻¹H", axis=_STABILITY),
        Quantity("stable", "Largest stable one", axis=_STABILITY),
        Quantity("trace", "Trace"),
        Quantity("trace_error", "Standard error of the trace"),
        Quantity("negative_share", "Share of negative eigenvalues"),
        Quantity("products", "Hessian products"),
    )

    every: int = schedule(
        100, "Eigenvalues change slowly, and a reading costs as much as ten to thirty steps."
    )
    top: int = integer(
        1,
        "Largest",
        symbol="k",
        ge=1,
        le=64,
        slider=(1, 10),
        help="How many of the largest eigenvalues.",
    )
    bottom: int = integer(
        0,
        "Smallest",
        ge=0,
        le=64,
        slider=(0, 10),
        help="How many of the smallest eigenvalues.",
        why="None, since they take more products.",
    )
    probes: int = integer(
        0,
        "Probes",
        ge=0,
        le=1000,
        slider=(0, 64),
        help="Number of random vectors for the trace; 0 for no trace, otherwise at least 2.",
    )
    examples: int = integer(
        0,
        "Examples",
        unit="examples",
        ge=0,
        le=10**7,
        slider=(0, 5000),
        help="Number of training examples on which the Hessian is computed; 0 for "
        "the batch of the step.",
        why="The batch is cheapest, but each batch has another Hessian, so the eigenvalues jump "
        "from reading to reading.",
    )
    tolerance: float = number(
        1e-3,
        "Tolerance",
        gt=0.0,
        lt=1.0,
        log=True,
        slider=(1e-6, 1e-1),
        help="Allowed error of the eigenvalues, relative to the largest.",
    )

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        ends = context.ends(
            self.top,
            self.bottom,
            start=memory.get("vectors"),
            tolerance=self.tolerance,
            most=_MAX_PRODUCTS,
            examples=self.examples,
        )
        if _known(ends):
            memory["vectors"] = ends.vectors
        largest = ends.top[:, 0]
        series: dict[str, torch.Tensor | Named] = {
            "top": Named(ends.top, tuple(f"λ{rank}" for rank in range(1, ends.top.shape[1] + 1))),
            "largest_rate": torch.where(largest > 0.0, 2.0 / largest, float("inf")),
            "products": ends.products.to(largest),
        }
        if ends.bottom.shape[1]:
            series["bottom"] = Named(
                ends.bottom, tuple(f"λ−{rank}" for rank in range(1, ends.bottom.shape[1] + 1))
            )
        if self.probes:
            series["trace"], series["trace_error"] = context.trace(
                max(2, self.probes), self.examples
            )
        if context.layout.total <= _MAX_EXACT_PARAMETERS:
            series["negative_share"] = self._negative(context.eigenvalues(self.examples))
        series |= self._edge(context, largest, memory)
        return Reading(series)

    def _edge(
        self, context: StepContext, largest: torch.Tensor, memory: dict[str, Any]
    ) -> dict[str, torch.Tensor | Named]:
        """Return the curvature that limits the rule, and the largest stable one, both ``[R]``."""
        stability = context.stability
        if stability is None:
            return {}
        curvature = largest
        if stability.preconditioner is not None:
            ends = context.ends(
                1,
                0,
                start=memory.get("preconditioned"),
                tolerance=self.tolerance,
                most=_MAX_PRODUCTS,
                examples=self.examples,
                preconditioner=stability.preconditioner,
            )
            if _known(ends):
                memory["preconditioned"] = ends.vectors
            curvature = ends.top[:, 0]
        return {"curvature": curvature, "stable": stability.largest}

    def cost(self) -> str:
        count = self.top + self.bottom
        more = f" and two for each of {self.probes} probes" if self.probes else ""
        low, high = 5 + 5 * count, 20 + 20 * count
        return (
            f"{low} to {high} plain steps on batches of the training's size{more}, depending on "
            "how far apart the eigenvalues lie, and 10 to 40 more for a rule that divides the "
            "gradient of each parameter"
        )

    @staticmethod
    def _negative(values: torch.Tensor) -> torch.Tensor:
        """Return the share ``[R]`` of negative eigenvalues, beyond the rounding error of zero."""
        margin = (1e-6 if values.dtype == torch.float64 else 1e-4) * values.abs().amax(
            dim=1, keepdim=True
        )
        share: torch.Tensor = (values < -margin).to(values).mean(dim=1)
        return torch.where(torch.isfinite(values).all(dim=1), share, float("nan"))


def _known(ends: Ends) -> bool:
    """Return whether all eigenpairs are numbers: where a value is, its unit vector is, too."""
    # Python checks so few numbers faster than torch does.
    return all(map(math.isfinite, torch.cat([ends.top, ends.bottom], dim=1).flatten().tolist()))
