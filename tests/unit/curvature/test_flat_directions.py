"""Symmetries are set aside, and nothing but symmetries."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.models.autoencoder import Autoencoder
from optlab.catalogue.models.base import Model
from optlab.catalogue.models.cnn import CNN
from optlab.catalogue.models.deep_linear import DeepLinear
from optlab.catalogue.models.linear import Linear
from optlab.catalogue.models.lstm import LSTM
from optlab.catalogue.models.mlp import MLP
from optlab.catalogue.models.rnn import RNN
from optlab.catalogue.models.transformer import Transformer
from optlab.core.data import DataShape
from optlab.curvature import critical_points
from optlab.curvature.critical_points import find, name
from optlab.curvature.flat_directions import WITHOUT_EFFECT, flat_directions
from optlab.curvature.landscape import FunctionLandscape, ObjectiveLandscape
from optlab.objective.dependent_inputs import NAME
from optlab.objective.objective import Objective

MIXING, SHIFT = "mixing of units that switch together", "shift of units that are always on"
FLAT, IMAGE, SEQUENCE = (4,), (6, 5), (5, 2)
MODELS: list[tuple[Model, tuple[int, ...], int]] = [
    # The model, the shape of an input, and how many symmetries of its outputs it declares.
    (Linear(), FLAT, 0),
    (DeepLinear(depth=3, width=4), FLAT, 2 * 4 * 4),
    (MLP(hidden=(5, 3)), FLAT, 5 + 3),
    (MLP(hidden=(5, 3), activation="tanh"), FLAT, 0),
    (MLP(hidden=(5, 3), activation="identity"), FLAT, 25 + 9 + 5 + 3),
    (MLP(hidden=(5, 3), batch_norm=True), FLAT, 5 + 3),
    (MLP(hidden=(5, 3), batch_norm=True, activation="identity"), FLAT, 5 + 3),
    (MLP(hidden=(5, 5, 3, 3), skip=True), FLAT, 5 + 3),
    (MLP(hidden=(4, 5, 5), skip=True, activation="identity"), FLAT, 25),
    (MLP(hidden=(4, 4), skip=True), FLAT, 0),
    (MLP(hidden=(5, 5, 3), skip=True, batch_norm=True, auxiliary=0.3), FLAT, 5 + 3),
    (MLP(hidden=(5, 3, 3), auxiliary=0.3), FLAT, 5 + 3 + 3),
    (Autoencoder(code=2, hidden=(3,)), FLAT, 3 + 2 + 3),
    (Autoencoder(code=2, activation="identity"), FLAT, 4 + 2),
    (CNN(channels=(2, 3)), IMAGE, 2 + 3),
    (CNN(channels=(2, 3), activation="identity"), IMAGE, 4 + 9 + 3),
    (MLP(hidden=(5, 3, 3), auxiliary=0.3, activation="identity"), FLAT, 25 + 9 + 9 + 5 + 3 + 3),
    (RNN(units=3, activation="relu"), SEQUENCE, 3),
    (RNN(units=3, activation="identity"), SEQUENCE, 9),
    (RNN(units=3), SEQUENCE, 0),
    (LSTM(units=3), SEQUENCE, 0),
    (Transformer(width=4, heads=2, blocks=1, hidden=3), SEQUENCE, 72 + 18 + 3),
    (Transformer(width=4, heads=4, blocks=2, hidden=3), SEQUENCE, 108 + 33 + 3),
]


def objective_of(model: Model, inputs: tuple[int, ...], loss: Loss) -> ObjectiveLandscape:
    source = torch.Generator().manual_seed(3)
    x = torch.randn(20, *inputs, generator=source, dtype=torch.float64)
    y = torch.randint(3, (20,), generator=source)
    return ObjectiveLandscape(Objective(model, loss, DataShape(inputs, 3, "classes"), x), x, y)


def random_point(landscape: ObjectiveLandscape) -> torch.Tensor:
    total = landscape._objective.layout.total
    return torch.randn(1, total, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("decay", [{}, {"l2": 0.1}, {"l1": 0.1}, {"l1": 0.1, "l2": 0.1}], ids=str)
@pytest.mark.parametrize(
    "model, inputs, count", MODELS, ids=[str(number) for number in range(len(MODELS))]
)
def test_that_the_objective_is_constant_along_every_declared_symmetry(
    model: Model, inputs: tuple[int, ...], count: int, decay: dict[str, float]
) -> None:
    """A function is constant along a flow exactly where its gradient is orthogonal to it everywhere;
    a random point stands for everywhere.
    """
    losses: list[Loss] = [SquaredError(**decay)]
    if not isinstance(model, Autoencoder):
        losses.append(CrossEntropy(**decay))
    for loss in losses:
        landscape = objective_of(model, inputs, loss)
        theta = random_point(landscape)
        found = landscape.symmetries(theta)
        g = landscape.value_and_gradient(theta)[1][0]
        for family, directions in found.items():
            unit = directions / directions.norm(dim=1, keepdim=True)
            assert (unit @ g).abs().max() < 1e-12 * float(g.norm()), family
        shifts = found.pop("shift of all outputs", torch.zeros(0))
        found.pop(MIXING, None)
        found.pop(SHIFT, None)
        heads = sum(
            spec.output and spec.role == "bias" for spec in landscape._objective.layout.parameters
        )
        if not loss.ignores_shift:
            assert not len(shifts)
        elif decay:
            assert len(shifts) == heads
        else:
            assert len(shifts) >= heads and torch.linalg.matrix_rank(shifts) == len(shifts)
        if not decay:
            assert sum(map(len, found.values())) == count


def softmax_problem() -> tuple[ObjectiveLandscape, np.ndarray]:
    """Softmax regression on a constant input with class frequencies 1/2, 1/3, 1/6.

    The minimum is at ``b = log p``, where the Hessian by b is ``diag(p) − ppᵀ``.
    """
    y = torch.tensor([0, 0, 0, 1, 1, 2])
    x = torch.zeros(6, 1, dtype=torch.float64)
    objective = Objective(Linear(), CrossEntropy(), DataShape((1,), 3, "classes"))
    p = np.array([1 / 2, 1 / 3, 1 / 6])
    return ObjectiveLandscape(objective, x, y), np.diag(p) - np.outer(p, p)


def test_that_a_minimum_up_to_the_shift_of_the_softmax_is_a_minimum() -> None:
    landscape, hessian = softmax_problem()
    found = find(landscape, torch.zeros(1, 6, dtype=torch.float64))
    assert found.converged
    bias = found.theta[0, 3:].numpy()
    np.testing.assert_allclose(
        bias - bias.mean(), np.log([3.0, 2.0, 1.0]) - math.log(6.0) / 3.0, atol=1e-7
    )
    verdict = name(landscape, found.theta)
    assert (verdict.kind, verdict.zeros, verdict.critical) == ("minimum", 0, True)
    assert dict(verdict.flat.families) == {WITHOUT_EFFECT: 3, "shift of all outputs": 1}
    np.testing.assert_allclose(
        verdict.eigenvalues.numpy(), np.linalg.eigvalsh(hessian)[1:], atol=1e-7
    )
    assert verdict.sentence == (
        "a minimum: every eigenvalue is positive, apart from 4 flat directions of the model "
        "(3 parameters without effect, 1 by shift of all outputs)"
    )
    torch.testing.assert_close(
        verdict.eigenvectors @ verdict.eigenvectors.T, torch.eye(2, dtype=torch.float64)
    )
    assert verdict.eigenvectors.sum(dim=1).abs().max() < 1e-9


def overlapping(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    x = torch.randn(60, 2, generator=source, dtype=torch.float64)
    return x, torch.randint(3, (60,), generator=source)


@pytest.mark.parametrize("l2, flat", [(0.0, 3), (0.1, 1)])
def test_that_softmax_regression_on_mixed_classes_ends_at_a_minimum_as_numpy_says(
    l2: float, flat: int
) -> None:
    x, y = overlapping()
    landscape = ObjectiveLandscape(
        Objective(Linear(), CrossEntropy(l2=l2), DataShape((2,), 3, "classes")), x, y
    )
    found = find(landscape, torch.zeros(1, 9, dtype=torch.float64))
    verdict = name(landscape, found.theta)
    assert (verdict.kind, verdict.flat.families) == ("minimum", (("shift of all outputs", flat),))
    # The Hessian from the formula, with parameters in the order of the layout: W row by row, b.
    w, b = found.theta[0, :6].reshape(3, 2).numpy(), found.theta[0, 6:].numpy()
    logits = x.numpy() @ w.T + b
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total = np.zeros((9, 9))
    for row, probability in zip(x.numpy(), p, strict=True):
        by_output = np.concatenate([np.kron(np.eye(3), row), np.eye(3)], axis=1)
        total += (
            by_output.T @ (np.diag(probability) - np.outer(probability, probability)) @ by_output
        )
    total = total / len(x) + l2 * np.diag([1.0] * 6 + [0.0] * 3)
    values = np.linalg.eigvalsh(total)
    assert np.abs(values[:flat]).max() < 1e-12 < values[flat]
    np.testing.assert_allclose(verdict.eigenvalues.numpy(), values[flat:], atol=1e-10)


def test_that_hidden_units_may_be_rescaled_at_a_minimum_of_a_linear_network() -> None:
    """``(ab − 1)²`` with two factors has a curve of minima; across it the curvature is 2(a² + b²)."""
    x = torch.ones(4, 1, dtype=torch.float64)
    landscape = ObjectiveLandscape(
        Objective(DeepLinear(depth=2, width=1), SquaredError(), DataShape((1,), 1, "regression")),
        x,
        x,
    )
    verdict = name(landscape, torch.tensor([[2.0, 0.5]], dtype=torch.float64))
    assert verdict.kind == "minimum"
    assert verdict.flat.families == (("stretching of hidden layers", 1),)
    assert verdict.eigenvalues.tolist() == pytest.approx([2.0 * 4.25])


def test_that_a_large_model_sets_the_same_directions_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = overlapping()
    landscape = ObjectiveLandscape(
        Objective(
            MLP(hidden=(8,), activation="tanh"),
            CrossEntropy(l2=0.05),
            DataShape((2,), 3, "classes"),
        ),
        x,
        y,
    )
    theta = find(landscape, 0.3 * random_point(landscape)).theta
    exact = name(landscape, theta)
    monkeypatch.setattr(critical_points, "DENSE_UP_TO", 10)
    ends = name(landscape, theta)
    assert not ends.complete and exact.complete
    assert ends.flat.families == exact.flat.families == (("shift of all outputs", 1),)
    assert ends.eigenvalues[-1] == pytest.approx(float(exact.eigenvalues[-1]), rel=1e-3)
    assert ends.eigenvalues[0] == pytest.approx(
        float(exact.eigenvalues[0]), abs=1e-3 * float(exact.eigenvalues[-1])
    )
    assert (ends.flat.basis @ ends.eigenvectors.T).abs().max() < 1e-3


def test_that_parameters_without_effect_are_found_by_one_product_as_by_the_whole_matrix() -> None:
    x, y = overlapping()
    x[:, 1] = 0.0
    landscape = ObjectiveLandscape(
        Objective(MLP(hidden=(4,)), CrossEntropy(), DataShape((2,), 3, "classes")), x, y
    )
    theta = random_point(landscape)
    g = landscape.value_and_gradient(theta)[1]
    hessian = landscape.hessian(theta)
    exact = flat_directions(landscape, theta, g, hessian, hessian.dense()[0], 1e-6)
    large = flat_directions(landscape, theta, g, hessian, None, 1e-6)
    assert exact.families == large.families == ((WITHOUT_EFFECT, 4), ("shift of all outputs", 5))
    torch.testing.assert_close(exact.basis.T @ exact.basis, large.basis.T @ large.basis)


def test_that_units_that_no_example_switches_on_do_not_count() -> None:
    """The first unit is on for all examples and makes the network linear in its input; the second
    is off.
    """
    x = torch.tensor([[1.0], [2.0], [3.0]], dtype=torch.float64)
    landscape = ObjectiveLandscape(
        Objective(MLP(hidden=(2,)), SquaredError(), DataShape((1,), 1, "regression")), x, 2.0 * x
    )
    # W₁ = (1, −1), b₁ = (0, −1), W₂ = (2, 5), b₂ = 0: f(x) = 2x, exactly.
    theta = torch.tensor([[1.0, -1.0, 0.0, -1.0, 2.0, 5.0, 0.0]], dtype=torch.float64)
    verdict = name(landscape, theta)
    # Outputs depend on w₂w₁ and w₂b₁ + b₂: of the four parameters that act, two directions are
    # flat, one of which is the rescaling of the unit and the other exchanges the two biases.
    assert dict(verdict.flat.families) == {WITHOUT_EFFECT: 3, "rescaling of units": 1, SHIFT: 1}
    assert (verdict.kind, verdict.zeros, len(verdict.eigenvalues)) == ("minimum", 0, 2)


ALWAYS_ON: list[tuple[Model, tuple[int, ...]]] = [
    (MLP(hidden=(2,)), FLAT),
    (MLP(hidden=(3, 2)), FLAT),
    (MLP(hidden=(3, 2), auxiliary=0.3), FLAT),
    (MLP(hidden=(6, 6)), FLAT),
    (Autoencoder(code=2, hidden=(3,)), FLAT),
    (CNN(channels=(2, 3)), IMAGE),
    (RNN(units=3, activation="relu"), SEQUENCE),
]


@pytest.mark.parametrize("on", ["all", "some"])
@pytest.mark.parametrize("model, inputs", ALWAYS_ON, ids=[str(n) for n in range(len(ALWAYS_ON))])
def test_that_near_a_point_the_outputs_are_constant_along_every_symmetry(
    model: Model, inputs: tuple[int, ...], on: str
) -> None:
    """Where all units are on, the symmetries are those of the same model without its ReLUs."""
    landscape = objective_of(model, inputs, SquaredError())
    theta = 0.3 * random_point(landscape)
    if on == "all":
        theta.abs_()
        for part, tensor in landscape._objective.layout.named(theta).items():
            tensor.add_(4.0 if part.endswith("bias") else 0.0)
    found = landscape.symmetries(theta)
    g = landscape.value_and_gradient(theta)[1]
    for family, directions in found.items():
        unit = directions / directions.norm(dim=1, keepdim=True)
        assert (unit @ g[0]).abs().max() < 1e-12 * float(g.norm()), family
    if on == "all":
        linear = objective_of(type(model)(**{**fields_of(model), "activation": "identity"}),
                              inputs, SquaredError())  # fmt: skip
        torch.testing.assert_close(linear.value(theta), landscape.value(theta))
        expected = torch.cat(list(linear.symmetries(theta).values()))
        assert same_span(torch.cat(list(found.values())), expected)


def fields_of(model: Model) -> dict[str, object]:
    return {name: getattr(model, name) for name in vars(model)}


def same_span(one: torch.Tensor, other: torch.Tensor) -> bool:
    ranks = [
        int(torch.linalg.matrix_rank(part / part.norm(dim=1, keepdim=True), rtol=1e-9))
        for part in (one, other, torch.cat([one, other]))
    ]
    return len(set(ranks)) == 1 and ranks[0] > 0


def test_that_units_that_are_on_for_the_same_examples_can_be_mixed() -> None:
    """Two units are on for the first two examples, one for the last, one for all, one for none."""
    x = torch.tensor([[2.0], [1.0], [-1.0]], dtype=torch.float64)
    landscape = ObjectiveLandscape(
        Objective(MLP(hidden=(5,)), SquaredError(), DataShape((1,), 2, "regression")),
        x,
        torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]], dtype=torch.float64),
    )
    weights, biases = [1.0, 2.0, -1.0, 0.5, 0.1], [0.0, 0.5, 0.0, 3.0, -9.0]
    above = torch.randn(2, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    theta = torch.cat([torch.tensor(weights + biases), above.flatten(), torch.zeros(2)])[None]
    found = landscape.symmetries(theta.double())
    assert {family: len(directions) for family, directions in found.items()} == {
        "rescaling of units": 5, MIXING: 2, SHIFT: 1,
    }  # fmt: skip
    g = landscape.value_and_gradient(theta.double())[1]
    flat = torch.cat([found[MIXING], found[SHIFT]])
    assert (flat @ g[0]).abs().max() < 1e-12 * float(g.norm()) and torch.linalg.matrix_rank(
        flat
    ) == 3


@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_that_a_small_relu_network_at_a_minimum_is_at_a_minimum(l2: float) -> None:
    """One unit is on for all examples, one for half of them: the null space of the Hessian, from
    autograd alone, has no direction but those that are set aside.
    """
    source = torch.Generator().manual_seed(2)
    x = torch.linspace(1.0, 3.0, 20, dtype=torch.float64).repeat(2)[:, None]
    x[20:] *= -1.0
    y = x.abs() + 0.3 * x + 0.1 * torch.randn(40, 1, generator=source, dtype=torch.float64)
    objective = Objective(MLP(hidden=(2,)), SquaredError(l2=l2), DataShape((1,), 1, "regression"))
    landscape = ObjectiveLandscape(objective, x, y)
    start = torch.tensor([[1.5, -0.5, 0.1, 6.0, 1.2, 1.0, -5.0]], dtype=torch.float64)
    found = find(landscape, start)
    verdict = name(landscape, found.theta)
    assert found.converged
    assert (verdict.kind, verdict.zeros) == ("minimum", 0), verdict.sentence
    rescaling = {} if l2 else {"rescaling of units": 2}
    assert dict(verdict.flat.families) == {**rescaling, SHIFT: 1}

    def total(p: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(x @ p[None, :2] + p[2:4])
        error = hidden @ p[4:6] + p[6] - y[:, 0]
        weights = torch.cat([p[:2], p[4:6]])
        return error.square().mean() + 0.5 * l2 * weights.square().sum()

    hessian = torch.autograd.functional.hessian(total, found.theta[0])
    values = np.linalg.eigvalsh(hessian.numpy())
    flat = len(verdict.flat.basis)
    assert np.abs(values[:flat]).max() < 1e-6 * values[-1] < values[flat]
    np.testing.assert_allclose(verdict.eigenvalues.numpy(), values[flat:], rtol=1e-6)


@pytest.mark.parametrize(
    "function",
    [
        lambda p: p[:, 0] ** 2 + p[:, 1] ** 4,
        lambda p: p[:, 0] ** 2 + 2.0 * p[:, 1] ** 2 * p[:, 0],
        lambda p: p[:, 0] ** 2 - p[:, 1] ** 6,
    ],
)
def test_that_derivatives_that_vanish_at_one_point_only_are_no_flat_direction(
    function: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    verdict = name(FunctionLandscape(function), torch.zeros(1, 2, dtype=torch.float64))
    assert (verdict.kind, verdict.flat.families) == ("degenerate", ())


def test_that_a_parameter_that_the_function_ignores_is_set_aside() -> None:
    verdict = name(
        FunctionLandscape(lambda p: -(p[:, 0] ** 2) + 0.0 * p[:, 1]),
        torch.zeros(1, 2, dtype=torch.float64),
    )
    assert (verdict.kind, verdict.flat.families) == ("maximum", ((WITHOUT_EFFECT, 1),))


# --- inputs that depend on each other -------------------------------------------------------------


def _columns(kind: str) -> torch.Tensor:
    """Examples ``[40, n]`` whose columns, with the constant, have a known rank."""
    free = torch.randn(40, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = torch.ones(40, 1, dtype=torch.float64)
    group = torch.arange(40) % 3
    indicators = torch.nn.functional.one_hot(group, 3).double()
    return {
        "independent": free,
        "a constant column": torch.cat([free, 5.0 * one], dim=1),
        "a sum of columns": torch.cat([free, free.sum(dim=1, keepdim=True)], dim=1),
        "of other units": torch.cat(
            [free * torch.tensor([1e9, 1.0, 1e-9]), 1e6 * free[:, :1] + 3], 1
        ),
        "indicators": torch.cat([free, indicators], dim=1),
        "one twice and a constant": torch.cat([free, free[:, :1], one], dim=1),
        "fewer examples than inputs": torch.randn(
            4, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64
        ),
    }[kind]


RELATIONS = {
    "independent": 0,
    "a constant column": 1,
    "a sum of columns": 1,
    "of other units": 1,
    "indicators": 1,
    "one twice and a constant": 2,
    "fewer examples than inputs": 9 + 1 - 4,
}


@pytest.mark.parametrize("kind", RELATIONS)
@pytest.mark.parametrize(
    ("model", "units"),
    [(Linear(), 2), (MLP(hidden=(3,), activation="tanh"), 3), (Autoencoder(code=2), 2)],
)
def test_that_each_relation_of_the_inputs_is_a_flat_direction_for_each_unit(
    model: Model, units: int, kind: str
) -> None:
    x = _columns(kind)
    y = torch.arange(len(x)) % 2
    shape = DataShape((x.shape[1],), 2, "classes")
    landscape = ObjectiveLandscape(Objective(model, SquaredError(), shape), x, y)
    theta = random_point(landscape)
    found = landscape.symmetries(theta).get(NAME, torch.zeros(0, theta.shape[1]).double())
    assert len(found) == units * RELATIONS[kind]
    if not len(found):
        return
    assert torch.linalg.matrix_rank(found / found.norm(dim=1, keepdim=True)) == len(found)
    objective, scale = landscape._objective, float(theta.norm())
    for direction in found:
        moved = theta + scale * direction / direction.norm()
        before, after = (objective.outputs(point, x.unsqueeze(0)) for point in (theta, moved))
        assert float((after - before).norm()) <= 1e-9 * (
            1.0 + float(before.norm()) + float(x.norm())
        )


def test_that_a_least_squares_problem_of_known_rank_is_a_minimum_apart_from_its_null_space() -> (
    None
):
    x = _columns("one twice and a constant")
    y = (x[:, 0] + 0.5 * x[:, 1]).unsqueeze(1)
    shape = DataShape((5,), 1, "regression")
    landscape = ObjectiveLandscape(Objective(Linear(), SquaredError(), shape), x, y)
    found = find(landscape, torch.ones(1, 6, dtype=torch.float64))
    verdict = name(landscape, found.theta)
    assert verdict.kind == "minimum" and verdict.zeros == 0
    assert dict(verdict.flat.families) == {NAME: 2}
    assert len(verdict.eigenvalues) == 4
    assert "2 by dependent inputs" in verdict.sentence


def test_that_decay_makes_relations_of_the_inputs_count() -> None:
    x = _columns("a sum of columns")
    y = x[:, :1].clone()
    shape = DataShape((4,), 1, "regression")
    landscape = ObjectiveLandscape(Objective(Linear(), SquaredError(l2=0.1), shape), x, y)
    assert NAME not in landscape.symmetries(torch.ones(1, 5, dtype=torch.float64))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_that_the_declared_symmetries_of_the_transformer_are_all_there_are(heads: int) -> None:
    """The outputs on many examples have a Jacobian whose rank is P minus their number."""
    source = torch.Generator().manual_seed(7)
    x = torch.randn(60, 5, 2, generator=source, dtype=torch.float64)
    y = torch.randint(3, (60,), generator=source)
    model = Transformer(width=4, heads=heads, blocks=1, hidden=3)
    objective = Objective(model, SquaredError(), DataShape((5, 2), 3, "classes"))
    landscape = ObjectiveLandscape(objective, x, y)
    theta = random_point(landscape)
    for spec, part in zip(objective.layout.parameters, objective.layout.split(theta), strict=True):
        if spec.role == "bias":
            # So that every unit is on for some examples and off for others.
            part.mul_(0.1)
    declared = torch.cat(list(landscape.symmetries(theta).values()))
    declared = declared / declared.norm(dim=1, keepdim=True)

    def outputs(point: torch.Tensor) -> torch.Tensor:
        return objective.outputs(point.unsqueeze(0), x.unsqueeze(0)).flatten()

    jacobian = torch.autograd.functional.jacobian(outputs, theta[0])
    singular = torch.linalg.svdvals(jacobian)
    rank = int((singular > 1e-9 * singular[0]).sum())
    assert float((jacobian @ declared.T).norm()) <= 1e-10 * float(jacobian.norm())
    assert int(torch.linalg.matrix_rank(declared)) == theta.shape[1] - rank
