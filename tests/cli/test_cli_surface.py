"""``optlab surface``: races, critical points and basins as text and as JSON, and refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from optlab.cli.app import main


def document(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    assert main(["surface", *arguments, "--json"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return json.loads(output.out)


def test_that_methods_race_from_one_start_and_every_path_is_reported(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = document(
        [
            "saddle",
            "--optimizer",
            "sgd,newton",
            "--lr",
            "0.05,",
            "--start",
            "0.1,0.8",
            "--steps",
            "40",
        ],
        capsys,
    )
    descent, newton = found["runs"]
    assert descent["optimizer"]["lr"] == 0.05 and newton["optimizer"]["lr"] == 1.0
    assert descent["path"][0] == newton["path"][0] == [0.1, 0.8]
    assert len(descent["path"]) == descent["steps"] + 1 == 41
    assert abs(descent["end"][1]) > 2.0 and newton["end"] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert "uphill" in newton["notes"][0]["note"]
    assert found["surface"]["domain"] == [[-2.0, 2.0], [-2.0, 2.0]] and "critical" not in found


def test_that_the_table_has_a_line_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["surface", "cliff", "--start", "all", "--clip", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all(
        line.startswith("sgd") and "finished after 200" in line for line in lines
    )


def test_that_clipping_is_the_same_by_its_own_option_and_by_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    short = document(["cliff", "--clip", "0.5", "--start", "from below"], capsys)
    long = document(
        [
            "cliff",
            "--set",
            "clipping.name=norm",
            "--set",
            "clipping.threshold=0.5",
            "--start",
            "from below",
        ],
        capsys,
    )
    plain = document(["cliff", "--start", "from below"], capsys)
    assert short["runs"] == long["runs"] != plain["runs"]


def test_that_noise_is_that_of_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    ends = [
        document(["rosenbrock", "--noise", "1", "--seed", seed], capsys)["runs"][0]["end"]
        for seed in ("1", "1", "2")
    ]
    assert ends[0] == ends[1] != ends[2]


def test_that_critical_points_are_listed_with_their_eigenvalues(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = document(
        ["formula", "--set", "surface.expression=x^4 - 2*x^2 + y^2", "--critical"], capsys
    )
    assert "runs" not in found and found["critical"]["complete"]
    assert [point["kind"] for point in found["critical"]["points"]] == [
        "minimum",
        "minimum",
        "saddle",
    ]
    assert found["critical"]["points"][2]["eigenvalues"] == pytest.approx([-4.0, 2.0])
    assert main(["surface", "himmelblau", "--critical"]) == 0
    assert "saddle of index 1" in capsys.readouterr().out


def test_that_basins_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(["valleys", "--basins", "--grid", "12", "--steps", "400"], capsys)
    (reached,) = found["basins"]
    assert len(reached["owner"]) == 12 and {target["kind"] for target in reached["targets"]} == {
        "minimum"
    }
    assert main(["surface", "valleys", "--basins", "--grid", "12"]) == 0
    assert "sgd to minimum (0)" in capsys.readouterr().out


def test_that_a_run_that_leaves_a_saddle_is_said_to_escape(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["surface", "saddle", "--start", "1.2,0.4", "--steps", "400"]) == 0
    output = capsys.readouterr().out
    assert "sgd escaped: step " in output and "diverged" not in output
    (run,) = document(["saddle", "--start", "1.2,0.4", "--steps", "400"], capsys)["runs"]
    assert run["status"] == "escaped" and run["largest_step"]["length"] > 1.0


def test_that_a_run_that_diverged_is_a_result_with_a_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["surface", "parabola", "--lr", "3"]) == 0
    assert "sgd diverged: step " in capsys.readouterr().out
    (run,) = document(["parabola", "--lr", "3"], capsys)["runs"]
    assert run["status"] == "diverged" and "widths of the picture" in run["reason"]


@pytest.mark.parametrize(
    ("arguments", "words", "field"),
    [
        (["sadle"], "did you mean saddle?", "surface.name"),
        (["saddle", "--optimizer", "momentun"], "did you mean momentum?", "optimizer.name"),
        (
            ["saddle", "--optimizer", "sgd,adam", "--lr", "1,2,3"],
            "gives 3 rates for 2 optimizers",
            "lr",
        ),
        (["saddle", "--lr", "fast"], "it must be a number above 0", "optimizer.lr"),
        (["saddle", "--start", "nowhere"], "beside the ridge", "start"),
        (["saddle", "--start", "1,2,3"], "has 2 numbers", "start"),
        (["saddle", "--start", "nan,0"], "no finite value there", "start"),
        (["saddle", "--steps", "0"], "from 1 to 1000000", "steps"),
        (["saddle", "--noise", "-1"], "at least 0", "noise"),
        (["saddle", "--set", "condition=5"], "must be PATH=VALUE", "condition"),
        (["saddle", "--set", "optimizer.momentum=0.5"], "is no field of sgd", "optimizer.momentum"),
        (["quadratic", "--set", "surface.condition=0.5"], "at least 1", "surface.condition"),
        (
            ["formula", "--set", "surface.expression=__import__('os')"],
            "has no meaning in a formula",
            "surface.expression",
        ),
        (["saddle", "--clip", "-1"], "above 0", "clipping.threshold"),
        (
            ["saddle", "--optimizer", "newton", "--clip", "1"],
            'set clipping.name = "none"',
            "clipping.name",
        ),
    ],
)
def test_that_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str], words: str, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["surface", *arguments, "--json"]) == 2
    output = capsys.readouterr()
    assert words in output.err and output.err.count("\n") == 1
    assert json.loads(output.out)["field"] == field
