"""Starts that look at the training set: marginal output biases, the best of several, and scales
from a minibatch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from optlab.catalogue.initializers.base import Start, marginal
from optlab.catalogue.models.base import ForwardContext
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator
from optlab.training.initialization import initialization_context, start

DRAWN = [one.name for one in registry.components(Start) if not one.from_constructor]
"""The initializers that draw; the others need a model with a constructor."""

Build = Callable[..., Experiment]


def started(experiment: Experiment) -> tuple[torch.Tensor, Objective]:
    objective = Objective(experiment.model, experiment.loss, experiment.dataset.shape())
    return start(experiment, objective, experiment.dataset.load().training), objective


def named(theta: torch.Tensor, objective: Objective) -> dict[str, torch.Tensor]:
    return {name: part[0] for name, part in objective.layout.named(theta.unsqueeze(0)).items()}


def test_that_with_weights_of_zero_the_marginal_bias_predicts_the_class_frequencies(
    build: Build,
) -> None:
    experiment = build(
        dataset={"name": "breast_cancer"},
        initializer={"name": "zero", "bias": 0.3, "output_bias": "marginal"},
    )
    theta, objective = started(experiment)
    training = experiment.dataset.load().training
    frequencies = np.bincount(training.y) / len(training)
    outputs = objective.outputs(theta.unsqueeze(0), torch.from_numpy(training.x).unsqueeze(0))
    np.testing.assert_allclose(
        outputs.softmax(dim=2)[0], np.broadcast_to(frequencies, (len(training), 2)), rtol=1e-12
    )
    entropy = float(-(frequencies * np.log(frequencies)).sum())
    assert initialization_context(objective, training).losses(theta) == pytest.approx(
        entropy, rel=1e-12
    )
    parts = named(theta, objective)
    assert set(parts["layers.0.bias"].tolist()) == {0.3}, "hidden biases are left alone"
    torch.testing.assert_close(parts["layers.1.bias"], torch.from_numpy(np.log(frequencies)))


def test_that_with_weights_of_zero_the_marginal_bias_predicts_the_mean_target(build: Build) -> None:
    experiment = build(
        dataset={"name": "diabetes"},
        model={"name": "linear"},
        loss={"name": "squared_error"},
        initializer={"name": "zero", "output_bias": "marginal"},
    )
    theta, objective = started(experiment)
    assert named(theta, objective)["layers.0.bias"].item() == pytest.approx(
        experiment.dataset.load().training.y.mean(), rel=1e-12, abs=1e-15
    )
    y = torch.tensor([[1.0, 4.0], [3.0, -2.0]], dtype=torch.float64)
    assert marginal(y, 2).tolist() == [2.0, 1.0]


def test_that_a_class_without_examples_has_a_finite_bias() -> None:
    found = marginal(torch.tensor([0, 0, 2, 2]), 4)
    assert found.exp().tolist() == pytest.approx([0.5, 0.125, 0.5, 0.125])


@pytest.mark.parametrize("name", DRAWN)
def test_that_the_best_of_several_starts_is_the_lowest_of_those_that_would_be_drawn(
    build: Build, name: str
) -> None:
    loss = {"name": "cross_entropy", "l2": 0.01}
    experiment = build(initializer={"name": name, "tries": 7}, loss=loss)
    theta, objective = started(experiment)
    seen = initialization_context(objective, experiment.dataset.load().training)
    one: Any = registry.build("initializer", {"name": name})
    source = generator(experiment.general.seed, "start")
    draws = [one.start(objective.layout, source, seen) for _ in range(7)]
    costs = [seen.losses(draw) for draw in draws]
    assert torch.equal(theta, draws[int(np.argmin(costs))])
    assert torch.equal(started(build(initializer={"name": name}, loss=loss))[0], draws[0]), (
        "the first is the one that is drawn alone"
    )
    if name not in ("zero", "constant"):
        assert len(set(costs)) == 7


def test_that_the_cost_of_a_start_is_the_objective_with_its_weight_decay(build: Build) -> None:
    experiment = build(loss={"name": "cross_entropy", "l2": 0.5})
    theta, objective = started(experiment)
    training = experiment.dataset.load().training
    parts = named(theta, objective)
    outputs = (
        torch.tanh(
            torch.from_numpy(training.x) @ parts["layers.0.weight"].T + parts["layers.0.bias"]
        )
        @ parts["layers.1.weight"].T
    )
    expected = torch.nn.functional.cross_entropy(
        outputs + parts["layers.1.bias"], torch.from_numpy(training.y)
    )
    expected += 0.25 * sum(parts[f"layers.{number}.weight"].square().sum() for number in range(2))
    assert initialization_context(objective, training).losses(theta) == pytest.approx(
        expected.item(), rel=1e-12
    )


MODELS = [
    {"name": "mlp", "hidden": [30, 20, 40], "activation": "relu"},
    {"name": "mlp", "hidden": [50] * 10, "activation": "tanh"},
    {"name": "deep_linear"},
    {"name": "linear"},
    {"name": "cnn"},
]


@pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: f"{model['name']}-{len(model.get('hidden', []))}"
)
@pytest.mark.parametrize(("spread", "bias"), [(1.0, 0.0), (2.5, 0.1)])
def test_that_pre_activations_on_a_minibatch_have_the_spread_in_every_layer(
    build: Build, model: dict[str, Any], spread: float, bias: float
) -> None:
    dataset = {"name": "digits"}
    values = {"name": "batch_scaled", "spread": spread, "bias": bias}
    experiment = build(dataset=dataset, model=model, initializer={**values, "examples": 10_000})
    theta, objective = started(experiment)
    x = torch.from_numpy(experiment.dataset.load().training.x)
    found: dict[str, float] = {}

    def look(name: str, value: torch.Tensor) -> None:
        found[name] = value.std(correction=0).item()

    objective.outputs(theta.unsqueeze(0), x.unsqueeze(0), ForwardContext(trace=look))
    layers = [
        name.removesuffix(".weight") for name in named(theta, objective) if name.endswith(".weight")
    ]
    assert [found[layer] for layer in layers] == pytest.approx([spread] * len(layers), rel=1e-9)
    fewer, _ = started(build(dataset=dataset, model=model, initializer={**values, "examples": 64}))
    objective.outputs(fewer.unsqueeze(0), x.unsqueeze(0), ForwardContext(trace=look))
    assert all(0.5 * spread < found[layer] < 2.0 * spread for layer in layers), (
        "a minibatch tells about as much as the whole"
    )
    assert not torch.equal(fewer, theta)
    plain: Any = experiment.initializer
    drawn = named(
        plain.start(objective.layout, generator(experiment.general.seed, "start")), objective
    )
    for name, part in named(theta, objective).items():
        ratio = part / drawn[name] if name.endswith("weight") else part - drawn[name] + 1.0
        torch.testing.assert_close(ratio, ratio.flatten()[0].expand_as(ratio), rtol=1e-9, atol=0.0)


def test_that_a_layer_that_nothing_reaches_keeps_its_draw(build: Build) -> None:
    # With a bias far below zero every rectifier is off, so the output layer's pre-activations do
    # not vary.
    experiment = build(
        model={"name": "mlp", "hidden": [6], "activation": "relu"},
        initializer={"name": "batch_scaled", "bias": -50.0},
    )
    assert bool(torch.isfinite(started(experiment)[0]).all())


@pytest.mark.parametrize(
    "values", [{"output_bias": "marginal"}, {"tries": 5}, {"name": "batch_scaled"}]
)
def test_that_runs_of_a_population_start_as_alone_in_any_precision(
    build: Build, advanced: Any, values: dict[str, Any]
) -> None:
    members = [build(initializer={"name": "normalized", **values}, seed=seed) for seed in range(3)]
    together = advanced(members, 0).theta
    for run, member in enumerate(members):
        assert torch.equal(together[run], started(member)[0])
        single = advanced(member.with_value("precision", "float32"), 0).theta[0]
        assert torch.equal(single, together[run].float())


RECURRENT = [
    {"name": "lstm", "units": 24},
    {"name": "rnn", "units": 24, "activation": "tanh"},
    {"name": "rnn", "units": 24, "activation": "relu"},
    {"name": "rnn", "units": 24, "activation": "identity"},
]


@pytest.mark.parametrize("first", ["normal", "orthogonal"])
@pytest.mark.parametrize(
    "model", RECURRENT, ids=lambda model: f"{model['name']}-{model.get('activation', '')}"
)
def test_that_both_terms_of_every_gate_have_half_the_variance_along_sequences(
    build: Build, model: dict[str, Any], first: str
) -> None:
    spread, units = 1.5, 24
    experiment = build(
        dataset={"name": "copy_task", "delay": 12},
        model=model,
        initializer={
            "name": "batch_scaled",
            "spread": spread,
            "first": first,
            "examples": 10_000,
            "gate_bias": 0.5,
        },
    )
    theta, objective = started(experiment)
    parts = named(theta, objective)
    x = torch.from_numpy(experiment.dataset.load().training.x)
    states = _states_of_torch(model, parts, x)
    gates = parts["recurrent.weight"].shape[0] // units
    entering = (x @ parts["input.weight"].T).unflatten(2, (gates, units))
    returning = (states[:, :-1] @ parts["recurrent.weight"].T).unflatten(2, (gates, units))
    half = torch.full((gates,), spread / 2**0.5, dtype=torch.float64)
    for term in (entering, returning):
        torch.testing.assert_close(term.std((0, 1, 3), correction=0), half, rtol=1e-6, atol=0.0)
    both = (entering[:, 1:] + returning).std((0, 1, 3), correction=0)
    assert all(0.6 * spread < value < 1.5 * spread for value in both.tolist())
    outputs = states[:, -1] @ parts["output.weight"].T
    assert outputs.std(correction=0).item() == pytest.approx(spread, rel=1e-6)
    plain: Any = experiment.initializer
    source = generator(experiment.general.seed, "start")
    drawn = named(plain.start(objective.layout, source), objective)
    for name in ("input.weight", "recurrent.weight"):
        for scaled, draw in zip(parts[name].chunk(gates), drawn[name].chunk(gates), strict=True):
            ratio = scaled / draw
            torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-9, atol=0.0)


def _states_of_torch(
    model: dict[str, Any], parts: dict[str, torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    """States ``[m, steps, units]`` of torch's own recurrent layers with the same weights."""
    units = model["units"]
    weights = parts["input.weight"], parts["recurrent.weight"]
    if model["name"] == "lstm":
        layer: Any = torch.nn.LSTM(x.shape[2], units, batch_first=True, dtype=torch.float64)
        gates = ("input_gate", "forget_gate", "cell", "output_gate")
        bias = torch.cat([parts[f"{gate}.bias"] for gate in gates])
    elif model["activation"] != "identity":
        layer = torch.nn.RNN(
            x.shape[2], units, 1, model["activation"], batch_first=True, dtype=torch.float64
        )
        bias = parts["recurrent.bias"]
    else:
        h, states = x.new_zeros(len(x), units), []
        for t in range(x.shape[1]):
            h = x[:, t] @ weights[0].T + h @ weights[1].T + parts["recurrent.bias"]
            states.append(h)
        return torch.stack(states, dim=1)
    with torch.no_grad():
        for own, value in zip(layer.all_weights[0], (*weights, bias, 0.0 * bias), strict=True):
            own.copy_(value)
        return layer(x)[0]  # type: ignore[no-any-return]
