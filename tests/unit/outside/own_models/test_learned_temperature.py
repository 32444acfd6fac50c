"""A head with a learned temperature: softmax regression while it is held, lower where it is trained.

With the settings of the preset digits-mlp softmax regression reaches a training loss of 0.12975 in
60 steps, and so does the module below while its temperature stays at 1. Trained, the temperature
falls, which sharpens the outputs, and the loss with it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.outside.own_models import sources
from optlab.outside.own_models.registering import register
from optlab.training.trainer import Trainer

SOURCE = """
import torch


class Temperature(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.a = torch.nn.Linear(inputs, outputs)
        {temperature}

    def forward(self, x):
        return self.a(x) / self.temperature
"""
LEARNED = "self.temperature = torch.nn.Parameter(torch.ones(1))"
HELD = "self.register_buffer('temperature', torch.ones(1))"
STEPS = 60


@pytest.fixture
def digits_mlp() -> Experiment:
    document = (paths.presets() / "digits-mlp.toml").read_text(encoding="utf-8")
    experiment = Experiment.from_toml(document)
    return experiment.with_values({"precision": "float64", "device": "cpu"})


def with_module(experiment: Experiment, folder: Path, temperature: str) -> Experiment:
    path = folder / "temperature.py"
    path.write_text(SOURCE.format(temperature=temperature), encoding="utf-8")
    register(sources.find(str(path)), "temperature")
    return experiment.with_value("model.name", "own.temperature")


def trained(experiment: Experiment) -> tuple[Trainer, torch.Tensor]:
    """Return the trainer after its steps, and where it started, ``[P]``."""
    trainer = Trainer([experiment])
    start = trainer.theta[0].clone()
    for _ in range(STEPS):
        trainer.advance()
    return trainer, start


def training_loss(experiment: Experiment, logits: torch.Tensor) -> float:
    y = torch.as_tensor(experiment.dataset.load().training.y)
    return torch.nn.functional.cross_entropy(logits, y).item()


def torch_loop(
    trainer: Trainer, experiment: Experiment, start: torch.Tensor, *, learned: bool
) -> tuple[torch.Tensor, float]:
    """Train softmax regression by torch alone on the same batches.

    Returns:
        the parameters ``[P]``, and the training loss.
    """
    linear = torch.nn.Linear(64, 10).double()
    temperature = torch.ones(1, dtype=torch.float64, requires_grad=learned)
    head = [*linear.parameters(), temperature] if learned else [*linear.parameters()]
    named = trainer.layout.named(start.unsqueeze(0))
    with torch.no_grad():
        for parameter in head:
            (value,) = [v[0] for v in named.values() if v[0].shape == parameter.shape]
            parameter.copy_(value)
    decayed = [{"params": head[:1], "weight_decay": 0.001}, {"params": head[1:]}]
    optimizer = torch.optim.SGD(decayed, lr=0.05, momentum=0.9)
    for step in range(STEPS):
        x, y = trainer.batch_of(step)
        optimizer.zero_grad()
        logits = linear(x[0].flatten(1)) / temperature
        torch.nn.functional.cross_entropy(logits, y[0]).backward()
        optimizer.step()
    x = torch.as_tensor(experiment.dataset.load().training.x).flatten(1)
    with torch.no_grad():
        loss = training_loss(experiment, linear(x) / temperature)
    by_shape = {tuple(p.shape): p.detach().reshape(-1) for p in head}
    shapes = [tuple(v.shape[1:]) for v in named.values()]
    return torch.cat([by_shape[shape] for shape in shapes]), loss


def test_that_softmax_regression_reaches_the_known_loss(digits_mlp: Experiment) -> None:
    experiment = digits_mlp.with_value("model.name", "linear")
    trainer, start = trained(experiment)
    theta, loss = torch_loop(trainer, experiment, start, learned=False)
    torch.testing.assert_close(trainer.theta[0], theta, rtol=1e-10, atol=1e-12)
    assert loss == pytest.approx(0.129750, abs=2e-6)


def test_that_a_temperature_that_is_held_at_its_built_value_is_softmax_regression(
    digits_mlp: Experiment, tmp_path: Path
) -> None:
    initializer = digits_mlp.initializer.name
    linear, _ = trained(digits_mlp.with_value("model.name", "linear"))
    held = with_module(digits_mlp, tmp_path, HELD)
    same_start, _ = trained(held.with_value("initializer.name", initializer))
    torch.testing.assert_close(same_start.theta, linear.theta, rtol=1e-12, atol=1e-14)
    as_built, start = trained(held)
    theta, loss = torch_loop(as_built, held, start, learned=False)
    torch.testing.assert_close(as_built.theta[0], theta, rtol=1e-10, atol=1e-12)
    assert loss == pytest.approx(0.13, abs=0.01)


def test_that_a_temperature_that_is_learned_starts_at_one_and_goes_lower(
    digits_mlp: Experiment, tmp_path: Path
) -> None:
    experiment = with_module(digits_mlp, tmp_path, LEARNED)
    trainer, start = trained(experiment)
    assert trainer.layout.named(start.unsqueeze(0))["temperature"].tolist() == [[1.0]]
    theta, loss = torch_loop(trainer, experiment, start, learned=True)
    torch.testing.assert_close(trainer.theta[0], theta, rtol=1e-9, atol=1e-11)
    assert 0.0 < trainer.layout.named(trainer.theta)["temperature"].item() < 0.7
    assert loss < 0.1
