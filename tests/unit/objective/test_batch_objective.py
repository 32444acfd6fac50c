"""The objective on a batch against torch.func, explicit Jacobians, and closed forms of linear and
softmax regression.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models._activations import Activation
from optlab.core import registry
from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.numerics.symmetric import dense
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.hessian import GraphHessian, WrittenOutHessian, batch_hessian
from optlab.objective.objective import Objective

R, M, INPUTS, OUTPUTS = 3, 6, 4, 3
MODELS: list[dict[str, Any]] = [
    {"name": "linear"},
    {"name": "mlp", "hidden": [5], "activation": "tanh"},
    {"name": "mlp", "hidden": [4, 3], "activation": "relu"},
]
LOSSES = ["cross_entropy", "squared_error"]
every_case = pytest.mark.parametrize(
    ("model", "loss"), [(model, loss) for model in MODELS for loss in LOSSES], ids=str
)


def build(model: dict[str, Any], loss: str, task: str = "classes", **decay: float) -> Objective:
    built: Any = registry.build("model", model)
    own_loss: Any = registry.build("loss", {"name": loss, **decay})
    return Objective(built, own_loss, DataShape((INPUTS,), OUTPUTS, task))  # type: ignore[arg-type]


def draw(objective: Objective) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    theta = 0.7 * torch.randn(R, objective.layout.total, dtype=torch.float64, generator=generator)
    x = torch.randn(R, M, INPUTS, dtype=torch.float64, generator=generator)
    if objective.shape.task == "classes":
        return theta, x, torch.randint(0, OUTPUTS, (R, M), generator=generator)
    return theta, x, torch.randn(R, M, OUTPUTS, dtype=torch.float64, generator=generator)


def batch_objective(objective: Objective, x: torch.Tensor, y: torch.Tensor) -> BatchObjective:
    return BatchObjective(objective, x, y, [11, 12, 13], 0)


def alone(objective: Objective, x: torch.Tensor, y: torch.Tensor, run: int) -> Any:
    """The objective of one run as a function of its ``[P]`` parameters, decay included."""

    def value(theta: torch.Tensor) -> torch.Tensor:
        row = theta.unsqueeze(0)
        penalty = objective.penalty(row)
        return (
            objective.losses(row, x[run : run + 1], y[run : run + 1])
            + (0.0 if penalty is None else penalty)
        ).squeeze(0)

    return value


@every_case
def test_that_value_gradient_hessian_and_products_are_torchs(
    model: dict[str, Any], loss: str
) -> None:
    objective = build(model, loss, l2=0.3)
    theta, x, y = draw(objective)
    asked = batch_objective(objective, x, y)
    v = torch.randn(theta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    value, gradient = asked.gradient(theta)
    hessian, product = asked.hessian(theta), asked.hessian_product(theta)(v)
    for run in range(R):
        function = alone(objective, x, y, run)
        torch.testing.assert_close(asked.loss(theta)[run], function(theta[run]))
        torch.testing.assert_close(value[run], function(theta[run]))
        torch.testing.assert_close(
            gradient[run], torch.func.grad(function)(theta[run]), rtol=1e-10, atol=1e-12
        )
        theirs = torch.func.jacrev(torch.func.grad(function))(theta[run])
        torch.testing.assert_close(hessian[run], theirs, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(product[run], theirs @ v[run], rtol=1e-9, atol=1e-11)


@every_case
def test_that_the_fisher_matrix_is_the_expectation_over_the_models_own_targets(
    model: dict[str, Any], loss: str
) -> None:
    """``E[s sᵀ]`` with the score s of each possible class, weighted by its probability; of a
    Gaussian of variance ½: ``2 JᵀJ``.
    """
    objective = build(model, loss, l2=0.3)
    theta, x, y = draw(objective)
    asked = batch_objective(objective, x, y)
    fisher = asked.fisher(theta)
    for run in range(R):
        theirs = torch.zeros(theta.shape[1], theta.shape[1], dtype=torch.float64)
        for example in range(M):

            def outputs(at: torch.Tensor, run: int = run, example: int = example) -> torch.Tensor:
                return objective.outputs(at.unsqueeze(0), x[run : run + 1, example : example + 1])[
                    0, 0
                ]

            jacobian = torch.func.jacrev(outputs)(theta[run])
            if loss == "squared_error":
                theirs += 2.0 * jacobian.T @ jacobian / M
                continue
            p = outputs(theta[run]).softmax(0)
            for k in range(OUTPUTS):
                score = (
                    torch.nn.functional.one_hot(torch.tensor(k), OUTPUTS).double() - p
                ) @ jacobian
                theirs += p[k] * torch.outer(score, score) / M
        torch.testing.assert_close(fisher[run], theirs, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        dense(asked.fisher_product(theta), theta), fisher, rtol=1e-10, atol=1e-12
    )
    assert torch.linalg.eigvalsh(fisher).min() > -1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_that_with_a_linear_model_the_fisher_matrix_is_the_hessian(loss: str) -> None:
    objective = build({"name": "linear"}, loss)
    theta, x, y = draw(objective)
    asked = batch_objective(objective, x, y)
    torch.testing.assert_close(asked.fisher(theta), asked.hessian(theta), rtol=1e-10, atol=1e-12)


def test_that_the_hessian_of_linear_regression_is_its_closed_form() -> None:
    objective = build({"name": "linear"}, "squared_error", task="regression")
    theta, x, y = draw(objective)
    design = torch.cat([x, torch.ones(R, M, 1, dtype=torch.float64)], dim=2)
    # per output; the layout lists all weights before the biases
    moment = 2.0 * design.transpose(1, 2) @ design / M
    places = [
        [output * INPUTS + i for i in range(INPUTS)] + [OUTPUTS * INPUTS + output]
        for output in range(OUTPUTS)
    ]
    theirs = torch.zeros(R, theta.shape[1], theta.shape[1], dtype=torch.float64)
    for place in places:
        index = torch.tensor(place)
        theirs[:, index.unsqueeze(1), index] = moment
    torch.testing.assert_close(
        batch_objective(objective, x, y).hessian(theta), theirs, rtol=1e-12, atol=1e-13
    )


def test_that_the_hessian_of_softmax_regression_is_its_closed_form() -> None:
    objective = build({"name": "linear"}, "cross_entropy")
    theta, x, y = draw(objective)
    hessian = batch_objective(objective, x, y).hessian(theta)
    p = objective.outputs(theta, x).softmax(2)
    weights = OUTPUTS * INPUTS
    s = torch.diag_embed(p) - p.unsqueeze(3) * p.unsqueeze(2)
    theirs = torch.einsum("rmkl,rmi,rmj->rkilj", s, x, x).reshape(R, weights, weights) / M
    torch.testing.assert_close(hessian[:, :weights, :weights], theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("model", [{"name": "mlp", "hidden": [14]}], ids=str)
def test_that_a_matrix_of_more_columns_than_are_computed_at_once_is_complete(
    model: dict[str, Any],
) -> None:
    objective = build(model, "cross_entropy", l2=0.1)
    theta, x, y = draw(objective)
    assert theta.shape[1] > 100
    asked = batch_objective(objective, x, y)
    torch.testing.assert_close(
        asked.hessian(theta), dense(asked.hessian_product(theta), theta), rtol=1e-10, atol=1e-12
    )
    torch.testing.assert_close(
        asked.fisher(theta), dense(asked.fisher_product(theta), theta), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("name", registry.names("model"))
def test_that_products_exist_for_every_model_of_the_catalogue(name: str) -> None:
    """Against central differences of the gradient along a direction."""
    dataset: Any = registry.build("dataset", {"name": "digits"})
    model: Any = registry.build(
        "model",
        {
            "name": name,
            **{f.name: [6] for f in registry.get("model", name).fields() if f.kind == "sizes"},
        },
    )
    loss = (
        "cross_entropy"
        if model.target_shape(dataset.shape()).task == "classes"
        else "squared_error"
    )
    objective = Objective(model, registry.build("loss", {"name": loss}), dataset.shape())  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    theta = 0.2 * torch.randn(2, objective.layout.total, dtype=torch.float64, generator=generator)
    x = torch.rand(2, 5, *dataset.shape().inputs, dtype=torch.float64, generator=generator)
    y = torch.randint(0, 10, (2, 5), generator=generator)
    asked = BatchObjective(objective, x, y, [0, 1], 0)
    v = torch.randn(theta.shape, dtype=torch.float64, generator=generator)
    v /= v.norm(dim=1, keepdim=True)
    h = 1e-6
    theirs = (asked.gradient(theta + h * v)[1] - asked.gradient(theta - h * v)[1]) / (2.0 * h)
    torch.testing.assert_close(asked.hessian_product(theta)(v), theirs, rtol=1e-5, atol=1e-6)
    assert ((asked.fisher_product(theta)(v) * v).sum(dim=1) >= 0.0).all()


WRITTEN_OUT: list[dict[str, Any]] = [
    {"name": "linear"},
    {"name": "deep_linear", "depth": 3, "width": 4},
    {"name": "mlp", "hidden": []},
    *(
        {"name": "mlp", "hidden": [5, 4], "activation": activation}
        for activation in get_args(Activation)
    ),
]


@pytest.mark.parametrize(
    ("model", "loss"),
    [(model, loss) for model in WRITTEN_OUT for loss in LOSSES]
    + [({"name": "autoencoder", "hidden": [5], "activation": "softplus"}, "squared_error")],
    ids=str,
)
def test_that_written_out_fisher_products_agree_with_those_of_autograd(
    model: dict[str, Any], loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = "regression" if model["name"] == "autoencoder" else "classes"
    objective = build(model, loss, task=task, l2=0.3)
    theta, x, y = draw(objective)
    v = torch.randn(theta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours, by_autograd = batch_objective(objective, x, y), batch_objective(objective, x, y)
    with monkeypatch.context() as patch:
        # Autograd is not available to what is written out.
        patch.setattr(torch.autograd, "grad", None)
        product = ours.fisher_product(theta)
        results = [product(v), product(-0.5 * v)]
    monkeypatch.setattr(type(objective.model), "linearized", lambda *_: None)
    theirs = by_autograd.fisher_product(theta)(v)
    assert theirs.abs().max() > 1e-3
    torch.testing.assert_close(results[0], theirs, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(results[1], -0.5 * theirs, rtol=1e-10, atol=1e-10)
    assert list(ours.gradients) == [4, 4, 4] and list(by_autograd.gradients) == [2, 2, 2]


@pytest.mark.parametrize("l2", [0.0, 0.3])
@pytest.mark.parametrize("hidden", [[], [5], [4, 3]], ids=str)
def test_that_written_out_products_agree_with_those_of_autograd(
    hidden: list[int], l2: float
) -> None:
    objective = build({"name": "mlp", "hidden": hidden, "activation": "tanh"}, "cross_entropy")
    objective.loss = objective.loss.model_copy(update={"l2": l2})
    theta, x, y = draw(objective)
    v = torch.randn(theta.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert isinstance(batch_hessian(objective, theta, x, y), WrittenOutHessian)
    by_autograd = GraphHessian(lambda points: objective.total(points, x, y), theta)
    asked = batch_objective(objective, x, y)
    torch.testing.assert_close(
        asked.hessian_product(theta)(v), by_autograd.product(v), rtol=1e-10, atol=1e-12
    )
    written_out = batch_hessian(objective, theta, x, y).dense()
    torch.testing.assert_close(written_out, asked.hessian(theta), rtol=1e-10, atol=1e-12)


def test_that_the_total_is_loss_plus_weight_decay() -> None:
    objective = build({"name": "linear"}, "cross_entropy", l1=0.2, l2=0.1)
    theta, x, y = draw(objective)
    losses, penalty = objective.losses(theta, x, y), objective.penalty(theta)
    assert penalty is not None
    for total in (
        objective.total(theta, x, y),
        objective.total(theta, x, y, losses),
        objective.total_and_gradient(theta, x, y)[0],
        objective.penalized(losses, theta),
    ):
        torch.testing.assert_close(total, losses + penalty, rtol=1e-14, atol=0.0)


def test_that_evaluations_are_counted_for_each_run() -> None:
    objective = build(MODELS[1], "cross_entropy")
    theta, x, y = draw(objective)
    asked = batch_objective(objective, x, y)
    asked.loss(theta)
    assert list(asked.gradients) == [0, 0, 0]
    asked.gradient(theta)
    assert list(asked.gradients) == [1, 1, 1]
    product = asked.hessian_product(theta)
    product(theta)
    product(theta)
    assert list(asked.gradients) == [6, 6, 6]


def test_that_the_objective_of_one_run_is_that_run() -> None:
    objective = build(MODELS[1], "cross_entropy", l2=0.1)
    theta, x, y = draw(objective)
    asked = batch_objective(objective, x, y)
    one = asked.only(1)
    torch.testing.assert_close(
        one.hessian(theta[1:2]), asked.hessian(theta)[1:2], rtol=1e-12, atol=1e-13
    )
    torch.testing.assert_close(
        one.fisher(theta[1:2]), asked.fisher(theta)[1:2], rtol=1e-12, atol=1e-13
    )
    assert torch.equal(
        torch.rand(4, generator=one.generator(0, "draws")),
        torch.rand(4, generator=asked.generator(1, "draws")),
    )
    assert not torch.equal(
        torch.rand(4, generator=asked.generator(0, "draws")),
        torch.rand(4, generator=asked.generator(1, "draws")),
    )


class _Tilted(Loss):
    """A loss that is linear in the outputs, and no likelihood."""

    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return outputs.sum(dim=2)


def test_that_a_linear_objective_has_a_hessian_of_zeros() -> None:
    objective = Objective(
        registry.build("model", {"name": "linear"}),
        _Tilted(),
        DataShape((INPUTS,), OUTPUTS, "classes"),
    )  # type: ignore[arg-type]
    theta, x, y = draw(objective)
    asked = batch_objective(objective, x, y)
    assert not asked.hessian(theta).any()
    assert not asked.hessian_product(theta)(theta).any()


def test_that_a_loss_that_is_no_likelihood_has_no_fisher_matrix_and_says_so() -> None:
    objective = Objective(
        registry.build("model", {"name": "linear"}),
        _Tilted(),
        DataShape((INPUTS,), OUTPUTS, "classes"),
    )  # type: ignore[arg-type]
    theta, x, y = draw(objective)
    with pytest.raises(InvalidInput, match="negative log-likelihood"):
        batch_objective(objective, x, y).fisher(theta)
