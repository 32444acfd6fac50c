"""The presets: each is a sound file that says what there is to see, and shows it when it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from optlab.catalogue.datasets.markov_text import MarkovText
from optlab.core import paths
from optlab.experiment import Experiment, presets
from optlab.experiment.sections import SECTIONS
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SeriesBlock, SnapshotTaken
from optlab.training.session import session
from optlab.training.snapshot import Snapshot

NAMES = sorted(path.stem for path in paths.presets().glob("*.toml"))


@dataclasses.dataclass(frozen=True)
class Shown:
    """A preset, run to its end. ``series``: name → values of run 0, one an entry in time."""

    experiment: Experiment
    ended: RunEnded
    series: Mapping[str, NDArray[np.float64]]
    last: Snapshot

    def final(self, name: str) -> float:
        value = self.ended.final[name]
        assert value is not None
        return value


@cache
def shown(name: str) -> Shown:
    return run_to_its_end(Experiment.load(paths.presets() / f"{name}.toml"))


def run_to_its_end(experiment: Experiment) -> Shown:
    series: dict[str, list[NDArray[np.float64]]] = {}
    ended, last = None, None
    for event in session([experiment], Inbox()):
        match event:
            case SeriesBlock():
                for key, values in event.series.items():
                    series.setdefault(key, []).append(values.values[:, 0])
            case SnapshotTaken():
                last = event.snapshot
            case RunEnded():
                ended = event
            case _:
                pass
    assert ended is not None and last is not None
    return Shown(
        experiment, ended, {key: np.concatenate(parts) for key, parts in series.items()}, last
    )


def test_that_the_promised_presets_are_there() -> None:
    promised = """breast-cancer-mlp clipped diabetes-linear digits-adam digits-mlp digits-nesterov digits-softmax diverges iris-softmax
    linear-decay mixture-softmax moons-mlp spirals-mlp wine-mlp zero-start"""
    assert set(promised.split()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_that_a_preset_has_a_title_and_says_what_there_is_to_see(name: str) -> None:
    path = paths.presets() / f"{name}.toml"
    experiment = Experiment.load(path)
    assert experiment.general.title
    sentence, see = presets.about(path)
    assert sentence.endswith(".") and see.endswith(".")
    assert "format = 1" in path.read_text(encoding="utf-8")


def test_that_no_two_presets_have_one_title() -> None:
    titles = [Experiment.load(paths.presets() / f"{name}.toml").title() for name in NAMES]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("digits-mlp", 0.05),
        ("digits-softmax", 0.08),
        ("digits-adam", 0.06),
        ("breast-cancer-mlp", 0.06),
        ("moons-mlp", 0.08),
        ("spirals-mlp", 0.05),
        ("cnn-digits", 0.04),
        ("transformer-digits", 0.06),
        ("rnn-copy", 0.01),
    ],
)
def test_that_a_preset_reaches_the_validation_error_that_it_states(name: str, error: float) -> None:
    result = shown(name)
    assert result.ended.status == "finished"
    assert result.final("validation_error") <= error
    assert f"{error:.0%}" in presets.about(paths.presets() / f"{name}.toml")[1]


def test_that_digits_mlp_is_a_matter_of_seconds() -> None:
    assert shown("digits-mlp").experiment.budget.steps <= 3000


def test_that_digits_nesterov_ends_at_its_target_before_its_budget() -> None:
    result = shown("digits-nesterov")
    assert result.ended.status == "finished"
    assert result.final("validation_error") <= 0.05
    assert result.ended.steps < result.experiment.budget.steps / 2
    assert np.all(result.series["validation_error"][:-1] > 0.05)


def test_that_wine_mlp_has_four_steps_an_epoch_and_fits_all_it_is_shown() -> None:
    result = shown("wine-mlp")
    data = result.experiment.dataset.load()
    assert result.experiment.batches.steps_per_epoch(len(data.training)) == 4
    assert result.final("train_error") == 0.0
    assert result.final("validation_error") <= 0.1


def test_that_the_loss_of_iris_softmax_falls_at_every_step() -> None:
    result = shown("iris-softmax")
    losses = result.series["train_loss"]
    assert len(losses) == result.experiment.budget.steps + 1
    assert np.all(np.diff(losses) < 0.0)
    assert result.final("validation_error") <= 0.1


def test_that_diabetes_linear_ends_at_the_least_squares_solution() -> None:
    result = shown("diabetes-linear")
    training = result.experiment.dataset.load().training
    design = np.column_stack([training.x, np.ones(len(training))])
    residual = training.y - design @ np.linalg.lstsq(design, training.y, rcond=None)[0]
    best = float((residual**2).mean())
    assert best <= result.final("train_loss") <= 1.005 * best
    assert result.final("validation_loss") < 0.7


def test_that_mixture_softmax_ends_near_the_error_of_the_best_classifier() -> None:
    result = shown("mixture-softmax")
    dataset = result.experiment.dataset
    x, y = dataset.examples(dataset.rng("examples"))
    distances = np.linalg.norm(x[:, None] - dataset.centers(), axis=2)  # type: ignore[attr-defined]
    least = float((distances.argmin(axis=1) != y).mean())
    # parts of 60% and 20% of the examples
    both = (result.final("train_error") * 3 + result.final("validation_error")) / 4
    assert abs(both - least) < 0.02
    assert 0.05 < least < 0.09


def test_that_zero_start_moves_no_weight_and_stays_at_chance() -> None:
    result = shown("zero-start")
    layout = result.experiment.layout()
    moved = {}
    for spec, offset in zip(layout.parameters, layout.offsets, strict=True):
        moved[spec.name] = bool(np.any(result.last.theta[offset : offset + spec.size] != 0.0))
    assert moved == {
        "layers.0.weight": False,
        "layers.0.bias": False,
        "layers.1.weight": False,
        "layers.1.bias": True,
    }
    assert result.final("train_error") > 0.85


def test_that_linear_decay_calms_the_loss_down() -> None:
    result = shown("linear-decay")
    rates = result.series["learning_rate"]
    assert rates[0] == pytest.approx(0.5) and rates[-1] == pytest.approx(0.005)
    assert result.final("validation_error") <= 0.06
    updates = result.series["update_norm"]
    assert np.median(updates[-200:]) < 0.05 * np.median(updates[100:300])


def test_that_diverges_diverges_exponentially_and_below_the_edge_does_not() -> None:
    result = shown("diverges")
    assert result.ended.status == "diverged" and result.ended.non_finite_tensor
    losses = result.series["batch_loss"]
    growth = np.diff(np.log(losses[20 : len(losses) - 5]))
    assert growth.min() > 0.5 and np.ptp(growth) < 0.05, "a straight line on a log axis"
    training = result.experiment.dataset.load().training
    design = np.column_stack([training.x, np.ones(len(training))])
    edge = 2.0 / np.linalg.eigvalsh(2.0 * design.T @ design / len(design))[-1]
    rate = result.experiment.optimizer.values()["lr"]
    assert 1.2 * edge < rate < 1.3 * edge
    calm = result.experiment.with_value("optimizer.lr", 0.95 * edge)
    ended = [
        event
        for event in session([calm.with_value("budget.steps", 300)], Inbox())
        if isinstance(event, RunEnded)
    ]
    assert ended[0].status == "finished" and ended[0].final["train_loss"] < 0.6


def test_that_clipped_is_diverges_but_for_its_clipping_and_stays_near_the_minimum() -> None:
    result, broken = shown("clipped"), shown("diverges")
    different = {
        section
        for section in SECTIONS
        if getattr(result.experiment, section) != getattr(broken.experiment, section)
    }
    assert different == {"clipping"}
    assert result.ended.status == "finished"
    assert result.final("train_loss") < 0.5
    longest = 0.3 * 0.1
    assert result.series["update_norm"].max() <= longest * (1 + 1e-5)


def test_that_newton_iris_converges_quadratically() -> None:
    result = shown("newton-iris")
    assert result.ended.steps == 10
    assert result.final("gradient_norm") < 1e-10
    norms = result.series["gradient_norm"][6:10]
    constants = norms[1:] / norms[:-1] ** 2
    assert np.all(norms[1:] < 0.1 * norms[:-1]) and constants.max() < 2.0 * constants.min(), (
        "each is about the square of the one before"
    )


def test_that_natural_gradient_digits_reaches_the_validation_error_that_it_states() -> None:
    result = shown("natural-gradient-digits")
    assert result.ended.steps == 60
    assert result.final("validation_error") <= 0.05
    assert "5%" in presets.about(paths.presets() / "natural-gradient-digits.toml")[1]


def test_that_newton_stays_at_the_saddle_that_saddle_free_newton_leaves() -> None:
    stays, leaves = shown("saddle-newton"), shown("saddle-free-newton")
    assert {
        section
        for section in SECTIONS
        if getattr(stays.experiment, section) != getattr(leaves.experiment, section)
    } == {"optimizer"}
    assert stays.final("gradient_norm") < 1e-12 and stays.final("train_error") > 0.4
    assert leaves.final("train_loss") < 0.5 * stays.final("train_loss")


def changed(name: str, **values: object) -> Shown:
    """A preset with fields changed (``delay__name="none"``), run to its end."""
    experiment = shown(name).experiment
    for key, value in values.items():
        experiment = experiment.with_value(key.replace("__", "."), value)
    return run_to_its_end(experiment)


def test_that_early_stopping_halts_while_the_gradient_is_still_large() -> None:
    result, on = (
        shown("early-stopping"),
        changed("early-stopping", stopping__name="never", budget__steps=5000),
    )
    assert result.ended.status == "finished" and result.ended.steps < 2000
    assert "are restored" in result.ended.reason
    assert result.final("gradient_norm") > 10.0 * on.final("gradient_norm")
    assert result.final("validation_loss") < 0.5 * on.final("validation_loss")
    assert result.final("validation_error") == result.series["validation_error"][1:].min()


def test_that_the_polyak_average_is_near_the_minimum_that_the_last_iterate_misses() -> None:
    result = shown("polyak-average")
    training = result.experiment.dataset.load().training
    design = np.column_stack([training.x, np.ones(len(training))])
    residual = training.y - design @ np.linalg.lstsq(design, training.y, rcond=None)[0]
    best = float((residual**2).mean())
    assert best <= result.series["averaged_train_loss"][-1] < 1.02 * best
    assert result.final("train_loss") > 1.2 * best


def test_that_delayed_gradients_diverge_above_their_own_edge_and_not_below() -> None:
    result = shown("delayed-gradients")
    training = result.experiment.dataset.load().training
    design = np.column_stack([training.x, np.ones(len(training))])
    largest = float(np.linalg.eigvalsh(2.0 * design.T @ design / len(design))[-1])
    edge = 2.0 * np.sin(np.pi / (4 * 8 + 2)) / largest
    assert edge == pytest.approx(0.0218, abs=5e-5)
    rate = result.experiment.optimizer.values()["lr"]
    assert edge < rate < (2.0 / largest) / 8
    assert result.series["train_loss"][-1] > 100.0 * result.series["train_loss"][0]
    below = changed("delayed-gradients", optimizer__lr=0.97 * edge, budget__steps=3000)
    assert below.ended.status == "finished" and below.final("train_loss") < 0.6
    above = changed("delayed-gradients", optimizer__lr=1.05 * edge, budget__steps=3000)
    assert above.series["train_loss"][-1] > 10.0
    assert changed("delayed-gradients", delay__name="none").final("train_loss") < 0.6


def test_that_a_replay_buffer_mends_what_sorted_examples_break() -> None:
    replayed, plain = (
        shown("replay-sorted"),
        changed("replay-sorted", batches__name="sorted_by_class", batches__size=4),
    )

    def late(result: Shown) -> float:
        errors = result.series["validation_error"]
        return float(errors[len(errors) // 2 :].mean())

    assert late(replayed) < 0.07
    assert late(plain) > 0.1


def test_that_the_order_of_the_curriculum_hardly_matters_to_the_end() -> None:
    easy, random, hard = (
        shown("curriculum-digits"),
        changed("curriculum-digits", batches__first="random"),
        changed("curriculum-digits", batches__first="hard"),
    )
    errors = [result.final("validation_error") for result in (easy, random, hard)]
    assert max(errors) - min(errors) < 0.02
    assert easy.final("train_loss") > random.final("train_loss") > hard.final("train_loss")


def test_that_the_blurred_start_ends_as_well_but_no_better() -> None:
    blurred, plain = (
        shown("continuation-blur"),
        changed("continuation-blur", continuation__name="none"),
    )
    assert blurred.final("validation_error") <= 0.03 and plain.final("validation_error") <= 0.03
    assert plain.final("train_loss") < blurred.final("train_loss")


def test_that_cnn_digits_does_better_than_the_perceptron() -> None:
    assert shown("cnn-digits").final("validation_error") < shown("digits-mlp").final(
        "validation_error"
    )


def test_that_rnn_copy_waits_on_a_plateau_before_it_falls() -> None:
    errors = shown("rnn-copy").series["validation_error"]
    early = errors[len(errors) // 20 : len(errors) // 4]
    assert early.min() > 0.4 and early.max() < 0.6
    assert errors[-1] <= 0.01


@pytest.mark.soak
def test_that_markov_text_falls_to_its_entropy_rate_and_no_further() -> None:
    run = shown("markov-text")
    chain = run.experiment.dataset
    assert isinstance(chain, MarkovText) and chain.entropy_rate() == pytest.approx(1.65, abs=0.005)
    risk, excess = run.series["risk_loss"], run.series["risk_excess"]
    assert risk[0] == pytest.approx(3.4, abs=0.05) and excess[0] == pytest.approx(1.7, abs=0.05)
    # A mean of 5000 losses of standard deviation 1.2 at most.
    assert abs(risk[-5:].mean() - excess[-5:].mean() - chain.entropy_rate()) < 5 * 1.2 / 25_000**0.5
    assert 0.0 < excess[-5:].max() < 0.06


def test_that_shifted_glyphs_are_learned_by_shared_kernels_and_memorized_without() -> None:
    run = shown("shifted-glyphs")
    assert run.series["risk_error"][-1] < 0.2
    steps = {"budget.steps": 80, "measures.fresh": 0}
    plain = run_to_its_end(run.experiment.with_values({"model.name": "mlp", **steps}))
    assert plain.final("train_error") < 0.02
    assert plain.final("validation_error") > 0.3


def test_that_lstm_adding_leaves_the_plateau_of_the_best_constant() -> None:
    result = shown("lstm-adding")
    data = result.experiment.dataset.load()
    constant = float(((data.validation.y - data.training.y.mean()) ** 2).mean())
    losses = result.series["validation_loss"]
    assert constant == pytest.approx(0.15, abs=0.01)
    assert losses[1] == pytest.approx(constant, rel=0.1)
    assert result.final("validation_loss") < 0.01


def test_that_deep_linear_falls_from_a_saddle_to_the_closed_form_minimum() -> None:
    result = shown("deep-linear")
    training = result.experiment.dataset.load().training
    solution = np.linalg.lstsq(training.x, training.y, rcond=None)[0]
    least = float(((training.x @ solution - training.y) ** 2).mean())
    at_zero = float((training.y**2).mean())
    losses = result.series["train_loss"]
    assert np.all(np.abs(losses[:150] / at_zero - 1.0) < 0.01), (
        "a plateau at the cost of the saddle at zero"
    )
    assert np.diff(losses).min() < -0.05 * at_zero, "a fall in a few steps"
    assert result.final("train_loss") == pytest.approx(least, rel=1e-4)


def test_that_a_student_meets_its_teacher() -> None:
    result = shown("teacher")
    assert result.final("train_loss") < 0.001 and result.final("validation_loss") < 0.001
    assert float(result.experiment.dataset.load().training.y.var()) > 0.1, (
        "there is something to learn"
    )


def test_that_streaming_least_squares_falls_to_the_noise_and_the_stored_examples_would_not() -> (
    None
):
    result, stored = (
        shown("streaming-least-squares"),
        changed("streaming-least-squares", batches__name="shuffled", batches__size=16),
    )
    noise = 0.5**2

    def excess(of: Shown) -> float:
        theta, dataset = of.last.theta.astype(np.float64), of.experiment.dataset
        return float(dataset.risk(theta[:-1], theta[-1])) - noise  # type: ignore[attr-defined]

    risks = result.series["risk_loss"]
    assert risks[0] - noise > 0.5
    assert 0.0 < excess(result) < 0.002
    error = noise * np.sqrt(2.0 / 10_000)
    assert abs(risks[-1] - excess(result) - noise) < 4.0 * error, (
        "what is measured is the closed form"
    )
    assert np.all(np.abs(risks[25:] - noise) < 0.02)
    assert abs(result.final("train_loss") - noise) < 4.0 * noise * np.sqrt(2.0 / 60), (
        "the stored examples are as good as fresh ones"
    )
    assert excess(stored) > 0.05 and stored.series["risk_gap"][-1] > 0.1


def test_that_memorizing_opens_a_gap_that_streaming_does_not() -> None:
    stored, streamed = shown("memorizing-moons"), shown("streaming-moons")
    assert {
        section
        for section in SECTIONS
        if getattr(stored.experiment, section) != getattr(streamed.experiment, section)
    } == {"batches"}
    assert stored.final("train_loss") < 0.001 and stored.final("train_error") == 0.0
    assert stored.series["risk_loss"][-1] > 1.0 and stored.series["risk_gap"][-1] > 1.0
    perfect = int(np.argmax(stored.series["train_error"] == 0.0))
    assert stored.series["margin"][-1] > 1.5 * stored.series["margin"][perfect], (
        "it grows after the last training error"
    )
    assert np.all(np.abs(streamed.series["risk_gap"][10:]) < 0.05)
    assert np.all(np.abs(streamed.series["risk_loss"][10:] - 0.22) < 0.03)
    assert streamed.series["risk_error"][-1] < stored.series["risk_error"][-1]


def test_that_separable_classes_leave_the_loss_without_a_minimum() -> None:
    result = shown("separable")
    losses, norms, margins = (
        result.series[name] for name in ("train_loss", "weight_norm", "margin")
    )
    assert np.all(result.series["train_error"][1:] == 0.0), (
        "no error is left at the first evaluation after the start"
    )
    assert np.all(np.diff(losses) < 0.0) and 0.0 < losses[-1] < 0.001
    assert np.all(np.diff(norms) > 0.0) and np.all(np.diff(margins) > 0.0)
    doublings = np.diff(norms[[2, 4, 8, 16, 32]])
    assert doublings.min() > 0.75 and np.ptp(doublings) < 0.2, (
        "as much with each doubling of the steps: a logarithm"
    )
    assert margins[-1] > 1.8 * margins[1]


@pytest.mark.parametrize(
    ("name", "switched"),
    [
        pytest.param("deep-batch-norm", "batch_norm", marks=pytest.mark.soak),
        ("deep-skip", "skip"),
    ],
)
def test_that_twenty_layers_learn_with_one_switch_and_do_not_without(
    name: str, switched: str
) -> None:
    plain, helped = shown("deep-plain"), shown(name)
    same = helped.experiment.with_value(f"model.{switched}", False).with_value(
        "title", plain.experiment.general.title
    )
    assert same == plain.experiment
    assert len(plain.experiment.model.hidden) == 20  # type: ignore[attr-defined]
    assert plain.final("validation_error") >= 0.85
    assert abs(plain.final("train_loss") - np.log(10.0)) < 0.01
    assert helped.final("validation_error") <= 0.12
    assert "12%" in presets.about(paths.presets() / f"{name}.toml")[1]


def test_that_auxiliary_heads_more_than_halve_the_error_of_sigmoid_layers() -> None:
    helped = shown("sigmoid-heads")
    plain = run_to_its_end(helped.experiment.with_value("model.auxiliary", 0.0))
    assert helped.final("validation_error") <= 0.12
    assert plain.final("validation_error") > 2.0 * 0.12


def test_that_autoencoder_pca_ends_at_the_residual_of_the_principal_components() -> None:
    result = shown("autoencoder-pca")
    x = result.experiment.dataset.load().training.x.reshape(-1, 64)
    spread = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2 / len(x)
    residual = float(spread[8:].sum())
    assert residual == pytest.approx(26.84, abs=0.005)
    assert residual * (1.0 - 1e-5) <= result.final("train_loss") <= 1.001 * residual
    assert "train_error" not in result.series


@pytest.mark.parametrize(
    ("name", "error"), [("pretrained-deep-sigmoid", 0.06), ("pretrained-deep-sigmoid-rbm", 0.15)]
)
def test_that_pretraining_starts_what_otherwise_hardly_begins(name: str, error: float) -> None:
    pretrained = shown(name)
    plain = run_to_its_end(pretrained.experiment.with_value("pretraining.name", "none"))
    assert pretrained.final("validation_error") <= error
    assert plain.final("validation_error") > 0.5
    assert f"{error:.0%}" in presets.about(paths.presets() / f"{name}.toml")[1]


def test_that_rbm_digits_lowers_a_likelihood_whose_gradient_no_step_follows() -> None:
    result = shown("rbm-digits")
    losses = result.series["train_loss"]
    assert losses[0] > 46.0 and losses[-1] < 26.0
    assert result.experiment.model.uses_surrogate_gradient()
    assert "validation_error" not in result.series
