"""SVRG against the paper in numpy, and against the solution of least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import optlab.optim
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

L2 = 0.5


def experiment(rule: str = "svrg", size: int = 20, **values: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "diabetes"},
            "model": {"name": "linear"},
            "loss": {"name": "squared_error", "l2": L2},
            "optimizer": {"name": rule, "lr": 0.05, **values},
            "batches": {"name": "never_shuffled", "size": size},
        }
    )


def data(of: Experiment) -> tuple[Any, Any]:
    training = of.dataset.load().training
    return training.x, training.y.reshape(-1)


def numpy_gradient(w: Any, x: Any, y: Any) -> Any:
    """The gradient ``[11]`` of the mean square error and ½λ‖w‖², the bias last."""
    residual = x @ w[:-1] + w[-1] - y
    return np.append(2 * x.T @ residual / len(y) + L2 * w[:-1], 2 * residual.mean())


def test_that_the_steps_are_those_of_the_paper() -> None:
    eta, m = 0.05, 7
    of = experiment(period=m)
    x, y = data(of)
    trainer = Trainer([of])
    w = trainer.theta[0].numpy().copy()
    anchor, mu = w, w
    for t in range(25):
        if t % m == 0:
            anchor, mu = w, numpy_gradient(w, x, y)
        batch = tuple(part[0].numpy() for part in trainer.batch_of(t))
        batch = batch[0], batch[1].reshape(-1)
        w = w - eta * (numpy_gradient(w, *batch) - numpy_gradient(anchor, *batch) + mu)
        trainer.advance()
    np.testing.assert_allclose(trainer.theta[0].numpy(), w, rtol=1e-10, atol=1e-12)


def test_that_it_reaches_the_solution_at_a_constant_rate_where_sgd_does_not() -> None:
    of = experiment(period=30)
    x, y = data(of)
    n = len(y)
    full = np.c_[x, np.ones(n)]
    ridge = np.diag([n * L2 / 2] * x.shape[1] + [0.0])
    solution = np.linalg.solve(full.T @ full + ridge, full.T @ y)
    errors = []
    for rule in (of, experiment("sgd")):
        trainer = Trainer([rule])
        for _ in range(1200):
            trainer.advance()
        errors.append(np.abs(trainer.theta[0].numpy() - solution).max())
    assert errors[0] < 1e-10 < 1e-3 < errors[1]


def test_that_runs_with_other_periods_and_data_are_the_runs_alone_and_count_their_gradients() -> (
    None
):
    runs = [experiment(period=3), experiment("sgd"), experiment(period=5, lr=0.02)]
    together, alone = Trainer(runs), [Trainer([run]) for run in runs]
    for _ in range(8):
        for trainer in (together, *alone):
            trainer.advance()
    for run, single in enumerate(alone):
        torch.testing.assert_close(together.theta[run], single.theta[0], rtol=1e-12, atol=1e-13)
    # Steps 1, 4 and 7 of the first run, 1 and 6 of the last, evaluate the batch once, and all data.
    passes = round(len(data(runs[0])[1]) / 20)
    expected = [8 + 5 + 3 * passes, 8, 8 + 6 + 2 * passes]
    assert together.population.counts_gradients
    counted = together.steps.evaluations
    assert counted is not None and counted.tolist() == expected


def test_that_the_script_face_takes_a_second_closure() -> None:
    of = experiment(period=4)
    trainer = Trainer([of])
    x, y = (torch.from_numpy(values) for values in data(of))
    model = torch.nn.Linear(x.shape[1], 1).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    optimizer = optlab.optim.SVRG(model.parameters(), lr=0.05, period=4)

    def loss(rows: slice) -> torch.Tensor:
        penalty = 0.5 * L2 * model.weight.square().sum()
        return (model(x[rows]).squeeze(1) - y[rows]).square().mean() + penalty

    for step in range(9):
        rows = slice(step * 20, (step + 1) * 20)
        first = loss(rows).detach()
        returned = optimizer.step(lambda rows=rows: loss(rows), lambda: loss(slice(None)))
        assert torch.equal(returned, first), "the returned loss is that of the batch"
        trainer.advance()
    theirs = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(theirs, trainer.theta[0], rtol=1e-10, atol=1e-12)
    optimizer = optlab.optim.SVRG(model.parameters())
    with pytest.raises(RuntimeError, match="entire training set; pass a second closure"):
        optimizer.step(lambda: loss(slice(0, 20)))
