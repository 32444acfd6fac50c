"""Risk against closed forms, and measuring it leaves the training as it is; penalty, margins and
weight norm against NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from optlab.catalogue.datasets.least_squares import LeastSquares
from optlab.catalogue.datasets.teacher import Teacher
from optlab.experiment import Experiment
from optlab.objective.seeding import numpy_generator
from optlab.training import fresh as module
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
LINE = {"name": "least_squares", "size": 60, "dimension": 4, "noise": 0.3}


def values(trainer: Trainer) -> dict[str, float]:
    measured = trainer.evaluate()
    return {name: float(value[0]) for name, value in measured.items()}


def test_that_the_risk_of_a_linear_model_is_its_closed_form(build: Build, advanced: Any) -> None:
    trainer = advanced(
        build(dataset=LINE, model={"name": "linear"}, measures={"fresh": 40_000}), 30
    )
    theta = trainer.theta[0].numpy()
    dataset = trainer.requested[0].dataset
    assert isinstance(dataset, LeastSquares)
    exact, measured = dataset.risk(theta[:4], theta[4]), values(trainer)
    # The squared error of normal data has the standard deviation √2 J*.
    assert abs(measured["risk_loss"] - exact) < 4.0 * exact * np.sqrt(2.0 / 40_000)
    assert measured["risk_gap"] == pytest.approx(
        measured["risk_loss"] - measured["train_loss"], abs=1e-12
    )
    assert "risk_error" not in measured


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("piece", [10, 70_000, 10**7])
def test_that_the_risk_of_the_teacher_itself_is_the_noise(
    standardize: bool, piece: int, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIECE_VALUES", piece)
    number = 300 if piece == 10 else 20_000
    for noise in (0.0, 0.4):
        chosen = {
            "name": "teacher",
            "task": "regression",
            "noise": noise,
            "standardize": standardize,
            "size": 100,
        }
        experiment = build(
            dataset=chosen,
            model={"name": "mlp", "hidden": [4], "activation": "tanh"},
            measures={"fresh": number},
        )
        trainer, dataset = Trainer([experiment]), experiment.dataset
        assert isinstance(dataset, Teacher)
        (first, second), data = dataset.weights(), dataset.load()
        parts = {
            "layers.0.weight": first * data.scale,
            "layers.0.bias": first @ (data.offset + np.zeros(10)),
            "layers.1.weight": second,
            "layers.1.bias": np.zeros(3),
        }
        trainer.theta = torch.from_numpy(
            np.concatenate([parts[spec.name].ravel() for spec in trainer.layout.parameters])
        ).unsqueeze(0)
        risk, expected = values(trainer)["risk_loss"], 3.0 * noise**2
        assert abs(risk - expected) < 1e-20 + 4.0 * expected * np.sqrt(2.0 / 3.0 / number)


def test_that_the_risk_of_the_best_classifier_of_two_gaussians_is_a_tail_of_the_normal_distribution(
    build: Build,
) -> None:
    chosen = {
        "name": "gaussian_mixture",
        "classes": 2,
        "dimension": 3,
        "distance": 1.0,
        "standardize": False,
        "size": 50,
    }
    trainer = Trainer([build(dataset=chosen, model={"name": "linear"}, measures={"fresh": 50_000})])
    centers: Any = trainer.requested[0].dataset.centers()  # type: ignore[attr-defined]
    # The discriminant of nearest centers: f_k(x) = c_k·x − ½‖c_k‖².
    trainer.theta = torch.from_numpy(
        np.append(centers.ravel(), -0.5 * np.square(centers).sum(axis=1))
    ).unsqueeze(0)
    distance = torch.tensor(np.linalg.norm(centers[0] - centers[1]))
    tail = float(torch.special.ndtr(-distance / 2.0))
    assert abs(values(trainer)["risk_error"] - tail) < 4.0 * np.sqrt(tail * (1.0 - tail) / 50_000)


def test_that_each_evaluation_draws_new_examples_shared_by_all_runs(
    build: Build, advanced: Any
) -> None:
    still = build(optimizer={"name": "sgd", "lr": 1e-300}, measures={"fresh": 50})
    trainer = advanced(
        [still, build(optimizer={"name": "sgd", "lr": 1e-300}, measures={"fresh": 50}, seed=7)], 0
    )
    trainer.theta = trainer.theta[:1].repeat(2, 1)
    first, again = trainer.evaluate()["risk_loss"], trainer.evaluate()["risk_loss"]
    assert torch.equal(first, again) and first[0] == first[1]
    trainer.advance()
    assert trainer.evaluate()["risk_loss"][0] != first[0]
    alone = advanced(still, 1)
    assert alone.evaluate()["risk_loss"][0] == pytest.approx(
        float(trainer.evaluate()["risk_loss"][0]), rel=1e-12
    )


@pytest.mark.parametrize("order", ["shuffled", "streaming"])
def test_that_measuring_the_risk_never_changes_the_training(
    order: str, build: Build, play: Any, ended: Any
) -> None:
    digests = set()
    for number in (0, 500):
        experiment = build(
            batches={"name": order, "size": 16}, measures={"fresh": number, "evaluate_every": 5}
        )
        digests.add(ended(play(experiment)).theta_sha256)
    assert len(digests) == 1


def test_that_the_risk_is_measured_only_where_requested_and_known(build: Build) -> None:
    risks = {"risk_loss", "risk_error", "risk_gap"}
    assert risks <= set(values(Trainer([build(measures={"fresh": 10})])))
    assert not risks & set(values(Trainer([build()])))
    assert not risks & set(
        values(Trainer([build(dataset={"name": "iris"}, measures={"fresh": 10})]))
    )


def test_that_penalty_and_weight_norm_exclude_biases_and_are_not_part_of_the_loss(
    build: Build, advanced: Any
) -> None:
    loss = {"name": "cross_entropy", "l1": 0.01, "l2": 0.3}
    trainer = advanced(build(loss=loss), 10)
    weights = [
        part[0].numpy()
        for name, part in trainer.layout.named(trainer.theta).items()
        if name.endswith("weight")
    ]
    flat = np.concatenate([weight.ravel() for weight in weights])
    measured = values(trainer)
    assert measured["penalty"] == pytest.approx(
        0.01 * np.abs(flat).sum() + 0.15 * np.square(flat).sum(), rel=1e-12
    )
    assert measured["weight_norm"] == pytest.approx(np.linalg.norm(flat), rel=1e-12)
    plain = Trainer([build()])
    plain.theta = trainer.theta
    without = values(plain)
    assert "penalty" not in without
    assert without["train_loss"] == pytest.approx(measured["train_loss"], rel=1e-12), (
        "the loss on data, without the penalty"
    )


def test_that_margins_are_the_correct_output_minus_the_largest_other_one(
    build: Build, advanced: Any
) -> None:
    experiment = build(dataset={"name": "iris"}, model={"name": "linear"})
    trainer = advanced(experiment, 20)
    data, theta = experiment.dataset.load(), trainer.theta[0].numpy()
    weight, bias = theta[:12].reshape(3, 4), theta[12:]
    for name, part in (("margin", data.training), ("validation_margin", data.validation)):
        outputs = part.x @ weight.T + bias
        by_hand = [
            row[label] - np.delete(row, label).max()
            for row, label in zip(outputs, part.y, strict=True)
        ]
        assert values(trainer)[name] == pytest.approx(np.mean(by_hand), rel=1e-12)
    assert "margin" not in values(Trainer([build(dataset=LINE, model={"name": "linear"})]))


def test_that_the_excess_of_the_risk_is_its_closed_form_without_the_noise_of_the_draws(
    build: Build, advanced: Any
) -> None:
    trainer = advanced(
        build(
            dataset={**LINE, "noise": 0.5},
            model={"name": "linear"},
            optimizer={"name": "sgd", "lr": 0.1},
            measures={"fresh": 40_000},
        ),
        400,
    )
    theta = trainer.theta[0].numpy()
    dataset = trainer.requested[0].dataset
    assert isinstance(dataset, LeastSquares)
    exact = dataset.risk(theta[:4], theta[4]) - 0.25
    assert 0.0 < exact < 0.05
    # The risk itself is known to within 0.25 √(2/40,000) = 0.0018 only.
    assert values(trainer)["risk_excess"] == pytest.approx(exact, abs=0.0015)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_that_the_best_predictions_of_a_mixture_are_its_posteriors(
    loss: str, standardize: bool, build: Build
) -> None:
    mixture = {
        "name": "gaussian_mixture",
        "classes": 3,
        "distance": 1.5,
        "size": 100,
        "standardize": standardize,
    }
    experiment = build(
        dataset=mixture, model={"name": "linear"}, loss={"name": loss}, measures={"fresh": 5000}
    )
    trainer = Trainer([experiment])
    trainer.theta = torch.zeros_like(trainer.theta)
    # All outputs are zero: log 3 for each example, or one.
    constant = np.log(3.0) if loss == "cross_entropy" else 1.0
    dataset: Any = experiment.dataset
    x, y = dataset.draw(numpy_generator(dataset.seed, "risk/0"), 5000)
    density = np.stack(
        [scipy.stats.multivariate_normal(center).pdf(x) for center in dataset.centers()], axis=1
    )
    posterior = density / density.sum(axis=1, keepdims=True)
    best = (
        -np.log(posterior[np.arange(5000), y])
        if loss == "cross_entropy"
        else np.square(posterior - np.eye(3)[y]).sum(axis=1)
    )
    assert values(trainer)["risk_excess"] == pytest.approx(constant - best.mean(), rel=1e-9)


def test_that_runs_of_different_data_have_the_excess_of_their_own(build: Build) -> None:
    runs = [
        build(
            dataset={**LINE, "noise": noise, "seed": seed},
            model={"name": "linear"},
            measures={"fresh": 500},
        )
        for noise, seed in ((0.1, 0), (0.8, 1), (0.1, 0))
    ]
    together = Trainer(runs).evaluate()["risk_excess"]
    alone = [float(Trainer([run]).evaluate()["risk_excess"][0]) for run in runs]
    assert together.tolist() == pytest.approx(alone)
    assert alone[0] != pytest.approx(alone[1])


def test_that_runs_of_different_losses_have_the_excess_of_their_own(build: Build) -> None:
    runs = [
        build(
            dataset={"name": "gaussian_mixture", "size": 60},
            model={"name": "linear"},
            loss={"name": name, "l2": 0.1},
            measures={"fresh": 500},
        )
        for name in ("squared_error", "cross_entropy")
    ]
    together = Trainer(runs).evaluate()["risk_excess"]
    alone = [float(Trainer([run]).evaluate()["risk_excess"][0]) for run in runs]
    assert together.tolist() == pytest.approx(alone)


def test_that_there_is_no_excess_where_the_best_predictions_are_unknown(build: Build) -> None:
    for sections in (
        {"dataset": {"name": "moons", "size": 60}},
        {"dataset": {"name": "teacher", "size": 60}},
        {"dataset": {"name": "gaussian_mixture", "size": 60}, "model": {"name": "autoencoder"}},
    ):
        measured = values(Trainer([build(**sections, measures={"fresh": 100})]))
        assert "risk_loss" in measured and "risk_excess" not in measured


def test_that_the_excess_of_the_risk_falls_as_the_inverse_of_the_steps_on_a_stream(
    build: Build,
) -> None:
    # Averages over runs with examples of their own; rates proportional to 1/k.
    trainer = Trainer(
        [
            build(
                seed=seed,
                dataset={"name": "least_squares", "size": 60, "dimension": 4, "condition": 4.0},
                model={"name": "linear"},
                optimizer={"name": "sgd", "lr": 0.2},
                schedule={"name": "inverse", "tau": 20},
                batches={"name": "streaming", "size": 1},
                budget={"steps": 5000},
                measures={"fresh": 2000},
            )
            for seed in range(24)
        ]
    )
    excess = {}
    for step in range(1, 3201):
        trainer.advance()
        if step in (200, 800, 3200):
            excess[step] = float(trainer.evaluate()["risk_excess"].mean())
    order = np.log(excess[3200] / excess[200]) / np.log(16.0)
    assert order == pytest.approx(-1.0, abs=0.2)
