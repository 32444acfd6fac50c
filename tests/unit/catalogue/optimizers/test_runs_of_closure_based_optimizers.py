"""Rules that step run by run, in the trainer: populations, snapshots, batches that change, and
what is counted and reported.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch

from optlab.catalogue.optimizers._runs import hyperparameters_of
from optlab.catalogue.optimizers.base import ObjectiveOptimizer
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective
from optlab.training.trainer import Trainer

RULES: list[dict[str, Any]] = [
    {"name": "conjugate_gradient"},
    {"name": "conjugate_gradient", "form": "fletcher_reeves"},
    {"name": "bfgs"},
    {"name": "lbfgs", "history": 4},
    {"name": "coordinate_descent", "block": 3},
    {"name": "coordinate_descent", "order": "random", "length": "exact"},
    {"name": "cma_es"},
    {"name": "evolution_strategy", "pairs": 5},
]
each = pytest.mark.parametrize(
    "rule", RULES, ids=lambda rule: " ".join(str(value) for value in rule.values())
)


def build(rule: dict[str, Any], seed: int = 1, **changes: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "seed": seed,
            "device": "cpu",
            "precision": "float64",
            "dataset": {"name": "moons", "size": 120},
            "model": {"name": "mlp", "hidden": [3], "activation": "tanh"},
            "loss": {"name": "cross_entropy", "l2": 0.01},
            "optimizer": rule,
            "batches": {"name": "shuffled", "size": 24},
            **changes,
        }
    )


def advanced(experiments: list[Experiment], steps: int, **kwargs: Any) -> Trainer:
    trainer = Trainer(experiments, **kwargs)
    for _ in range(steps):
        trainer.advance()
    return trainer


@each
def test_that_a_run_in_a_population_gives_the_numbers_of_the_run_alone(
    rule: dict[str, Any],
) -> None:
    field = {"conjugate_gradient": "c2", "bfgs": "c2", "lbfgs": "c2", "cma_es": "sigma"}.get(
        rule["name"], "lr"
    )
    experiments = [
        build({**rule, field: value}, seed) for seed, value in ((1, 0.05), (2, 0.2), (3, 0.05))
    ]
    together = advanced(experiments, 40)
    assert len(together.population.groups) == 1
    for run, experiment in enumerate(experiments):
        torch.testing.assert_close(
            together.theta[run], advanced([experiment], 40).theta[0], rtol=1e-10, atol=1e-12
        )


@each
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_that_a_run_resumes_from_a_snapshot_bit_for_bit(
    rule: dict[str, Any], precision: str
) -> None:
    experiment = build(rule, precision=precision)
    half = advanced([experiment], 11)
    snapshot = half.snapshot(0, 0.0, "asked")
    straight, resumed = advanced([experiment], 23), advanced([experiment], 12, snapshots=[snapshot])
    assert torch.equal(straight.theta, resumed.theta)
    ours, theirs = (trainer.snapshot(0, 0.0, "asked").state for trainer in (straight, resumed))
    assert all(
        (ours[name] == theirs[name]).all() and ours[name].dtype == theirs[name].dtype
        for name in ours
    )


@each
def test_that_the_objective_falls_and_every_evaluation_is_counted(rule: dict[str, Any]) -> None:
    experiment = build(rule, batches={"name": "never_shuffled", "size": 0})
    trainer = advanced([experiment], 0)
    data = experiment.dataset.load()
    x, y = (
        torch.from_numpy(data.training.x).double().unsqueeze(0),
        torch.from_numpy(data.training.y).unsqueeze(0),
    )
    objective = Objective(experiment.model, experiment.loss, data.shape)
    assert isinstance(experiment.optimizer, ObjectiveOptimizer)
    theta, h = trainer.theta, Hyperparameters(**experiment.optimizer.values(), step=1)
    state = experiment.optimizer.begin(theta, h)
    first = float(BatchObjective(objective, x, y, [1], 0).loss(theta))
    for step in range(60):
        batch_objective = BatchObjective(objective, x, y, [1], step)
        h.step = step + 1
        outcome = experiment.optimizer.step(theta, batch_objective, state, h)
        value, g = BatchObjective(objective, x, y, [1], step).gradient(theta)
        assert torch.equal(outcome.loss, value) and torch.equal(outcome.gradient, g), (
            "at the parameters before the step"
        )
        assert batch_objective.gradients[0] >= 1
        theta, state = outcome.theta, outcome.state
    assert float(BatchObjective(objective, x, y, [1], 0).loss(theta)) < first
    assert first == pytest.approx(
        float(BatchObjective(objective, x, y, [1], 0).gradient(trainer.theta)[0]), rel=1e-12
    )


def test_that_what_one_run_asks_counts_for_it_in_the_whole() -> None:
    experiment = build({"name": "bfgs"})
    data = experiment.dataset.load()
    x = torch.from_numpy(data.training.x).double()[:20].reshape(2, 10, 2)
    y = torch.from_numpy(data.training.y)[:20].reshape(2, 10)
    batch_objective = BatchObjective(
        Objective(experiment.model, experiment.loss, data.shape), x, y, [0, 1], 0
    )
    theta = Trainer([experiment]).theta
    second = batch_objective.only(1)
    second.gradient(theta)
    second.gradient(theta)
    assert list(batch_objective.gradients) == [0, 2] and list(second.gradients) == [2]


def test_that_the_batch_loss_of_a_rule_that_asks_leaves_weight_decay_out() -> None:
    experiment = build({"name": "lbfgs"}, batches={"name": "never_shuffled", "size": 0})
    trainer = Trainer([experiment])
    first = float(trainer.evaluate()["train_loss"])
    trainer.advance()
    assert trainer.recorder.flush()["batch_loss"].values[0, 0] == pytest.approx(first, rel=1e-12)


def test_that_the_hyperparameters_of_one_run_are_plain_numbers() -> None:
    h = Hyperparameters(lr=torch.tensor([[0.1], [0.2]], dtype=torch.float64), form="x", step=3)
    assert vars(hyperparameters_of(h, 1)) == {"lr": 0.2, "form": "x", "step": 3}
