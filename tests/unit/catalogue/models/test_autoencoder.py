"""The autoencoder: reconstruction against a torch network, its linear case against principal
components, and an experiment without classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SeriesBlock
from optlab.training.initialization import initialization_context
from optlab.training.session import session
from optlab.training.trainer import Trainer

SHAPE = DataShape((2, 3), 4, "classes")


def experiment(**values: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "iris"},
            "model": {"name": "autoencoder", "code": 2, "activation": "identity"},
            **values,
        }
    )


def test_that_loss_and_gradient_are_those_of_a_torch_network_trained_on_its_inputs() -> None:
    model: Any = registry.build(
        "model", {"name": "autoencoder", "code": 2, "hidden": [5, 4], "activation": "tanh"}
    )
    objective = Objective(model, registry.build("loss", {"name": "squared_error"}), SHAPE)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(2, objective.layout.total, dtype=torch.float64, generator=generator)
    x = torch.randn(2, 7, 2, 3, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 4, (2, 7), generator=generator)
    loss, gradient = objective.value_and_gradient(theta, x, y)
    widths = [6, 5, 4, 2, 4, 5, 6]
    for run in range(2):
        layers: list[nn.Module] = []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), nn.Tanh()]
        network = nn.Sequential(*layers[:-1]).double()
        nn.utils.vector_to_parameters(theta[run].clone(), network.parameters())
        flat = x[run].flatten(1)
        theirs = 6.0 * nn.functional.mse_loss(network(flat), flat)
        theirs.backward()
        torch.testing.assert_close(loss[run], theirs.detach(), rtol=1e-12, atol=0.0)
        torch.testing.assert_close(
            gradient[run],
            torch.cat([p.grad.flatten() for p in network.parameters()]),
            rtol=1e-11,
            atol=1e-13,
        )  # type: ignore[union-attr]
    by_autograd = theta.clone().requires_grad_()
    (expected,) = torch.autograd.grad(objective.losses(by_autograd, x, y).sum(), by_autograd)
    torch.testing.assert_close(gradient, expected, rtol=1e-11, atol=1e-13)
    assert objective.evaluate(theta, x[0], y[0]).errors is None
    assert objective.layout == registry.build(
        "model", {"name": "mlp", "hidden": widths[1:-1]}
    ).layout(DataShape((6,), 6, "regression"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", [1, 2, 3])
def test_that_the_optimum_of_a_linear_autoencoder_is_the_residual_of_pca(code: int) -> None:
    requested = experiment(
        model={"name": "autoencoder", "code": code, "activation": "identity"},
        optimizer={"name": "lbfgs"},
        batches={"name": "never_shuffled", "size": 0},
    )
    trainer = Trainer([requested])
    for _ in range(150):
        trainer.advance()
    x = requested.dataset.load().training.x
    pca = PCA(code).fit(x)
    residual = float(((x - pca.inverse_transform(pca.transform(x))) ** 2).sum(axis=1).mean())
    reached = float(trainer.evaluate()["train_loss"][0])
    assert residual * (1.0 - 1e-9) <= reached <= residual * (1.0 + 1e-6)


def test_that_its_task_is_regression_whatever_that_of_the_data() -> None:
    requested = experiment()
    assert requested.loss.name == "squared_error"
    assert requested.target_shape() == DataShape((4,), 4, "regression")
    assert Experiment.from_toml(requested.to_toml()) == requested
    events = list(session([experiment(budget={"steps": 20})], Inbox()))
    series = {name for event in events if isinstance(event, SeriesBlock) for name in event.series}
    assert "train_loss" in series and not series & {"train_error", "validation_error"}
    ended = next(event for event in events if isinstance(event, RunEnded))
    assert ended.final["train_error"] is None and ended.final["validation_loss"] is not None


def test_that_losses_and_stopping_rules_for_classes_are_refused_with_a_reason() -> None:
    with pytest.raises(
        InvalidInput, match=r"those of model 'autoencoder' are regression; use squared_error\."
    ) as refusal:
        experiment(loss={"name": "cross_entropy"})
    assert refusal.value.field == "loss.name"
    rules = [
        rule.name for rule in registry.components("stopping") if "regression" not in rule.tasks
    ]  # type: ignore[attr-defined]
    assert rules
    for rule in rules:
        with pytest.raises(
            InvalidInput, match="needs the 0-1 error, but model 'autoencoder' has none"
        ):
            experiment(stopping={"name": rule})


def test_that_choosing_it_sets_a_fitting_loss_and_leaving_it_keeps_the_loss() -> None:
    classes = experiment(model={"name": "mlp"})
    assert classes.loss.name == "cross_entropy"
    chosen = classes.with_value("model.name", "autoencoder")
    assert chosen.loss.name == "squared_error"
    assert chosen.with_value("model.name", "mlp").loss.name == "squared_error"


def test_that_the_output_biases_can_start_at_the_mean_of_the_inputs() -> None:
    requested = experiment(
        dataset={"name": "iris", "standardize": False},
        initializer={"name": "normalized", "output_bias": "marginal"},
    )
    training = requested.dataset.load().training
    objective = Objective(requested.model, requested.loss, requested.dataset.shape())
    theta = requested.initializer.start(
        objective.layout,
        torch.Generator().manual_seed(0),
        initialization_context(objective, training),
    )
    bias = objective.layout.named(theta.unsqueeze(0))["layers.1.bias"][0]
    assert np.allclose(bias.numpy(), training.x.mean(axis=0), rtol=1e-12)
