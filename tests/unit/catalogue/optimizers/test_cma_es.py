"""CMA-ES against the library driven by hand, and its state taken apart and put together again."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from cmaes import CMA

from optlab.catalogue.optimizers.cma_es import CMAES
from optlab.core.errors import InvalidInput, MissingPart
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer


def by_hand(
    formula: Any,
    function: Any,
    start: np.ndarray,
    generations: int,
    sigma: float,
    population: int | None,
) -> list[CMA]:
    """The library's own object through all generations, seeded again in each; states are matched by
    copies of its numbers.
    """
    library = CMA(mean=start, sigma=sigma, population_size=population)
    seen = []
    for step in range(generations):
        library.reseed_rng(
            int(
                torch.randint(
                    2**32, (1,), generator=formula(function, step=step).generator(0, "population")
                )
            )
        )
        drawn = [library.ask() for _ in range(library.population_size)]
        library.tell([(x, float(function(torch.tensor(x).unsqueeze(0)))) for x in drawn])
        saved = library.__getstate__()
        seen.append(
            {
                name: np.copy(saved[name])
                for name in ("_mean", "_sigma", "_p_sigma", "_pc", "_c_1d", "_g")
            }
        )
    return seen


@pytest.mark.parametrize("population", [0, 12])
def test_that_it_is_the_library_driven_by_hand_with_the_same_seeds(
    descend: Any, formula: Any, rosenbrock: Any, population: int
) -> None:
    start = torch.tensor([[-1.2, 1.0, 0.4]], dtype=torch.float64)
    outcomes, gradients = descend(CMAES, rosenbrock, start, 40, sigma=0.5, population=population)
    reference = by_hand(formula, rosenbrock, start[0].numpy(), 40, 0.5, population or None)
    for outcome, expected in zip(outcomes, reference, strict=True):
        assert outcome.notes == ()
        for ours, theirs in (
            ("mean", "_mean"),
            ("path_sigma", "_p_sigma"),
            ("path_c", "_pc"),
            ("covariance", "_c_1d"),
        ):
            np.testing.assert_allclose(
                outcome.state[ours][0].numpy(), expected[theirs], rtol=1e-7, atol=1e-10
            )
        assert float(outcome.state["sigma"]) == pytest.approx(float(expected["_sigma"]), rel=1e-8)
        assert int(outcome.state["generation"]) == int(expected["_g"])
        assert torch.equal(outcome.theta, outcome.state["mean"])
    assert gradients == 40, "one gradient a step, for the plots"


def test_that_the_minimum_is_reached_and_then_kept_with_a_note(
    descend: Any, rosenbrock: Any
) -> None:
    outcomes, _ = descend(CMAES, rosenbrock, torch.tensor([[-1.2, 1.0]], dtype=torch.float64), 400)
    torch.testing.assert_close(
        outcomes[-1].theta, torch.ones(1, 2, dtype=torch.float64), rtol=1e-9, atol=1e-9
    )
    assert "narrower than rounding" in outcomes[-1].notes[0]
    assert torch.equal(outcomes[-1].theta, outcomes[-2].theta)


def test_that_points_without_a_value_rank_last(descend: Any) -> None:
    def log_barrier(theta: torch.Tensor) -> torch.Tensor:
        return theta.sum(dim=1) - theta.log().sum(dim=1)

    outcomes, _ = descend(CMAES, log_barrier, torch.full((1, 3), 0.2, dtype=torch.float64), 200)
    torch.testing.assert_close(
        outcomes[-1].theta, torch.ones(1, 3, dtype=torch.float64), rtol=1e-6, atol=1e-6
    )


def test_that_a_population_without_any_value_leaves_the_parameters_and_is_reported(
    descend: Any,
) -> None:
    start = torch.zeros(1, 2, dtype=torch.float64)
    outcomes, _ = descend(CMAES, lambda theta: theta.sum(dim=1) * float("nan"), start, 1)
    assert "finite at no point" in outcomes[0].notes[0]
    assert torch.equal(outcomes[0].theta, start)


def test_that_runs_in_float32_keep_their_distribution_in_float64() -> None:
    state = CMAES.begin(torch.zeros(2, 3), Hyperparameters(**CMAES().values()))
    assert {value.dtype for name, value in state.items() if name != "generation"} == {torch.float64}
    np.testing.assert_array_equal(state["covariance"].numpy(), [[1, 0, 0, 1, 0, 1]] * 2)


def test_that_a_model_too_large_for_its_matrix_is_refused_in_words() -> None:
    tables: dict[str, Any] = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp", "hidden": [32]},
        "optimizer": {"name": "cma_es"},
    }
    with pytest.raises(
        InvalidInput,
        match=r"up to 1,000 parameters, but the model has 2,410; use evolution_strategy\.",
    ):
        Experiment.from_dict(tables)
    with pytest.raises(InvalidInput, match="use evolution_strategy"):
        CMAES.begin(torch.zeros(1, 1001), Hyperparameters(**CMAES().values()))


def test_that_a_missing_library_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    experiment = Experiment.from_dict(
        {"dataset": {"name": "moons"}, "model": {"name": "linear"}, "optimizer": {"name": "cma_es"}}
    )
    with pytest.raises(MissingPart, match="pip install cmaes"):
        Trainer([experiment])
