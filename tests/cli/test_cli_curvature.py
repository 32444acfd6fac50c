"""``optlab critical``, ``spectrum`` and ``slice`` on presets, files and stored runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.cli import critical
from optlab.cli.app import main
from optlab.experiment import Experiment
from optlab.store import Store
from optlab.training.control import Inbox
from optlab.training.session import session

DOCUMENT = """
[dataset]
name = "iris"
[model]
name = "mlp"
hidden = [3]
activation = "tanh"
[loss]
name = "cross_entropy"
l2 = 0.01
[budget]
steps = 30
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTLAB_HOME", str(tmp_path / "home"))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "small.toml"
    path.write_text(DOCUMENT)
    return str(path)


@pytest.fixture
def run() -> str:
    """A stored run of 30 steps."""
    experiment = Experiment.from_toml(DOCUMENT)
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
        for event in session([experiment], Inbox()):
            writer.record(event)
        writer.close()
        return store.runs()[0].id


def answer(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_that_critical_goes_to_the_minimum_of_a_convex_problem(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("iris-softmax", "--set", "loss.l2=0.01", "--steps", "20", "--zero", "1e-9")
    (found,) = answer(capsys, "critical", *words)
    assert (
        found["step"] == 20
        and found["critical"]
        and found["finder"]["converged"]
        and found["gradient_norm"] < 1e-7
    )
    # The biases of a softmax can be shifted together, which is no degeneracy of the minimum.
    assert (found["kind"], found["index"], found["zeros"]) == ("minimum", 0, 0)
    assert found["flat_directions"] == [{"name": "shift of all outputs", "count": 1}]
    assert len(found["eigenvalues"]) == found["parameters"] - 1 == 14
    assert found["finder"]["runaway"] is None
    assert main(["critical", *words]) == 0
    said = capsys.readouterr().out
    assert "apart from 1 flat direction of the model (1 by shift of all outputs)" in said
    assert "1 along flat directions" in said


def test_that_critical_says_that_separable_classes_have_no_minimum(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("iris-softmax", "--steps", "50")
    (found,) = answer(capsys, "critical", *words)
    assert not found["critical"] and not found["finder"]["converged"]
    runaway = found["finder"]["runaway"]
    assert runaway["distance"] > 10.0 * runaway["start"]
    assert runaway["gradient_norms"][1] < runaway["gradient_norms"][0]
    assert runaway["curvatures"][1] < runaway["curvatures"][0]
    assert found["flat_directions"] == [{"name": "shift of all outputs", "count": 5}]
    assert main(["critical", *words]) == 0
    said = capsys.readouterr().out
    assert "runs off to infinity" in said and "no critical point" in said
    assert "converged" not in said


def test_that_critical_takes_several_and_says_of_each_whether_it_got_there(
    file: str, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "critical", file, run, "--most", "3")
    assert [one["step"] for one in found] == [0, 30]
    for one in found:
        assert one["critical"] == one["finder"]["converged"] == (one["finder"]["problem"] == "")
        assert one["finder"]["gradient_norms"][-1] < one["finder"]["gradient_norms"][0]


def test_that_critical_here_stays_where_the_weights_are(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = answer(capsys, "critical", file, "--here", "--steps", "5")
    assert found["finder"] is None and not found["critical"] and found["step"] == 5


def test_that_a_spectrum_of_a_stored_run_has_its_ends_trace_density_and_all(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(
        capsys,
        "spectrum",
        run,
        "--whole",
        "--density",
        "--probes",
        "200",
        "--top",
        "3",
        "--bottom",
        "2",
    )
    values = np.array(found["whole"]["eigenvalues"])
    np.testing.assert_allclose(found["top"], values[::-1][:3], rtol=1e-8)
    np.testing.assert_allclose(found["bottom"], values[:2], rtol=1e-6, atol=1e-9)
    assert abs(found["trace"]["mean"] - values.sum()) <= 4 * found["trace"]["standard_error"]
    assert np.trapezoid(found["density"]["density"], found["density"]["grid"]) == pytest.approx(
        1.0, abs=0.01
    )
    assert main(["spectrum", run]) == 0
    assert "trace" in capsys.readouterr().out


@pytest.mark.parametrize("along", ["random", "path", "gradient"])
def test_that_a_slice_is_a_grid_with_the_path_on_it(
    file: str, along: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(capsys, "slice", file, "--steps", "20", "--along", along, "--points", "7")
    assert np.array(found["loss"]).shape == (7, 7)
    path = found["path"]
    assert path["steps"] == list(range(21)) and len(path["coordinates"]) == 21
    assert path["coordinates"][-1] == pytest.approx([0.0, 0.0], abs=1e-9)
    assert 0.0 <= path["explained"] <= 1.0
    if along == "path":
        assert path["explained"] > 0.8
    assert main(["slice", file, "--steps", "3", "--along", along, "--points", "3"]) == 0
    assert "of the path's variance" in capsys.readouterr().out


def test_that_the_path_of_a_stored_run_is_more_than_its_snapshots(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open_readonly() as store:
        assert len(store.snapshots(run)) <= 3
    path = answer(capsys, "slice", run, "--along", "path", "--points", "3")["path"]
    assert path["points"] == len(path["steps"]) == 31 and path["steps"][-1] == 30
    assert 0.5 < path["explained"] < 1.0
    assert main(["slice", run, "--along", "path", "--points", "3"]) == 0
    assert "rests on 31 points of the path, from step 0 to 30" in capsys.readouterr().out


def test_that_three_points_of_a_path_claim_no_share_of_its_variance(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("slice", file, "--along", "path", "--points", "3", "--steps")
    assert answer(capsys, *words, "2")["path"]["explained"] is None
    assert answer(capsys, *words, "3")["path"]["explained"] > 0.5
    assert main([*words, "2"]) == 0
    said = capsys.readouterr().out
    assert "%" not in said and "rests on 3 points" in said and "so few points" in said


def test_that_slices_between_two_runs_have_them_at_zero_and_one(
    file: str, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = answer(
        capsys, "slice", run, "--along", "line", "--to", file, "--points", "5", "--batch", "20"
    )
    plane = answer(capsys, "slice", run, "--along", "runs", "--to", file, "--points", "5")
    assert line["a"] == pytest.approx([-0.5, 0.0, 0.5, 1.0, 1.5])
    assert plane["b"][2] == 0.0
    np.testing.assert_allclose([row[2] for row in plane["loss"]], line["loss"], rtol=1e-10)
    assert line["loss"][1] < line["loss"][3], "the trained end is lower"
    assert all(error > 0.0 for error in line["standard_error"])


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["critical", "no-such"], "neither a file nor a preset"),
        (["spectrum", "iris-softmax", "--top", "0", "--bottom", "0"], "--top and --bottom"),
        (["slice", "iris-softmax", "--along", "sideways"], "must be one of"),
        (["slice", "iris-softmax", "--along", "runs"], "--to RUN"),
        (["slice", "iris-softmax", "--along", "runs", "--to", "moons-mlp"], "other parameters"),
        (["slice", "iris-softmax", "--along", "path"], "three points"),
        (["critical", "iris-softmax", "--steps", "-1"], "0 or more"),
    ],
)
def test_that_what_cannot_be_is_refused_in_words(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


def test_that_a_stored_run_is_not_changed_or_trained(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["spectrum", run, "--steps", "5"]) == 2
    assert "cannot be combined with it" in capsys.readouterr().err


def test_that_convexity_along_the_path_agrees_with_all_eigenvalues_at_its_end(
    capsys: pytest.CaptureFixture[str], run: str
) -> None:
    found = answer(capsys, "spectrum", run, "--convexity", "--whole")
    along, whole = found["convexity"], found["whole"]
    assert len(along["steps"]) == len(along["lowest"]) == len(along["convex"]) == 11
    assert along["steps"][0] == 0 and along["steps"][-1] == 30
    assert along["lowest"][-1] == pytest.approx(whole["eigenvalues"][0], rel=1e-6)
    assert along["convex"][-1] == (whole["negative"] == 0)
    assert main(["spectrum", run, "--convexity"]) == 0
    assert along["sentence"] in capsys.readouterr().out


def test_that_a_quadratic_objective_is_convex_all_along_its_path(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "quadratic.toml"
    path.write_text(
        '[dataset]\nname = "least_squares"\n[model]\nname = "linear"\n'
        '[loss]\nname = "squared_error"\n'
    )
    along = answer(capsys, "spectrum", str(path), "--steps", "20", "--convexity")["convexity"]
    assert all(along["convex"]) and len(along["convex"]) == 11
    np.testing.assert_allclose(along["lowest"], along["lowest"][0], rtol=1e-6)


def test_that_methods_start_beside_the_critical_point(
    capsys: pytest.CaptureFixture[str], file: str
) -> None:
    (found,) = answer(capsys, "critical", file, "--steps", "50", "--methods")
    methods = {method["method"]: method for method in found["methods"]}
    assert len(methods) == 3
    newton = next(method for label, method in methods.items() if label.startswith("Newton"))
    # Newton's method returns to the point beside which it starts, whatever its kind.
    assert newton["distance"] < 0.03 and newton["objective"] == pytest.approx(found["value"], 1e-3)
    assert main(["critical", file, "--methods", "--here"]) == 2
    assert "--here" in capsys.readouterr().err


def test_that_the_diagnosis_of_a_stored_run_names_evidence_and_remedies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tables = {
        "device": "cpu",
        "dataset": {"name": "diabetes"},
        "model": {"name": "linear"},
        "loss": {"name": "squared_error"},
        "optimizer": {"name": "sgd", "lr": 0.24},
        "batches": {"name": "never_shuffled", "size": 0},
        "budget": {"steps": 400},
    }
    experiment = Experiment.from_dict(tables)
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
        for event in session([experiment], Inbox()):
            writer.record(event)
        writer.close()
        name = store.runs()[0].id
    found = answer(capsys, "diagnose", name[:-1])
    assert found["run"] == name and found["measured"]
    rising = next(finding for finding in found["findings"] if finding["name"] == "rising")
    assert rising["sentence"].endswith(".") and rising["evidence"] and rising["remedies"]
    assert main(["diagnose", name]) == 0
    text = capsys.readouterr().out
    assert rising["sentence"] in text and "--set optimizer.lr=" in text


def test_that_a_sound_run_has_no_findings_and_a_missing_one_is_refused(
    capsys: pytest.CaptureFixture[str], run: str
) -> None:
    assert isinstance(answer(capsys, "diagnose", run)["findings"], list)
    assert main(["diagnose", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_that_a_long_search_says_its_cost_beforehand_and_its_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["critical", "iris-softmax", "--set", "loss.l2=0.01", "--most", "4", "--json"]
    assert main(words) == 0
    quick = capsys.readouterr()
    assert quick.err == ""
    monkeypatch.setattr(critical, "_LONG_SECONDS", 0.0)
    monkeypatch.setattr(critical, "_REPORT_SECONDS", 0.0)
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.out == quick.out
    cost, *progress = captured.err.splitlines()
    assert cost.startswith("15 parameters on 90 examples: a Hessian product takes about ")
    assert "a step up to 15 of them, so 4 steps take at most " in cost
    (document,) = json.loads(captured.out)
    norms = document["finder"]["gradient_norms"]
    assert len(progress) == document["finder"]["steps"] == len(norms) - 1 > 0
    for step, (line, norm) in enumerate(zip(progress, norms[1:], strict=True), start=1):
        assert line.startswith(f"  step {step} of at most 4, gradient norm {norm:.3g}, ")
