"""The ends of the Hessian's spectrum, its trace, and for small models the share of its negative
eigenvalues.
"""

from __future__ import annotations

from typing import Any, ClassVar

from optlab.catalogue.instruments.base import (
    Instrument,
    Named,
    Quantity,
    Reading,
    StepContext,
    schedule,
)
from optlab.core.fields import integer, number
from optlab.core.lazy import torch

_SHARE_UP_TO = 600
"""P up to which all eigenvalues are computed in a reading."""
_MOST = 300
"""Products that a reading may take."""


class Spectrum(Instrument):
    """The largest and smallest eigenvalues of the Hessian, by Lanczos on Hessian products, with its
    trace and its negative share.

    The largest sets the largest learning rate that plain gradient descent bears, 2/λ₁. A negative
    one is a direction of descent that the gradient may not show: near a saddle the smallest tells
    the way out. Each search starts from the vectors that the last one found, so after the first it
    needs few products.

    For models of up to 600 parameters the share of negative eigenvalues is told, too; by it a
    critical point is a minimum, a saddle or a maximum.
    """

    name: ClassVar[str] = "spectrum"
    label: ClassVar[str] = "Hessian eigenvalues"
    group: ClassVar[str] = "Curvature"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (
        r"H v_i = \lambda_i v_i,\quad \lambda_1 \geq \lambda_2 \geq \dots \geq \lambda_P,\quad \epsilon_\text{max} = \frac{2}{\lambda_1}",
        r"\text{trace:}\quad \text{tr}\, H \approx \text{mean}\ z^\top H z,\quad z \in \left\{ -1, 1 \right\}^P",
    )
    symbols: ClassVar[dict[str, str]] = {
        "H": "Hessian of the objective, weight decay included",
        "z": "random signs",
        "P": "number of parameters",
    }
    source: ClassVar[str] = (
        "Notes, sections 4.3 and 8.2; C. Lanczos (1950); trace: M. Hutchinson (1990); index of critical points: Y. Dauphin et al. (2014)."
    )
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("top", "Largest eigenvalues", vector=True),
        Quantity("bottom", "Smallest eigenvalues", vector=True),
        Quantity("largest_rate", "Rate limit 2/λ₁", log=True),
        Quantity("trace", "Trace"),
        Quantity("trace_error", "Standard error of the trace"),
        Quantity("negative_share", "Share of negative eigenvalues"),
        Quantity("products", "Hessian products taken"),
    )

    every: int = schedule(
        100, "Eigenvalues change slowly, and a reading is the cost of ten to thirty steps."
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
        why="None: they take more products.",
    )
    probes: int = integer(
        0,
        "Probes",
        ge=0,
        le=1000,
        slider=(0, 64),
        help="Random vectors for the trace; 0 for no trace, else 2 at least.",
    )
    examples: int = integer(
        0,
        "Examples",
        unit="examples",
        ge=0,
        le=10**7,
        slider=(0, 5000),
        help="Training examples that the Hessian is taken on, the first so many; 0 for the batch of the step.",
        why="The batch, which costs least; each batch has a Hessian of its own, so its eigenvalues jump from reading to reading.",
    )
    tolerance: float = number(
        1e-3,
        "Tolerance",
        gt=0.0,
        lt=1.0,
        log=True,
        slider=(1e-6, 1e-1),
        help="Error of the eigenvalues relative to the largest.",
    )

    def take(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        found = context.ends(
            self.top,
            self.bottom,
            start=memory.get("vectors"),
            tolerance=self.tolerance,
            most=_MOST,
            examples=self.examples,
        )
        if bool(torch.isfinite(found.vectors).all()):
            memory["vectors"] = found.vectors
        largest = found.top[:, 0]
        series: dict[str, torch.Tensor | Named] = {
            "top": Named(found.top, tuple(f"λ{rank}" for rank in range(1, found.top.shape[1] + 1))),
            "largest_rate": torch.where(largest > 0.0, 2.0 / largest, float("inf")),
            "products": found.products.to(largest),
        }
        if found.bottom.shape[1]:
            series["bottom"] = Named(
                found.bottom, tuple(f"λ−{rank}" for rank in range(1, found.bottom.shape[1] + 1))
            )
        if self.probes:
            series["trace"], series["trace_error"] = context.trace(
                max(2, self.probes), self.examples
            )
        if context.layout.total <= _SHARE_UP_TO:
            series["negative_share"] = self._negative(context.eigenvalues(self.examples))
        return Reading(series)

    def cost(self) -> str:
        wanted = self.top + self.bottom
        more = f" and two for each of {self.probes} probes" if self.probes else ""
        low, high = 5 + 5 * wanted, 20 + 20 * wanted
        return f"{low} to {high} plain steps on batches of the training's size{more}, by how far apart the eigenvalues lie"

    @staticmethod
    def _negative(values: torch.Tensor) -> torch.Tensor:
        """What lies within rounding of zero has no sign."""
        margin = (1e-6 if values.dtype == torch.float64 else 1e-4) * values.abs().amax(
            dim=1, keepdim=True
        )
        share: torch.Tensor = (values < -margin).to(values).mean(dim=1)
        return torch.where(torch.isfinite(values).all(dim=1), share, float("nan"))
