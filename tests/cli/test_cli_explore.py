"""``optlab explore``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.cli.app import main
from optlab.studies import demonstrations

SMALL = ["--set", "visible=3", "--set", "hidden=2", "--set", "examples=4", "--set", "largest=3"]


def document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main([*arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == "" and "NaN" not in output.out and "Infinity" not in output.out
    return json.loads(output.out)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


def test_that_every_demonstration_is_listed_and_has_a_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = document(["explore", "list"], capsys)
    assert [item["name"] for item in listed] == demonstrations.names()
    assert all(item["row"] and item["sentence"].endswith(".") and item["fields"] for item in listed)
    assert main(["explore"]) == 0
    assert capsys.readouterr().out.count("\n") == len(demonstrations.names())
    for name in demonstrations.names():
        assert main(["explore", name, "--about"]) == 0
        page = capsys.readouterr().out
        assert (
            f"optlab explore {name}" in page
            and "--set seed=0" in page
            and "In an experiment file" not in page
        )
        assert document(["explore", name, "--about"], capsys)["name"] == name


def test_that_a_demonstration_is_run_with_its_fields_and_tells_everything_as_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = document(["explore", "cd_bias", *SMALL], capsys)
    assert (found["demonstration"], found["row"], found["fields"]["largest"]) == (
        "cd_bias",
        "C16",
        3,
    )
    names = [column["name"] for column in found["table"]["columns"]]
    assert len(found["table"]["rows"]) == 9 and all(
        len(row) == len(names) for row in found["table"]["rows"]
    )
    angle = found["table"]["columns"][names.index("angle to the gradient")]
    assert angle["unit"] == "°"
    (plot,) = found["plots"]
    assert (
        plot["y"] == {"label": "bias / gradient", "unit": "", "log": True} and plot["image"] is None
    )
    assert {curve["style"] for curve in plot["curves"]} == {"measured", "predicted"}
    assert found["sentence"].startswith("For weights of scale 0.5") and found["numbers"]


def test_that_the_table_is_written_in_full_as_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "bias.csv"
    found = document(["explore", "cd_bias", *SMALL, "--to", str(to)], capsys)
    with to.open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    assert head[4] == "angle to the gradient [°]" and len(rows) == 9
    np.testing.assert_array_equal(
        [[float(cell) for cell in row] for row in rows], found["table"]["rows"]
    )
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ""] == ["bias.csv"]


def test_that_people_get_a_table_and_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "moves.csv"
    assert (
        main(["explore", "local_moves", "--set", "starts=40", "--set", "steps=5", "--to", str(to)])
        == 0
    )
    said = capsys.readouterr().out
    assert (
        said.startswith("Local moves, misleading structure (C17)\n") and "path / distance" in said
    )
    assert (
        "… and 10 rows more." in said
        and "Of 40 starts" in said
        and f"The table of 40 rows is in {to}." in said
    )


def test_that_what_is_wrong_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean cd_bias" in refused(["explore", "cd_bia"], capsys)
    assert (
        "cd_bias.largest is '0.5', but it must be a whole number at least 2 and at most 1000"
        in refused(["explore", "cd_bias", "--set", "largest=0.5"], capsys)
    )
    assert "cd_bias.largest is 1, but" in refused(
        ["explore", "cd_bias", "--set", "largest=1"], capsys
    )
    assert "did you mean largest" in refused(["explore", "cd_bias", "--set", "lagrest=3"], capsys)
    assert "FIELD=VALUE" in refused(["explore", "cd_bias", "--set", "largest"], capsys)
    assert "there is no folder" in refused(
        ["explore", "cd_bias", "--to", str(tmp_path / "none" / "a.csv")], capsys
    )
