"""``optlab label`` and what ``optlab runs`` makes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from optlab.cli.app import main
from optlab.core import paths
from optlab.experiment import Experiment
from optlab.store import Store


@pytest.fixture
def runs() -> list[str]:
    """Two runs, neither of which has begun its steps."""
    base = {"title": "T", "dataset": {"name": "moons"}, "model": {"name": "mlp"}}
    with Store.open(paths.home()) as store:
        ids = []
        for lr in (0.01, 0.1):
            document = {**base, "optimizer": {"name": "sgd", "lr": lr}}
            writer = store.begin([Experiment.from_dict(document)], "thread")
            ids += writer.run_ids
            writer.close()
    return ids


def listed(capsys: Any, *words: str) -> list[str]:
    assert main(["runs", "--json", *words]) == 0
    return [record["id"] for record in json.loads(capsys.readouterr().out)]


def test_that_labels_are_shown_and_list_by(runs: list[str], capsys: Any) -> None:
    assert main(["label", runs[0], "--name", "slow one", "--star", "--tag", "keep"]) == 0
    assert main(["label", *runs, "--tag", "both"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{runs[0]}: ★ slow one [keep]"
    assert listed(capsys, "--tag", "keep") == listed(capsys, "--starred") == runs[:1]
    assert listed(capsys, "--tag", "keep", "--tag", "both") == runs[:1]
    assert listed(capsys, "--filter", "lr>0.05") == listed(capsys, "--filter=-slow") == runs[1:]
    assert main(["runs", "--starred"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(runs[0]) and "★ slow one · T [keep, both]" in line
    assert main(["label", runs[0], "--no-star", "--untag", "keep", "--name", ""]) == 0
    capsys.readouterr()
    assert listed(capsys, "--starred") == listed(capsys, "--tag", "keep") == []


def test_that_json_has_the_labels_of_the_run_they_were_given_to(
    runs: list[str], capsys: Any
) -> None:
    assert main(["label", runs[1], "--color", "5", "--note", "n", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["id"], record["color"], record["note"]) == (runs[1], 5, "n")
    assert record["starred"] is False and record["tags"] == []
    with Store.open_readonly() as store:
        assert [store.run(run).color for run in runs] == [0, 5]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Nothing was said"),
        (("--tag", "a,b"), "cannot be a tag"),
        (("--color", "-1"), "counts from 0"),
    ],
)
def test_that_labels_that_are_none_are_refused(
    runs: list[str], capsys: Any, words: tuple[str, ...], said: str
) -> None:
    assert main(["label", runs[0], *words]) == 2
    assert said in capsys.readouterr().err


def test_that_one_name_is_of_one_run(runs: list[str], capsys: Any) -> None:
    assert main(["label", *runs, "--name", "x"]) == 2
    assert main(["label", "nothing", "--star"]) == 2
    assert main(["runs", "--filter", "lr<much"]) == 2
    assert "not a number" in capsys.readouterr().err
