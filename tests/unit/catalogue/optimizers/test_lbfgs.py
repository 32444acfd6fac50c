"""L-BFGS against dense BFGS, torch's L-BFGS and scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from optlab.catalogue.optimizers import lbfgs
from optlab.catalogue.optimizers.bfgs import _updated
from optlab.catalogue.optimizers.lbfgs import LBFGS
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective
from optlab.training.trainer import Trainer

SOFTMAX: dict[str, Any] = {
    "device": "cpu",
    "precision": "float64",
    "dataset": {"name": "iris"},
    "model": {"name": "linear"},
    "loss": {"name": "cross_entropy", "l2": 0.01},
    "optimizer": {"name": "lbfgs"},
    "batches": {"name": "never_shuffled", "size": 0},
}


def test_that_with_all_steps_kept_the_direction_is_that_of_bfgs_from_the_same_scaling(
    descend: Any, rosenbrock: Any
) -> None:
    theta = torch.tensor([[-1.2, 1.0, 0.3, 0.6]], dtype=torch.float64)
    outcomes, _ = descend(LBFGS, rosenbrock, theta, 8, history=8)
    for steps, outcome in enumerate(outcomes, start=1):
        s, y = outcome.state["s"], outcome.state["y"]
        assert int(outcome.state["pairs"]) == steps
        newest_s, newest_y = s[:, -1], y[:, -1]
        matrix = (newest_s @ newest_y.T / (newest_y @ newest_y.T)) * torch.eye(
            4, dtype=torch.float64
        ).unsqueeze(0)
        for i in range(8 - steps, 8):
            matrix = _updated(matrix, s[:, i], y[:, i])
        g = torch.randn(1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(steps))
        torch.testing.assert_close(
            lbfgs._product(g, s, y, steps),
            (matrix @ g.unsqueeze(2)).squeeze(2),
            rtol=1e-8,
            atol=1e-12,
        )


def test_that_the_oldest_pair_makes_room_and_pairs_are_those_of_the_path(
    descend: Any, rosenbrock: Any
) -> None:
    theta = torch.tensor([[-1.2, 1.0, 0.3]], dtype=torch.float64)
    outcomes, _ = descend(LBFGS, rosenbrock, theta, 7, history=3)
    places = torch.cat([outcome.theta for outcome in outcomes[3:]])
    gradients = torch.cat([outcome.gradient for outcome in outcomes[5:]])
    torch.testing.assert_close(
        outcomes[-1].state["s"][0], places.diff(dim=0), rtol=1e-9, atol=1e-12
    )
    torch.testing.assert_close(
        outcomes[-1].state["y"][0, 1:2], gradients.diff(dim=0), rtol=1e-9, atol=1e-9
    )
    assert int(outcomes[-1].state["pairs"]) == 3


def test_that_the_direction_is_the_one_torch_computes_from_the_same_pairs(rosenbrock: Any) -> None:
    parameter = torch.nn.Parameter(torch.tensor([-1.2, 1.0, 0.3, -0.4], dtype=torch.float64))
    optimizer = torch.optim.LBFGS(
        [parameter],
        max_iter=9,
        history_size=5,
        line_search_fn="strong_wolfe",
        tolerance_change=0.0,
        tolerance_grad=0.0,
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = rosenbrock(parameter.unsqueeze(0)).sum()
        value.backward()
        return value

    optimizer.step(closure)
    memory = optimizer.state[parameter]
    s, y = (
        torch.stack(memory["old_stps"]).unsqueeze(0),
        torch.stack(memory["old_dirs"]).unsqueeze(0),
    )
    assert s.shape == (1, 5, 4)
    torch.testing.assert_close(
        -lbfgs._product(memory["prev_flat_grad"].unsqueeze(0), s, y, 5)[0],
        memory["d"],
        rtol=1e-9,
        atol=1e-12,
    )


def minimum(history: int) -> tuple[torch.Tensor, float, int]:
    """Parameters, objective and gradients taken until the gradient of softmax regression on iris is
    below 1e-6.
    """
    trainer = Trainer(
        [Experiment.from_dict({**SOFTMAX, "optimizer": {"name": "lbfgs", "history": history}})]
    )
    batch_objective = whole()
    theta, state = trainer.theta, LBFGS.begin(trainer.theta, Hyperparameters(history=history))
    for step in range(100):
        outcome = LBFGS.step(
            theta, batch_objective, state, Hyperparameters(history=history, c2=0.9, step=step + 1)
        )
        if float(outcome.gradient.norm()) < 1e-6:
            return theta, float(outcome.loss), batch_objective.gradients[0] - step
        theta, state = outcome.theta, outcome.state
    raise AssertionError("not converged")


def whole() -> BatchObjective:
    experiment = Experiment.from_dict(SOFTMAX)
    data = experiment.dataset.load()
    x, y = torch.from_numpy(data.training.x).double(), torch.from_numpy(data.training.y)
    return BatchObjective(
        Objective(experiment.model, experiment.loss, data.shape),
        x.unsqueeze(0),
        y.unsqueeze(0),
        [0],
        0,
    )


def test_that_softmax_regression_ends_where_scipy_and_torch_end_at_a_comparable_price() -> None:
    theta, value, asked = minimum(10)
    batch_objective, start = whole(), Trainer([Experiment.from_dict(SOFTMAX)]).theta[0]

    def both(at: np.ndarray) -> tuple[float, np.ndarray]:
        found, g = batch_objective.gradient(torch.tensor(at).unsqueeze(0))
        return float(found), g[0].numpy()

    reference = minimize(
        both,
        start.numpy(),
        jac=True,
        method="L-BFGS-B",
        options={"gtol": 1e-7, "ftol": 0.0, "maxcor": 10},
    )
    assert value == pytest.approx(reference.fun, rel=1e-10)
    np.testing.assert_allclose(theta[0].numpy(), reference.x, atol=1e-4)
    assert asked < 1.6 * reference.nfev

    parameter = torch.nn.Parameter(start.clone())
    optimizer = torch.optim.LBFGS(
        [parameter],
        max_iter=200,
        history_size=10,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-7,
        tolerance_change=0.0,
    )

    def closure() -> torch.Tensor:
        found, g = batch_objective.gradient(parameter.detach().unsqueeze(0))
        parameter.grad = g[0]
        return found[0]

    optimizer.step(closure)
    torch.testing.assert_close(theta[0], parameter.detach(), rtol=0.0, atol=1e-4)
    assert asked < 1.6 * optimizer.state[parameter]["func_evals"]


def test_that_pairs_that_lead_uphill_are_discarded_and_reported(
    formula: Any, quadratic: Any
) -> None:
    _, _, function = quadratic(3)
    theta = torch.ones(1, 3, dtype=torch.float64)
    state = LBFGS.begin(theta, Hyperparameters(history=2))
    state["s"][0, -1], state["y"][0, -1], state["pairs"] = (
        torch.ones(3),
        -torch.ones(3),
        torch.ones(1, 1, dtype=torch.int64),
    )
    outcome = LBFGS.step(
        theta,
        formula(function),
        state,
        Hyperparameters(**{**LBFGS().values(), "history": 2}, step=2),
    )
    assert "is not a descent direction" in outcome.notes[0]
    assert float(function(outcome.theta)) < float(function(theta))
    assert int(outcome.state["pairs"]) == 1


def test_that_a_search_that_fails_discards_the_pairs_and_is_reported(descend: Any) -> None:
    outcomes, _ = descend(
        LBFGS, lambda theta: -theta.sum(dim=1), torch.zeros(1, 2, dtype=torch.float64), 1
    )
    assert "the line search failed" in outcomes[0].notes[0]
    assert int(outcomes[0].state["pairs"]) == 0


def test_that_at_a_minimum_no_evaluation_is_spent_on_what_rounding_hides(
    descend: Any, quadratic: Any
) -> None:
    _, _, function = quadratic(4)
    start = torch.zeros(1, 4, dtype=torch.float64)
    _, until_settled = descend(LBFGS, function, start, 60)
    outcomes, asked = descend(LBFGS, function, start, 65)
    assert all("below the rounding" in outcome.notes[0] for outcome in outcomes[60:])
    assert asked == until_settled + 5 and torch.equal(outcomes[-1].theta, outcomes[59].theta)


def test_that_a_start_at_the_minimum_is_kept(descend: Any, quadratic: Any) -> None:
    """Nothing is known of the curvature there, so trials are needed, but not all that are allowed."""
    a, b, function = quadratic(4)
    minimum = torch.linalg.solve(a, b).unsqueeze(0)
    outcomes, asked = descend(LBFGS, function, minimum, 1)
    assert "the line search failed" in outcomes[0].notes[0] or asked < 25
    torch.testing.assert_close(outcomes[0].theta, minimum, rtol=1e-12, atol=1e-12)


def test_that_the_history_shapes_the_state_and_so_is_fixed_while_a_run_goes() -> None:
    experiments = [
        Experiment.from_dict({**SOFTMAX, "optimizer": {"name": "lbfgs", "history": m}})
        for m in (2, 4)
    ]
    assert set(experiments[0].live_fields()) == {"optimizer.c2", "batches.size"}
    trainer = Trainer(experiments)
    with pytest.raises(InvalidInput, match="cannot be changed during a run"):
        trainer.set_value("optimizer.history", 3)
    for _ in range(4):
        trainer.advance()
    assert [trainer.snapshot(run, 0.0, "asked").state["s"].shape[0] for run in (0, 1)] == [2, 4]


def test_that_a_network_of_85_000_parameters_is_trained_in_memory_that_grows_with_p() -> None:
    tables = {
        **SOFTMAX,
        "precision": "float32",
        "dataset": {"name": "digits"},
        "model": {"name": "mlp", "hidden": [256, 256]},
    }
    trainer = Trainer(
        [Experiment.from_dict({**tables, "optimizer": {"name": "lbfgs", "history": 5}})]
    )
    first = float(trainer.evaluate()["train_loss"])
    for _ in range(12):
        trainer.advance()
    assert float(trainer.evaluate()["train_loss"]) < 0.3 * first
    assert (
        sum(value.size for value in trainer.snapshot(0, 0.0, "asked").state.values())
        == 2 * 5 * trainer.layout.total + 1
    )
