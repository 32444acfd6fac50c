"""Sophia-G against the paper and its authors' code, and its estimate against the exact diagonal."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.stats
import torch

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.optimizers.sophia_g import SophiaG
from optlab.core import registry
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.seeding import generator
from optlab.training.trainer import Trainer


def loss_of(name: str) -> Loss:
    built: Any = registry.build("loss", {"name": name})
    return built


def test_that_classes_are_drawn_with_their_probabilities() -> None:
    outputs = torch.tensor([[0.3, -1.0, 1.2]], dtype=torch.float64).expand(1, 60_000, 3)
    uniforms = torch.rand(1, 60_000, 3, dtype=torch.float64, generator=generator(0, "draws"))
    drawn = loss_of("cross_entropy").draw(outputs, uniforms)
    counts = torch.bincount(drawn[0], minlength=3).numpy()
    expected = 60_000 * outputs[0, 0].softmax(dim=0).numpy()
    assert scipy.stats.chisquare(counts, expected).pvalue > 1e-3
    # At the ends of the interval, where the cumulated probabilities may round to less than one.
    ends = torch.tensor([0.0, 1.0 - 2.0**-53], dtype=torch.float64).view(1, 2, 1).expand(1, 2, 3)
    assert loss_of("cross_entropy").draw(outputs[:, :2].float(), ends).tolist() == [[0, 2]]


def test_that_values_are_drawn_with_the_variance_that_the_squared_error_implies() -> None:
    outputs = torch.full((1, 20_000, 2), 3.0, dtype=torch.float64)
    uniforms = torch.rand(1, 20_000, 2, dtype=torch.float64, generator=generator(1, "draws"))
    drawn = loss_of("squared_error").draw(outputs, uniforms).flatten().numpy()
    assert scipy.stats.kstest(drawn, scipy.stats.norm(3.0, 0.5**0.5).cdf).pvalue > 1e-3
    least = loss_of("squared_error").draw(outputs, torch.zeros_like(uniforms))
    assert bool(least.isfinite().all())


def experiment(seed: int, **optimizer: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "seed": seed,
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 80},
            "model": {"name": "linear"},
            "optimizer": {"name": "sophia_g", **optimizer},
            "batches": {"name": "shuffled", "size": 16},
        }
    )


def gradients(theta: Any, x: Any, y: Any) -> Any:
    """The gradient ``[6]`` of the cross-entropy of softmax regression on two inputs."""
    outputs = x @ theta[:4].reshape(2, 2).T + theta[4:]
    p = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    delta = (p - np.eye(2)[y]) / len(y)
    return np.concatenate([(delta.T @ x).ravel(), delta.sum(axis=0)]), p


def test_that_the_steps_are_those_of_the_paper_and_of_the_authors_code() -> None:
    """Algorithms 2 and 3 in NumPy, and the update of the authors' sophia.py beside it."""
    eta, b1, b2, gamma, decay, k = 0.02, 0.8, 0.9, 0.4, 0.1, 3
    of = experiment(7, lr=eta, beta1=b1, beta2=b2, gamma=gamma, weight_decay=decay, period=k)
    trainer = Trainer([of])
    theta = trainer.theta[0].numpy().copy()
    authors = torch.from_numpy(theta.copy())
    exp_avg, hessian = torch.zeros_like(authors), torch.zeros_like(authors)
    m, h, clipped = np.zeros(6), np.zeros(6), []
    for t in range(30):
        x, y = (part[0].numpy() for part in trainer.batch_of(t))
        g, p = gradients(theta, x, y)
        m = b1 * m + (1 - b1) * g
        if t % k == 0:
            u = torch.rand(len(y), 2, dtype=torch.float64, generator=generator(7, f"sophia_g/{t}"))
            drawn = (u[:, 0].numpy() >= p[:, 0]).astype(int)
            hat, _ = gradients(theta, x, drawn)
            h = b2 * h + (1 - b2) * len(y) * hat * hat
            # Theirs keeps the square alone, and multiplies by the batch size in the step.
            hessian.mul_(b2).addcmul_(torch.from_numpy(hat), torch.from_numpy(hat), value=1 - b2)
        theta = theta - eta * decay * theta
        ratio = m / np.maximum(gamma * h, 1e-12)
        clipped.append(np.abs(ratio) > 1)
        theta = theta - eta * np.clip(ratio, -1, 1)
        authors.mul_(1 - eta * decay)
        exp_avg.mul_(b1).add_(torch.from_numpy(g), alpha=1 - b1)
        share = (exp_avg.abs() / (gamma * len(y) * hessian + 1e-15)).clamp(None, 1)
        authors.addcmul_(exp_avg.sign(), share, value=-eta)
        trainer.advance()
        np.testing.assert_allclose(trainer.theta[0].numpy(), theta, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(trainer.theta[0].numpy(), authors.numpy(), rtol=1e-7, atol=1e-9)
    assert 0.05 < np.mean(clipped) < 0.95


def test_that_the_estimate_averages_to_the_diagonal_of_the_gauss_newton_matrix() -> None:
    """3,000 runs with draws of their own."""
    runs = 3000
    trainer = Trainer([experiment(0)])
    x, y = (part.expand(runs, *part.shape[1:]) for part in trainer.batch_of(0))
    on_batch = BatchObjective(trainer.population._objective, x, y, range(runs), 0)
    theta = 0.7 * torch.ones(1, 6, dtype=torch.float64).cumsum(dim=1).sin().expand(runs, 6)
    h = Hyperparameters(**{**SophiaG().values(), "beta2": 0.0}, step=1)
    estimates = SophiaG.step(theta, on_batch, SophiaG.start(theta), h).state["h"]
    assert set(on_batch.gradients) == {2}
    exact = on_batch.only(0).fisher(theta[:1])[0].diagonal()
    error = estimates.std(dim=0) / runs**0.5
    assert ((estimates.mean(dim=0) - exact).abs() < 4.0 * error).all()
    assert (error < 0.05 * exact).all()
