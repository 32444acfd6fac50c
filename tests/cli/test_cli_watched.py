"""``optlab FOLDER``: watched runs on the command line, and in the window where there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import optlab
from optlab import entry
from optlab.entry import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    place = tmp_path / "loops"
    with optlab.watch(model, optimizer, folder=place, name="a \x1b[31mloop", every=1) as watcher:
        for step in range(4):
            optimizer.zero_grad()
            model(torch.ones(2, 3)).sum().backward()
            optimizer.step()
            watcher.log(loss=0.5 if step < 3 else float("nan"))
    return place


def test_that_a_folder_is_listed_with_series_and_last_values(folder: Path, capsys: Any) -> None:
    assert main(["watched", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "finished" in out and "a \\x1b[31mloop" in out and "4 parameters" in out
    (line,) = [line for line in out.splitlines() if line.startswith("  gradient_norm  ")]
    assert line.split() == ["gradient_norm", "4", "4", "4"]
    assert "loss is not finite at step 4; finite at step 3." in out


def test_that_json_has_runs_series_and_last_values(folder: Path, capsys: Any) -> None:
    assert main([str(folder), "--json"]) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert run["status"] == "finished" and run["steps"] == 4 and run["models"] == ["Linear"]
    series = run["series"]
    assert series["lr"] == {"count": 4, "step": 4, "last": 0.1}
    assert series["loss"] == {"count": 4, "step": 4, "last": None}
    assert set(series["gradient_norm_by_tensor"]["last"]) == {"weight", "bias"}
    assert [event["kind"] for event in run["events"]] == ["non_finite"]
    assert run["overhead"] >= 0.0


def test_that_following_ends_with_the_runs(
    folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optlab.cli import watched

    (run,) = folder.iterdir()
    content = (run / "series.blocks").read_bytes()
    (run / "series.blocks").write_bytes(b"")
    document = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**document, "host": "elsewhere"}))
    pieces = [content[: len(content) // 2], content[len(content) // 2 :]]

    def grow(_seconds: float) -> None:
        with (run / "series.blocks").open("ab") as file:
            file.write(pieces.pop(0))

    monkeypatch.setattr(watched.time, "sleep", grow)
    assert main(["watched", str(folder), "--follow"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("step 4  ") and "update_norm 0.4" in line for line in lines)
    assert lines[-1] == f"{run.name}: finished" and not pieces


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["watched", "nowhere"], "There is no folder nowhere"),
        (["watched", "."], "has no runs that OptLab can read"),
        (["watched", ".", "--json", "--follow"], "give one of the two"),
    ],
)
def test_that_bad_input_is_refused(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert sentence in capsys.readouterr().err


def test_that_a_folder_opens_the_window_where_there_is_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(entry, "_window", lambda **options: opened.append(options) or 0)
    monkeypatch.setattr(entry, "_no_window", lambda: "")
    assert main([str(folder)]) == 0
    assert opened == [{"folder": folder}] and capsys.readouterr().out == ""
    monkeypatch.setattr(entry, "_no_window", lambda: "no display")
    assert main([str(folder)]) == 0
    assert len(opened) == 1 and "gradient_norm" in capsys.readouterr().out


def test_that_a_command_goes_before_a_folder_of_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(folder.parent)
    folder.rename("runs")
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert main(["./runs", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 1
    Path("runs").rename("mine")
    assert main(["mine", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["runs"]) == 1
