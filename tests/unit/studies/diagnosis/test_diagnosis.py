"""The rules of the diagnosis: on numbers that trigger them, on numbers that do not, and on real runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.surfaces.plateau import Plateau
from optlab.core import registry, walk
from optlab.experiment import Experiment
from optlab.studies import diagnosis
from optlab.studies.diagnosis import diagnose
from optlab.studies.diagnosis.base import Finding, RunHistory, without_findings
from optlab.studies.surfaces.descent import Contender, race
from optlab.training.control import Inbox
from optlab.training.events import SeriesBlock
from optlab.training.session import session


def experiment_with(**sections: Any) -> Experiment:
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
    values_by_name = {
        name.replace("__", "."): np.asarray(values, dtype=np.float64)
        for name, values in series.items()
    }
    return RunHistory(
        experiment or experiment_with(),
        {name: (np.arange(len(values)), values) for name, values in values_by_name.items()},
        columns or {},
    )


def named(findings: list[Finding], name: str) -> Finding | None:
    return next((finding for finding in findings if finding.name == name), None)


def test_that_without_measurements_nothing_is_said() -> None:
    assert diagnose(history()) == []


def test_that_no_measurement_is_not_taken_for_a_healthy_run() -> None:
    empty = history()
    assert without_findings(empty) == "Nothing has been measured yet."
    assert without_findings(dataclasses.replace(empty, ended=True)) == "Nothing was measured."
    assert without_findings(history(batch_loss=[])) == without_findings(empty)
    assert (
        without_findings(history(batch_loss=[1.0])) == "No problem was found in what was measured."
    )


def test_that_an_ended_run_is_neither_stopped_nor_changed() -> None:
    training = np.linspace(1.0, 0.1, 12)
    validation = np.concatenate([np.linspace(1.1, 0.5, 6), np.linspace(0.52, 0.9, 6)])
    loss = np.concatenate([np.linspace(2, 0.2, 150), np.linspace(0.2, 3.0, 150)])
    running = history(
        train_loss=training,
        validation_loss=validation,
        batch_loss=loss,
        full_gradient_norm=[1.0, 0.3, 0.05],
        spectrum__top=np.array([[100.0]]),
        spectrum__bottom=np.array([[-50.0]]),
    )
    ended = dataclasses.replace(running, ended=True)
    before, after = diagnose(running), diagnose(ended)
    assert [one.name for one in before] == [one.name for one in after]
    assert {"overfitting", "rising", "rate_above_edge", "saddle"} <= {one.name for one in after}
    assert any(remedy.stop for one in before for remedy in one.remedies)
    assert not any(remedy.stop or remedy.live for one in after for remedy in one.remedies)
    assert all(one.remedies for one in after), "changes for the next run are still offered"


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


@pytest.mark.parametrize(
    ("name", "rate", "stable"),
    [
        ("momentum", 0.72, True),
        ("momentum", 0.76, False),
        ("nesterov", 0.36, True),
        ("nesterov", 0.40, False),
    ],
)
def test_that_the_edge_is_where_a_descent_on_a_quadratic_begins_to_diverge(
    name: str, rate: float, stable: bool
) -> None:
    alpha, curvature = 0.5, 4.0
    theta, velocity = 1.0, 0.0
    for _ in range(2000):
        at = theta + alpha * velocity if name == "nesterov" else theta
        velocity = alpha * velocity - rate * curvature * at
        theta += velocity
    assert (abs(theta) < 1.0) == stable
    experiment = experiment_with(optimizer={"name": name, "lr": rate, "momentum": alpha})
    finding = named(
        diagnose(history(experiment=experiment, spectrum__top=np.array([[curvature]]))),
        "rate_above_edge",
    )
    assert (finding is None) == stable


def test_that_the_edge_is_no_matter_of_adaptive_rules() -> None:
    adaptive = experiment_with(optimizer={"name": "adam", "lr": 0.1})
    assert diagnose(history(experiment=adaptive, spectrum__top=np.array([[1000.0]]))) == []


def uphill(ghg: float, experiment: Experiment | None = None, **series: Any) -> RunHistory:
    """Return a history whose steps go uphill by (8.10) in three of four readings."""
    return history(
        experiment=experiment,
        conditioning__trouble=[0, 1, 1, 1],
        conditioning__gg=[1.0] * 4,
        conditioning__ghg=[ghg] * 4,
        learning_rate=[0.1] * 4,
        **series,
    )


def test_that_uphill_steps_below_the_edge_are_ill_conditioning() -> None:
    # The edge of momentum 0.5 is 3/λ₁ = 0.107; the condition number is 28/0.01.
    ends = {"spectrum__top": np.array([[28.0]]), "spectrum__bottom": np.array([[0.01]])}
    findings = diagnose(uphill(25.0, **ends))
    assert named(findings, "rate_above_edge") is None
    finding = named(findings, "ill_conditioned")
    assert finding is not None and "ill-conditioned" in finding.sentence
    # ½ε²gᵀHg = 0.125 against εgᵀg = 0.1.
    assert "0.125 against 0.1" in finding.evidence
    assert "λ₁ = 28" in finding.evidence and "condition number 2,800" in finding.evidence
    assert finding.remedies[0].changes == {"optimizer.lr": 0.05}


@pytest.mark.parametrize("bottom", [[[-1.0]], [[20.0]], None])
def test_that_a_hessian_is_called_ill_conditioned_only_by_its_condition_number(
    bottom: Any,
) -> None:
    ends = {"spectrum__top": np.array([[28.0]])}
    if bottom is not None:
        ends["spectrum__bottom"] = np.array(bottom)
    finding = named(diagnose(uphill(25.0, **ends)), "ill_conditioned")
    assert finding is not None and "Hessian is ill-conditioned" not in finding.sentence
    assert "uphill" in finding.sentence
    assert {None: "not measured", 20.0: "1.4", -1.0: "indefinite"}[
        None if bottom is None else bottom[0][0]
    ] in finding.evidence


def test_that_a_rate_above_the_edge_is_not_called_ill_conditioning() -> None:
    # A perfectly conditioned Hessian, 50·I: 0.1 is above 2 (1 + 0.5)/50 = 0.06.
    ends = {"spectrum__top": np.array([[50.0]]), "spectrum__bottom": np.array([[50.0]])}
    findings = diagnose(uphill(50.0, **ends))
    assert named(findings, "ill_conditioned") is None
    assert named(findings, "rate_above_edge") is not None


def test_that_the_curvature_along_the_gradient_bounds_an_unmeasured_edge() -> None:
    findings = diagnose(uphill(50.0))
    assert named(findings, "ill_conditioned") is None
    finding = named(findings, "rate_above_edge")
    assert (
        finding is not None and "at most 0.06" in finding.evidence and "λ₁ ≥ 50" in finding.evidence
    )


def test_that_steps_of_an_adaptive_rule_are_not_judged_by_its_rate() -> None:
    # The step −εg is not a step of Adam.
    adaptive = experiment_with(
        optimizer={"name": "adam", "lr": 0.1}, instruments={"conditioning": {"step": "gradient"}}
    )
    assert diagnose(uphill(50.0, adaptive)) == []
    taken = experiment_with(
        optimizer={"name": "adam", "lr": 0.1}, instruments={"conditioning": {"step": "taken"}}
    )
    finding = named(diagnose(uphill(50.0, taken)), "ill_conditioned")
    assert finding is not None and "uphill" in finding.sentence


def test_that_a_rising_loss_comes_with_clipping_for_the_next_run() -> None:
    loss = np.concatenate([np.linspace(2, 0.2, 150), np.linspace(0.2, 3.0, 150)])
    finding = named(diagnose(history(batch_loss=loss)), "rising")
    assert finding is not None
    assert [remedy.live for remedy in finding.remedies] == [True, False]
    assert finding.remedies[1].changes == {"clipping.name": "norm"}
    assert (
        named(
            diagnose(
                history(batch_loss=loss, experiment=experiment_with(clipping={"name": "norm"}))
            ),
            "rising",
        )
        .remedies[-1]
        .live
    )  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("training", "speaks"), [([2.0, 0.5, 0.3], False), ([2.0, 0.5, 3.0], True)]
)
def test_that_harder_batches_alone_are_no_rising_loss(training: list[float], speaks: bool) -> None:
    loss = np.concatenate([np.linspace(2, 0.2, 150), np.linspace(0.2, 3.0, 150)])
    evaluated = {"train_loss": (np.array([0, 150, 300]), np.array(training))}
    found = history(batch_loss=loss)
    found = dataclasses.replace(
        found,
        series={"batch_loss": (np.arange(1, 301), loss), **evaluated},
    )
    assert (named(diagnose(found), "rising") is not None) == speaks
    early = {"train_loss": (np.array([0, 100]), np.array([2.0, 0.5]))}
    found = dataclasses.replace(found, series={"batch_loss": (np.arange(1, 301), loss), **early})
    assert named(diagnose(found), "rising") is not None, "not evaluated during the rise"


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


def test_that_saturated_values_are_not_called_constant() -> None:
    columns = {"activations.saturated": ("layers.0.tanh",)}
    finding = named(
        diagnose(history(columns, activations__saturated=np.array([[0.9]]))), "dead_units"
    )
    assert finding is not None and "saturated" in finding.sentence
    assert "constant" not in finding.sentence and "90% of its values" in finding.evidence


def test_that_the_remedy_of_a_plateau_is_one_that_crosses_it() -> None:
    norm = np.concatenate([np.full(50, 1.0), np.full(200, 0.01)])
    finding = named(diagnose(history(gradient_norm=norm, train_loss=[1.0] + 9 * [0.9])), "plateau")
    assert finding is not None
    (name,) = (
        remedy.changes["optimizer.name"]
        for remedy in finding.remedies
        if "optimizer.name" in remedy.changes
    )
    # On the plateau among the surfaces, from its own start.
    plateau = Plateau()
    found = race(
        plateau,
        [
            Contender(
                registry.build(Optimizer, {"name": method, "lr": 0.05}), plateau.starts()[0].point
            )
            for method in (str(name), "rmsprop")
        ],
        400,
    )
    crossed = [int(np.argmax(np.linalg.norm(found.path(run), axis=1) < 1.0)) for run in range(2)]
    assert 0 < 3 * crossed[0] < crossed[1]


def test_that_the_most_severe_comes_first_and_every_remedy_can_be_applied() -> None:
    columns = {"activations.dead": ("layers.0.relu",)}
    loss = np.concatenate([np.linspace(2, 0.2, 150), np.linspace(0.2, 3.0, 150)])
    findings = diagnose(
        history(
            columns,
            batch_loss=loss,
            spectrum__top=np.array([[100.0]]),
            activations__dead=np.array([[0.9]]),
        )
    )
    assert findings[0].name == "rate_above_edge" and len(findings) == 3
    experiment = experiment_with()
    for finding in findings:
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


def test_that_a_diverging_run_is_diagnosed_and_the_remedy_helps() -> None:
    wild = experiment_with(
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
    small = experiment_with(
        dataset={"name": "moons", "size": 60, "noise": 0.4, "validation": 0.4},
        model={"name": "mlp", "hidden": [64]},
        optimizer={"name": "adam", "lr": 0.01},
        budget={"steps": 1200},
        measures={"evaluate_every": 40},
    )
    assert named(diagnose(measured(small)), "overfitting") is not None


@pytest.mark.parametrize(
    ("last", "words"),
    [(0.5, "not at a critical point"), (0.07, ""), (0.001, "close to a critical point")],
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
    kept = measured(
        experiment_with(**convex, budget={"steps": steps}, measures={"evaluate_every": 500})
    )
    # The norm of batches is of no use here: it has not shrunk, because of its noise.
    batch = kept.values("gradient_norm")
    assert np.median(batch[-1000:]) > 0.2 * np.median(batch[:100])
    findings = diagnose(kept)
    finding = named(findings, "gradient_norm")
    assert finding is not None and "close to a critical point" in finding.sentence
    assert all(
        "no local minimum" not in one.sentence and "plateau" not in one.sentence for one in findings
    )


def test_that_a_run_that_circles_around_a_minimum_is_told_so() -> None:
    large = {**LEAST_SQUARES, "optimizer": {"name": "sgd", "lr": 0.05}}
    experiment = experiment_with(
        **large, budget={"steps": 3000}, measures={"evaluate_every": 200, "gradient_every": 1}
    )
    findings = diagnose(measured(experiment))
    finding = named(findings, "gradient_norm")
    assert finding is not None and "circling around" in finding.sentence
    assert all("no local minimum" not in one.sentence for one in findings)


def test_that_a_file_is_a_rule() -> None:
    assert len(walk.modules(diagnosis.__name__)) == 11


@pytest.mark.parametrize(
    ("rate", "hovers"), [(0.2, True), (0.02, False)], ids=["claim P1", "a tenth of its rate"]
)
def test_that_a_run_at_the_edge_of_stability_is_told_that_rises_are_normal(
    rate: float, hovers: bool
) -> None:
    # The setting of claim P1: the curvature rises up to 2/ε = 10, and would go on to about 30.
    run = measured(
        Experiment.from_dict(
            {
                "device": "cpu",
                "precision": "float64",
                "dataset": {"name": "chebyshev", "validation": 0.0, "test": 0.0},
                "model": {"name": "mlp", "hidden": [30, 20], "activation": "tanh"},
                "optimizer": {"name": "sgd", "lr": rate},
                "batches": {"name": "never_shuffled", "size": 0},
                "budget": {"steps": 1200},
                "measures": {"evaluate_every": 600, "weights": 0},
                "instruments": {
                    "spectrum": {"every": 50},
                    "conditioning": {"every": 50},
                },
            }
        )
    )
    finding = named(diagnose(run), "at_edge")
    assert (finding is not None) == hovers
    if finding is not None:
        assert "this is normal" in finding.sentence and "the largest stable one (10)" in (
            finding.evidence
        )
        assert {one.name for one in diagnose(run)} == {"at_edge"}, "nothing is called a problem"


@pytest.mark.parametrize(
    ("ratios", "hovers"),
    [
        ([0.3, 0.9, 1.05, 0.96, 1.02, 0.99, 1.0], True),
        ([0.9, 0.93, 0.97, 1.0], False),
        ([0.8, 0.82, 0.84, 0.86, 0.88, 0.9], False),
        ([1.2, 1.2, 1.18, 1.22, 1.2], False),
        ([1.0, 1.0, 3.0, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, 1.0, float("nan")], False),
    ],
    ids=["hovers", "too few", "below", "above", "explodes", "unknown"],
)
def test_that_only_a_curvature_that_stays_at_the_edge_hovers(
    ratios: list[float], hovers: bool
) -> None:
    run = history(
        spectrum__curvature=20.0 * np.array(ratios), spectrum__stable=np.full(len(ratios), 20.0)
    )
    assert (run.hovering() is not None) == hovers
    assert (named(diagnose(run), "at_edge") is not None) == hovers


def test_that_a_rate_that_the_rule_chooses_itself_is_above_no_edge() -> None:
    chosen = experiment_with(optimizer={"name": "polyak_step", "lr": 1.0})
    assert diagnose(history(experiment=chosen, spectrum__top=np.array([[100.0]]))) == []
