"""``--set`` given several times: the changes hold together in any order, and the stored run is
named after what was trained.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from optlab.cli.app import main
from optlab.experiment.presets import presets

QUICK = ["--steps", "2"]


def table(folder: Path, name: str = "flowers.csv", target: str = "red blue") -> Path:
    kinds = target.split()
    path = folder / name
    path.write_text(
        "length,width,kind\n"
        + "".join(f"{n}.5,{n % 7},{kinds[n % len(kinds)]}\n" for n in range(30)),
        encoding="utf-8",
    )
    return path


def sets(changes: tuple[str, ...] | list[str]) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


def stored(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What ``optlab runs --json`` shows, the newest first."""
    capsys.readouterr()
    assert main(["runs", "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(2))))
@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("digits-mlp", ("dataset.name=csv_file", "dataset.path=FILE")),
        ("clipped", ("optimizer.name=newton", "clipping.name=none")),
        ("digits-mlp", ("optimizer.name=adam", "optimizer.beta2=0.9")),
        ("iris-softmax", ("loss.l2=0.5", "dataset.name=diabetes")),
    ],
)
def test_that_changes_are_accepted_in_either_order(
    preset: str,
    changes: tuple[str, ...],
    order: tuple[int, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = table(tmp_path)
    given = [changes[place].replace("FILE", str(file)) for place in order]
    assert main(["run", preset, *QUICK, *sets(given)]) == 0
    assert main(["run", preset, *QUICK, *sets(given[::-1])]) == 0
    one, other = stored(capsys)
    assert one["experiment"] == other["experiment"] and one["theta_sha256"] == other["theta_sha256"]
    for change in given:
        path, _, value = change.partition("=")
        assert f"{path.partition('.')[2]} = " in one["experiment"] and value in one["experiment"]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_that_a_race_accepts_its_changes_in_any_order(
    order: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = (
        ["--set", "dataset.name=csv_file"],
        ["--set", f"dataset.path={table(tmp_path)}"],
        ["--set", "optimizer.lr=0.1,0.2"],
    )
    assert (
        main(["race", "digits-mlp", *QUICK, *(word for place in order for word in options[place])])
        == 0
    )
    assert {run["title"] for run in stored(capsys)} == {
        "flowers.csv · MLP · momentum · lr 0.1",
        "flowers.csv · MLP · momentum · lr 0.2",
    }


def test_that_of_two_values_for_one_field_the_last_one_counts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        main(["run", "iris-softmax", *QUICK, *sets(["optimizer.lr=0.5", "optimizer.lr=0.25"])]) == 0
    )
    assert "lr = 0.25" in stored(capsys)[0]["experiment"]


# --- names -----------------------------------------------------------------------------------------------------------------------


def test_that_an_unchanged_preset_keeps_its_title_with_another_seed_budget_or_instrument(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert (
        main(
            [
                "run",
                "digits-mlp",
                *QUICK,
                "--seed",
                "3",
                "--instrument",
                "conditioning",
                "--set",
                "measures.weights=4",
            ]
        )
        == 0
    )
    assert stored(capsys)[0]["title"] == "Digits · MLP · momentum"


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        (["optimizer.name=adam"], "Digits · MLP · Adam"),
        (["model.name=linear"], "Digits · linear · momentum"),
        (["dataset.name=moons"], "Moons · MLP · momentum"),
        (["dataset.name=diabetes"], "Diabetes · MLP · momentum"),
        (["title=My own", "optimizer.name=adam"], "My own"),
        (["optimizer.name=adam", "title=My own"], "My own"),
    ],
)
def test_that_a_changed_preset_is_named_after_what_is_trained(
    changes: list[str], title: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "digits-mlp", *QUICK, *sets(changes)]) == 0
    assert stored(capsys)[0]["title"] == title


@pytest.mark.parametrize(
    "preset", ["diverges", "deep-batch-norm", "memorizing-moons", "iris-softmax"]
)
def test_that_a_title_that_speaks_of_a_field_ends_with_that_field(
    preset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change = {
        "diverges": "optimizer.lr=0.001",
        "deep-batch-norm": "model.batch_norm=false",
        "memorizing-moons": "dataset.size=300",
        "iris-softmax": "batches.size=8",
    }[preset]
    assert main(["run", preset, *QUICK, *sets([change])]) == 0
    (run,) = stored(capsys)
    assert run["title"] not in {known.title for known in presets()}
    assert run["title"].count(" · ") == 2


def test_that_a_file_of_ones_own_names_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "run",
                "digits-mlp",
                *QUICK,
                *sets([f"dataset.path={table(tmp_path)}", "dataset.name=csv_file"]),
            ]
        )
        == 0
    )
    assert stored(capsys)[0]["title"] == "flowers.csv · MLP · momentum"


def test_that_runs_of_a_race_are_named_after_what_each_trains(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["race", "digits-mlp", "--optimizers", "momentum,adam", *QUICK, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "momentum" not in document["title"]
    titles = {run["title"] for run in stored(capsys)}
    assert len(titles) == 2
    assert not any("adam" in title and "momentum" in title for title in titles)
    assert main(["race", "digits-mlp", "--seed", "1,2", *QUICK]) == 0
    assert {run["title"] for run in stored(capsys)[:2]} == {
        "Digits · MLP · momentum · seed 1",
        "Digits · MLP · momentum · seed 2",
    }


def test_that_runs_of_a_race_may_differ_in_data_loss_and_steps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--seed", "1", "--steps", "3,7", *sets(["dataset.seed=0,1", "loss.l2=0,0.1"])]
    assert main(["race", "iris-softmax", *options, "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert sorted(run["steps"] for run in runs) == [3] * 4 + [7] * 4
    assert len({run["theta_sha256"] for run in runs}) == 8
    for run in runs:
        differs = run["differs"]
        assert run["steps"] == int(differs["budget.steps"])
        alone = ["--seed", "1", *sets([f"{path}={text}" for path, text in differs.items()])]
        assert main(["run", "iris-softmax", *alone, "--json", "--no-store"]) == 0
        final = json.loads(capsys.readouterr().out)["final"]
        assert run["final"]["train_loss"] == pytest.approx(final["train_loss"], rel=1e-5)
        assert run["final"]["test_loss"] == pytest.approx(final["test_loss"], rel=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("batches.size=8,16", "in batches.size, which all runs"),
        ("measures.weights=1,2", "in [measures], which all runs"),
        ("dataset.validation=0.1,0.2", "in dataset.validation, which all runs"),
    ],
)
def test_that_a_race_names_what_its_runs_have_to_share(
    change: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["race", "iris-softmax", *QUICK, *sets([change])]) == 2
    assert named in capsys.readouterr().err
