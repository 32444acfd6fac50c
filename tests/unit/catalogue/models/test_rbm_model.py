"""The restricted Boltzmann machine in a run: its gradient, its losses, its draws, and what it
refuses.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.models.base import ForwardContext
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.numerics import boltzmann
from optlab.numerics.boltzmann import Machine
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator
from optlab.training.control import Inbox
from optlab.training.events import Event, RunEnded, SeriesBlock
from optlab.training.session import session
from optlab.training.trainer import Trainer


def experiment(model: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    tables: dict[str, Any] = {
        "dataset": {"name": "digits", "unit_range": True},
        "model": {"name": "rbm", "hidden": 10, **(model or {})},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "budget": {"steps": 30},
        "precision": "float64",
    }
    return Experiment.from_dict({**tables, **changes})


def machine(requested: Experiment, theta: torch.Tensor) -> Machine:
    return Machine(*requested.layout().split(theta))


def advanced(trainer: Trainer, steps: int) -> torch.Tensor:
    for _ in range(steps):
        trainer.advance()
    return trainer.theta


def all_events(requested: Experiment) -> list[Event]:
    return list(session([requested], Inbox()))


def test_that_a_step_is_one_of_contrastive_divergence_with_draws_of_seed_and_step() -> None:
    requested = experiment({"k": 3}, seed=5)
    trainer = Trainer([requested])
    advanced(trainer, 2)
    before, (x, _) = trainer.theta, trainer._stream.at(2)
    source = generator(5, "surrogate/2")

    def draw(units: int) -> torch.Tensor:
        return torch.rand(x.shape[1], units, generator=source, dtype=torch.float64)[None]

    v = x.flatten(2)
    gradient = boltzmann.cd_gradient(
        machine(requested, before), v, boltzmann.chain(machine(requested, before), v, 3, draw)
    )
    trainer.advance()
    flat = torch.cat([part.flatten() for part in gradient])
    torch.testing.assert_close(trainer.theta[0], before[0] - 0.1 * flat, rtol=1e-12, atol=1e-14)


def test_that_weight_decay_is_part_of_the_gradient_and_spares_the_biases() -> None:
    plain, decayed = (
        Trainer([experiment(loss={"name": "squared_error", "l2": l2, "l1": l1})])
        for l2, l1 in ((0.0, 0.0), (0.5, 0.25))
    )
    before = machine(plain.requested[0], plain.theta)
    for trainer in (plain, decayed):
        trainer.advance()
    difference = machine(plain.requested[0], (plain.theta - decayed.theta) / 0.1)
    torch.testing.assert_close(difference.weight, 0.5 * before.weight + 0.25 * before.weight.sign())
    assert float(difference.visible.abs().max()) == float(difference.hidden.abs().max()) == 0.0


def test_that_its_reported_loss_is_the_error_of_a_reconstruction_without_draws() -> None:
    requested = experiment()
    trainer = Trainer([requested])
    advanced(trainer, 20)
    training = torch.from_numpy(requested.dataset.load().training.x).flatten(1)
    weight, visible, hidden = (part[0] for part in machine(requested, trainer.theta))
    again = torch.sigmoid(torch.sigmoid(training @ weight.T + hidden) @ weight + visible)
    torch.testing.assert_close(
        trainer.evaluate()["train_loss"][0], (again - training).square().sum(dim=1).mean()
    )
    x, y = trainer._stream.at(20)
    loss, _ = trainer.objective.value_and_gradient(trainer.theta, x, y)
    again = torch.sigmoid(torch.sigmoid(x[0].flatten(1) @ weight.T + hidden) @ weight + visible)
    torch.testing.assert_close(loss[0], (again - x[0].flatten(1)).square().sum(dim=1).mean())


def test_that_hidden_units_are_those_of_scikit_learn() -> None:
    from sklearn.neural_network import BernoulliRBM

    requested = experiment()
    trainer = Trainer([requested])
    weight, _, hidden = (part[0].numpy() for part in machine(requested, advanced(trainer, 5)))
    theirs = BernoulliRBM()
    theirs.components_, theirs.intercept_hidden_ = weight, hidden
    x = requested.dataset.load().validation.x
    traced: dict[str, torch.Tensor] = {}
    trainer.objective.outputs(
        trainer.theta,
        torch.from_numpy(x)[None],
        ForwardContext(training=False, trace=traced.__setitem__),
    )
    np.testing.assert_allclose(
        traced["hidden"][0].numpy(), theirs.transform(x.reshape(len(x), -1)), rtol=1e-12
    )
    assert list(traced) == ["hidden", "visible"]


# --- exact likelihood ---


def test_that_the_exact_gradient_is_that_of_the_likelihood_that_is_reported() -> None:
    shape, model = (
        DataShape((5,), 2, "classes"),
        experiment({"learning": "exact", "hidden": 3}).model,
    )
    objective = Objective(model, experiment().loss, shape)
    theta = torch.randn(
        2, objective.layout.total, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    x = torch.rand(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    machines = Machine(*objective.layout.split(theta))
    loss, gradient = objective.value_and_gradient(theta, x, torch.zeros(2, 7))
    torch.testing.assert_close(loss, boltzmann.negative_log_likelihood(machines, x).mean(dim=1))
    exact = boltzmann.exact_gradient(machines, x)
    torch.testing.assert_close(gradient, torch.cat([part.flatten(1) for part in exact], dim=1))
    own_loss = objective.evaluate(theta, x[0], torch.zeros(7))
    torch.testing.assert_close(
        own_loss.losses[0], boltzmann.negative_log_likelihood(machines, x[:1].expand(2, -1, -1))[0]
    )
    assert own_loss.errors is None


def test_that_contrastive_divergence_can_report_the_likelihood_and_lowers_it() -> None:
    events = all_events(experiment({"reported": "likelihood"}, budget={"steps": 300}))
    reported = np.concatenate(
        [
            e.series["train_loss"].values[:, 0]
            for e in events
            if isinstance(e, SeriesBlock) and "train_loss" in e.series
        ]
    )
    assert reported[0] > 64 * np.log(2.0) - 1.0  # nearly all 64 pixels are coins at the start
    assert reported[-1] < reported[0] - 15.0


def test_that_a_closure_based_rule_can_train_a_small_machine_by_its_exact_likelihood() -> None:
    exact = {"learning": "exact", "hidden": 6}
    requested = experiment(
        exact,
        optimizer={"name": "lbfgs"},
        batches={"name": "shuffled", "size": 0},
        budget={"steps": 15},
    )
    (ended,) = [event for event in all_events(requested) if isinstance(event, RunEnded)]
    assert ended.status == "finished" and ended.final["train_loss"] is not None
    assert ended.final["train_loss"] < 30.0


# --- that it can be relied on ---


def test_that_a_run_in_a_population_is_the_run_alone() -> None:
    runs = [
        experiment(seed=seed, optimizer={"name": name, "lr": lr})
        for seed, name, lr in ((0, "sgd", 0.1), (1, "sgd", 0.2), (0, "adam", 0.01))
    ]
    together = advanced(Trainer(runs), 30)
    for run, alone in enumerate(runs):
        torch.testing.assert_close(
            together[run], advanced(Trainer([alone]), 30)[0], rtol=1e-10, atol=1e-12
        )
    assert not torch.equal(together[0], together[1])


def test_that_a_resumed_run_continues_as_if_it_had_not_stopped() -> None:
    requested = experiment({"k": 2})
    first = Trainer([requested])
    advanced(first, 9)
    again = Trainer([requested], [first.snapshot(0, 0.0, "asked")])
    assert torch.equal(advanced(first, 6), advanced(again, 6))


def test_that_a_blurred_objective_uses_new_draws_each_time() -> None:
    blurred = experiment(
        continuation={"name": "blur", "sigma": 0.05, "length": 3, "stages": 2, "samples": 2}
    )
    assert torch.equal(advanced(Trainer([blurred]), 5), advanced(Trainer([blurred]), 5))
    assert not torch.equal(advanced(Trainer([blurred]), 5), advanced(Trainer([experiment()]), 5))


def test_that_the_norm_of_the_full_gradient_is_the_same_at_each_evaluation() -> None:
    trainer = Trainer([experiment(), experiment(seed=3)])
    assert torch.equal(trainer.full_gradient_norm(), trainer.full_gradient_norm())
    torch.testing.assert_close(
        trainer.full_gradient_norm()[1:],
        Trainer([experiment(seed=3)]).full_gradient_norm(),
        rtol=1e-10,
        atol=0.0,
    )


def test_that_without_draws_the_gradient_is_that_of_the_loss() -> None:
    """For instruments, which look at the loss and its curvature: theirs must be the gradient of
    what they see.
    """
    trainer = Trainer([experiment()])
    x, y = trainer._stream.at(0)
    leaf = trainer.theta.clone().requires_grad_()
    (expected,) = torch.autograd.grad(trainer.objective.losses(leaf, x, y).sum(), leaf)
    torch.testing.assert_close(
        trainer.objective.value_and_gradient(trainer.theta, x, y)[1], expected
    )


def test_that_the_full_gradient_norm_is_that_of_the_surrogate() -> None:
    """Chains of many steps from the whole set come close to the exact gradient, which the machine
    is small enough for.
    """
    requested = experiment({"k": 200, "hidden": 4})
    trainer = Trainer([requested])
    advanced(trainer, 3)
    v = torch.from_numpy(requested.dataset.load().training.x).flatten(1)[None]
    exact = torch.cat(
        [part.flatten() for part in boltzmann.exact_gradient(machine(requested, trainer.theta), v)]
    ).norm()
    assert float(trainer.full_gradient_norm()[0]) == pytest.approx(float(exact), rel=0.05)


def test_that_a_machine_that_diverges_is_ended_and_the_tensor_is_named() -> None:
    (ended,) = [
        e
        for e in all_events(experiment(optimizer={"name": "sgd", "lr": 1.7e308}))
        if isinstance(e, RunEnded)
    ]
    assert ended.status == "diverged" and ended.non_finite_tensor


# --- refusals ---


@pytest.mark.parametrize(
    ("model", "changes", "field", "message"),
    [
        (
            {"learning": "exact", "hidden": 21},
            {},
            "model.hidden",
            "only where the smaller side has at most 20 units",
        ),
        (
            {"reported": "likelihood", "hidden": 40},
            {},
            "model.hidden",
            "model.reported to reconstruction",
        ),
        (
            {},
            {"optimizer": {"name": "lbfgs"}},
            "optimizer.name",
            "uses a gradient that is not that of its loss",
        ),
        (
            {"learning": "exact"},
            {"optimizer": {"name": "natural_gradient"}},
            "optimizer.name",
            "has its own loss and predicts none",
        ),
        (
            {},
            {"loss": {"name": "cross_entropy"}},
            "loss.name",
            "those of model 'rbm' are regression",
        ),
    ],
)
def test_that_a_mismatch_is_refused_with_a_reason(
    model: dict[str, Any], changes: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        experiment(model, **changes)
    assert refusal.value.field == field
    assert message in str(refusal.value)


@pytest.mark.parametrize("dataset", [{"name": "digits"}, {"name": "digits", "standardize": False}])
def test_that_inputs_that_are_not_probabilities_are_refused_at_the_start(
    dataset: dict[str, Any],
) -> None:
    with pytest.raises(InvalidInput, match=r"set dataset\.unit_range to true") as refusal:
        Trainer([experiment(dataset=dataset)])
    assert refusal.value.field == "dataset.unit_range"
