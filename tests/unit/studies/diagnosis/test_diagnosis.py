"""The doctor's note: each rule on numbers that make it speak, on numbers that keep it silent, and
on real runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from optlab.core import walk
from optlab.experiment import Experiment
from optlab.studies import diagnosis
from optlab.studies.diagnosis import diagnose
from optlab.studies.diagnosis.base import Finding, RunHistory
from optlab.training.control import Inbox
from optlab.training.events import SeriesBlock
from optlab.training.session import session


def asked(**sections: Any) -> Experiment:
    return Experiment.from_dict(
        {
            "device": "cpu",
            "dataset": {"name": "iris"},
            "model": {"name": "mlp", "hidden": [8]},
            "optimizer": {"name": "momentum", "lr": 0.1, "momentum": 0.5},
            **sections,
        }
    )


def history(
    columns: dict[str, tuple[str, ...]] | None = None,
    experiment: Experiment | None = None,
    **series: Any,
) -> RunHistory:
    found = {
        name.replace("__", "."): np.asarray(values, dtype=np.float64)
        for name, values in series.items()
    }
    return RunHistory(
        experiment or asked(),
        {name: (np.arange(len(values)), values) for name, values in found.items()},
        columns or {},
    )


def named(findings: list[Finding], name: str) -> Finding | None:
    return next((finding for finding in findings if finding.name == name), None)


def test_that_without_measurements_nothing_is_said() -> None:
    assert diagnose(history()) == []


def test_that_a_run_that_does_well_is_left_alone() -> None:
    steps = np.arange(400)
    healthy = history(
        batch_loss=np.exp(-steps / 150) + 0.05,
        gradient_norm=np.exp(-steps / 300),
        train_loss=np.exp(-np.arange(10) / 4) + 0.04,
        validation_loss=np.exp(-np.arange(10) / 4) + 0.06,
        spectrum__top=np.array([[1.5, 0.5]]),
        spectrum__bottom=np.array([[-0.01]]),
        conditioning__trouble=np.zeros(10),
        conditioning__gg=np.ones(10),
        conditioning__ghg=np.ones(10),
    )
    assert diagnose(healthy) == []


@pytest.mark.parametrize(("top", "speaks"), [(29.0, False), (31.0, True)])
def test_that_the_edge_of_stability_counts_the_momentum(top: float, speaks: bool) -> None:
    # 2 (1 + 0.5)/λ₁ = 0.1 at λ₁ = 30.
    finding = named(diagnose(history(spectrum__top=np.array([[top, 1.0]]))), "rate_above_edge")
    assert (finding is not None) == speaks
    if finding is not None:
        (remedy,) = finding.remedies
        assert remedy.live and 0.0 < float(remedy.changes["optimizer.lr"]) < 0.1


def test_that_the_edge_is_no_matter_of_adaptive_rules() -> None:
    adaptive = asked(optimizer={"name": "adam", "lr": 0.1})
    assert diagnose(history(experiment=adaptive, spectrum__top=np.array([[1000.0]]))) == []


def test_that_uphill_steps_are_ill_conditioning() -> None:
    finding = named(
        diagnose(
            history(
                conditioning__trouble=[0, 1, 1, 1],
                conditioning__gg=[1.0] * 4,
                conditioning__ghg=[50.0] * 4,
                learning_rate=[0.1] * 4,
            )
        ),
        "ill_conditioned",
    )
    assert finding is not None
    # ½ε²gᵀHg = 0.25 against εgᵀg = 0.1.
    assert "0.25 against 0.1" in finding.evidence
    assert finding.remedies[0].changes == {"optimizer.lr": 0.05}


def test_that_a_rising_loss_is_told_with_clipping_for_the_next_run() -> None:
    loss = np.concatenate([np.linspace(2, 0.2, 150), np.linspace(0.2, 3.0, 150)])
    finding = named(diagnose(history(batch_loss=loss)), "rising")
    assert finding is not None
    assert [remedy.live for remedy in finding.remedies] == [True, False]
    assert finding.remedies[1].changes == {"clipping.name": "norm"}
    assert (
        named(
            diagnose(history(batch_loss=loss, experiment=asked(clipping={"name": "norm"}))),
            "rising",
        )
        .remedies[-1]
        .live
    )  # type: ignore[union-attr]


def test_that_overfitting_is_seen_in_the_validation_loss_alone_turning() -> None:
    training = np.linspace(1.0, 0.1, 12)
    validation = np.concatenate([np.linspace(1.1, 0.5, 6), np.linspace(0.52, 0.9, 6)])
    finding = named(
        diagnose(history(train_loss=training, validation_loss=validation)), "overfitting"
    )
    assert finding is not None and "after 5 steps" in finding.evidence
    assert finding.remedies[0].stop
    assert (
        named(
            diagnose(history(train_loss=training[::-1].copy(), validation_loss=validation)),
            "overfitting",
        )
        is None
    )


def test_that_noise_dominates_only_where_the_loss_no_longer_falls() -> None:
    parts = {
        "gradient_noise__signal_to_noise": [0.1] * 5,
        "gradient_noise__noise_scale": [900.0] * 5,
    }
    finding = named(diagnose(history(train_loss=[0.5] * 8, **parts)), "noise")
    assert finding is not None and "900" in finding.evidence
    assert finding.remedies[1].changes == {"batches.size": 128.0}
    assert named(diagnose(history(train_loss=np.linspace(2, 0.5, 8), **parts)), "noise") is None


def test_that_a_plateau_is_high_flat_and_without_gradient() -> None:
    norm = np.concatenate([np.full(50, 1.0), np.full(200, 0.01)])
    assert (
        named(diagnose(history(gradient_norm=norm, train_loss=[1.0] + 9 * [0.9])), "plateau")
        is not None
    )
    assert (
        named(diagnose(history(gradient_norm=norm, train_loss=[1.0] + 9 * [0.01])), "plateau")
        is None
    )
    assert (
        named(
            diagnose(history(gradient_norm=np.full(250, 1.0), train_loss=[1.0] + 9 * [0.9])),
            "plateau",
        )
        is None
    )


def test_that_a_saddle_is_a_small_gradient_and_a_bend_downwards() -> None:
    norm = [1.0, 0.3, 0.05]
    finding = named(
        diagnose(
            history(
                full_gradient_norm=norm,
                spectrum__top=np.array([[2.0]]),
                spectrum__bottom=np.array([[-0.5]]),
            )
        ),
        "saddle",
    )
    assert finding is not None and finding.remedies[0].changes == {"optimizer.momentum": 0.9}
    assert (
        named(
            diagnose(
                history(
                    full_gradient_norm=norm,
                    spectrum__top=np.array([[2.0]]),
                    spectrum__bottom=np.array([[-0.01]]),
                )
            ),
            "saddle",
        )
        is None
    )


def test_that_small_batch_gradients_do_not_make_a_saddle() -> None:
    norm = np.concatenate([np.full(50, 1.0), np.full(30, 0.05)])
    bends = {"spectrum__top": np.array([[2.0]]), "spectrum__bottom": np.array([[-0.5]])}
    assert (
        named(
            diagnose(history(gradient_norm=norm, full_gradient_norm=[1.0, 0.9], **bends)), "saddle"
        )
        is None
    )
    assert named(diagnose(history(gradient_norm=norm, **bends)), "saddle") is None


@pytest.mark.parametrize(
    ("norms", "word"),
    [((1e-6, 1e-3, 1.0), "vanishes"), ((1e3, 1.0, 1e-2), "explodes"), ((0.5, 0.7, 1.0), "")],
)
def test_that_gradients_are_compared_between_layers(norms: tuple[float, ...], word: str) -> None:
    columns = {"gradients_by_layer.norm": ("layers.0.weight", "layers.1.weight", "layers.2.weight")}
    finding = named(
        diagnose(history(columns, gradients_by_layer__norm=np.array([norms]))), "vanishing"
    )
    assert (finding is not None) == bool(word)
    if finding is not None:
        assert word in finding.sentence


@pytest.mark.parametrize(("left", "word"), [(1e-5, "vanishes"), (1e5, "explodes"), (0.5, "")])
def test_that_gradients_are_compared_between_time_steps(left: float, word: str) -> None:
    finding = named(diagnose(history(time_gradient__left=[left])), "vanishing")
    assert (finding is not None) == bool(word)
    if finding is not None:
        assert word in finding.sentence


def test_that_dead_units_are_named_with_their_layer() -> None:
    columns = {"activations.dead": ("layers.0.relu", "layers.1.relu")}
    finding = named(
        diagnose(history(columns, activations__dead=np.array([[0.1, 0.8]]))), "dead_units"
    )
    assert finding is not None and "layers.1.relu" in finding.sentence and "80%" in finding.evidence
    assert (
        named(diagnose(history(columns, activations__dead=np.array([[0.1, 0.2]]))), "dead_units")
        is None
    )


def test_that_the_gravest_comes_first_and_every_remedy_can_be_applied() -> None:
    columns = {"activations.dead": ("layers.0.relu",)}
    loss = np.concatenate([np.linspace(2, 0.2, 150), np.linspace(0.2, 3.0, 150)])
    found = diagnose(
        history(
            columns,
            batch_loss=loss,
            spectrum__top=np.array([[100.0]]),
            activations__dead=np.array([[0.9]]),
        )
    )
    assert found[0].name == "rate_above_edge" and len(found) == 3
    experiment = asked()
    for finding in found:
        assert 0.0 <= finding.weight <= 1.0
        for remedy in finding.remedies:
            changed = experiment
            for path, value in remedy.changes.items():
                changed = changed.with_value(path, value)
            assert changed != experiment or remedy.stop
            if remedy.live:
                assert set(remedy.changes) <= set(experiment.live_fields())


def measured(experiment: Experiment) -> RunHistory:
    """What a real run measures."""
    parts: dict[str, list[tuple[Any, Any]]] = {}
    for event in session([experiment], Inbox()):
        if isinstance(event, SeriesBlock):
            for name, series in event.series.items():
                parts.setdefault(name, []).append((series.steps, series.values[:, 0]))
    return RunHistory(
        experiment,
        {
            name: tuple(np.concatenate(column) for column in zip(*pairs, strict=True))
            for name, pairs in parts.items()
        },
    )  # type: ignore[misc]


def test_that_a_run_that_goes_out_is_told_so_and_the_remedy_mends_it() -> None:
    wild = asked(
        dataset={"name": "diabetes"},
        model={"name": "linear"},
        optimizer={"name": "sgd", "lr": 0.3},
        batches={"name": "never_shuffled", "size": 0},
        budget={"steps": 90},
    )
    finding = named(diagnose(measured(wild)), "rising")
    assert finding is not None
    path, value = next(iter(finding.remedies[0].changes.items()))
    assert named(diagnose(measured(wild.with_value(path, value))), "rising") is None


def test_that_memorizing_is_found_in_a_real_run() -> None:
    small = asked(
        dataset={"name": "moons", "size": 60, "noise": 0.4, "validation": 0.4},
        model={"name": "mlp", "hidden": [64]},
        optimizer={"name": "adam", "lr": 0.01},
        budget={"steps": 1200},
        measures={"evaluate_every": 40},
    )
    assert named(diagnose(measured(small)), "overfitting") is not None


@pytest.mark.parametrize(
    ("last", "words"), [(0.5, "no local minimum"), (0.07, ""), (0.001, "close to a critical point")]
)
def test_that_the_gradient_norm_rules_a_minimum_out_or_not(last: float, words: str) -> None:
    norm = [1.0, 0.6, last]
    finding = named(
        diagnose(history(full_gradient_norm=norm, train_loss=[2.0, 1.0] + 8 * [0.1])),
        "gradient_norm",
    )
    assert (finding is not None) == bool(words)
    if finding is not None:
        assert words in finding.sentence
    assert (
        named(
            diagnose(history(full_gradient_norm=norm, train_loss=np.linspace(2.0, 0.1, 10))),
            "gradient_norm",
        )
        is None
    )
    assert (
        named(
            diagnose(history(full_gradient_norm=[last], train_loss=[2.0, 1.0] + 8 * [0.1])),
            "gradient_norm",
        )
        is None
    )


def test_that_without_a_value_at_the_start_the_gradient_norm_decides_nothing() -> None:
    resumed = history(train_loss=[2.0, 1.0] + 8 * [0.1])
    later = {**resumed.series, "full_gradient_norm": (np.array([200, 400]), np.array([1.0, 0.9]))}
    assert named(diagnose(RunHistory(resumed.experiment, later)), "gradient_norm") is None


LEAST_SQUARES = {
    "dataset": {"name": "least_squares", "noise": 1.0, "condition": 5.0},
    "model": {"name": "linear"},
    "optimizer": {"name": "sgd", "lr": 0.002},
    "batches": {"name": "shuffled", "size": 4},
}
SOFTMAX = {
    "dataset": {"name": "digits"},
    "model": {"name": "linear"},
    "loss": {"name": "cross_entropy", "l2": 0.03},
    "optimizer": {"name": "sgd", "lr": 0.02},
    "batches": {"name": "shuffled", "size": 4},
}


@pytest.mark.parametrize(
    ("convex", "steps"),
    [
        (LEAST_SQUARES, 5000),
        pytest.param(LEAST_SQUARES, 20_000, marks=pytest.mark.slow),
        (SOFTMAX, 8000),
    ],
)
def test_that_at_the_minimum_of_a_convex_problem_no_minimum_is_ruled_out(
    convex: dict[str, Any], steps: int
) -> None:
    kept = measured(asked(**convex, budget={"steps": steps}, measures={"evaluate_every": 500}))
    # The norm of batches is of no use here: it has not shrunk, because of its noise.
    batch = kept.values("gradient_norm")
    assert np.median(batch[-1000:]) > 0.2 * np.median(batch[:100])
    found = diagnose(kept)
    finding = named(found, "gradient_norm")
    assert finding is not None and "close to a critical point" in finding.sentence
    assert all(
        "no local minimum" not in one.sentence and "plateau" not in one.sentence for one in found
    )


def test_that_a_file_is_a_rule() -> None:
    assert len(walk.modules(diagnosis.__name__)) == 10
