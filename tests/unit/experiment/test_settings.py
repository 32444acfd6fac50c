"""Names of runs: what distinguishes their experiments, in words."""

from __future__ import annotations

import time
from typing import Any

import pytest

from optlab.core.toml import parse
from optlab.experiment import Experiment
from optlab.experiment.presets import presets
from optlab.experiment.settings import Settings, differing, distinguishing_names, flat


def of(**changes: Any) -> Settings:
    base = {
        "title": "T",
        "dataset": {"name": "moons"},
        "model": {"name": "mlp"},
        "optimizer": {"name": "momentum", "lr": 0.05},
    }
    experiment = Experiment.from_dict(base)
    return Settings.of(experiment.with_values(changes).to_toml())


def test_that_sections_read_apart_are_the_document_read_whole() -> None:
    for preset in presets()[::6]:
        document = Experiment.load(preset.path, check=False).to_toml()
        one = Settings.of(document)
        assert {key: one.get(key) for key in one.paths()} == dict(flat(parse(document)))


def test_that_a_header_within_a_text_is_no_header() -> None:
    document = 'title = """\n[model]\n"""\n[dataset]\nname = "iris"\n'
    assert Settings.of(document).get("title") == "[model]\n"
    assert Settings.of(document).get("dataset.name") == "iris"
    assert list(Settings.of("no TOML = = [").paths()) == []


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ([{}, {"optimizer.lr": 0.1}], ["Momentum 0.05", "Momentum 0.1"]),
        (
            [{}, {"optimizer.name": "adam", "optimizer.lr": 0.001}],
            ["Momentum 0.05", "Adam 0.001"],
        ),
        ([{}, {"optimizer.name": "adam", "optimizer.lr": 0.05}], ["Momentum", "Adam"]),
        ([{"seed": 1}, {"seed": 2}], ["seed 1", "seed 2"]),
        ([{"seed": 1, "optimizer.lr": 0.1}, {"seed": 2}], ["Momentum 0.1", "Momentum 0.05"]),
        ([{"batches.size": 8}, {"batches.size": 16}], ["batch size 8", "batch size 16"]),
        ([{"title": "a"}, {"title": "b"}], ["", ""]),
        ([{"measures.gradient_every": 5}, {}], ["full gradient every 5", "full gradient every 0"]),
    ],
)
def test_that_a_name_says_what_distinguishes(
    changes: list[dict[str, Any]], names: list[str]
) -> None:
    found = distinguishing_names([of(**change) for change in changes])
    assert [name.lower() for name in found] == [name.lower() for name in names]


def test_that_a_third_run_adds_only_what_is_needed() -> None:
    runs = [of(), of(**{"optimizer.lr": 0.1}), of(**{"optimizer.lr": 0.1, "batches.size": 8})]
    assert differing(runs) == ["optimizer.lr", "batches.size"]
    assert distinguishing_names(runs)[2] == "Momentum 0.1, batch size 8"
    assert len(set(distinguishing_names(runs))) == 3


def test_that_runs_that_differ_in_seeds_alone_are_one_setting() -> None:
    assert of(seed=1).seedless == of(seed=2, title="x").seedless
    assert of(seed=1).seedless != of(**{"optimizer.lr": 0.1}).seedless
    assert of(**{"dataset.seed": 5}).seedless == of().seedless


def test_that_an_older_run_has_what_a_later_field_means() -> None:
    document = Experiment.load(presets()[0].path, check=False).to_toml()
    older = Settings.of(document.replace("compiled = false\n", ""))
    assert "compiled = false\n" in document
    assert older.seedless == Settings.of(document).seedless
    assert older.get("compiled") is False and older.find("compiled") == [False]
    compiled = Settings.of(document.replace("compiled = false", "compiled = true"))
    assert distinguishing_names([older, compiled]) == ["compiled steps off", "compiled steps on"]


def test_that_ten_thousand_documents_are_read_in_a_fraction_of_a_second() -> None:
    documents = [
        Experiment.from_dict(
            {"title": "T", "seed": 0, "dataset": {"name": "moons"}, "model": {"name": "mlp"}}
        )
        .to_toml()
        .replace("seed = 0", f"seed = {number}", 1)
        for number in range(100)
    ] * 100
    begun = time.process_time()
    for document in documents:
        Settings.of(document)
    assert time.process_time() - begun < 1.0
