"""The table of an initialization, compared with torch's own modules with hooks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.studies.tuning.start_table import Spread, start_table, start_tables
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
DEEP = {"name": "mlp", "hidden": [7, 6], "activation": "relu"}


def agrees(spread: Spread, values: torch.Tensor) -> None:
    assert spread.shape == tuple(values.shape)
    found = (spread.mean, spread.std, spread.least, spread.most, spread.norm)
    there = (values.mean(), values.std(unbiased=False), values.min(), values.max(), values.norm())
    assert found == pytest.approx(tuple(float(value) for value in there), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("initializer", [{"name": "he"}, {"name": "uniform", "bias": -0.3}])
def test_that_weights_activations_and_gradients_are_those_that_hooks_see(
    build: Build, initializer: dict[str, Any]
) -> None:
    experiment = build(
        model=DEEP,
        initializer=initializer,
        precision="float32",
        loss={"name": "cross_entropy", "l2": 0.01},
    )
    table = start_table(experiment)
    trainer = Trainer([build(model=DEEP, initializer=initializer)])
    network = torch.nn.Sequential(
        torch.nn.Linear(2, 7),
        torch.nn.ReLU(),
        torch.nn.Linear(7, 6),
        torch.nn.ReLU(),
        torch.nn.Linear(6, 2),
    ).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0], network.parameters())
    seen: list[torch.Tensor] = []
    outputs: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        seen.append(output.detach())
        output.retain_grad()
        outputs.append(output)

    for module in network:
        module.register_forward_hook(keep)
    x, y = trainer.batch_of(0)
    loss = torch.nn.functional.cross_entropy(network(x[0]), y[0])
    decay = 0.005 * sum(p.square().sum() for p in network.parameters() if p.dim() == 2)
    (loss + decay).backward()
    assert (table.initializer, table.examples) == (initializer["name"], 16)
    assert table.loss == pytest.approx(loss.item(), rel=1e-9)
    for spread, parameter in zip(table.weights, network.parameters(), strict=True):
        agrees(spread, parameter.detach())
    for spread, values in zip(table.activations, seen, strict=True):
        agrees(spread, values)
        assert table.dead[spread.name] == pytest.approx(
            (values == 0.0).all(dim=0).double().mean().item()
        )
    for spread, parameter in zip(table.gradients, network.parameters(), strict=True):
        assert parameter.grad is not None
        agrees(spread, parameter.grad)
    for spread, output in zip(table.backward, outputs, strict=True):
        assert output.grad is not None
        agrees(spread, 16 * output.grad)  # of each example, not of their mean
    assert [spread.name for spread in table.weights] == [spread.name for spread in table.gradients]
    assert [spread.name for spread in table.activations] == [
        "layers.0",
        "layers.0.relu",
        "layers.1",
        "layers.1.relu",
        "layers.2",
    ]
    if initializer["name"] == "uniform":
        assert table.dead["layers.1.relu"] > 0.0, "biases below zero leave some units dead"


def test_that_initializers_show_what_they_are_known_for(build: Build) -> None:
    deep = {"name": "mlp", "hidden": [100] * 6, "activation": "tanh"}
    data = {"name": "digits"}
    tables = start_tables(
        build(dataset=data, model=deep, batches={"size": 128}),
        ["fan_in", "normalized", "orthogonal", "zero"],
    )
    assert [table.initializer for table in tables] == ["fan_in", "normalized", "orthogonal", "zero"]
    last = [
        next(spread for spread in table.activations if spread.name == "layers.5.tanh").std
        for table in tables
    ]
    assert last[0] < 0.2 * last[1], (
        "U(±1/√m) lets the signal shrink by √3 a layer, the normalized one much less"
    )
    assert min(last[1:3]) > 0.2 and last[3] == 0.0
    first = [table.gradients[0].std for table in tables]
    assert first[0] < 0.1 * first[1] and first[3] == 0.0
    assert tables[3].dead["layers.0.tanh"] == 1.0 and tables[1].dead["layers.0.tanh"] == 0.0
    assert tables[3].loss == pytest.approx(math.log(10.0))


def test_that_an_unknown_initializer_is_refused(build: Build) -> None:
    with pytest.raises(InvalidInput, match="he"):
        start_tables(build(), ["he", "nonsense"])


@pytest.mark.parametrize(
    "model", [{"name": "cnn"}, {"name": "transformer"}, {"name": "deep_linear"}]
)
def test_that_every_kind_of_network_has_a_table(build: Build, model: dict[str, Any]) -> None:
    table = start_table(build(dataset={"name": "digits"}, model=model))
    assert len(table.weights) == len(table.gradients) > 1 and len(table.activations) > 1
    assert all(
        spread.most >= spread.mean >= spread.least
        for spread in (*table.weights, *table.activations, *table.gradients, *table.backward)
    )
    assert [one.name for one in table.backward] == [one.name for one in table.activations]
    assert all(
        one.std > 0.0 and one.shape == other.shape
        for one, other in zip(table.backward, table.activations, strict=True)
    )


def test_that_gradients_by_feature_maps_are_those_by_the_tensors_that_the_network_goes_on_with(
    build: Build,
) -> None:
    """Its maps are reported as a view; softmax minus target, through the last weights, is exact."""
    experiment = build(dataset={"name": "digits"}, model={"name": "cnn"})
    table = start_table(experiment)
    trainer = Trainer([experiment.with_value("precision", "float64")])
    x, y = trainer.batch_of(0)
    outputs = trainer.objective.outputs(trainer.theta, x)[0]
    error = torch.softmax(outputs, dim=1) - torch.nn.functional.one_hot(y[0], 10)
    weight = trainer.layout.named(trainer.theta)["output.weight"][0]
    maps = {one.name: one for one in table.backward}
    agrees(maps["output"], error)
    agrees(maps["convolutions.1.relu"], (error @ weight).view(len(error), 16, 2, 2))
