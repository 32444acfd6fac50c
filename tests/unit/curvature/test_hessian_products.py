"""Hessian products against torch.func.hessian, curvlinops and closed forms, in float64."""

from __future__ import annotations

import warnings
from typing import Any, get_args

import pytest
import torch

from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models.cnn import CNN
from optlab.catalogue.models.deep_linear import DeepLinear
from optlab.catalogue.models.linear import Linear
from optlab.catalogue.models.mlp import MLP
from optlab.core.data import DataShape
from optlab.curvature import landscape as landscapes
from optlab.curvature import spectrum
from optlab.curvature.landscape import FunctionLandscape, ObjectiveLandscape
from optlab.objective.hessian import GraphHessian, WrittenOutHessian
from optlab.objective.objective import Objective

# torch.func compiles helpers of its own with what torch deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning"
)

CLASSES = DataShape((4,), 3, "classes")
VALUES = DataShape((4,), 2, "regression")


def problem(
    model: Any, loss: Any, shape: DataShape = CLASSES, runs: int = 2, examples: int = 7
) -> tuple[Objective, torch.Tensor, torch.Tensor, torch.Tensor]:
    """An objective, random parameters ``[R, P]`` and a batch for each run."""
    source = torch.Generator().manual_seed(5)
    objective = Objective(model, loss, shape)
    theta = 0.7 * torch.randn(runs, objective.layout.total, generator=source, dtype=torch.float64)
    x = torch.randn(runs, examples, *shape.inputs, generator=source, dtype=torch.float64)
    if shape.task == "classes":
        y = torch.randint(0, shape.outputs, (runs, examples), generator=source)
    else:
        y = torch.randn(runs, examples, shape.outputs, generator=source, dtype=torch.float64)
    return objective, theta, x, y


def reference(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Dense Hessians ``[R, P, P]`` by torch.func, run by run."""
    objective.penalty(theta)  # keeps a mask, which must not be one of torch.func's own tensors
    found = []
    for run in range(len(theta)):
        one = slice(run, run + 1)

        def value(point: torch.Tensor, one: slice = one) -> torch.Tensor:
            return objective.total(point.unsqueeze(0), x[one], y[one])[0]

        found.append(torch.func.hessian(value)(theta[run]))
    return torch.stack(found)


MODELS = [
    *(MLP(hidden=(5,), activation=activation) for activation in get_args(Activation)),
    MLP(hidden=()),
    MLP(hidden=(4, 3, 5), activation="tanh"),
    MLP(hidden=(4, 3), activation="gelu"),
    MLP(hidden=(6, 3), activation="relu"),
    Linear(),
    DeepLinear(depth=1, width=3),
    DeepLinear(depth=4, width=3),
]
LOSSES = [
    (CrossEntropy(l2=0.3), CLASSES),
    (SquaredError(l1=0.1), CLASSES),
    (SquaredError(l2=0.2), VALUES),
]


@pytest.mark.parametrize(
    "model",
    MODELS,
    ids=lambda model: (
        f"{model.name}-{getattr(model, 'hidden', '')}-{getattr(model, 'activation', '')}"
    ),
)
@pytest.mark.parametrize(
    "loss, shape", LOSSES, ids=("cross-entropy", "squared error of classes", "squared error")
)
def test_that_written_out_second_derivatives_are_those_of_autograd(
    model: Any, loss: Any, shape: DataShape
) -> None:
    objective, theta, x, y = problem(model, loss, shape)
    expected = reference(objective, theta, x, y)
    here = spectrum.hessian(objective, theta, x, y)
    assert isinstance(here, WrittenOutHessian)
    torch.testing.assert_close(here.dense(), expected, rtol=1e-10, atol=1e-11)
    v = torch.randn_like(theta)
    torch.testing.assert_close(
        here.product(v), torch.einsum("rpq,rq->rp", expected, v), rtol=1e-10, atol=1e-11
    )
    torch.testing.assert_close(
        here.along(v), torch.einsum("rp,rpq,rq->r", v, expected, v), rtol=1e-10, atol=1e-11
    )


def test_that_a_model_without_written_out_derivatives_goes_through_autograd() -> None:
    shape = DataShape((4, 4), 3, "classes")
    for model in (
        CNN(channels=(2,)),
        MLP(hidden=(4,), activation="tanh", batch_norm=True),
        MLP(hidden=(4, 4), activation="tanh", skip=True),
    ):
        objective, theta, x, y = problem(model, CrossEntropy(l2=0.1), shape, runs=1)
        here = spectrum.hessian(objective, theta, x, y)
        assert isinstance(here, GraphHessian)
        expected = reference(objective, theta, x, y)
        torch.testing.assert_close(here.dense(), expected, rtol=1e-9, atol=1e-10)
        v = torch.randn(1, 3, theta.shape[1], dtype=torch.float64)
        torch.testing.assert_close(here.several(v), v @ expected, rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(
            here.along(v[:, 0]), (v[:, 0] @ expected[0] @ v[0, 0]), rtol=1e-9, atol=1e-10
        )


def test_that_softmax_regression_has_its_closed_form_hessian() -> None:
    objective, theta, x, y = problem(Linear(), CrossEntropy(), runs=1, examples=9)
    weight, bias = objective.layout.split(theta)
    p = torch.softmax(x[0] @ weight[0].T + bias[0], dim=1)
    s = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    of_weights = torch.einsum("nab,ni,nj->aibj", s, x[0], x[0]).reshape(12, 12) / 9
    found = spectrum.hessian(objective, theta, x, y).dense()[0]
    torch.testing.assert_close(found[:12, :12], of_weights, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found[12:, 12:], s.mean(dim=0), rtol=1e-12, atol=1e-13)


def test_that_linear_regression_has_its_closed_form_hessian() -> None:
    objective, theta, x, y = problem(
        Linear(), SquaredError(), DataShape((4,), 1, "regression"), runs=1, examples=9
    )
    found = spectrum.hessian(objective, theta, x, y).dense()[0]
    torch.testing.assert_close(found[:4, :4], 2.0 * x[0].T @ x[0] / 9, rtol=1e-12, atol=1e-13)
    assert found[4, 4].item() == pytest.approx(2.0, abs=1e-12)


def test_that_products_agree_with_curvlinops() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from curvlinops import HessianLinearOperator
    objective, theta, x, y = problem(
        MLP(hidden=(6,), activation="tanh"), CrossEntropy(), runs=1, examples=20
    )
    network = torch.nn.Sequential(
        torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3)
    ).double()
    with torch.no_grad():
        for parameter, value in zip(
            network.parameters(), objective.layout.split(theta), strict=True
        ):
            parameter.copy_(value[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operator = HessianLinearOperator(
            network,
            torch.nn.CrossEntropyLoss(),
            list(network.parameters()),
            [(x[0], y[0])],
            progressbar=False,
            check_deterministic=False,
        )
        v = torch.randn(theta.shape[1], dtype=torch.float64)
        expected = operator @ v
    torch.testing.assert_close(
        spectrum.hvp(objective, theta, x, y, v.unsqueeze(0))[0], expected, rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("kept", [0, 10])
@pytest.mark.parametrize(
    "model",
    [MLP(hidden=(5,), activation="tanh"), MLP(hidden=(4, 4), activation="tanh", skip=True)],
    ids=("written out", "autograd"),
)
def test_that_chunks_of_the_data_add_up(
    model: Any, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    objective, theta, x, y = problem(model, CrossEntropy(l2=0.2), examples=10)
    x, y = x[0], y[0]
    everyone = x.expand(2, *x.shape), y.expand(2, *y.shape)
    expected = reference(objective, theta, *everyone)
    value, gradient = spectrum.gradient(objective, theta, x, y)
    monkeypatch.setattr(landscapes, "CHUNK_VALUES", 30)
    monkeypatch.setattr(landscapes, "_KEPT_CHUNKS", kept)
    v = torch.randn(2, 3, theta.shape[1], dtype=torch.float64)
    for data in ((x, y), everyone):
        here = spectrum.hessian(objective, theta, *data)
        torch.testing.assert_close(here.dense(), expected, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(
            here.product(v[:, 0]),
            torch.einsum("rpq,rq->rp", expected, v[:, 0]),
            rtol=1e-9,
            atol=1e-11,
        )
        torch.testing.assert_close(
            here.along(v[:, 0]),
            torch.einsum("rp,rpq,rq->r", v[:, 0], expected, v[:, 0]),
            rtol=1e-9,
            atol=1e-11,
        )
        torch.testing.assert_close(
            spectrum.hvp(objective, theta, *data, v), v @ expected, rtol=1e-9, atol=1e-11
        )
        again = spectrum.gradient(objective, theta, *data)
        torch.testing.assert_close(again[0], value, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(again[1], gradient, rtol=1e-11, atol=1e-13)


def test_that_value_and_gradient_include_weight_decay() -> None:
    objective, theta, x, y = problem(
        MLP(hidden=(5,), activation="tanh"), CrossEntropy(l2=0.5, l1=0.1)
    )
    here = ObjectiveLandscape(objective, x, y)
    value, gradient = here.value_and_gradient(theta)
    leaf = theta.clone().requires_grad_()
    losses, penalty = objective.losses(leaf, x, y), objective.penalty(leaf)
    assert penalty is not None
    total = losses + penalty
    torch.testing.assert_close(value, total.detach())
    torch.testing.assert_close(here.value(theta), total.detach())
    torch.testing.assert_close(gradient, torch.autograd.grad(total.sum(), leaf)[0])


def test_that_a_function_that_is_linear_has_a_zero_hessian() -> None:
    here = FunctionLandscape(lambda theta: theta.sum(dim=1)).hessian(
        torch.ones(2, 3, dtype=torch.float64)
    )
    assert here.dense().abs().max() == 0.0


def test_that_products_at_one_point_share_what_does_not_depend_on_the_vector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    objective, theta, x, y = problem(MLP(hidden=(5,)), CrossEntropy(l2=0.1))
    at_points = []
    original = CrossEntropy.fisher_products

    def counted(self: CrossEntropy, outputs: torch.Tensor) -> Any:
        at_points.append(outputs)
        return original(self, outputs)

    monkeypatch.setattr(CrossEntropy, "fisher_products", counted)
    here = ObjectiveLandscape(objective, x, y).hessian(theta)
    products = [here.product(scale * theta) for scale in (1.0, 2.0, 1.0)]
    assert len(at_points) == 1
    torch.testing.assert_close(products[1], 2.0 * products[0], rtol=1e-12, atol=1e-14)
    assert torch.equal(products[2], products[0])
