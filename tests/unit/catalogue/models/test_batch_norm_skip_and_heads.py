"""Batch normalization, skip connections and auxiliary heads: against plain torch modules and
autograd in float64, alone and in a population.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from optlab.catalogue.models.base import EVALUATION, ForwardContext
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.objective import objective as objective_module
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import SAMPLE, Objective
from optlab.training import full_gradient
from optlab.training.trainer import Trainer

SHAPE = DataShape((4,), 3, "classes")
KINDS: list[dict[str, Any]] = [
    {"batch_norm": True},
    {"skip": True},
    {"auxiliary": 0.3},
    {"batch_norm": True, "skip": True, "auxiliary": 0.3},
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)


class Reference(nn.Module):
    """The same network, written with torch's modules; ``heads`` holds the outputs of the auxiliary
    heads of the last pass.
    """

    def __init__(
        self,
        hidden: list[int],
        kind: dict[str, Any],
        activation: Callable[[torch.Tensor], torch.Tensor] = torch.tanh,
    ) -> None:
        super().__init__()
        self.kind, self.activation = kind, activation
        widths = [4, *hidden]
        normed = kind.get("batch_norm", False)
        self.layers = nn.ModuleList(
            [nn.Linear(a, b, bias=not normed) for a, b in zip(widths, widths[1:], strict=False)]
        )
        self.layers.append(nn.Linear(widths[-1], 3))
        if normed:
            self.norms = nn.ModuleList(
                [nn.BatchNorm1d(width, eps=kind.get("epsilon", 1e-5)) for width in hidden]
            )
        if "auxiliary" in kind:
            self.heads = nn.ModuleList([nn.Linear(width, 3) for width in hidden[:-1]])
        self.double()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        h, result = x, []
        for number, layer in enumerate(self.layers[:-1]):
            z = layer(h)
            if self.kind.get("batch_norm"):
                z = self.norms[number](z)
            out = self.activation(z)
            h = h + out if self.kind.get("skip") and h.shape[1] == out.shape[1] else out
            result.append(h)
        heads = (
            [head(h) for head, h in zip(self.heads, result[:-1], strict=True)]
            if "auxiliary" in self.kind
            else []
        )
        return self.layers[-1](h), heads

    def objective(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of the last head, and the sum with the others."""
        outputs, heads = self(x)
        loss = nn.functional.cross_entropy(outputs, y)
        return loss, loss + self.kind.get("auxiliary", 0.0) * sum(
            nn.functional.cross_entropy(head, y) for head in heads
        )

    def load(self, named: dict[str, torch.Tensor]) -> None:
        mine = dict(self.named_parameters())
        assert set(mine) == set(named)
        with torch.no_grad():
            for name, value in named.items():
                mine[name].copy_(value)

    def set_running(self, x: torch.Tensor) -> None:
        """The exact moments of ``x`` as the running ones: a pass with momentum 1, the variance over
        n instead of n − 1.
        """
        for norm in self.norms:
            norm.momentum = 1.0
        self.train()
        self(x)
        for norm in self.norms:
            norm.running_var *= (len(x) - 1) / len(x)
        self.eval()


def build(
    kind: dict[str, Any],
    sample: torch.Tensor | None = None,
    l2: float = 0.0,
    hidden: tuple[int, ...] = (4, 6, 6),
) -> Objective:
    model: Any = registry.build(
        "model", {"name": "mlp", "hidden": list(hidden), "activation": "tanh", **kind}
    )
    loss: Any = registry.build("loss", {"name": "cross_entropy", "l2": l2})
    return Objective(model, loss, SHAPE, sample)


def draw(
    objective: Objective, runs: int = 3, m: int = 7, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    theta = 0.7 * torch.randn(
        runs, objective.layout.total, dtype=torch.float64, generator=generator
    )
    x = torch.randn(runs, m, 4, dtype=torch.float64, generator=generator)
    return theta, x, torch.randint(0, 3, (runs, m), generator=generator)


def reference(
    objective: Objective,
    theta: torch.Tensor,
    kind: dict[str, Any],
    hidden: tuple[int, ...] = (4, 6, 6),
) -> Reference:
    result = Reference(list(hidden), kind)
    result.load({name: part[0] for name, part in objective.layout.named(theta).items()})
    return result


def gradients(
    module: Reference, x: torch.Tensor, y: torch.Tensor, objective: Objective
) -> tuple[torch.Tensor, torch.Tensor]:
    module.zero_grad()
    loss, total = module.objective(x, y)
    total.backward()
    named = dict(module.named_parameters())
    return loss.detach(), torch.cat(
        [named[spec.name].grad.flatten() for spec in objective.layout.parameters]
    )  # type: ignore[union-attr]


@every_kind
def test_that_loss_and_gradient_are_those_of_a_plain_torch_network(kind: dict[str, Any]) -> None:
    objective = build(kind)
    theta, x, y = draw(objective)
    loss, gradient = objective.value_and_gradient(theta, x, y)
    for run in range(3):
        theirs = gradients(
            reference(objective, theta[run : run + 1], kind), x[run], y[run], objective
        )
        torch.testing.assert_close((loss[run], gradient[run]), theirs, rtol=1e-11, atol=1e-13)


@every_kind
def test_that_a_run_of_a_population_is_the_run_alone(kind: dict[str, Any]) -> None:
    sample = torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    objective = build(kind, sample)
    theta, x, y = draw(objective)
    together = objective.value_and_gradient(theta, x, y)
    evaluation = objective.evaluate(theta, x[0], y[0])
    for run in range(3):
        row = slice(run, run + 1)
        alone = objective.value_and_gradient(theta[row], x[row], y[row])
        torch.testing.assert_close(
            tuple(part[row] for part in together), alone, rtol=1e-10, atol=1e-12
        )
        torch.testing.assert_close(
            evaluation.losses[row],
            objective.evaluate(theta[row], x[0], y[0]).losses,
            rtol=1e-10,
            atol=1e-12,
        )


def test_that_the_number_added_to_the_variance_is_torchs() -> None:
    """Inputs so close together that the variance is of its size: another one, or none, would show."""
    kind = {"batch_norm": True, "epsilon": 1e-3}
    objective = build(kind)
    theta, x, y = draw(objective)
    loss, gradient = objective.value_and_gradient(theta, 0.02 * x, y)
    theirs = gradients(reference(objective, theta[:1], kind), 0.02 * x[0], y[0], objective)
    torch.testing.assert_close((loss[0], gradient[0]), theirs, rtol=1e-10, atol=1e-12)
    other = build({"batch_norm": True, "epsilon": 1e-9}).value_and_gradient(theta, 0.02 * x, y)[0]
    assert abs(float(other[0] - loss[0])) > 1e-3


def test_that_evaluation_takes_the_moments_of_the_training_set_layer_by_layer() -> None:
    kind = {"batch_norm": True, "skip": True}
    sample = (
        2.0 * torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
        + 1.0
    )
    objective = build(kind, sample)
    theta, x, y = draw(objective)
    module = reference(objective, theta[:1], kind)
    module.set_running(sample)
    # With momentum 1 a training pass over the whole set leaves each layer's exact moments behind.
    expected = nn.functional.cross_entropy(module(x[0])[0], y[0], reduction="none").detach()
    torch.testing.assert_close(
        objective.evaluate(theta[:1], x[0], y[0]).losses[0], expected, rtol=1e-11, atol=1e-13
    )
    torch.testing.assert_close(
        objective.outputs(theta[:1], x[:1], EVALUATION)[0],
        module(x[0])[0].detach(),
        rtol=1e-11,
        atol=1e-13,
    )
    by_batch = objective.per_example(theta[:1], x[:1], y[:1], ForwardContext(training=True))
    assert (by_batch[0] - expected).abs().max() > 1e-2


@pytest.mark.parametrize("values", [30, 4 * 40 * 6, 10**7])
def test_that_an_evaluation_does_not_depend_on_its_chunks(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = torch.randn(40, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    objective = build({"batch_norm": True}, sample)
    theta, x, y = draw(objective, m=23)
    full = objective.evaluate(theta, x[0], y[0])
    monkeypatch.setattr(objective_module, "CHUNK_VALUES", values)
    cut = objective.evaluate(theta, x[0], y[0])
    assert cut.errors is not None and full.errors is not None
    assert torch.equal(cut.errors, full.errors)
    torch.testing.assert_close(cut.losses, full.losses, rtol=1e-12, atol=1e-13)
    # Nor on the others that are evaluated with it.
    torch.testing.assert_close(
        objective.evaluate(theta, x[0, :1], y[0, :1]).losses,
        full.losses[:, :1],
        rtol=1e-12,
        atol=1e-13,
    )


def test_that_at_most_the_first_examples_give_the_moments() -> None:
    sample = torch.randn(
        SAMPLE + 500, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(5)
    )
    changed = sample.clone()
    changed[SAMPLE:] = 100.0
    theta, x, y = draw(build({"batch_norm": True}), runs=1)
    first, second = (
        build({"batch_norm": True}, one).evaluate(theta, x[0], y[0]).losses
        for one in (sample, changed)
    )
    assert torch.equal(first, second)


def test_that_an_evaluation_without_training_examples_is_refused() -> None:
    objective = build({"batch_norm": True})
    theta, x, y = draw(objective)
    with pytest.raises(ValueError, match="the objective needs training examples"):
        objective.evaluate(theta, x[0], y[0])


def test_that_a_batch_of_one_example_normalizes_to_the_shift() -> None:
    objective = build({"batch_norm": True})
    theta, x, y = draw(objective, m=1)
    traced: dict[str, torch.Tensor] = {}
    objective.outputs(theta, x, ForwardContext(training=True, trace=traced.__setitem__))
    named = objective.layout.named(theta)
    for number in range(3):
        assert torch.equal(traced[f"norms.{number}"][:, 0], named[f"norms.{number}.bias"])
    gradient = objective.layout.named(objective.value_and_gradient(theta, x, y)[1])
    assert all(not gradient[f"layers.{number}.weight"].any() for number in range(3))
    assert gradient["norms.2.bias"].all()


def test_that_scales_start_at_one_and_are_not_decayed() -> None:
    objective = build({"batch_norm": True}, l2=0.1)
    roles = {spec.name: spec.role for spec in objective.layout.parameters}
    assert (
        roles["norms.0.weight"] == "scale"
        and roles["norms.0.bias"] == "bias"
        and "layers.0.bias" not in roles
    )
    initializer: Any = registry.build("initializer", {"name": "normalized", "bias": 0.25})
    named = objective.layout.named(
        initializer.start(objective.layout, torch.Generator().manual_seed(0)).unsqueeze(0)
    )
    assert (named["norms.0.weight"] == 1.0).all() and (named["norms.0.bias"] == 0.25).all()
    theta, x, y = draw(objective)
    difference = (
        objective.value_and_gradient(theta, x, y)[1]
        - build({"batch_norm": True}).value_and_gradient(theta, x, y)[1]
    )
    for name, part in objective.layout.named(difference).items():
        expected = (
            0.1 * objective.layout.named(theta)[name]
            if roles[name] == "weight"
            else torch.zeros_like(part)
        )
        torch.testing.assert_close(part, expected, rtol=1e-8, atol=1e-12)


def test_that_the_gradient_does_not_stretch_what_is_normalized_away() -> None:
    """The loss does not depend on the length of a row of weights, so its gradient is perpendicular
    to the row.
    """
    objective = build({"batch_norm": True, "epsilon": 1e-12})
    theta, x, y = draw(objective)
    gradient = objective.layout.named(objective.value_and_gradient(theta, x, y)[1])[
        "layers.1.weight"
    ]
    along = (gradient * objective.layout.named(theta)["layers.1.weight"]).sum(dim=2)
    assert along.abs().max() < 1e-8 < gradient.abs().max()


def test_that_heads_are_in_the_gradient_but_not_in_the_reported_loss() -> None:
    objective, plain = build({"auxiliary": 0.5}, l2=0.1), build({})
    theta, x, y = draw(objective)
    loss, gradient = objective.value_and_gradient(theta, x, y)
    torch.testing.assert_close(
        loss, plain.losses(theta[:, : plain.layout.total], x, y), rtol=1e-13, atol=0.0
    )
    torch.testing.assert_close(
        objective.evaluate(theta, x[0], y[0]).losses,
        plain.evaluate(theta[:, : plain.layout.total], x[0], y[0]).losses,
    )
    added = objective.added(theta, x, y)
    assert added is not None
    leaf = theta.clone().requires_grad_()
    total = objective.total(leaf, x, y)
    torch.testing.assert_close(total.detach(), loss + added)
    torch.testing.assert_close(objective.total(theta, x, y, loss), loss + added)
    (full,) = torch.autograd.grad(total.sum(), leaf)
    torch.testing.assert_close(gradient, full, rtol=1e-12, atol=1e-14)
    batch_objective = BatchObjective(objective, x, y, [0, 1, 2], 0)
    torch.testing.assert_close(batch_objective.loss(theta), loss + added, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(
        batch_objective.gradient(theta), (loss + added, gradient), rtol=1e-12, atol=1e-14
    )


def test_that_one_hidden_layer_has_no_auxiliary_head() -> None:
    assert build({"auxiliary": 0.5}, hidden=(6,)).layout == build({}, hidden=(6,)).layout


def test_that_only_layers_that_keep_their_width_have_a_skip_connection() -> None:
    traced: dict[str, torch.Tensor] = {}
    objective = build({"skip": True})
    theta, x, _ = draw(objective)
    objective.outputs(theta, x, ForwardContext(training=True, trace=traced.__setitem__))
    assert [name for name in traced if name.endswith(".sum")] == ["layers.0.sum", "layers.2.sum"]
    torch.testing.assert_close(
        traced["layers.0.sum"], x + traced["layers.0.tanh"], rtol=1e-14, atol=0.0
    )


@every_kind
def test_that_products_with_the_hessian_are_exact(kind: dict[str, Any]) -> None:
    objective = build(kind)
    theta, x, y = draw(objective, runs=2)
    batch_objective = BatchObjective(objective, x, y, [0, 1], 0)
    v = torch.nn.functional.normalize(
        torch.randn(theta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)),
        dim=1,
    )
    theirs = (
        batch_objective.gradient(theta + 1e-6 * v)[1]
        - batch_objective.gradient(theta - 1e-6 * v)[1]
    ) / 2e-6
    torch.testing.assert_close(
        batch_objective.hessian_product(theta)(v), theirs, rtol=1e-5, atol=1e-7
    )


def experiment(optimizer: dict[str, Any], kind: dict[str, Any], **more: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 101},
            "model": {"name": "mlp", "hidden": [5, 5], "activation": "tanh", **kind},
            "optimizer": optimizer,
            **more,
        }
    )


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "newton", "damping": 1.0},
        {"name": "natural_gradient", "damping": 0.1},
        {"name": "lbfgs"},
        {"name": "adam"},
        {"name": "nesterov"},
    ],
    ids=lambda values: values["name"],
)
def test_that_optimizers_work_on_a_normalized_network(optimizer: dict[str, Any]) -> None:
    trainer = Trainer(
        [experiment(optimizer, {"batch_norm": True}, batches={"name": "never_shuffled", "size": 0})]
    )
    first = float(trainer.evaluate()["train_loss"][0])
    for _ in range(15):
        trainer.advance()
    assert not trainer.endings
    assert float(trainer.evaluate()["train_loss"][0]) < first


@pytest.mark.parametrize("name", ["lbfgs", "newton"])
def test_that_the_batch_loss_of_a_closure_based_rule_excludes_the_heads(name: str) -> None:
    """On the whole training set the batch loss of a step is the training loss before it."""
    trainer = Trainer(
        [
            experiment(
                {"name": name}, {"auxiliary": 0.5}, batches={"name": "never_shuffled", "size": 0}
            )
        ]
    )
    before = float(trainer.evaluate()["train_loss"][0])
    trainer.advance()
    assert trainer.recorder.flush()["batch_loss"].values[0, 0] == pytest.approx(before, rel=1e-10)


def test_that_heads_are_refused_where_a_rule_needs_the_predictions() -> None:
    with pytest.raises(InvalidInput, match="uses the predictions of the last head only") as refusal:
        experiment({"name": "natural_gradient"}, {"auxiliary": 0.5})
    assert refusal.value.field == "model.auxiliary"


def test_that_training_with_a_last_batch_of_one_example_continues_and_resumes_exactly() -> None:
    requested = experiment(
        {"name": "adam", "lr": 0.01}, {"batch_norm": True}, batches={"name": "shuffled", "size": 15}
    )
    assert len(requested.dataset.load().training) % 15 == 1
    trainer = Trainer([requested])
    for _ in range(20):
        trainer.advance()
    snapshot = trainer.snapshot(0, 0.0, "asked")
    for _ in range(20):
        trainer.advance()
    resumed = Trainer([requested], [snapshot])
    for _ in range(20):
        resumed.advance()
    assert not trainer.endings
    assert torch.equal(resumed.theta, trainer.theta)
    assert {name: value.tolist() for name, value in resumed.evaluate().items()} == {
        name: value.tolist() for name, value in trainer.evaluate().items()
    }


def test_that_the_full_gradient_of_a_normalized_network_is_that_of_one_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # other models' is taken on so many values at once
    monkeypatch.setattr(full_gradient, "CHUNK_VALUES", 40)
    requested = experiment({"name": "sgd"}, {"batch_norm": True})
    trainer = Trainer(
        [
            requested,
            dataclasses.replace(
                requested, general=requested.general.model_copy(update={"seed": 1})
            ),
        ]
    )
    training = requested.dataset.load().training
    for run in range(2):
        x, y = torch.from_numpy(training.x).unsqueeze(0), torch.from_numpy(training.y).unsqueeze(0)
        gradient = trainer.objective.value_and_gradient(trainer.theta[run : run + 1], x, y)[1]
        assert float(trainer.full_gradient_norm()[run]) == pytest.approx(
            float(gradient.norm()), rel=1e-12
        )
