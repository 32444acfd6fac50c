"""The spectral density of the Hessian."""

from __future__ import annotations

from typing import Any, ClassVar

from optlab.catalogue.instruments.base import Instrument, Quantity, Reading, StepContext, schedule
from optlab.core.fields import integer


class SpectralDensity(Instrument):
    """Distribution of the eigenvalues of the Hessian, by stochastic Lanczos quadrature.

    Trained networks have a bulk of eigenvalues near zero and a few outliers, about as many as there
    are classes: most directions are flat, and a few limit the learning rate for all.
    """

    name: ClassVar[str] = "spectral_density"
    label: ClassVar[str] = "Spectral density"
    group: ClassVar[str] = "Curvature"
    sort_order: ClassVar[int] = 40
    rule: ClassVar[tuple[str, ...]] = (
        r"\rho(t) = \frac{1}{P} \sum_i \delta(t - \lambda_i) \approx "
        r"\frac{1}{n} \sum_{j=1}^n \sum_k w_{jk}\, \delta(t - \tau_{jk})",
    )
    symbols: ClassVar[dict[str, str]] = {
        "τ_jk, w_jk": "eigenvalues of the Lanczos matrix from random start j, and squares of the "
        "first entries of its eigenvectors",
        "n": "number of random starts",
    }
    source: ClassVar[str] = (
        "S. Ubaru, J. Chen, Y. Saad (2017), Fast estimation of tr(f(A)); for neural networks: "
        "B. Ghorbani et al. (2019)."
    )
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("mean", "Mean eigenvalue"),
        Quantity("spread", "Standard deviation of the eigenvalues", log=True),
    )
    draws: ClassVar[str] = "The smoothed density: eigenvalue and density, with integral 1."

    every: int = schedule(
        0, "On a pause and at the end: a reading costs as much as hundreds of steps."
    )
    probes: int = integer(
        4,
        "Random starts",
        symbol="n",
        ge=1,
        le=256,
        slider=(1, 32),
        help="Number of random starting vectors; their results are averaged.",
    )
    steps: int = integer(
        40,
        "Lanczos steps",
        ge=2,
        le=512,
        slider=(8, 128),
        help="Hessian products for each start; more resolve finer detail.",
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
    )

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        grid, density, moments = context.density(self.probes, self.steps, self.examples)
        mean = moments[:, 1]
        spread = (moments[:, 2] - mean.square()).clamp_min(0.0).sqrt()
        return Reading(
            {"mean": mean, "spread": spread}, lambda: {"eigenvalue": grid, "density": density}
        )

    def cost(self) -> str:
        return (
            f"about {2 * self.probes * self.steps:,} plain steps on batches of the training's size"
        )
