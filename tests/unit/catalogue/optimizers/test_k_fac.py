"""K-FAC against the paper in NumPy, against curvlinops, and against matrices where it is exact."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import optlab.optim
from optlab.catalogue.models.base import ForwardContext
from optlab.catalogue.optimizers.base import Outcome
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.numerics import kronecker
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.seeding import generator
from optlab.training.trainer import Trainer

REFERENCES = Path(__file__).parent / "references"


def experiment(**tables: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "seed": 3,
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "moons", "size": 80},
            "model": {"name": "mlp", "hidden": [4], "activation": "tanh"},
            "optimizer": {"name": "k_fac"},
            "batches": {"name": "shuffled", "size": 32},
            **tables,
        }
    )


class Published:
    """The algorithm of the paper for a network 2-4-2 with tanh, in NumPy."""

    def __init__(self, theta: Any, l2: float, damping: float, momentum: bool) -> None:
        self.theta, self.l2, self.damping, self.momentum = theta, l2, damping, momentum
        self.last = np.zeros_like(theta)
        self.factors: list[Any] = []
        self.trials: list[int] = []

    @staticmethod
    def parts(theta: Any) -> list[Any]:
        """The layers as matrices with the bias in the last column."""
        first = np.c_[theta[:8].reshape(4, 2), theta[8:12]]
        return [first, np.c_[theta[12:20].reshape(2, 4), theta[20:22]]]

    @staticmethod
    def flat(parts: Any) -> Any:
        return np.concatenate(
            [piece for one in parts for piece in (one[:, :-1].ravel(), one[:, -1])]
        )

    def forward(self, theta: Any, x: Any) -> Any:
        one, two = self.parts(theta)
        below = np.c_[x, np.ones(len(x))]
        above = np.c_[np.tanh(below @ one.T), np.ones(len(x))]
        outputs = above @ two.T
        p = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return below, above, p / p.sum(axis=1, keepdims=True)

    def decayed(self) -> Any:
        return self.flat([np.c_[np.ones((4, 2)), np.zeros(4)], np.c_[np.ones((2, 4)), np.zeros(2)]])

    def loss(self, theta: Any, x: Any, y: Any) -> float:
        p = self.forward(theta, x)[2]
        own = -np.log(p[np.arange(len(y)), y]).mean()
        return float(own + 0.5 * self.l2 * (self.decayed() * theta**2).sum())

    def deltas(self, above: Any, delta: Any) -> list[Any]:
        """Gradients by the outputs of both layers, from those of the last one."""
        two = self.parts(self.theta)[1]
        return [(delta @ two)[:, :-1] * (1 - above[:, :-1] ** 2), delta]

    def matrix(self, x: Any) -> Any:
        """The Gauss–Newton matrix, with weight decay."""
        below, above, p = self.forward(self.theta, x)
        total = self.l2 * np.diag(self.decayed())
        for i in range(len(x)):
            rows = []
            for unit in np.eye(2):
                one, two = self.deltas(above[i : i + 1], unit[None])
                rows.append(self.flat([np.outer(one, below[i]), np.outer(two, above[i])]))
            jacobian = np.stack(rows)
            total = total + jacobian.T @ (np.diag(p[i]) - np.outer(p[i], p[i])) @ jacobian / len(x)
        return total

    def step(self, x: Any, y: Any, t: int) -> None:
        below, above, p = self.forward(self.theta, x)
        m = len(y)
        grads = self.deltas(above, (p - np.eye(2)[y]) / m)
        g = self.flat([grads[0].T @ below, grads[1].T @ above])
        g = g + self.l2 * self.decayed() * self.theta
        u = torch.rand(m, 2, dtype=torch.float64, generator=generator(3, f"k_fac/{t - 1}"))
        drawn = (u[:, 0].numpy() >= p[:, 0]).astype(int)
        sampled = self.deltas(above, p - np.eye(2)[drawn])
        fresh = [(a.T @ a / m, d.T @ d / m) for a, d in zip((below, above), sampled, strict=True)]
        keep = min(1 - 1 / t, 0.95)
        self.factors = [
            (keep * old[0] + (1 - keep) * new[0], keep * old[1] + (1 - keep) * new[1])
            for old, new in zip(self.factors or fresh, fresh, strict=True)
        ]
        before, matrix = self.loss(self.theta, x, y), self.matrix(x)
        trials = 0
        while trials < 6:
            gamma = self.damping**0.5
            blocks = []
            for (a, s), part in zip(self.factors, self.parts(g), strict=True):
                pi = ((np.trace(a) / len(a)) / (np.trace(s) / len(s))) ** 0.5
                left = np.linalg.inv(s + gamma / pi * np.eye(len(s)))
                blocks.append(-left @ part @ np.linalg.inv(a + gamma * pi * np.eye(len(a))))
            basis = [self.flat(blocks)]
            if self.momentum and self.last.any():
                basis.append(self.last)
            span = np.stack(basis, axis=1)
            damped = matrix + self.damping * np.eye(22)
            v = span @ np.linalg.solve(span.T @ damped @ span, -span.T @ g)
            predicted = g @ v + 0.5 * v @ damped @ v
            ratio = (self.loss(self.theta + v, x, y) - before) / predicted
            if ratio > 0:
                self.theta, self.last = self.theta + v, v
                self.damping *= 0.95 if ratio > 0.75 else 1 / 0.95 if ratio < 0.25 else 1.0
                break
            self.damping *= 4
            trials += 1
        self.trials.append(trials)


@pytest.mark.parametrize("momentum", [True, False])
@pytest.mark.parametrize("damping", [0.3, 1e-6])
def test_that_the_steps_are_those_of_the_paper(momentum: bool, damping: float) -> None:
    rule = {"name": "k_fac", "momentum": momentum, "damping": damping}
    loss = {"name": "cross_entropy", "l2": 0.01}
    trainer = Trainer([experiment(optimizer=rule, loss=loss)])
    published = Published(trainer.theta[0].numpy().copy(), 0.01, damping, momentum)
    for t in range(1, 16):
        x, y = (part[0].numpy() for part in trainer.batch_of(t - 1))
        published.step(x, y, t)
        trainer.advance()
        np.testing.assert_allclose(trainer.theta[0].numpy(), published.theta, rtol=1e-6, atol=1e-8)
    if momentum:
        assert any(published.trials) == (damping == 1e-6), "repeated where λ is too small"
    state = trainer.population.groups[0].state
    assert float(state["damping"]) == pytest.approx(published.damping, rel=1e-9)


def test_that_the_factors_are_those_of_curvlinops() -> None:
    """A convolution and an affine layer of a torch module; drawn targets, over 300 draws."""
    spec = importlib.util.spec_from_file_location("make", REFERENCES / "make_curvature.py")
    assert spec is not None and spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    document = json.loads((REFERENCES / "k_fac.json").read_text(encoding="utf-8"))
    model, x = make.module(), make.inputs()
    optimizer = optlab.optim.KFAC(model.parameters())

    def closure() -> Any:
        outputs = model(x)
        return outputs.logsumexp(dim=1).mean(), outputs

    parameters = list(model.parameters())
    objective = optimizer._objective(parameters, closure)
    drawn = []
    for objective.number in range(300):
        drawn.append(objective.layer_factors(objective.theta, "k_fac"))
    for index, dense in enumerate(document["layers"].values()):
        theirs = torch.tensor(dense, dtype=torch.float64)
        a = drawn[0][index].inputs[0]
        assert all(torch.equal(one[index].inputs[0], a) for one in drawn[:5])
        s = torch.stack([one[index].outputs[0] for one in drawn])
        rows, columns = s.shape[1], a.shape[0]
        # Entry (i, j), (k, l) of S ⊗ A; the bias is the last column.
        weights = torch.arange(rows * (columns - 1)).view(rows, columns - 1)
        order = torch.cat([weights, rows * (columns - 1) + torch.arange(rows).view(-1, 1)], dim=1)
        order = order.flatten()
        blocks = theirs[order][:, order].reshape(rows, columns, rows, columns)
        exact = torch.einsum("ijkj->ik", blocks) / a.trace()
        torch.testing.assert_close(
            torch.einsum("ik,jl->ijkl", exact, a), blocks, rtol=1e-9, atol=1e-12
        )
        error = s.std(dim=0) / len(s) ** 0.5
        assert ((s.mean(dim=0) - exact).abs() <= 4.0 * error + 1e-12).all()
        assert (error <= 0.1 * exact.diagonal().max()).all()


def test_that_the_curvature_of_linear_regression_is_exact() -> None:
    """The gradients by the outputs are independent of the inputs, so only their draws differ."""
    of = experiment(
        dataset={"name": "diabetes"},
        model={"name": "linear"},
        loss={"name": "squared_error"},
        batches={"name": "never_shuffled", "size": 0},
    )
    trainer = Trainer([of])
    objective = trainer.population._objective
    x, y = trainer.batch_of(0)
    (factor,) = BatchObjective(objective, x, y, [0], 0).layer_factors(trainer.theta, "k_fac")
    assert float(factor.outputs) == pytest.approx(2.0, abs=6.0 * 2.0 * (2.0 / x.shape[1]) ** 0.5)
    fisher = BatchObjective(objective, x, y, [0], 0).fisher(trainer.theta)[0]
    torch.testing.assert_close(2.0 * factor.inputs[0], fisher, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "model",
    [
        {"name": "cnn", "channels": [2, 3]},
        {"name": "deep_linear", "width": 5},
        {"name": "mlp", "hidden": [6, 6], "skip": True},
        {"name": "autoencoder"},
    ],
    ids=lambda model: model["name"],
)
def test_that_the_gradient_is_the_sum_over_the_layers_that_are_shown(model: dict[str, Any]) -> None:
    """Every layer is shown, once, with the weight that it belongs to: its inputs and deltas are
    those of the gradient.
    """
    trainer = Trainer(
        [
            experiment(
                dataset={"name": "digits"}, model=model, batches={"name": "shuffled", "size": 16}
            )
            for _ in range(2)
        ]
    )
    objective = trainer.population._objective
    theta = trainer.theta + 0.01 * torch.randn_like(trainer.theta)
    x, y = trainer.batch_of(0)
    taken: list[Any] = []

    def tap(weight: int, inputs: torch.Tensor, outputs: torch.Tensor) -> torch.Tensor:
        probe = torch.zeros_like(outputs, requires_grad=True)
        taken.append((weight, inputs, probe))
        return outputs + probe

    losses = objective.losses(theta, x, y, ForwardContext(training=True, tap=tap))
    deltas = torch.autograd.grad(losses.sum(), [probe for _, _, probe in taken])
    gradient = objective.layout.split(objective.value_and_gradient(theta, x, y)[1])
    shapes = kronecker.layer_shapes(objective.layout)
    assert [weight for weight, _, _ in taken] == [shape.weight for shape in shapes]
    for shape, (weight, inputs, _), delta in zip(shapes, taken, deltas, strict=True):
        a, d = inputs.flatten(1, -2), delta.flatten(1, -2)
        torch.testing.assert_close(d.transpose(1, 2) @ a, gradient[weight].flatten(2))
        if shape.bias:
            torch.testing.assert_close(d.sum(dim=1), gradient[weight + 1])


def test_that_a_torch_module_with_a_convolution_takes_the_engines_steps() -> None:
    of = experiment(
        dataset={"name": "digits"},
        model={"name": "cnn", "channels": [2], "activation": "relu"},
        batches={"name": "shuffled", "size": 24},
    )
    trainer = Trainer([of])
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, padding=1),
        torch.nn.ReLU(inplace=True),
        torch.nn.AvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(32, 10),
    ).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    optimizer = optlab.optim.KFAC(model.parameters(), seed=3)
    for step in range(4):
        x, y = (part[0] for part in trainer.batch_of(step))

        def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> Any:
            outputs = model(x.unsqueeze(1))
            return torch.nn.functional.cross_entropy(outputs, y), outputs

        optimizer.step(closure)
        trainer.advance()
    theirs = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(theirs, trainer.theta[0], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    "model",
    [{"name": "lstm"}, {"name": "mlp", "batch_norm": True}, {"name": "transformer"}],
    ids=lambda model: model["name"],
)
def test_that_a_model_of_other_layers_is_refused_in_words(model: dict[str, Any]) -> None:
    with pytest.raises(
        InvalidInput, match=r"affine layers and convolutions.*hessian_free"
    ) as found:
        experiment(dataset={"name": "digits"}, model=model)
    assert found.value.field == "optimizer.name"


def test_that_a_script_is_told_of_the_layer_that_has_no_factors() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(self.layer(x).tanh())

    x, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    modules = {
        "parameters.0 is not the weight": Twice(),
        r"parameters.2 with the shape \[3\] belongs to none": torch.nn.Sequential(
            torch.nn.Linear(3, 3), torch.nn.LayerNorm(3)
        ),
    }
    for message, module in modules.items():
        optimizer = optlab.optim.KFAC(module.parameters())
        before = torch.nn.utils.parameters_to_vector(module.parameters())

        def closure(module: torch.nn.Module = module) -> Any:
            outputs = module(x)
            return torch.nn.functional.cross_entropy(outputs, y), outputs

        with pytest.raises(RuntimeError, match=message):
            optimizer.step(closure)
        assert torch.equal(torch.nn.utils.parameters_to_vector(module.parameters()), before)


class Changed:
    """The objective of a first batch, of which a test changes something."""

    def __init__(self) -> None:
        self.trainer = Trainer([experiment()])
        self.objective = BatchObjective(
            self.trainer.population._objective, *self.trainer.batch_of(0), [3], 0
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def only(self, run: int) -> Any:
        return self

    def step(self, **state: torch.Tensor) -> Outcome:
        """The outcome of a step from the start, with these entries of the state."""
        (group,) = self.trainer.population.groups
        group.schedule(0)
        return group.optimizer.step(self.trainer.theta, self, {**group.state, **state}, group.h)


def test_that_a_step_that_nothing_makes_a_descent_is_refused_and_said() -> None:
    class Rising(Changed):
        """A loss that rises along every step, which its derivatives do not tell."""

        def loss(self, theta: torch.Tensor) -> torch.Tensor:
            at = self.trainer.theta
            return self.objective.loss(at) + (theta - at).abs().sum(dim=1)

    class Unknown(Changed):
        """Products with its curvature are no numbers."""

        def gauss_newton_product(self, theta: torch.Tensor) -> Any:
            return lambda v: float("nan") * v

    for objective in (Rising(), Unknown()):
        outcome = objective.step()
        assert torch.equal(outcome.theta, objective.trainer.theta)
        assert outcome.notes[0].startswith(
            "the step was refused: no step with a damping up to 30.7 "
        )
        assert float(outcome.state["damping"]) == pytest.approx(0.03 * 4.0**6)
        assert not outcome.state["v"].any()


class Flat(Changed):
    """With so large a part of its gradient, as at the end of training."""

    def __init__(self, part: float) -> None:
        super().__init__()
        self.part = part

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        value, g = self.objective.gradient(theta)
        return value, self.part * g


def test_that_a_gradient_whose_square_vanishes_is_no_error() -> None:
    objective = Flat(1e-170)
    outcome = objective.step()
    assert torch.equal(outcome.theta, objective.trainer.theta)
    assert outcome.notes == ("",)
    assert float(outcome.state["damping"]) == 0.03


def test_that_the_step_is_linear_in_the_gradient_and_takes_the_direction_of_the_last_one() -> None:
    objective = Changed()
    source = torch.Generator().manual_seed(0)
    last = torch.randn(1, 22, dtype=torch.float64, generator=source)
    steps = [objective.step(v=size * last).state["v"] for size in (0.0, 1e-4, 1.0, 1e4)]
    assert (steps[0] - steps[2]).abs().max() > 1e-3
    torch.testing.assert_close(steps[1], steps[2])
    torch.testing.assert_close(steps[3], steps[2])
    small = Flat(1e-4).step(v=last).state["v"]
    torch.testing.assert_close(1e4 * small, steps[2])


def test_that_it_rests_at_the_minimum_where_changes_are_rounding_errors() -> None:
    of = experiment(
        dataset={"name": "diabetes"},
        model={"name": "linear"},
        loss={"name": "squared_error"},
        batches={"name": "never_shuffled", "size": 0},
    )
    trainer = Trainer([of])
    x, y = (part[0].numpy() for part in trainer.batch_of(0))
    best = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0].ravel()
    dampings = []
    for _ in range(150):
        trainer.advance()
        dampings.append(float(trainer.population.groups[0].state["damping"]))
        assert not trainer.notes
    np.testing.assert_allclose(trainer.theta[0].numpy(), best, atol=1e-6)
    assert dampings[0] != dampings[1] and len(set(dampings[-20:])) == 1
