"""Study files: what they say, and how what is wrong in them is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from optlab.catalogue.optimizers.base import Optimizer
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.studies.comparison import reading, shipped
from optlab.studies.comparison.choosing import TriedSetting
from optlab.studies.comparison.claim import PairClaim, TrendClaim, parse
from optlab.studies.comparison.found import fingerprint, found, table
from optlab.studies.comparison.grid import Axis, combinations
from optlab.studies.comparison.plan import deciding_trials, populations, rounds, tuning_trials


def tables(**changes: Any) -> dict[str, Any]:
    """A small valid study, with some of its parts replaced."""
    return {
        "question": "Which rate?",
        "base": "iris-softmax",
        "arms": {"slow": {"optimizer": {"lr": 0.01}}, "fast": {"optimizer": {"lr": 0.1}}},
        "seeds": {"count": 4},
        "measure": {"of": "train_loss"},
        **changes,
    }


@pytest.mark.parametrize("path", shipped.files(), ids=lambda path: path.stem)
def test_that_a_shipped_study_is_valid_and_survives_writing(path: Path) -> None:
    study = reading.load(path)
    assert study.question.endswith("?")
    assert reading.from_toml(study.to_toml()) == study


@pytest.mark.parametrize("path", shipped.files(), ids=lambda path: path.stem)
def test_that_every_run_of_a_shipped_study_can_be_set_up(path: Path) -> None:
    study = reading.load(path)
    first = {arm.name: [TriedSetting(arm.settings()[0], 0.0, chosen=True)] for arm in study.arms}
    trials = tuning_trials(study) + deciding_trials(study, first, 0, 1)
    for trial in trials:
        trial.experiment(study).check()


def test_that_changes_of_an_arm_come_after_those_for_all_arms() -> None:
    study = reading.from_dict(tables(set={"optimizer": {"lr": 5.0}, "budget": {"steps": 7}}))
    assert [arm.experiment.optimizer.lr for arm in study.arms] == [0.01, 0.1]
    assert [arm.experiment.budget.steps for arm in study.arms] == [7, 7]


def test_that_dotted_keys_and_tables_say_the_same() -> None:
    nested = reading.from_toml(
        'base = "iris-softmax"\n[arms.a.optimizer]\nlr = 0.5\n[arms.b]\n[measure]\nof = "train_loss"\n'
    )
    dotted = reading.from_toml(
        'base = "iris-softmax"\n[arms.a]\noptimizer.lr = 0.5\n[arms.b]\n[measure]\nof = "train_loss"\n'
    )
    assert nested == dotted


def test_that_an_arm_may_have_a_model_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[dataset]\nname = "iris"\n[model]\nname = "mlp"\nhidden = [5]\n')
    file = tmp_path / "study.toml"
    file.write_text(
        'base = "iris-softmax"\n[arms.linear]\n[arms.deep]\nbase = "own.toml"\n'
        '[measure]\nof = "train_loss"\n'
    )
    study = reading.load(file)
    assert [arm.experiment.model.name for arm in study.arms] == ["linear", "mlp"]


# --- seeds ----------------------------------------------------------------------------------------


def test_that_paired_arms_share_seeds_and_others_do_not() -> None:
    paired = reading.from_dict(tables())
    apart = reading.from_dict(tables(seeds={"count": 4, "paired": False}))
    for index in range(4):
        assert paired.seed(index, "slow") == paired.seed(index, "fast")
        assert apart.seed(index, "slow") != apart.seed(index, "fast")


def test_that_another_master_seed_and_tuning_have_fresh_seeds() -> None:
    study = reading.from_dict(tables(seeds={"count": 100}))
    again = study.with_seeds(first=1)
    seeds = {study.seed(index, "slow") for index in range(100)}
    assert len(seeds) == 100
    assert not seeds & {again.seed(index, "slow") for index in range(100)}
    assert not seeds & {study.seed(index, "slow", "tunes") for index in range(100)}


def test_that_data_vary_with_the_seed_only_if_asked() -> None:
    fixed = reading.from_dict(tables())
    varied = reading.from_dict(tables(seeds={"count": 4, "data": True}))
    assert len({fixed.experiment("slow", i, {}).dataset.seed for i in range(4)}) == 1
    assert len({varied.experiment("slow", i, {}).dataset.seed for i in range(4)}) == 4
    assert (
        varied.experiment("slow", 2, {}).dataset.seed
        == varied.experiment("fast", 2, {}).dataset.seed
    )


def test_that_more_seeds_keep_those_that_were_there() -> None:
    study = reading.from_dict(tables())
    more = study.with_seeds(count=9)
    assert [study.seed(i, "slow") for i in range(4)] == [more.seed(i, "slow") for i in range(4)]


def test_that_looks_follow_the_number_of_seeds() -> None:
    study = reading.from_dict(tables(seeds={"count": 16}, decide={"looks": [4, 8, 16]}))
    assert rounds(study) == [(0, 4), (4, 8), (8, 16)]
    assert rounds(study.with_seeds(count=8)) == [(0, 4), (4, 8)]
    assert rounds(study.with_seeds(count=20)) == [(0, 4), (4, 8), (8, 16), (16, 20)]


# --- tuning ---------------------------------------------------------------------------------------


def test_that_every_arm_gets_every_setting_and_tuning_seed() -> None:
    study = reading.from_dict(
        tables(
            tune={
                "optimizer.lr": {"from": 0.01, "to": 1.0, "points": 3, "scale": "log"},
                "by": "validation_loss",
                "seeds": 2,
            }
        )
    )
    trials = tuning_trials(study)
    assert study.effort == 3
    assert len({trial.key for trial in trials}) == len(trials) == 2 * 3 * 2
    assert [s["optimizer.lr"] for s in study.arms[0].settings()] == pytest.approx([0.01, 0.1, 1.0])


def test_that_every_seed_is_tuned_on_seeds_of_its_own() -> None:
    tune = {"optimizer.lr": [0.01, 0.1], "by": "validation_loss", "seeds": 2, "each": True}
    study = reading.from_dict(tables(tune=tune, seeds={"count": 3}))
    assert reading.from_toml(study.to_toml()) == study
    trials = tuning_trials(study)
    assert len({trial.key for trial in trials}) == len(trials) == 2 * 2 * (2 * 3)
    assert {trial.seed for trial in tuning_trials(study, 2)} == set(range(4))
    seeds = [trial.experiment(study).general.seed for trial in trials]
    seeds += [trial.experiment(study).general.seed for trial in deciding_trials(study, {}, 0, 3)]
    assert len(set(seeds)) == 2 * 3 + 3


def test_that_a_file_that_tunes_once_is_written_as_before() -> None:
    study = reading.from_dict(tables(tune={"optimizer.lr": [0.01, 0.1], "by": "validation_loss"}))
    assert "each" not in study.to_dict()["tune"]


def test_that_tuned_fields_are_combined() -> None:
    axes = [Axis("a", (1, 2)), Axis("b", ("x", "y", "z"))]
    assert len(combinations(axes)) == 6
    assert combinations([]) == [{}]


def test_that_an_arm_may_tune_other_fields_but_not_more_settings() -> None:
    values = tables(tune={"optimizer.lr": [0.1, 0.2], "by": "validation_loss"})
    values["arms"]["slow"]["tune"] = {"loss.l2": [0.0, 0.1]}
    assert reading.from_dict(values).arms[0].settings() == [{"loss.l2": 0.0}, {"loss.l2": 0.1}]
    values["arms"]["slow"]["tune"] = {"loss.l2": [0.0, 0.1, 0.2]}
    with pytest.raises(InvalidInput, match=r"different numbers of settings \(slow 3, fast 2\)"):
        reading.from_dict(values)


# --- statements -----------------------------------------------------------------------------------


def test_that_statements_are_read() -> None:
    arms = ["a", "b", "c"]
    assert parse("a < b, b ~ c", arms) == (PairClaim("a", "<", "b"), PairClaim("b", "~", "c"))
    assert parse("a != c", arms) == (PairClaim("a", "!=", "c"),)
    assert parse("rises", arms) == TrendClaim("rises")
    assert parse("slope ~ -0.5", arms) == TrendClaim("slope", -0.5)
    assert [(p.arm, p.against) for p in parse("", arms)] == [("a", "b"), ("a", "c"), ("b", "c")]  # type: ignore[union-attr]


def test_that_the_axis_of_a_trend_is_the_number_in_which_the_arms_differ() -> None:
    decide = {"statement": "falls", "effect": "slope", "axes": "log-x"}
    study = reading.from_dict(tables(decide=decide))
    assert study.along == "optimizer.lr"
    assert [study.axis_value(name) for name in study.names] == [0.01, 0.1]


# --- populations ----------------------------------------------------------------------------------


def test_that_what_fits_one_tensor_is_one_population() -> None:
    study = reading.from_dict(tables())
    trials = deciding_trials(study, {}, 0, 4)
    assert [len(members) for members in populations(study, trials, 1)] == [8]
    assert [len(members) for members in populations(study, trials, 2)] == [4, 4]


def test_that_trials_of_one_rule_are_dealt_out() -> None:
    """Those at one end of a row of rates diverge, and no population should have them all."""
    values = tables(seeds={"count": 1})
    values["arms"] = {f"r{i}": {"optimizer.lr": 0.1 * (i + 1)} for i in range(5)}
    values["decide"] = {"statement": "r0 != r1"}
    study = reading.from_dict(values)
    cut = populations(study, deciding_trials(study, {}, 0, 1), 2)
    assert [[trial.arm for trial, _ in members] for members in cut] == [
        ["r0", "r2", "r4"],
        ["r1", "r3"],
    ]


def test_that_trials_of_several_rules_stay_together() -> None:
    values = tables(seeds={"count": 1})
    rules = ["sgd", "sgd", "momentum", "momentum"]
    values["arms"] = {f"r{i}": {"optimizer.name": rule} for i, rule in enumerate(rules)}
    values["decide"] = {"statement": "r0 != r2"}
    study = reading.from_dict(values)
    cut = populations(study, deciding_trials(study, {}, 0, 1), 2)
    assert [[trial.arm for trial, _ in members] for members in cut] == [["r0", "r1"], ["r2", "r3"]]


def test_that_models_go_into_populations_of_their_own() -> None:
    values = tables()
    values["arms"]["deep"] = {"model": {"name": "mlp", "hidden": [4]}}
    study = reading.from_dict(values)
    cut = populations(study, deciding_trials(study, {}, 0, 4), 1)
    assert sorted(len(members) for members in cut) == [4, 8]


def test_that_timed_runs_have_the_machine_for_themselves() -> None:
    study = reading.from_dict(tables(measure={"what": "seconds_to", "of": "train_loss"}))
    cut = populations(study, deciding_trials(study, {}, 0, 4), 1)
    assert [len(members) for members in cut] == [1] * 8


def test_that_only_the_runs_that_decide_are_trained_one_at_a_time() -> None:
    tuned = {"optimizer.lr": [0.1, 0.2], "by": "validation_loss"}
    study = reading.from_dict(tables(tune=tuned, seeds={"count": 4, "alone": True}))
    assert study.is_timed and not study.with_seeds(alone=False).is_timed
    assert [len(members) for members in populations(study, tuning_trials(study), 1)] == [4]
    decides = populations(study, deciding_trials(study, {}, 0, 4), 1)
    assert [len(members) for members in decides] == [1] * 8


METHODS = [path for path in shipped.files() if path.stem.startswith("methods-on-")]
TWINS = {"adadelta", "adafactor", "adagrad", "adam", "adamw", "rmsprop", "sgd"}
"""Optimizers of torch that OptLab has rules of its own for."""


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
def test_that_the_studies_of_methods_have_every_optimizer_around_its_default(path: Path) -> None:
    study = reading.load(path)
    by_name = {arm.experiment.optimizer.name: arm for arm in study.arms}
    parameters = study.arms[0].experiment.layout().total
    possible = {
        one.name: one
        for one in registry.components(Optimizer)
        if not one().refusal(parameters) and one.name not in {f"torch.{twin}" for twin in TWINS}
    }
    assert set(by_name) == set(possible)
    for name, arm in by_name.items():
        (axis,) = arm.axes
        field = axis.path.removeprefix("optimizer.")
        default = getattr(possible[name](), field)
        assert default in axis.values and axis.values[0] < default < axis.values[-1]
        assert arm.experiment.optimizer == possible[name](), "nothing else is chosen by hand"


def test_that_what_was_found_is_of_the_studies_as_they_stand() -> None:
    for name, document in found().items():
        study = reading.named(name)
        assert document["protocol"] == fingerprint(study), f"conduct {name} again"
        assert set(document["arms"]) == set(study.names)
        assert document["seeds"] == study.seeds.count
        headings, rows = table(document)
        assert len(rows) == len(study.names) and all(len(row) == len(headings) for row in rows)


# --- refusals -------------------------------------------------------------------------------------

_TUNED = {"optimizer.lr": [0.1, 0.2], "by": "validation_loss"}
REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown part": ({"arm": {}}, r"'arm' is not part of a study \(did you mean arms\?\)"),
    "one arm": ({"arms": {"a": {}}}, "compares 2 to 256 arms, but this one has 1"),
    "no base": ({"base": ""}, "arms.slow: base is missing"),
    "an unknown base": ({"base": "iris-sofmax"}, "did you mean iris-softmax"),
    "a wrong field of an arm": (
        {"arms": {"a": {"optimizer": {"lrr": 1}}, "b": {}}},
        "arms.a: optimizer.lrr is not a field",
    ),
    "a section that is none": ({"seeds": 3}, r"seeds is 3, but it must be a section"),
    "no seeds": ({"seeds": {"count": 0}}, "seeds.count is 0, but it must be"),
    "an unknown measure": ({"measure": {"of": "train_los"}}, "did you mean train_loss"),
    "a figure of the end as a series": (
        {"measure": {"what": "best", "of": "test_error"}},
        'set measure.what = "final"',
    ),
    "many numbers a step": ({"measure": {"of": "weights"}}, "many numbers a step"),
    "an arm that does not exist": (
        {"decide": {"statement": "slow < fats"}},
        r"names 'fats', which is no arm \(did you mean fast\?\)",
    ),
    "an arm with itself": ({"decide": {"statement": "slow < slow"}}, "with itself"),
    "no statement": ({"decide": {"statement": "slow fast"}}, "it must be a < b"),
    "a trend without slope": ({"decide": {"statement": "rises"}}, "set it to slope"),
    "pairs with a slope": ({"decide": {"effect": "slope"}}, "set it to difference, ratio"),
    "a margin of a ratio below one": (
        {"decide": {"effect": "ratio", "margin": 0.5}},
        "the margin of a ratio must be at least 1",
    ),
    "equivalence within nothing": (
        {"decide": {"statement": "slow ~ fast"}},
        "nothing is equivalent within that",
    ),
    "looks that fall": ({"decide": {"looks": [3, 2, 4]}}, "it must rise and end with"),
    "looks beyond the seeds": ({"decide": {"looks": [2, 8]}}, "end with the number of seeds, 4"),
    "nothing to tune": ({"tune": {"by": "validation_loss"}}, "has no field to tune"),
    "tuning by what decides": (
        {"tune": {**_TUNED, "by": "train_loss"}},
        "which is also what decides",
    ),
    "tuning by the test part": ({"tune": {**_TUNED, "by": "test_error"}}, "must be a measure"),
    "a setting that is not allowed": (
        {"tune": {"optimizer.lr": [0.1, -1.0], "by": "validation_loss"}},
        "arms.slow: optimizer.lr is -1.0",
    ),
    "a range that falls": (
        {"tune": {"optimizer.lr": {"from": 1.0, "to": 0.1, "points": 3}}},
        "but it must rise",
    ),
    "a logarithm of nothing": (
        {"tune": {"optimizer.lr": {"from": 0.0, "to": 0.1, "points": 3, "scale": "log"}}},
        "from above 0 on a logarithmic scale",
    ),
    "a range of one point": (
        {"tune": {"optimizer.lr": {"from": 0.1, "to": 1.0, "points": 1}}},
        "a whole number from 2 to 1,000",
    ),
    "too many runs": (
        {
            "seeds": {"count": 10_000},
            "tune": {**_TUNED, "seeds": 1000},
            "arms": {f"a{i}": {} for i in range(256)},
        },
        "more than 100,000",
    ),
    "a newer format": ({"format": 99}, "a newer OptLab may have written the file"),
    "the axis of a trend in two numbers": (
        {
            "arms": {"a": {"optimizer": {"lr": 0.1}}, "b": {"budget": {"steps": 3}}},
            "decide": {"statement": "rises", "effect": "slope"},
        },
        "the arms differ in optimizer.lr, budget.steps",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_that_what_is_wrong_is_refused_in_words(case: str) -> None:
    changes, words = REFUSALS[case]
    with pytest.raises(InvalidInput, match=words):
        reading.from_dict(tables(**changes))


def test_that_a_file_is_named_in_its_refusal(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("arms = 3\n")
    with pytest.raises(InvalidInput, match=r"study\.toml: arms is 3"):
        reading.named(str(file))
    with pytest.raises(InvalidInput, match="neither a file nor a study"):
        reading.named("nesterov-vs-momentun")
