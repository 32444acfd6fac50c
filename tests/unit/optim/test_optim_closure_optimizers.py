"""Closure-based optimizers of ``optlab.optim``: the trainer's numbers, closures, saved state."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import optlab.optim
from optlab.experiment import Experiment
from optlab.training.trainer import Trainer

NEWTONS = [("Newton", "newton"), ("SaddleFreeNewton", "saddle_free_newton")]


def iris(rule: str, **values: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "seed": 3,
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "iris"},
            "model": {"name": "mlp", "hidden": [3], "activation": "tanh"},
            "loss": {"name": "cross_entropy", "l2": 0.05},
            "optimizer": {"name": rule, **values},
            "batches": {"name": "never_shuffled", "size": 20},
        }
    )


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)
    ).double()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(20, 3, dtype=torch.float64, generator=generator), torch.randint(
        0, 2, (20,), generator=generator
    )


def loss_of(model: torch.nn.Module) -> Any:
    x, y = data()
    return lambda: torch.nn.functional.cross_entropy(model(x), y)


def flat(model: torch.nn.Module) -> torch.Tensor:
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach()


@pytest.mark.parametrize(("face", "rule"), NEWTONS)
@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_two_hundred_steps_on_minibatches_are_the_engines(
    face: str, rule: str, solver: str
) -> None:
    values: dict[str, Any] = {
        "lr": 0.3,
        "damping": 0.5,
        "solver": solver,
        **({"krylov": 6} if rule == "saddle_free_newton" else {}),
    }
    experiment = iris(rule, **values)
    trainer = Trainer([experiment])
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)
    ).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    optimizer = getattr(optlab.optim, face)(model.parameters(), **values)
    part = experiment.dataset.load().training
    x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
    start = trainer.theta.clone()
    for step in range(200):
        first = step % trainer.steps_per_epoch * 20
        rows = slice(first, min(first + 20, len(x)))

        def closure(rows: slice = rows) -> torch.Tensor:
            decay = model[0].weight.square().sum() + model[2].weight.square().sum()  # type: ignore[operator, union-attr]
            return torch.nn.functional.cross_entropy(model(x[rows]), y[rows]) + 0.025 * decay

        optimizer.step(closure)
        trainer.advance()
    assert (trainer.theta - start).norm() > 0.1
    torch.testing.assert_close(flat(model), trainer.theta[0], rtol=1e-10, atol=1e-10)


def test_that_weight_decay_and_maximize_are_part_of_the_objective() -> None:
    """On −J with J a concave quadratic; one full Newton step is enough."""
    target = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    parameter = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    optimizer: Any = optlab.optim.Newton([parameter], damping=0.0, weight_decay=0.5, maximize=True)
    loss = optimizer.step(lambda: -(parameter - target).square().sum())
    torch.testing.assert_close(parameter.detach(), target * 2.0 / 2.5)
    assert loss.item() == -14.0, "the loss that is returned is the closure's own"


def test_that_the_step_returns_the_loss_before_it_and_leaves_gradients_alone() -> None:
    model = network()
    gradient = torch.ones_like(model[0].weight)
    model[0].weight.grad = gradient
    optimizer: Any = optlab.optim.Newton(model.parameters(), damping=1.0)
    before = loss_of(model)().item()
    loss = optimizer.step(loss_of(model))
    assert loss.item() == before and not loss.requires_grad
    assert model[0].weight.grad is gradient and model[2].weight.grad is None
    assert loss_of(model)().item() < before


def test_that_a_note_says_where_newton_climbs() -> None:
    parameter = torch.nn.Parameter(torch.tensor([0.1, 0.5], dtype=torch.float64))
    optimizer: Any = optlab.optim.Newton([parameter], damping=0.0)
    assert optimizer.note == ""
    optimizer.step(lambda: parameter[0] ** 2 - parameter[1] ** 2)
    assert "uphill" in optimizer.note
    assert parameter.detach().abs().max() < 1e-14


def test_that_a_rule_that_moves_between_product_and_use_gets_the_product_at_its_point() -> None:
    from optlab.optim.closure_objective import ClosureObjective

    model = network()
    parameters = list(model.parameters())
    objective = ClosureObjective("Newton", parameters, loss_of(model), {"seed": 0})
    theta = objective.theta
    product = objective.hessian_product(theta)
    v = torch.randn(theta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    first = product(v)
    objective.gradient(theta + 1.0)
    torch.testing.assert_close(product(v), first, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(objective.hessian(theta)[0] @ v[0], first[0], rtol=1e-10, atol=1e-12)


def test_that_a_closure_that_called_backward_is_refused_and_nothing_moves() -> None:
    model = network()
    start = flat(model)

    def closure() -> torch.Tensor:
        model.zero_grad()
        loss: torch.Tensor = loss_of(model)()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match=r"the closure called backward\(\)"):
        optlab.optim.Newton(model.parameters()).step(closure)  # type: ignore[arg-type]
    assert torch.equal(flat(model), start)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda loss: loss.detach(), "has no graph"),
        (lambda loss: loss.item(), "a tensor with one element, but it returned float"),
        (lambda loss: torch.stack([loss, loss]), r"it returned a tensor of shape \[2\]"),
        (lambda loss: None, "it returned NoneType"),
    ],
)
def test_that_a_closure_that_returns_no_differentiable_number_is_refused_in_words(
    wrong: Any, words: str
) -> None:
    model = network()
    optimizer: Any = optlab.optim.SaddleFreeNewton(model.parameters())
    with pytest.raises(RuntimeError, match=words):
        optimizer.step(lambda: wrong(loss_of(model)()))


def test_that_a_step_without_closure_is_refused_in_words() -> None:
    with pytest.raises(RuntimeError, match="needs a closure"):
        optlab.optim.Newton(network().parameters()).step()  # type: ignore[arg-type]


def test_that_an_error_of_the_closure_leaves_the_parameters_where_they_were() -> None:
    model = network()
    start = flat(model)
    calls = []

    def closure() -> torch.Tensor:
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("the data is gone")
        loss: torch.Tensor = loss_of(model)()
        return loss

    optimizer: Any = optlab.optim.LBFGS(model.parameters())
    with pytest.raises(KeyError, match="gone"):
        for _ in range(3):
            start = flat(model)
            optimizer.step(closure)
    assert torch.equal(flat(model), start)


def test_that_groups_types_and_arguments_that_do_not_fit_are_refused_in_words() -> None:
    a, b = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="one parameter group only"):
        optlab.optim.Newton([{"params": [a]}, {"params": [torch.nn.Parameter(torch.ones(1))]}])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="of one type on one device"):
        optlab.optim.Newton([a, b])
    with pytest.raises(ValueError, match="damping is -1"):
        optlab.optim.Newton([a], damping=-1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Newton"):
        optlab.optim.Newton([a], dampening=1.0)  # type: ignore[call-arg]


def test_that_frozen_parameters_stay_and_unused_ones_get_no_step_of_their_own() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    unused = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    kept = model[0].weight.clone()
    before = loss_of(model)().item()
    optimizer: Any = optlab.optim.Newton([*model.parameters(), unused], damping=0.5)
    optimizer.step(loss_of(model))
    assert torch.equal(model[0].weight, kept) and torch.equal(
        unused, torch.ones(2, dtype=torch.float64)
    )
    assert loss_of(model)().item() < before


@pytest.mark.parametrize(
    ("face", "values"),
    [
        ("LBFGS", {}),
        ("HessianDiagonal", {"before": "adam", "solver": "products", "rho": 0.9}),
        ("BFGS", {}),
    ],
)
def test_that_saved_state_continues_as_if_nothing_had_happened(
    face: str, values: dict[str, Any]
) -> None:
    make = getattr(optlab.optim, face)
    model = network()
    optimizer = make(model.parameters(), **values)
    for _ in range(4):
        optimizer.step(loss_of(model))
    other = copy.deepcopy(model)
    restored = make(other.parameters(), **values)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    twin = copy.deepcopy((model, optimizer))
    for _ in range(4):
        optimizer.step(loss_of(model))
        restored.step(loss_of(other))
        twin[1].step(loss_of(twin[0]))
    assert torch.equal(flat(model), flat(other))
    assert torch.equal(flat(model), flat(twin[0]))


def test_that_a_scheduler_sets_the_rate() -> None:
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer: Any = optlab.optim.Newton([parameter], lr=0.5, damping=0.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    for expected in (0.5, 0.5 * 0.75):
        optimizer.step(lambda: parameter.square().sum())
        scheduler.step()
        assert parameter.item() == pytest.approx(expected)


def test_that_random_rules_follow_their_seed() -> None:
    ends = []
    for seed in (1, 1, 2):
        model = network()
        optimizer: Any = optlab.optim.HessianDiagonal(
            model.parameters(), solver="products", draws=1, seed=seed
        )
        for _ in range(3):
            optimizer.step(loss_of(model))
        ends.append(flat(model))
    assert torch.equal(ends[0], ends[1]) and not torch.equal(ends[0], ends[2])


@pytest.mark.parametrize("solver", ["exact", "products"])
def test_that_two_hundred_natural_steps_on_minibatches_are_the_engines(solver: str) -> None:
    values: dict[str, Any] = {"lr": 0.3, "damping": 0.1, "solver": solver}
    experiment = iris("natural_gradient", **values)
    trainer = Trainer([experiment])
    model = torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3)
    ).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    optimizer: Any = optlab.optim.NaturalGradient(model.parameters(), **values)
    part = experiment.dataset.load().training
    x, y = torch.from_numpy(part.x), torch.from_numpy(part.y)
    start = trainer.theta.clone()
    for step in range(200):
        first = step % trainer.steps_per_epoch * 20
        rows = slice(first, min(first + 20, len(x)))

        def closure(rows: slice = rows) -> tuple[torch.Tensor, torch.Tensor]:
            outputs = model(x[rows])
            decay = model[0].weight.square().sum() + model[2].weight.square().sum()  # type: ignore[operator, union-attr]
            return torch.nn.functional.cross_entropy(outputs, y[rows]) + 0.025 * decay, outputs

        optimizer.step(closure)
        trainer.advance()
    assert (trainer.theta - start).abs().max() > 0.1
    torch.testing.assert_close(flat(model), trainer.theta[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("likelihood", ["cross_entropy", "squared_error"])
def test_that_the_fisher_matrix_is_the_one_of_the_predictions(likelihood: str) -> None:
    model = network()
    x, y = data()
    parameters = dict(model.named_parameters())
    jacobians = torch.func.jacrev(lambda p: torch.func.functional_call(model, p, (x,)))(parameters)
    jacobian = torch.cat([part.reshape(20, 2, -1) for part in jacobians.values()], dim=2)
    outputs = model(x)
    p = outputs.softmax(dim=1).detach()
    categorical = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    weights = (
        categorical
        if likelihood == "cross_entropy"
        else 2.0 * torch.eye(2, dtype=torch.float64).expand(20, 2, 2)
    )
    fisher = torch.einsum("mkp,mkl,mlq->pq", jacobian, weights, jacobian) / 20
    before = flat(model)
    optimizer: Any = optlab.optim.NaturalGradient(
        model.parameters(), lr=1.0, damping=0.01, solver="exact", likelihood=likelihood
    )

    def closure() -> tuple[torch.Tensor, torch.Tensor]:
        outputs = model(x)
        target = torch.nn.functional.one_hot(y, 2)
        return (
            torch.nn.functional.cross_entropy(outputs, y)
            if likelihood == "cross_entropy"
            else (outputs - target).square().sum(dim=1).mean()
        ), outputs

    gradient = torch.cat(
        [part.reshape(-1) for part in torch.autograd.grad(closure()[0], list(model.parameters()))]
    )
    optimizer.step(closure)
    damped = fisher + 0.01 * torch.eye(len(fisher), dtype=torch.float64)
    torch.testing.assert_close(
        flat(model), before - torch.linalg.solve(damped, gradient), rtol=1e-9, atol=1e-11
    )


def test_that_a_closure_without_predictions_is_refused_and_moves_nothing() -> None:
    model = network()
    before = flat(model)
    optimizer: Any = optlab.optim.NaturalGradient(model.parameters())
    with pytest.raises(RuntimeError, match=r"\(loss, outputs\)"):
        optimizer.step(loss_of(model))
    x, y = data()
    with pytest.raises(RuntimeError, match="with its graph"):
        optimizer.step(lambda: (torch.nn.functional.cross_entropy(model(x), y), model(x).detach()))
    assert torch.equal(flat(model), before)
    with pytest.raises(ValueError, match="likelihood is 'hinge'"):
        optlab.optim.NaturalGradient(model.parameters(), likelihood="hinge")


def test_that_the_documentation_says_what_the_closure_is() -> None:
    words = optlab.optim.Newton.__doc__ or ""
    assert "without calling backward()" in words and "optimizer.step(lambda:" in words
    assert "loss.backward()" not in words
