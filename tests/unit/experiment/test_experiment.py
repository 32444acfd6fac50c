"""Experiments: round trips through files, and error messages."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optlab.catalogue.instruments.base import INSTRUMENTS
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.toml import LARGEST_DOCUMENT
from optlab.experiment import FORMAT, Experiment
from optlab.experiment.schedules import SCHEDULES
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, section_of

MINIMAL: dict[str, Any] = {"dataset": {"name": "moons"}, "model": {"name": "mlp"}}


def build(**changes: Any) -> Experiment:
    return Experiment.from_dict({**MINIMAL, **changes})


def refusal(**changes: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        build(**changes)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    return caught.value


def test_that_an_experiment_has_a_field_for_each_section_and_no_other() -> None:
    fields = [field.name for field in dataclasses.fields(Experiment)]
    assert fields == [*SECTIONS, "general", *PLAIN_SECTIONS, INSTRUMENTS, SCHEDULES]


@pytest.mark.parametrize("key", ["general", *SECTIONS, *PLAIN_SECTIONS])
def test_that_a_section_is_described_once_by_the_class_that_fills_it(key: str) -> None:
    described = section_of(key)
    filled = getattr(build(), key)
    assert filled.section is described
    assert described.title and described.form_order < 1000
    if key in SECTIONS:
        assert described.plural and described.chapter and filled.kind == key
        assert not described.default or described.default in registry.names(key)


def test_that_data_and_model_are_enough() -> None:
    experiment = build()
    assert (experiment.optimizer.name, experiment.loss.name, experiment.schedule.name) == (
        "sgd",
        "cross_entropy",
        "constant",
    )
    assert build(dataset={"name": "diabetes"}).loss.name == "squared_error"
    assert experiment.title() == "Moons · MLP · SGD"
    assert build(title="Mine").title() == "Mine"


@pytest.mark.parametrize("section", SECTIONS)
def test_that_every_component_reads_back_from_its_file(section: str) -> None:
    for name in registry.names(section):
        tables: dict[str, Any] = {**MINIMAL, section: {"name": name}}
        try:
            experiment = Experiment.from_dict(tables)
        # parts that do not fit each other, or a data set whose file is not set
        except InvalidInput as error:
            fields = (
                "loss.name",
                "stopping.name",
                "model.name",
                "dataset.name",
                "batches.name",
                "pretraining.name",
                "initializer.name",
            )
            assert error.field in (*fields, "dataset.path", "dataset.images", "dataset.set"), error
            continue
        assert Experiment.from_toml(experiment.to_toml()) == experiment
        assert Experiment.from_dict(experiment.to_dict()) == experiment


@given(
    st.floats(1e-8, 1e8),
    st.integers(0, 2**63 - 1),
    st.lists(st.integers(1, 50), max_size=3),
    st.text(max_size=50),
)
def test_that_any_values_survive_the_file(
    lr: float, seed: int, hidden: list[int], title: str
) -> None:
    experiment = build(
        optimizer={"name": "momentum", "lr": lr},
        seed=seed,
        model={"name": "mlp", "hidden": hidden},
        title=title,
    )
    assert Experiment.from_toml(experiment.to_toml()) == experiment


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        (
            {"optimizer": {"name": "sgd", "lr": -1.0}},
            "optimizer.lr",
            "optimizer.lr is -1.0, but it must be a number above 0.",
        ),
        (
            {"optimizer": {"name": "momentum", "momentun": 0.5}},
            "optimizer.momentun",
            "did you mean momentum?",
        ),
        ({"optimizer": {"name": "sdg"}}, "optimizer.name", "did you mean sgd?"),
        ({"optimizer": 3}, "optimizer", "it must be a section, [optimizer]"),
        ({"optimiser": {"name": "sgd"}}, "optimiser", "did you mean optimizer?"),
        ({"sead": 1}, "sead", "did you mean seed?"),
        ({"seed": -1}, "seed", "a whole number at least 0"),
        ({"format": FORMAT + 1}, "format", "a newer OptLab may have written the file"),
        ({"format": True}, "format", "this OptLab reads formats 1 to"),
        (
            {"dataset": {"name": "moons", "validation": 0.6, "test": 0.5}},
            "dataset.validation",
            "must add up to less than 1",
        ),
        (
            {"loss": {"name": "cross_entropy"}, "dataset": {"name": "diabetes"}},
            "loss.name",
            "use squared_error",
        ),
        (
            {"stopping": {"name": "target"}, "dataset": {"name": "diabetes"}},
            "stopping.name",
            "has none (regression)",
        ),
        (
            {"model": {"name": "mlp", "hidden": [65536, 65536]}},
            "model.hidden",
            "make model.hidden smaller",
        ),
        ({"measures": {"chosen": ["layers.7.bias[0]"]}}, "measures.chosen", "is not a weight"),
        ({"budget": {"steps": 0}}, "budget.steps", "a whole number at least 1"),
    ],
)
def test_that_an_invalid_value_is_reported_in_one_sentence_with_its_field(
    changes: dict[str, Any], field: str, message: str
) -> None:
    error = refusal(**changes)
    assert error.field == field
    assert message in str(error)
    assert error.exit_code == 2


@pytest.mark.parametrize("section", ["dataset", "model"])
def test_that_data_and_model_are_required(section: str) -> None:
    tables = {key: value for key, value in MINIMAL.items() if key != section}
    with pytest.raises(
        InvalidInput, match=rf"The section \[{section}\] is missing; give it a name, one of: "
    ):
        Experiment.from_dict(tables)


@pytest.mark.parametrize("document", ["= 3", "a = [", "[" * 5000, "seed = 1\nseed = 2"])
def test_that_a_document_that_is_not_toml_is_refused(document: str) -> None:
    with pytest.raises(InvalidInput, match="This is not a TOML file: "):
        Experiment.from_toml(document)


def test_that_files_are_read_with_their_path_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_bytes(b"\xef\xbb\xbf" + build().to_toml().encode())
    assert Experiment.load(path) == build()
    path.write_text("seed = -1", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"experiment\.toml: seed is -1"):
        Experiment.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="is not a text file in UTF-8"):
        Experiment.load(path)
    path.write_bytes(b" " * (LARGEST_DOCUMENT + 1))
    with pytest.raises(InvalidInput, match="is larger than 256 KiB"):
        Experiment.load(path)
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        Experiment.load(tmp_path / "nothing.toml")
    with pytest.raises(InvalidInput, match="cannot be read: "):
        Experiment.load(tmp_path)


def test_that_values_are_changed_by_path() -> None:
    experiment = build(optimizer={"name": "momentum", "lr": 0.5})
    changed = experiment.with_value("optimizer.lr", "1e-2")
    assert changed.to_dict()["optimizer"]["lr"] == 0.01
    assert experiment.to_dict()["optimizer"]["lr"] == 0.5
    assert experiment.with_value("seed", "7").general.seed == 7
    assert experiment.with_value("model.hidden", "8,4").to_dict()["model"]["hidden"] == [8, 4]
    assert experiment.with_value("optimizer.name", "adam").to_dict()["optimizer"]["lr"] == 0.001


@pytest.mark.parametrize("section", SECTIONS)
def test_that_a_component_and_its_fields_are_changed_together_in_any_order(section: str) -> None:
    """Every field of every component, given before its name and after it: the result is the same,
    or the same refusal.
    """
    for name in registry.names(section):
        fields = {
            f"{section}.{field.name}": field.default
            for field in registry.get(section, name).fields()
        }
        outcomes: list[Experiment | str] = []
        for changes in ({f"{section}.name": name, **fields}, {**fields, f"{section}.name": name}):
            try:
                outcomes.append(build().with_values(changes))
            except InvalidInput as error:
                assert "is not a field of" not in str(error), (
                    "the fields are checked against another component"
                )
                outcomes.append(str(error))
        assert outcomes[0] == outcomes[1]


def test_that_only_the_result_of_several_changes_is_checked() -> None:
    clipped = build(clipping={"name": "norm"})
    changes = {"optimizer.name": "newton", "clipping.name": "none"}
    for together in (changes, dict(reversed(changes.items()))):
        assert clipped.with_values(together) == build(optimizer={"name": "newton"})
    with pytest.raises(InvalidInput, match="clipping"):
        clipped.with_values({"optimizer.name": "newton"})


def test_that_a_loss_that_was_chosen_is_kept_or_refused() -> None:
    assert (
        build().with_values({"loss.name": "squared_error", "dataset.name": "iris"}).loss.name
        == "squared_error"
    )
    with pytest.raises(InvalidInput, match=r"loss\.name is 'cross_entropy'"):
        build().with_values({"loss.name": "cross_entropy", "dataset.name": "diabetes"})
    adapted = build().with_values({"loss.l2": 0.25, "dataset.name": "diabetes"})
    assert adapted.to_dict()["loss"] == {"name": "squared_error", "l2": 0.25, "l1": 0.0}


def test_that_an_instrument_and_its_fields_are_changed_with_the_rest() -> None:
    changes = {
        "instruments.clipped_steps.every": "3",
        "instruments.clipped_steps": "on",
        "clipping.name": "norm",
    }
    for together in (changes, dict(reversed(changes.items()))):
        (instrument,) = build().with_values(together).instruments
        assert (instrument.name, instrument.every) == ("clipped_steps", 3)


@pytest.mark.parametrize(
    "path",
    ["seed", "precision", "budget.steps", "measures.weights", "instruments.conditioning.every"],
)
def test_that_a_title_outlives_changes_of_how_it_is_run(path: str) -> None:
    value = "float64" if path == "precision" else "7"
    assert build(title="Mine").with_value(path, value).title() == "Mine"


@pytest.mark.parametrize("section", SECTIONS)
def test_that_a_title_ends_with_any_change_of_what_is_trained(section: str) -> None:
    titled = build(title="Mine")
    present = getattr(titled, section).name
    for name in registry.names(section):
        try:
            changed = titled.with_value(f"{section}.name", name)
        except InvalidInput:  # it does not fit the other parts
            continue
        assert (changed.general.title == "Mine") == (name == present), name
    assert titled.with_values({"title": "Other", "optimizer.name": "adam"}).title() == "Other"


def test_that_another_task_changes_the_loss() -> None:
    assert build().with_value("dataset.name", "diabetes").loss.name == "squared_error"
    kept = build(loss={"name": "squared_error", "l2": 0.1}).with_value("dataset.name", "diabetes")
    assert kept.to_dict()["loss"] == {"name": "squared_error", "l2": 0.1, "l1": 0.0}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("optimizer.lr", "fast", "optimizer.lr is 'fast', but it must be a number above 0."),
        ("optimizer.lr", 0.0, "optimizer.lr is 0.0, but it must be"),
        ("optimizer.speed", 1.0, "optimizer.speed is not a field of optimizer"),
        ("optimzer.lr", 1.0, "there is no section 'optimzer' (did you mean optimizer?)"),
        ("sed", 1, "'sed' is not part of an experiment (did you mean seed?)"),
        ("seed.x", 1, "there is no section 'seed'"),
    ],
)
def test_that_a_wrong_path_or_value_is_refused(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build().with_value(path, value)
    assert message in str(caught.value)


def test_that_live_fields_are_the_numbers_of_the_step_and_the_batch_size() -> None:
    experiment = build(
        optimizer={"name": "momentum"}, clipping={"name": "norm"}, schedule={"name": "cosine"}
    )
    assert set(experiment.live_fields()) == {
        "optimizer.lr",
        "optimizer.momentum",
        "schedule.tau",
        "schedule.last",
        "clipping.threshold",
        "batches.size",
    }
