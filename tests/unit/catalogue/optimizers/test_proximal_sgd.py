"""Proximal gradient descent against ISTA in numpy and the lasso of scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import Lasso

from optlab.catalogue.optimizers.proximal_sgd import ProximalSGD
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

EXACT = dict(rtol=1e-12, atol=1e-13)
Follow = Callable[..., torch.Tensor]


def test_that_the_steps_are_those_of_ista(follow: Follow, published: Follow) -> None:
    """The proximal map of λ|x| as the minimizer of ½(x − u)² + ελ|x| in its three cases."""
    eta, l1 = 0.1, 0.8

    def step(x: Any, gradient: Any, t: int) -> Any:
        u = x - eta * gradient(x)
        return np.select([u > eta * l1, u < -eta * l1], [u - eta * l1, u + eta * l1], 0.0)

    theirs = published(step)
    assert ((theirs == 0.0).sum(dim=1) > 2).any()
    torch.testing.assert_close(follow(ProximalSGD, lr=eta, l1=l1), theirs, **EXACT)


def test_that_the_solution_is_the_lasso_of_scikit_learn() -> None:
    """Full batches on the diabetes data; the lasso halves the mean square, and so the penalty."""
    l1 = 0.05
    experiment = Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "diabetes"},
            "model": {"name": "linear"},
            "loss": {"name": "squared_error"},
            "optimizer": {"name": "proximal_sgd", "lr": 0.2, "l1": l1},
            "batches": {"name": "never_shuffled", "size": 0},
        }
    )
    trainer = Trainer([experiment])
    for _ in range(1500):
        trainer.advance()
    data = experiment.dataset.load().training
    theirs = Lasso(alpha=0.5 * l1, tol=1e-12, max_iter=100_000).fit(data.x, data.y.reshape(-1))
    weight, bias = (part.reshape(-1) for part in trainer.layout.split(trainer.theta))
    assert 0 < (theirs.coef_ == 0.0).sum() < len(theirs.coef_)
    assert ((weight.numpy() == 0.0) == (theirs.coef_ == 0.0)).all()
    np.testing.assert_allclose(weight.numpy(), theirs.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(bias.numpy(), theirs.intercept_, rtol=1e-7, atol=1e-9)


def test_that_biases_have_no_penalty() -> None:
    layout = Layout((Parameter("w", (2,), "weight", 1, 1), Parameter("b", (2,), "bias", 1, 1)))
    theta = torch.tensor([[0.5, -0.05, 0.5, -0.05]], dtype=torch.float64)
    h = Hyperparameters(lr=0.1, l1=1.0, step=1, layout=layout)
    after, _ = ProximalSGD.update(theta, torch.zeros_like(theta), {}, h)
    torch.testing.assert_close(
        after, torch.tensor([[0.4, 0.0, 0.5, -0.05]], dtype=torch.float64), **EXACT
    )
