"""The tables of instruments in an experiment: validation, writing and reading."""

from __future__ import annotations

from typing import Any

import pytest

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment

DIGITS: dict[str, Any] = {"dataset": {"name": "digits"}, "model": {"name": "mlp"}}


def test_that_tables_survive_being_written_and_read_in_the_order_of_the_catalogue() -> None:
    asked = Experiment.from_dict(
        {**DIGITS, "instruments": {"spectrum": {"top": 3, "every": 7}, "conditioning": {}}}
    )
    assert [one.name for one in asked.instruments] == ["conditioning", "spectrum"]
    assert asked.instruments[1].values()["top"] == 3
    assert Experiment.from_toml(asked.to_toml()) == asked
    assert "[instruments.spectrum]" in asked.to_toml()


def test_that_an_experiment_without_them_is_that_of_an_older_file() -> None:
    plain = Experiment.from_dict(DIGITS)
    assert plain == Experiment.from_dict({**DIGITS, "instruments": {}})
    assert "instruments" not in plain.to_toml()


def test_that_paths_switch_instruments_on_and_off_and_set_their_fields() -> None:
    plain = Experiment.from_dict(DIGITS)
    on = plain.with_value("instruments.conditioning.every", "3")
    assert on.instruments[0].every == 3
    assert on.with_value("instruments.conditioning", "on") == on, "what is on keeps its fields"
    assert on.with_value("instruments.conditioning.step", "taken").instruments[0].every == 3
    assert on.with_value("instruments.conditioning", "off") == plain
    assert plain.with_value("instruments.conditioning", "off") == plain
    assert on.with_value("optimizer.lr", "0.5").instruments == on.instruments


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"nothing": {}}, "No instrument is called 'nothing'"),
        ({"conditioning": 3}, "instruments.conditioning is 3, but it must be a section"),
        (
            {"conditioning": {"every": -1}},
            "instruments.conditioning.every is -1, but it must be a whole number at least 0",
        ),
        (
            {"conditioning": {"often": 1}},
            "instruments.conditioning.often is not a field of instruments.conditioning "
            "(conditioning)",
        ),
        ({"clipped_steps": {}}, "gradients are not clipped here"),
    ],
)
def test_that_a_wrong_table_is_refused_in_words(tables: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=r"[Ii]nstrument") as refusal:
        Experiment.from_dict({**DIGITS, "instruments": tables})
    assert sentence in str(refusal.value)
    assert refusal.value.field.startswith("instruments.")


@pytest.mark.parametrize(
    ("changes", "name", "sentence"),
    [
        ({"dataset": {"name": "diabetes"}}, "margins", "it exists for targets that are classes"),
        ({"loss": {"name": "squared_error"}}, "reliability", "use the loss cross_entropy"),
        ({"dataset": {"name": "digits", "validation": 0.0}}, "reliability", "there is none"),
        ({"dataset": {"name": "iris"}}, "time_gradient", "it needs sequences"),
    ],
)
def test_that_an_instrument_that_does_not_exist_for_an_experiment_says_why(
    changes: dict[str, Any], name: str, sentence: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        Experiment.from_dict({**DIGITS, **changes}).with_instrument(name, {})
    assert sentence in str(refusal.value)


def test_that_members_of_a_population_share_their_instruments() -> None:
    from optlab.training.population import check_compatible

    plain = Experiment.from_dict(DIGITS)
    with pytest.raises(InvalidInput, match=r"\[instruments\]"):
        check_compatible([plain, plain.with_instrument("conditioning", {})])
