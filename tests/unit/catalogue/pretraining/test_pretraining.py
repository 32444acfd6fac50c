"""Pretraining: each kind against what its layer should be, and starts that are better for it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from optlab.core import registry
from optlab.core.data import Part
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.numerics import boltzmann
from optlab.numerics.boltzmann import Machine
from optlab.objective.objective import Objective
from optlab.objective.seeding import generator
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SessionStarted, StepWarning
from optlab.training.initialization import start, starts
from optlab.training.pretraining import pretrained
from optlab.training.run_data import RunData
from optlab.training.session import session
from optlab.training.trainer import Trainer

KINDS = [name for name in registry.names("pretraining") if name != "none"]


def experiment(pretraining: dict[str, Any], **changes: Any) -> Experiment:
    tables: dict[str, Any] = {
        "dataset": {"name": "digits", "unit_range": True},
        "model": {"name": "mlp", "hidden": [20, 16], "activation": "sigmoid"},
        "optimizer": {"name": "momentum", "lr": 0.1, "momentum": 0.9},
        "budget": {"steps": 5},
        "precision": "float64",
        "pretraining": pretraining,
    }
    return Experiment.from_dict({**tables, **changes})


def trainer(asked: Experiment) -> Trainer:
    return Trainer([asked])


def parts(asked: Experiment, theta: torch.Tensor) -> dict[str, torch.Tensor]:
    return {name: part[0] for name, part in asked.layout().named(theta.reshape(1, -1)).items()}


def start_of(asked: Experiment) -> torch.Tensor:
    data = asked.dataset.load()
    return start(asked, Objective(asked.model, asked.loss, data.shape), data.training)


def end_of(asked: Experiment) -> tuple[RunEnded, list[str]]:
    ended, words, began = None, [], False
    for event in session([asked], Inbox()):
        match event:
            case SessionStarted():
                began = True
            case StepWarning():
                assert began and event.step == 0
                words.append(event.words)
            case RunEnded():
                ended = event
            case _:
                pass
    assert ended is not None
    return ended, words


# --- what a layer learns ---------------------------------------------------------------------------------------------------


def test_that_supervised_pretraining_of_one_hidden_layer_is_training_the_network() -> None:
    """Full batches: the same numbers as the trainer's own steps, by its own gradients and momentum,
    the output layer included.
    """
    plain = experiment(
        {"name": "none"},
        model={"name": "mlp", "hidden": [20], "activation": "tanh"},
        batches={"name": "shuffled", "size": 0},
        loss={"name": "cross_entropy", "l2": 0.01, "l1": 0.001},
    )
    steps = trainer(plain)
    for _ in range(12):
        steps.advance()
    values = {"name": "supervised", "epochs": 12, "lr": 0.1, "momentum": 0.9, "size": 0}
    greedy = trainer(
        experiment(
            values,
            model=plain.model.values() | {"name": "mlp"},
            loss=plain.loss.values() | {"name": "cross_entropy"},
        )
    )
    torch.testing.assert_close(greedy.theta, steps.theta, rtol=1e-10, atol=1e-12)
    assert float((steps.theta[0] - start_of(plain)).norm()) > 0.1


def test_that_an_output_layer_that_is_not_kept_is_the_initializers() -> None:
    asked = experiment({"name": "supervised", "epochs": 1, "keep_head": False})
    found, drawn = parts(asked, trainer(asked).theta), parts(asked, start_of(asked))
    assert torch.equal(found["layers.2.weight"], drawn["layers.2.weight"])
    assert not torch.equal(found["layers.1.weight"], drawn["layers.1.weight"])


def test_that_a_second_layer_is_trained_on_the_activations_of_the_fixed_first() -> None:
    """Against torch.nn and torch.optim on the activations that the first layer gives, in the same
    order of examples.
    """
    values = {"name": "supervised", "epochs": 2, "lr": 0.2, "momentum": 0.0, "size": 100}
    asked = experiment(values)
    data = asked.dataset.load()
    found, drawn = parts(asked, trainer(asked).theta), parts(asked, start_of(asked))
    with torch.no_grad():
        h = torch.sigmoid(
            torch.from_numpy(data.training.x).flatten(1) @ found["layers.0.weight"].T
            + found["layers.0.bias"]
        )
    y = torch.from_numpy(data.training.y)
    network = torch.nn.Sequential(
        torch.nn.Linear(20, 16), torch.nn.Sigmoid(), torch.nn.Linear(16, 10)
    ).double()
    names = ("layers.1.weight", "layers.1.bias", "layers.2.weight", "layers.2.bias")
    with torch.no_grad():
        for parameter, name in zip(network.parameters(), names, strict=True):
            parameter.copy_(drawn[name])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2)
    order = generator(0, "pretraining/2/order")
    for _ in range(2):
        for rows in torch.randperm(len(h), generator=order).split(100):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(h[rows]), y[rows]).backward()
            optimizer.step()
    for parameter, name in zip(network.parameters(), names, strict=True):
        torch.testing.assert_close(found[name], parameter.detach(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("tied", [True, False])
def test_that_a_linear_autoencoder_layer_reaches_the_residual_of_principal_components(
    tied: bool,
) -> None:
    asked = experiment(
        {
            "name": "autoencoder",
            "tied": tied,
            "epochs": 2000,
            "lr": 0.3,
            "momentum": 0.9,
            "size": 0,
        },
        dataset={"name": "wine"},
        model={"name": "mlp", "hidden": [3], "activation": "identity"},
    )
    x = asked.dataset.load().training.x
    found = parts(asked, trainer(asked).theta)
    code = x @ found["layers.0.weight"].numpy().T
    # The best linear decoder of the code, found by least squares: what the code keeps of x.
    residual = float(((x - code @ np.linalg.lstsq(code, x, rcond=None)[0]) ** 2).sum())
    spectrum = np.linalg.svd(x, compute_uv=False) ** 2
    assert residual == pytest.approx(float(spectrum[3:].sum()), rel=1e-4)
    # The encoder's rows span the first principal directions.
    basis = np.linalg.qr(found["layers.0.weight"].numpy().T)[0]
    first = np.linalg.svd(x)[2][:3]
    assert np.linalg.svd(first @ basis, compute_uv=False).min() > 0.999


def test_that_the_layers_of_boltzmann_pretraining_are_those_of_contrastive_divergence() -> None:
    asked = experiment(
        {"name": "rbm", "epochs": 2, "lr": 0.1, "momentum": 0.5, "size": 200, "k": 2}, seed=4
    )
    found, drawn = parts(asked, trainer(asked).theta), parts(asked, start_of(asked))
    h = torch.from_numpy(asked.dataset.load().training.x).flatten(1)
    for number in (0, 1):
        visible = h.mean(dim=0).clamp(0.01, 0.99).logit()
        machine = Machine(
            drawn[f"layers.{number}.weight"][None],
            visible[None],
            drawn[f"layers.{number}.bias"][None],
        )
        velocity = [torch.zeros_like(part) for part in machine]
        order, uniform = (
            generator(4, f"pretraining/{number + 1}/{purpose}") for purpose in ("order", "chain")
        )
        for _ in range(2):
            for rows in torch.randperm(len(h), generator=order).split(200):
                v = h[rows][None]

                def draw(
                    units: int, rows: torch.Tensor = rows, uniform: torch.Generator = uniform
                ) -> torch.Tensor:
                    return torch.rand(1, len(rows), units, generator=uniform, dtype=torch.float64)

                gradient = boltzmann.cd_gradient(machine, v, boltzmann.chain(machine, v, 2, draw))
                velocity = [0.5 * old - 0.1 * g for old, g in zip(velocity, gradient, strict=True)]
                machine = Machine(*(part + v for part, v in zip(machine, velocity, strict=True)))
        torch.testing.assert_close(
            found[f"layers.{number}.weight"], machine.weight[0], rtol=1e-12, atol=1e-14
        )
        torch.testing.assert_close(
            found[f"layers.{number}.bias"], machine.hidden[0], rtol=1e-12, atol=1e-14
        )
        h = boltzmann.hidden_probabilities(machine, h[None])[0]
    assert torch.equal(found["layers.2.weight"], drawn["layers.2.weight"])


# --- what it is good for -----------------------------------------------------------------------------------------------------


def errors(pretraining: dict[str, Any], dataset: dict[str, Any]) -> list[float]:
    """Final validation errors of three seeds of a deep sigmoid network after a short training."""
    asked = [
        experiment(
            pretraining,
            dataset=dataset,
            model={"name": "mlp", "hidden": [50, 50, 50], "activation": "sigmoid"},
            budget={"steps": 150},
            precision="float32",
            seed=seed,
        )
        for seed in (1, 2, 3)
    ]
    found: dict[int, float] = {}
    for event in session(asked, Inbox()):
        if isinstance(event, RunEnded):
            error = event.final["validation_error"]
            assert error is not None
            found[event.run] = error
    return [found[run] for run in range(3)]


@pytest.mark.soak
def test_that_every_kind_gives_a_deep_sigmoid_network_a_better_start() -> None:
    """The network without it has hardly begun: more than half of the validation set is wrong."""
    plain, standardized = {"name": "digits", "unit_range": True}, {"name": "digits"}
    without = {
        name: errors({"name": "none"}, data)
        for name, data in (("unit", plain), ("standardized", standardized))
    }
    assert min(without["unit"]) > 0.5
    for values, data, least in (
        ({"name": "rbm"}, "unit", 0.3),
        ({"name": "supervised"}, "standardized", 0.1),
        ({"name": "autoencoder"}, "standardized", 0.05),
    ):
        reached = errors({"epochs": 20, **values}, plain if data == "unit" else standardized)
        gains = [before - after for before, after in zip(without[data], reached, strict=True)]
        assert min(gains) > least, (values, without[data], reached)


# --- that it can be relied on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_that_it_is_a_function_of_the_seed_alone(name: str) -> None:
    def digest(**changes: Any) -> str:
        asked = experiment({"name": name, "epochs": 1, "size": 100}, **changes)
        data = RunData([asked])
        objective = Objective(asked.model, asked.loss, data.first.shape)
        theta, _ = starts([asked], objective, data)
        return hashlib.sha256(theta.numpy().tobytes()).hexdigest()

    assert digest() == digest()
    assert digest() == digest(
        precision="float32", optimizer={"name": "adam"}, batches={"name": "shuffled", "size": 7}
    )
    assert digest() != digest(seed=1)


@pytest.mark.parametrize("name", KINDS)
def test_that_runs_of_a_population_start_as_they_do_alone(name: str) -> None:
    asked = [
        experiment({"name": name, "epochs": epochs, "size": 200}, seed=seed)
        for seed, epochs in ((0, 1), (1, 1), (0, 2), (0, 1))
    ]
    asked.append(experiment({"name": "none"}))
    together = Trainer(asked)
    for run, alone in enumerate(asked):
        assert torch.equal(together.theta[run], trainer(alone).theta[0])
    assert sorted(together.notes) == [0, 1, 2, 3]
    assert len({together.theta[run].numpy().tobytes() for run in range(5)}) == 4


def test_that_going_on_from_a_snapshot_pretrains_nothing_and_says_nothing() -> None:
    asked = experiment({"name": "rbm", "epochs": 1})
    first = trainer(asked)
    for _ in range(3):
        first.advance()
    again = Trainer([asked], [first.snapshot(0, 0.0, "asked")])
    assert not again.notes
    for one in (first, again):
        one.advance()
    assert torch.equal(first.theta, again.theta)


def test_that_a_session_tells_before_the_first_step_what_each_layer_reached() -> None:
    _, words = end_of(experiment({"name": "autoencoder", "epochs": 1}))
    (message,) = words
    assert (
        message.startswith("pretraining took ")
        and "layer 1:" in message
        and "layer 2:" in message
        and "layer 3:" not in message
    )
    assert end_of(experiment({"name": "none"}))[1] == []


def test_that_the_reconstruction_error_that_is_reported_is_a_share_of_the_variance() -> None:
    """A layer that learns nothing to speak of leaves all of it."""
    asked = experiment(
        {"name": "autoencoder", "epochs": 1, "lr": 1e-12},
        dataset={"name": "wine"},
        initializer={"name": "zero"},
    )
    data = asked.dataset.load()
    objective = Objective(asked.model, asked.loss, data.shape)
    assert (
        "layer 1: 100.00% of the variance of its inputs"
        in pretrained(asked, objective, data.training, start_of(asked)).words
    )


@pytest.mark.parametrize("name", KINDS)
def test_that_a_rate_that_is_too_large_is_reported(name: str) -> None:
    asked = experiment(
        {"name": name, "lr": 1.7e308, "epochs": 3},
        model={"name": "mlp", "hidden": [9], "activation": "sigmoid"},
    )
    with pytest.raises(
        InvalidInput,
        match=r"hidden layer 1: its weights are no longer finite; make pretraining\.lr",
    ) as refusal:
        trainer(asked)
    assert refusal.value.field == "pretraining.lr"


@pytest.mark.parametrize(
    ("model", "pretraining", "words"),
    [
        ({"name": "linear"}, "supervised", "model 'linear' with these settings has none"),
        ({"name": "mlp", "hidden": []}, "autoencoder", "with these settings has none"),
        (
            {"name": "mlp", "hidden": [8, 8], "skip": True},
            "autoencoder",
            "with these settings has none",
        ),
        (
            {"name": "mlp", "hidden": [8], "batch_norm": True},
            "supervised",
            "with these settings has none",
        ),
        ({"name": "cnn"}, "rbm", "with these settings has none"),
        (
            {"name": "mlp", "activation": "relu"},
            "rbm",
            "layers of sigmoid units, but model.activation is 'relu'",
        ),
    ],
)
def test_that_models_it_cannot_pretrain_are_refused_in_words(
    model: dict[str, Any], pretraining: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        experiment({"name": pretraining}, model=model)
    assert words in str(refusal.value)
    assert refusal.value.field == "pretraining.name"


def test_that_inputs_that_are_no_probabilities_are_refused_before_boltzmann_pretraining() -> None:
    with pytest.raises(InvalidInput, match=r"set dataset\.unit_range to true"):
        trainer(experiment({"name": "rbm"}, dataset={"name": "digits"}))


def test_that_a_file_without_the_section_has_no_pretraining() -> None:
    tables = experiment({"name": "rbm"}).to_dict()
    del tables["pretraining"]
    asked = Experiment.from_dict(tables)
    assert asked.pretraining.name == "none"
    assert torch.equal(trainer(asked).theta[0], start_of(asked))


def test_that_inputs_are_scaled_by_the_training_part_alone() -> None:
    asked = experiment({"name": "none"}, dataset={"name": "wine", "unit_range": True})
    data = asked.dataset.load()
    assert data.training.x.min(axis=0).tolist() == [0.0] * 13
    assert data.training.x.max(axis=0).tolist() == [1.0] * 13
    raw = (
        asked.with_value("dataset.unit_range", False)
        .with_value("dataset.standardize", False)
        .dataset.load()
    )

    def restored(part: Part) -> np.ndarray[Any, np.dtype[np.float64]]:
        return part.x * data.scale + data.offset

    pairs: Sequence[tuple[Part, Part]] = (
        (data.training, raw.training),
        (data.validation, raw.validation),
        (data.test, raw.test),
    )
    for mine, original in pairs:
        np.testing.assert_allclose(restored(mine), original.x, rtol=1e-12, atol=1e-12)
