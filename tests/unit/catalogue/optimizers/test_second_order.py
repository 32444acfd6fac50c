"""Newton, saddle-free Newton, natural gradient and diagonal preconditioning against NumPy, SciPy
and closed forms.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.optimizers.base import ObjectiveOptimizer, Outcome
from optlab.catalogue.optimizers.hessian_diagonal import HessianDiagonal
from optlab.catalogue.optimizers.natural_gradient import NaturalGradient
from optlab.catalogue.optimizers.newton import Newton
from optlab.catalogue.optimizers.saddle_free_newton import SaddleFreeNewton
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.experiment import Experiment
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.symmetric import dense
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective
from optlab.training.trainer import Trainer

RULES: list[type[ObjectiveOptimizer]] = [Newton, SaddleFreeNewton, NaturalGradient, HessianDiagonal]
SOLVERS = ["exact", "products"]


class Function:
    """A function of the parameters as an objective: ``[R, P]`` → ``[R]``."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], step: int = 0) -> None:
        self._function = function
        self._step = step
        self.products = 0

    @property
    def gradients(self) -> Sequence[int]:
        return [0]

    def only(self, run: int) -> Function:
        return self

    def generator(self, run: int, purpose: str) -> torch.Generator:
        return torch.Generator().manual_seed(1000 * self._step + run)

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        return self._function(theta)

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = theta.clone().requires_grad_()
        value = self._function(leaf)
        return value.detach(), torch.autograd.grad(value.sum(), leaf)[0]

    def hessian_product(self, theta: torch.Tensor) -> Product:
        leaf = theta.clone().requires_grad_()
        (g,) = torch.autograd.grad(self._function(leaf).sum(), leaf, create_graph=True)

        def product(v: torch.Tensor) -> torch.Tensor:
            self.products += 1
            return torch.autograd.grad(g, leaf, v, retain_graph=True)[0]

        return product

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        return dense(self.hessian_product(theta), theta)

    def fisher_product(self, theta: torch.Tensor) -> Product:
        raise AssertionError("not expected in this test")

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        raise AssertionError("not expected in this test")


def stepped(
    rule: type[ObjectiveOptimizer],
    theta: torch.Tensor,
    objective: Any,
    steps: int = 1,
    **values: Any,
) -> Outcome:
    """The outcome of the last of some steps."""
    h = Hyperparameters(**{**rule().values(), **values}, step=1)
    state = rule.begin(theta, h)
    for step in range(1, steps + 1):
        h.step = step
        outcome = rule.step(theta, objective, state, h)
        theta, state = outcome.theta, outcome.state
    return outcome


def numbers(*rows: Sequence[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def objective_of(
    model: dict[str, Any],
    loss: str,
    task: str = "classes",
    runs: int = 1,
    m: int = 40,
    **decay: float,
) -> tuple[BatchObjective, torch.Tensor]:
    """Return the objective of a small model on random data, and initial parameters."""
    built: Any = registry.build("model", model)
    own_loss: Any = registry.build("loss", {"name": loss, **decay})
    objective = Objective(built, own_loss, DataShape((4,), 3, task))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(runs, m, 4, dtype=torch.float64, generator=generator) * torch.tensor(
        [1.0, 10.0, 0.1, 3.0], dtype=torch.float64
    )
    y = torch.randint(0, 3, (runs, m), generator=generator)
    targets = (
        y
        if task == "classes"
        else torch.randn(runs, m, 3, dtype=torch.float64, generator=generator)
    )
    theta = 0.3 * torch.randn(
        runs, objective.layout.total, dtype=torch.float64, generator=generator
    )
    return BatchObjective(objective, x, targets, list(range(runs)), 0), theta


def saddle(theta: torch.Tensor) -> torch.Tensor:
    return theta[:, 0] ** 2 - theta[:, 1] ** 2


def bent(theta: torch.Tensor) -> torch.Tensor:
    """Curved in every direction, with curvature of both signs and off the axes."""
    a, b, c, d = theta.unbind(1)
    return (
        (a * a + b * b * 0.5 - 2.0 * c * c + 0.3 * d * d * d)
        + 0.7 * a * c
        + torch.sin(b * d)
        + 0.1 * torch.exp(a - d)
    )


START = numbers([0.4, -0.7, 0.9, -0.5], [1.0, 0.2, -0.3, 0.8])


# --- Newton ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_that_newton_solves_linear_regression_in_one_step(solver: str) -> None:
    batch_objective, theta = objective_of({"name": "linear"}, "squared_error", "regression")
    after = stepped(
        Newton, theta, batch_objective, solver=solver, damping=0.0, tolerance=1e-14, iterations=500
    ).theta
    design = np.column_stack([batch_objective._x[0].numpy(), np.ones(40)])
    best = np.linalg.lstsq(design, batch_objective._y[0].numpy(), rcond=None)[0]
    np.testing.assert_allclose(
        after[0].numpy(), np.concatenate([best[:4].T.ravel(), best[4]]), rtol=1e-8, atol=1e-10
    )


def test_that_newtons_step_is_the_damped_solve_and_the_rate_scales_it() -> None:
    objective = Function(bent)
    hessian, g = objective.hessian(START), objective.gradient(START)[1]
    after = stepped(Newton, START, objective, damping=0.2, lr=0.5, solver="exact").theta
    for run in range(2):
        direction = np.linalg.solve(hessian[run].numpy() + 0.2 * np.eye(4), g[run].numpy())
        np.testing.assert_allclose(
            after[run].numpy(), START[run].numpy() - 0.5 * direction, rtol=1e-10
        )


def test_that_newton_reaches_the_minimum_that_scipy_finds() -> None:
    batch_objective, theta = objective_of({"name": "linear"}, "cross_entropy", l2=0.05)
    theta = torch.zeros_like(theta)
    after = stepped(Newton, theta, batch_objective, steps=12, damping=0.0).theta

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        loss, g = batch_objective.gradient(torch.from_numpy(flat).unsqueeze(0))
        return loss.item(), g[0].numpy()

    theirs = scipy.optimize.minimize(
        value, theta[0].numpy(), jac=True, method="BFGS", options={"gtol": 1e-10}
    ).x
    np.testing.assert_allclose(batch_objective.loss(after).item(), value(theirs)[0], rtol=1e-12)
    assert batch_objective.gradient(after)[1].norm() < 1e-9


def test_that_newton_jumps_to_a_saddle_and_says_that_it_climbs() -> None:
    outcome = stepped(Newton, numbers([0.1, 0.5], [0.5, 0.1]), Function(saddle), damping=0.0)
    torch.testing.assert_close(
        outcome.theta, torch.zeros(2, 2, dtype=torch.float64), rtol=0.0, atol=1e-14
    )
    assert "uphill" in outcome.notes[0] and "saddle" in outcome.notes[0]
    assert outcome.notes[1] == ""


def test_that_newton_jumps_to_a_maximum() -> None:
    outcome = stepped(
        Newton, numbers([0.3, -0.2]), Function(lambda t: -(t**2).sum(dim=1)), damping=0.0
    )
    assert outcome.theta.abs().max() < 1e-14
    assert "uphill" in outcome.notes[0]


def test_that_newton_says_nothing_where_the_gradient_is_zero() -> None:
    outcome = stepped(Newton, numbers([0.0, 0.0], [1e-3, 0.0]), Function(saddle), damping=0.0)
    assert outcome.notes == ("", "")
    assert torch.equal(outcome.theta, torch.zeros(2, 2, dtype=torch.float64))


def test_that_conjugate_gradients_report_negative_curvature_and_lead_downhill() -> None:
    objective, start = Function(saddle), numbers([0.1, 0.5])
    outcome = stepped(Newton, start, objective, solver="products", damping=0.0, lr=0.1)
    assert "negative curvature at product 1" in outcome.notes[0]
    assert objective.loss(outcome.theta) < objective.loss(start)
    torch.testing.assert_close(outcome.theta, start - 0.1 * numbers([0.2, -1.0]))


def test_that_newton_takes_the_least_norm_step_where_the_hessian_is_singular() -> None:
    """Softmax regression: adding a constant to all outputs changes nothing, and the step has no
    part along that.
    """
    batch_objective, theta = objective_of({"name": "linear"}, "cross_entropy")
    after = stepped(Newton, theta, batch_objective, damping=0.0).theta
    hessian, g = (
        batch_objective.hessian(theta)[0].numpy(),
        batch_objective.gradient(theta)[1][0].numpy(),
    )
    np.testing.assert_allclose(
        (after - theta)[0].numpy(),
        -np.linalg.pinv(hessian, rcond=1e-12, hermitian=True) @ g,
        rtol=1e-6,
        atol=1e-9,
    )
    assert abs((after - theta)[0, 12:].sum().item()) < 1e-9


# --- saddle-free Newton ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_that_the_saddle_free_step_takes_absolute_eigenvalues(solver: str) -> None:
    objective = Function(bent)
    hessian, g = objective.hessian(START), objective.gradient(START)[1]
    after = stepped(
        SaddleFreeNewton, START, objective, damping=0.05, lr=0.7, solver=solver, krylov=4
    ).theta
    for run in range(2):
        values, vectors = np.linalg.eigh(hessian[run].numpy())
        assert values[0] < 0.0 < values[-1]
        direction = vectors @ ((vectors.T @ g[run].numpy()) / (np.abs(values) + 0.05))
        np.testing.assert_allclose(
            after[run].numpy(), START[run].numpy() - 0.7 * direction, rtol=1e-9
        )


@pytest.mark.parametrize("solver", SOLVERS)
def test_that_saddle_free_newton_leaves_the_saddle_that_newton_jumps_to(solver: str) -> None:
    start = numbers([0.5, 1e-3])
    assert stepped(Newton, start, Function(saddle), steps=5, damping=0.0).theta.norm() < 1e-12
    after = stepped(
        SaddleFreeNewton, start, Function(saddle), steps=5, solver=solver, damping=0.0
    ).theta
    torch.testing.assert_close(after, numbers([0.0, 1e-3 * 2.0**5]), rtol=1e-9, atol=1e-12)


def test_that_on_a_convex_problem_saddle_free_newton_is_newton() -> None:
    batch_objective, theta = objective_of({"name": "linear"}, "cross_entropy", l2=0.1, runs=2)
    ours, theirs = (
        stepped(rule, theta, batch_objective, damping=0.01, solver="exact").theta
        for rule in (SaddleFreeNewton, Newton)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_that_within_a_small_krylov_space_the_step_is_that_of_the_projected_hessian() -> None:
    batch_objective, theta = objective_of(
        {"name": "mlp", "hidden": [5], "activation": "tanh"}, "cross_entropy"
    )
    hessian, g = (
        batch_objective.hessian(theta)[0].numpy(),
        batch_objective.gradient(theta)[1][0].numpy(),
    )
    basis = np.linalg.qr(
        np.column_stack([g / np.linalg.norm(g), hessian @ g, hessian @ hessian @ g])
    )[0]
    values, vectors = np.linalg.eigh(basis.T @ hessian @ basis)
    step = basis @ vectors @ ((vectors.T @ basis.T @ g) / (np.abs(values) + 1e-3))
    after = stepped(SaddleFreeNewton, theta, batch_objective, solver="products", krylov=3).theta
    np.testing.assert_allclose((theta - after)[0].numpy(), step, rtol=1e-6, atol=1e-10)


# --- natural gradient ------------------------------------------------------------------------------------------------------------------


def test_that_the_natural_gradient_of_softmax_regression_uses_the_exact_expectation() -> None:
    batch_objective, theta = objective_of({"name": "linear"}, "cross_entropy", l2=0.1)
    x = batch_objective._x[0].numpy()
    logits = x @ theta[0, :12].numpy().reshape(3, 4).T + theta[0, 12:].numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    fisher = np.zeros((15, 15))
    for i in range(40):
        for k in range(3):
            error = np.eye(3)[k] - p[i]
            score = np.concatenate([np.outer(error, x[i]).ravel(), error])
            fisher += p[i, k] * np.outer(score, score) / 40
    g = batch_objective.gradient(theta)[1][0].numpy()
    after = stepped(NaturalGradient, theta, batch_objective, damping=0.01, lr=0.5).theta
    np.testing.assert_allclose(
        after[0].numpy(),
        theta[0].numpy() - 0.5 * np.linalg.solve(fisher + 0.01 * np.eye(15), g),
        rtol=1e-8,
        atol=1e-10,
    )


def test_that_natural_gradient_is_newton_with_a_linear_model_and_is_not_with_a_network() -> None:
    for model, same in (
        ({"name": "linear"}, True),
        ({"name": "mlp", "hidden": [4], "activation": "tanh"}, False),
    ):
        batch_objective, theta = objective_of(model, "cross_entropy")
        ours, theirs = (
            stepped(rule, theta, batch_objective, damping=0.1, solver="exact").theta
            for rule in (NaturalGradient, Newton)
        )
        assert torch.allclose(ours, theirs, rtol=1e-8, atol=1e-10) == same


def test_that_a_natural_gradient_step_on_a_large_network_needs_no_matrix() -> None:
    """P = 85,002: a matrix would hold 58 GB; a step reduces the loss and no tensor in it is larger
    than a few P.
    """
    objective = Objective(
        registry.build("model", {"name": "mlp", "hidden": [256, 256]}),  # type: ignore[arg-type]
        registry.build("loss", {"name": "cross_entropy"}),  # type: ignore[arg-type]
        DataShape((64,), 10, "classes"),
    )
    generator = torch.Generator().manual_seed(0)
    theta = 0.06 * torch.randn(1, objective.layout.total, generator=generator)
    x, y = (
        torch.rand(1, 128, 64, generator=generator),
        torch.randint(0, 10, (1, 128), generator=generator),
    )
    assert theta.shape[1] > 80_000
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            found = func(*args, **(kwargs or {}))
            for tensor in found if isinstance(found, (tuple, list)) else (found,):
                if isinstance(tensor, torch.Tensor):
                    largest = max(
                        largest, tensor.untyped_storage().nbytes() // tensor.element_size()
                    )
            return found

    batch_objective = BatchObjective(objective, x, y, [0], 0)
    first = batch_objective.loss(theta)
    with Watch():
        for _ in range(2):
            theta = stepped(
                NaturalGradient, theta, batch_objective, iterations=10, damping=0.1
            ).theta
    assert batch_objective.loss(theta) < 0.9 * first
    assert theta.shape[1] <= largest <= 4 * theta.shape[1]


# --- preconditioning -------------------------------------------------------------------------------------------------------------------


def test_that_preconditioning_divides_by_the_absolute_diagonal() -> None:
    objective = Function(bent)
    diagonal = objective.hessian(START).diagonal(dim1=1, dim2=2)
    assert (diagonal < 0.0).any()
    after = stepped(HessianDiagonal, START, objective, lr=0.3, damping=0.05).theta
    torch.testing.assert_close(
        after,
        START - 0.3 * objective.gradient(START)[1] / (diagonal.abs() + 0.05),
        rtol=1e-12,
        atol=1e-12,
    )


def test_that_a_scaled_quadratic_is_solved_in_one_step_whatever_its_scales() -> None:
    scales = numbers([1e-3, 1.0, 1e5])
    after = stepped(
        HessianDiagonal,
        torch.ones(1, 3, dtype=torch.float64),
        Function(lambda t: (scales * t**2).sum(dim=1)),
        lr=1.0,
        damping=0.0,
    )
    assert after.theta.abs().max() < 1e-12


def test_that_the_estimate_is_exact_for_a_diagonal_hessian_and_unbiased_for_others() -> None:
    """Signs square to one, so off-diagonal entries are the only source of error: variance Σⱼ≠ᵢ Hᵢⱼ²
    for one draw.
    """
    a = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a = a @ a.T + torch.eye(6, dtype=torch.float64)
    start = torch.ones(1, 6, dtype=torch.float64)

    def estimate(matrix: torch.Tensor, draws: int) -> torch.Tensor:
        objective = Function(lambda t: 0.5 * ((t @ matrix) * t).sum(dim=1))
        h = Hyperparameters(
            **{**HessianDiagonal().values(), "solver": "products", "draws": draws}, step=1
        )
        state = HessianDiagonal.step(start, objective, HessianDiagonal.begin(start, h), h).state
        assert objective.products == draws
        return state["hessian_diagonal"][0]

    torch.testing.assert_close(estimate(torch.diag(a.diagonal()), 1), a.diagonal())
    deviation = (a.square().sum(dim=1) - a.diagonal().square()).sqrt()
    error = estimate(a, 2000) - a.diagonal()
    assert error.any() and (error.abs() < 4.0 * deviation / 2000**0.5).all()


def test_that_a_run_with_fewer_draws_asks_for_no_more_products() -> None:
    given: list[torch.Tensor] = []

    class Counted(Function):
        def hessian_product(self, theta: torch.Tensor) -> Product:
            product = super().hessian_product(theta)

            def counted(v: torch.Tensor) -> torch.Tensor:
                given.append(v)
                return product(v)

            return counted

    objective = Counted(lambda t: (numbers([0.5, 4.0]) * t**2).sum(dim=1))
    draws = torch.tensor([[1.0], [3.0]], dtype=torch.float64)
    stepped(
        HessianDiagonal,
        numbers([1.0, -2.0], [3.0, 1.0]),
        objective,
        solver="products",
        draws=draws,
    )
    assert torch.stack([v.any(dim=1) for v in given]).sum(dim=0).tolist() == [1, 3]


def test_that_the_memory_of_the_diagonal_is_corrected_for_its_start() -> None:
    """With a constant Hessian the averaged diagonal is that of every step, from the first one on."""
    objective = Function(lambda t: (numbers([0.5, 4.0]) * t**2).sum(dim=1))
    ours = stepped(HessianDiagonal, numbers([1.0, -2.0]), objective, steps=7, rho=0.9).theta
    theirs = stepped(HessianDiagonal, numbers([1.0, -2.0]), objective, steps=7, rho=0.0).theta
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("before", HessianDiagonal.field("before").choices)
def test_that_the_rule_behind_sees_the_preconditioned_gradient_where_it_wants_it(
    before: str,
) -> None:
    objective: Any = Function(bent)
    behind: Any = registry.get("optimizer", before)
    values = {**behind().values(), "lr": 0.05}
    theta, state = START, behind.start(START)
    for step in range(1, 6):
        h = Hyperparameters(**values, step=step)
        point = behind.point(theta, state, h)
        diagonal = objective.hessian(point).diagonal(dim1=1, dim2=2)
        theta, state = behind.update(
            theta, objective.gradient(point)[1] / (diagonal.abs() + 0.01), state, h
        )
    ours = stepped(HessianDiagonal, START, objective, steps=5, before=before, lr=0.05)
    torch.testing.assert_close(ours.theta, theta, rtol=1e-12, atol=1e-14)


# --- all of them -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Newton, SaddleFreeNewton, NaturalGradient])
def test_that_both_solvers_agree_where_the_products_are_many(rule: Any) -> None:
    batch_objective, theta = objective_of(
        {"name": "mlp", "hidden": [4], "activation": "tanh"}, "cross_entropy", runs=2
    )
    values = {"iterations": 2000, "tolerance": 1e-14, "krylov": 100, "damping": 2.0}
    ours, theirs = (
        stepped(rule, theta, batch_objective, solver=solver, **values) for solver in SOLVERS
    )
    torch.testing.assert_close(ours.theta, theirs.theta, rtol=1e-8, atol=1e-9)
    assert not any(theirs.notes) and not torch.equal(ours.theta, theta)


@pytest.mark.parametrize("rule", RULES)
def test_that_auto_is_exact_for_few_parameters_only(rule: Any) -> None:
    for hidden, same in (([20], "exact"), ([90], "products")):
        batch_objective, theta = objective_of(
            {"name": "mlp", "hidden": hidden, "activation": "tanh"}, "cross_entropy"
        )
        auto, other = (
            stepped(rule, theta, batch_objective, solver=solver, damping=0.5).theta
            for solver in ("auto", same)
        )
        assert torch.equal(auto, other)


@pytest.mark.parametrize("rule", RULES)
def test_that_a_matrix_too_large_to_build_is_refused_in_words(rule: Any) -> None:
    tables = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp", "hidden": [256]},
        "optimizer": {"name": rule.name, "solver": "exact"},
    }
    with pytest.raises(InvalidInput, match="use products"):
        Experiment.from_dict(tables)
    Experiment.from_dict({**tables, "optimizer": {"name": rule.name}})


def test_that_natural_gradient_is_refused_for_a_loss_that_is_no_likelihood() -> None:
    class Unlikely(SquaredError):
        fisher_product = Loss.fisher_product

    tables = {
        "dataset": {"name": "digits"},
        "model": {"name": "linear"},
        "optimizer": {"name": "natural_gradient"},
    }
    experiment = dataclasses.replace(Experiment.from_dict(tables), loss=Unlikely())
    with pytest.raises(InvalidInput, match="negative log-likelihood"):
        experiment.check()
    dataclasses.replace(experiment, optimizer=Newton()).check()


def test_that_the_loss_that_a_run_tells_is_without_weight_decay() -> None:
    tables = {
        "precision": "float64",
        "device": "cpu",
        "dataset": {"name": "moons", "size": 80},
        "model": {"name": "linear"},
        "loss": {"name": "cross_entropy", "l2": 3.0},
        "batches": {"name": "never_shuffled", "size": 0},
    }
    losses = []
    for rule in ("newton", "sgd"):
        trainer = Trainer([Experiment.from_dict({**tables, "optimizer": {"name": rule}})])
        trainer.advance()
        losses.append(trainer.recorder.flush()["batch_loss"].values.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)


@pytest.mark.parametrize("rule", RULES)
def test_that_a_gradient_that_is_not_finite_ends_the_run_as_diverged(rule: Any) -> None:
    """Not with an error of the linear algebra below."""
    batch_objective, theta = objective_of({"name": "linear"}, "cross_entropy", runs=2)
    theta[0, 0] = float("nan")
    for solver in SOLVERS:
        after = stepped(rule, theta, batch_objective, solver=solver).theta
        assert not after[0].isfinite().all()
        assert after[1].isfinite().all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_that_a_population_gets_the_numbers_of_its_runs_alone(rule: Any, solver: str) -> None:
    def experiment(seed: int, damping: float, **values: float) -> Experiment:
        return Experiment.from_dict(
            {
                "seed": seed,
                "precision": "float64",
                "device": "cpu",
                "dataset": {"name": "moons", "size": 80},
                "model": {"name": "mlp", "hidden": [4], "activation": "tanh"},
                "optimizer": {
                    "name": rule.name,
                    "solver": solver,
                    "lr": 0.1,
                    "damping": damping,
                    **values,
                },
                "batches": {"name": "shuffled", "size": 16},
            }
        )

    whole = {"krylov": (5, 3, 9), "iterations": (8, 3, 20), "draws": (1, 3, 2)}
    chosen = [
        {name: numbers[run] for name, numbers in whole.items() if name in rule.model_fields}
        for run in range(3)
    ]
    experiments = [
        experiment(seed, damping, **values)
        for seed, damping, values in zip((1, 2, 3), (0.5, 0.2, 1.0), chosen, strict=True)
    ]
    together = Trainer(experiments)
    alone = [Trainer([one]) for one in experiments]
    for _ in range(60):
        together.advance()
        for trainer in alone:
            trainer.advance()
    torch.testing.assert_close(
        together.theta, torch.cat([trainer.theta for trainer in alone]), rtol=1e-10, atol=1e-10
    )
