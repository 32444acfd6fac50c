"""CMA-ES (A16), computed by the library ``cmaes``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from optlab.catalogue.optimizers._population import values
from optlab.catalogue.optimizers._runs import run_by_run
from optlab.catalogue.optimizers.base import Objective, ObjectiveOptimizer, Outcome, State
from optlab.core.errors import InvalidInput, MissingPart
from optlab.core.fields import integer, number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from cmaes import CMA

    from optlab.core.hyperparameters import Hyperparameters

MAX_PARAMETERS = 1_000
"""P up to which a covariance matrix is kept; a step decomposes it, with P³ operations."""


class CMAES(ObjectiveOptimizer):
    """Evolution strategy that adapts the mean, width and covariance of a Gaussian distribution.

    A step is one generation: a population is drawn, the mean moves towards its better half, and the
    covariance matrix adapts to the successful directions. Only the order of the values counts, so
    the method is invariant under increasing transformations of the objective and needs no gradient.
    Near a minimum the covariance approaches a multiple of the inverse Hessian, at the cost of many
    evaluations.

    The parameters are the mean of the distribution. The method keeps a P × P matrix and decomposes
    it in every step, so it is for small models (up to 1,000 parameters). The population is ranked
    on the batch of the step: use the full batch or a large one, because on a small batch the
    ranking is mostly noise. One gradient per step is evaluated as well, for the plots only.

    When the distribution has shrunk below rounding error or has become degenerate, the parameters
    no longer change, and the run reports it.
    """

    name: ClassVar[str] = "cma_es"
    label: ClassVar[str] = "CMA-ES"
    group: ClassVar[str] = "Coordinates and populations"
    sort_order: ClassVar[int] = 310
    rule: ClassVar[tuple[str, ...]] = (
        r"\theta_i \sim N(m, \sigma^2 C),\quad i = 1, \ldots, \lambda",
        r"m \leftarrow m + \sum_{i=1}^{\mu} w_i (\theta_{i:\lambda} - m)",
        r"\sigma \leftarrow \sigma \exp\left(\frac{c_\sigma}{d_\sigma} "
        r"\left(\frac{\|p_\sigma\|}{E\|N(0, I)\|} - 1\right)\right)",
        r"C \leftarrow (1 - c_1 - c_\mu) C + c_1 p_c p_c^\top + c_\mu \sum_i w_i\, y_{i:\lambda} "
        r"y_{i:\lambda}^\top",
    )
    traced: ClassVar[tuple[str, ...]] = ("", "after", "state.sigma", "state.covariance")
    symbols: ClassVar[dict[str, str]] = {
        "m": "mean: the parameters of the run",
        "C": "covariance matrix, initially the identity",
        "i:λ": "the i-th best of the population",
        "y_i": "(θ_i − m)/σ",
        "w_i": "weights that fall with the rank",
        "p_σ, p_c": "exponentially weighted sums of past changes of the mean",
        "c, d": "constants determined by P and λ",
    }
    source: ClassVar[str] = (
        "N. Hansen, A. Ostermeier (2001); N. Hansen (2016), The CMA evolution strategy: a"
        " tutorial; library cmaes."
    )
    differences: ClassVar[str] = (
        "The numbers are those of the library, but its random generator is seeded again in each"
        " step, so that a resumed run is exact."
    )
    gradient_free: ClassVar[bool] = True

    sigma: float = number(
        0.3,
        "Initial step size",
        symbol="σ",
        gt=0.0,
        log=True,
        slider=(1e-3, 10.0),
        help="Standard deviation of the first population; later the method adapts it.",
        why="About a third of the expected distance to the minimum.",
    )
    population: int = integer(
        0,
        "Population",
        symbol="λ",
        ge=0,
        le=100_000,
        slider=(0, 200),
        help="Points per generation, at least 4; 0 means 4 + 3 ln P, rounded down.",
        why="The default of the library suits smooth objectives; larger populations help if there"
        " are many minima.",
    )

    def refusal(self, parameters: int) -> str:
        if parameters <= MAX_PARAMETERS:
            return ""
        return (
            "optimizer.name is 'cma_es', which keeps and decomposes a matrix of P × P numbers and"
            f" takes up to {MAX_PARAMETERS:,} parameters, but the model has {parameters:,};"
            " use evolution_strategy."
        )

    @classmethod
    def begin(cls, theta: torch.Tensor, h: Hyperparameters) -> State:
        runs, parameters = theta.shape
        reason = CMAES().refusal(parameters)
        if reason:
            raise InvalidInput(reason, "optimizer.name")
        _library()
        # float64 also for runs in float32: the width of the distribution falls below the rounding
        # error of its mean. MPS devices have no float64.
        exact = theta if theta.device.type == "mps" else theta.to(torch.float64)
        rows, columns = torch.triu_indices(parameters, parameters, device=theta.device)
        return {
            "mean": exact.clone(),
            "sigma": torch.ones_like(exact[:, :1]) * h.sigma,
            # In the library's format: the upper triangle, row by row.
            "covariance": (rows == columns).to(exact).repeat(runs, 1),
            "path_sigma": torch.zeros_like(exact),
            "path_c": torch.zeros_like(exact),
            "generation": torch.zeros(runs, 1, dtype=torch.int64, device=theta.device),
        }

    @staticmethod
    def step(
        theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters
    ) -> Outcome:
        return run_by_run(theta, objective, state, h, _step)


def _step(theta: torch.Tensor, objective: Objective, state: State, h: Hyperparameters) -> Outcome:
    value, g = objective.gradient(theta)
    library = _restored(state, h)
    library.reseed_rng(
        int(torch.randint(2**32, (1,), generator=objective.generator(0, "population")).item())
    )
    if library.should_stop():
        note = (
            "the distribution is narrower than rounding error, or degenerate; the parameters were"
            " not changed"
        )
        return Outcome(theta, state, value, g, (note,))
    population = [library.ask() for _ in range(library.population_size)]
    points = torch.stack([torch.from_numpy(point) for point in population]).to(theta)
    # A point at which the objective is not a number ranks last.
    ranked = values(objective, points).double().nan_to_num(nan=float("inf")).tolist()
    if min(ranked) == float("inf"):
        return Outcome(
            theta,
            state,
            value,
            g,
            (
                "the objective is finite at no point of the population; the parameters were not"
                " changed",
            ),
        )
    library.tell(list(zip(population, ranked, strict=True)))
    after = _saved(library, state)
    return Outcome(after["mean"].to(theta), after, value, g)


_SAVED = {"_mean": "mean", "_p_sigma": "path_sigma", "_pc": "path_c", "_c_1d": "covariance"}
"""Arrays in the library's pickled state (``__getstate__``) → names in the state of the rule."""


def _restored(state: State, h: Hyperparameters) -> CMA:
    """Return the library's optimizer in the given state of one run.

    Its constants are recomputed from P and λ.
    """
    import numpy as np

    arrays = {
        theirs: state[ours][0].cpu().numpy().astype(np.float64) for theirs, ours in _SAVED.items()
    }
    population = max(4, int(h.population)) if h.population else None
    fresh = _library()(mean=arrays["_mean"], sigma=h.sigma, population_size=population)
    saved: dict[str, Any] = {
        **fresh.__getstate__(),
        **arrays,
        "_sigma": state["sigma"].item(),
        "_g": int(state["generation"].item()),
    }
    # The library stops when the spread of recent values is small. That history is not part of the
    # state, because values change with the batch anyway.
    saved["_funhist_values"] = np.array([0.0, np.inf])
    saved["_funhist_term"] = 1
    fresh.__setstate__(saved)
    return fresh


def _saved(library: CMA, state: State) -> State:
    saved = {**library.__getstate__()}
    after = {
        ours: torch.from_numpy(saved[theirs]).to(state[ours]).unsqueeze(0)
        for theirs, ours in _SAVED.items()
    }
    after["sigma"] = torch.full_like(state["sigma"], float(saved["_sigma"]))
    after["generation"] = torch.full_like(state["generation"], int(saved["_g"]))
    return after


def _library() -> type[CMA]:
    try:
        import cmaes
    except ImportError:
        raise MissingPart(
            "CMA-ES needs the library cmaes, which is not installed; install it with: pip install"
            " cmaes"
        ) from None
    cls: type[CMA] = cmaes.CMA
    return cls
