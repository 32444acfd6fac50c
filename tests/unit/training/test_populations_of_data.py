"""Runs of one population that have different data give the numbers of the same runs alone."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any, cast

import pytest

from optlab.catalogue.datasets.base import Dataset
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.training.events import Event, RunEnded
from optlab.training.population import population_key
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
SameAlone = Callable[..., list[Event]]

ENDLESS = [
    component.name
    for component in registry.components("dataset")
    if cast(type[Dataset], component).endless
]
SMALL = {"size": 90}
STEPS = {"steps": 200}


def model_of(name: str) -> dict[str, Any]:
    shape = cast(type[Dataset], registry.get("dataset", name))().shape()
    return {"name": "mlp", "hidden": [4]} if len(shape.inputs) == 1 else {"name": "rnn", "units": 4}


@pytest.mark.parametrize("name", ENDLESS)
def test_that_runs_with_two_data_seeds_are_the_same_runs_alone(
    build: Build, same_alone: SameAlone, name: str
) -> None:
    def run(data_seed: int, **changes: Any) -> Experiment:
        return build(
            dataset={"name": name, **SMALL, "seed": data_seed},
            model=model_of(name),
            optimizer={"name": "momentum", "lr": 0.01},
            budget=STEPS,
            measures={"fresh": 50, "weights": 4},
            **changes,
        )

    experiments = [run(0), run(5), run(0, seed=3), run(5, seed=3)]
    assert len({population_key(experiment) for experiment in experiments}) == 1
    together = same_alone(experiments, snapshot_at=120)
    assert len({event.theta_sha256 for event in together if isinstance(event, RunEnded)}) == 4


IRIS = {"dataset": {"name": "iris"}, "model": {"name": "mlp", "hidden": [5]}}
RBM = {
    "dataset": {"name": "iris", "unit_range": True},
    "model": {"name": "rbm", "hidden": 4, "learning": "cd", "k": 1},
}
MIXED: dict[str, list[dict[str, Any]]] = {
    "splits of real data": [{**IRIS}],
    "batch normalization": [
        {"model": {"name": "mlp", "hidden": [5, 4], "batch_norm": True}},
        {
            "model": {"name": "mlp", "hidden": [5, 4], "batch_norm": True},
            "optimizer": {"name": "lbfgs"},
        },
    ],
    "streaming beside stored": [
        {"batches": {"name": "streaming", "size": 16}},
        {"batches": {"name": "shuffled", "size": 16}},
    ],
    "orders by target": [
        {**IRIS, "batches": {"name": "curriculum", "size": 16}},
        {**IRIS, "batches": {"name": "sorted_by_class", "size": 16}},
        {**IRIS, "batches": {"name": "replay_buffer", "size": 16}},
        {**IRIS, "batches": {"name": "with_replacement", "size": 16}},
    ],
    "early stopping": [
        {**IRIS, "stopping": {"name": "early", "patience": 2}, "optimizer": {"lr": 0.5}},
        {**IRIS},
    ],
    "divergence": [
        {"optimizer": {"name": "sgd", "lr": 1e200}},
        {"optimizer": {"name": "sgd", "lr": 0.05}},
    ],
    "averaging and delays": [
        {"averaging": {"name": "polyak", "begin": 20}, "delay": {"name": "fixed", "steps": 3}},
        {"averaging": {"name": "exponential"}, "delay": {"name": "random"}},
    ],
    "initializers that see the data": [
        {"initializer": {"name": "batch_scaled"}},
        {"initializer": {"name": "gaussian", "output_bias": "marginal", "tries": 5}},
    ],
    "pretraining": [
        {**IRIS, "pretraining": {"name": "supervised"}},
        {
            "dataset": {"name": "iris", "unit_range": True},
            "model": {"name": "mlp", "hidden": [5], "activation": "sigmoid"},
            "pretraining": {"name": "rbm", "epochs": 2},
        },
    ],
    "Boltzmann machine": [{**RBM, "optimizer": {"lr": 0.01}}],
    "second order": [
        {"optimizer": {"name": "newton", "damping": 1.0}},
        {"optimizer": {"name": "natural_gradient", "damping": 0.1}},
        {"optimizer": {"name": "lbfgs"}},
        {"optimizer": {"name": "sgd"}},
    ],
    "instruments": [
        {
            **IRIS,
            "instruments": {
                name: {"every": 40}
                for name in (
                    *("conditioning", "gradient_noise", "distance", "margins", "reliability"),
                    *("activations", "gradients_by_layer", "excess_error"),
                )
            }
            | {"spectrum": {"every": 40, "examples": 20, "bottom": 1, "tolerance": 1e-12}},
        }
    ],
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.soak] if place % 2 else [])
        for place, kind in enumerate(MIXED)
    ],
)
def test_that_everything_that_reads_data_reads_those_of_the_run(
    build: Build, same_alone: SameAlone, kind: str
) -> None:
    experiments = [
        with_data_seed(build(**{"budget": STEPS, **changes}), seed)
        for changes in MIXED[kind]
        for seed in (0, 5)
    ]
    keys: dict[object, list[Experiment]] = {}
    for experiment in experiments:
        keys.setdefault(population_key(experiment), []).append(experiment)
    for members in keys.values():
        assert len(members) >= 2
        same_alone(members, snapshot_at=120)


def with_data_seed(experiment: Experiment, seed: int) -> Experiment:
    return experiment.with_value("dataset.seed", seed)


@pytest.mark.parametrize(
    "component", registry.components("dataset"), ids=lambda component: component.name
)
def test_that_value_fields_change_neither_shapes_nor_numbers_of_examples(
    component: type[Dataset],
) -> None:
    """By the declaration alone runs are put into one population, before any data are loaded."""
    names = {field.name for field in component.fields()}
    assert set(component.value_fields) <= names and "seed" in component.value_fields
    if not component.endless:
        assert component.value_fields == Dataset.value_fields
        return
    plain = component.build({"size": 101}, "dataset")
    for name in component.value_fields:
        value = changed(getattr(plain, name), component.field(name).le)
        other = component.build({"size": 101, name: value}, "dataset")
        sizes = [
            (data.shape, *(part.x.shape for part in (data.training, data.validation, data.test)))
            for data in (plain.load(), other.load())
        ]
        assert sizes[0] == sizes[1], name


def changed(value: Any, largest: float | None) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return value / 2
    return value + 3 if largest is None or value + 3 <= largest else value - 1


def test_that_equal_data_are_loaded_and_held_once(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optlab.catalogue.datasets.moons import Moons

    loaded: list[int] = []
    load = Moons.load

    def counted(self: Moons) -> Any:
        loaded.append(self.seed)
        return load(self)

    monkeypatch.setattr(Moons, "load", counted)
    seeds = [0, 5, 0, 5, 5, 0]
    trainer = Trainer(
        [build(dataset={"seed": seed}, seed=number) for number, seed in enumerate(seeds)]
    )
    assert loaded == [0, 5]
    examples = trainer._evaluator.training
    assert examples.x.shape[:2] == (2, 72) and examples.of is not None
    assert examples.of.tolist() == [0, 1, 0, 1, 1, 0]
    assert Trainer([build(), build(seed=2)])._evaluator.training.x.shape == (72, 2)


def test_that_data_of_another_size_than_declared_are_refused(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optlab.catalogue.datasets.moons import Moons

    monkeypatch.setattr(Moons, "value_fields", (*Moons.value_fields, "size"))
    with pytest.raises(InvalidInput, match="data of run 3 of a population"):
        Trainer([build(), build(seed=2), build(dataset={"size": 130})])


def test_that_a_trainer_does_not_hold_the_data_as_they_were_loaded(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in single precision would hold every example a second time, in twice the bytes."""
    from optlab.catalogue.datasets.moons import Moons

    loaded: list[weakref.ref[Any]] = []
    load = Moons.load

    def watched(self: Moons) -> Any:
        data = load(self)
        loaded.append(weakref.ref(data.training))
        return data

    monkeypatch.setattr(Moons, "load", watched)
    trainer = Trainer([build(precision="float32"), build(precision="float32", dataset={"seed": 3})])
    gc.collect()
    assert trainer.runs == len(loaded) == 2
    assert [reference() for reference in loaded] == [None, None]
