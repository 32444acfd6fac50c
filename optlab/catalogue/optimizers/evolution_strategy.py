"""Evolution strategy: a gradient estimated from the values of a population (A16)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers._population import values
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.fields import integer, number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class EvolutionStrategy(ObjectiveOptimizer):
    """Gradient descent with a gradient estimated from the values of a random population.

    Gaussian perturbations of the parameters are evaluated in pairs of opposite signs; the
    difference of the values of a pair estimates the slope along it. The mean is an unbiased
    estimate of the gradient of the objective blurred by the perturbations, so neither a derivative
    nor a smooth objective is needed. Its noise grows with the number of parameters: with n pairs
    the squared error is about P/n times the squared gradient, and the rate must be smaller by that
    factor.

    The population is evaluated on the batch of the step, so all its members share the noise of the
    batch; large batches help as they do for gradient descent. A step costs 2n evaluations of the
    loss, and memory for 2n copies of the parameters. One gradient per step is evaluated as well,
    for the plots only.
    """

    name: ClassVar[str] = "evolution_strategy"
    label: ClassVar[str] = "Evolution strategy"
    group: ClassVar[str] = "Coordinates and populations"
    sort_order: ClassVar[int] = 320
    rule: ClassVar[tuple[str, ...]] = (
        r"z_i \sim N(0, I)",
        r"\hat g = \frac{1}{n} \sum_{i=1}^{n} \frac{J(\theta + \sigma z_i) - J(\theta - \sigma "
        r"z_i)}{2\sigma} z_i",
        r"\theta \leftarrow \theta - \epsilon\, \hat g",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "after")
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters",
        "z_i": "perturbation of pair i",
        "ĝ": "estimate of the gradient",
        "J": "objective on the batch",
    }
    source: ClassVar[str] = (
        "I. Rechenberg (1973); T. Salimans et al. (2017); Y. Nesterov, V. Spokoiny (2017), Random"
        " gradient-free minimization."
    )
    differences: ClassVar[str] = (
        "Salimans et al. replace values by their ranks and pass the estimate to Adam; this rule"
        " uses the values themselves."
    )
    gradient_free: ClassVar[bool] = True

    lr: float = shared.learning_rate(
        0.01,
        help="Step length in units of the estimated gradient.",
        why="Smaller than for gradient descent: at about n/P of its rate the noise of the estimate"
        " does not build up.",
    )
    sigma: float = number(
        0.02,
        "Perturbation",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(1e-4, 1.0),
        help="Standard deviation of the perturbations; finer details of the objective are blurred.",
        why="Small compared with typical weights, large compared with rounding errors in float32.",
    )
    pairs: int = integer(
        32,
        "Pairs",
        symbol="n",
        ge=1,
        le=65_536,
        log=True,
        slider=(1, 1024),
        help="Number of pairs of opposite perturbations per step.",
        why="The variance of the estimate falls as 1/n and the cost grows as n; a few dozen is a"
        " good compromise.",
    )

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


_MAX_VALUES = 16_777_216
"""Maximum number of values in the perturbations that are evaluated at once, to bound the memory."""


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    value, g = objective.gradient(theta)
    source = objective.generator(0, "perturbations")
    estimate = torch.zeros_like(theta)
    remaining, chunk = int(h.pairs), max(1, _MAX_VALUES // (2 * theta.shape[1]))
    while remaining:
        count = min(remaining, chunk)
        remaining -= count
        # One draw per pair, so that the numbers do not depend on the size of a chunk.
        z = torch.stack(
            [
                torch.randn(theta.shape[1], generator=source, dtype=torch.float64)
                for _ in range(count)
            ]
        ).to(theta)
        losses = values(objective, torch.cat([theta + h.sigma * z, theta - h.sigma * z]))
        slopes = (losses[:count] - losses[count:]) / (2.0 * h.sigma)
        estimate += slopes.unsqueeze(0) @ z
    return Outcome(theta - (h.lr / int(h.pairs)) * estimate, state, value, g)
