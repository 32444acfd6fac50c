"""Bad input: exit code 2, one sentence, nothing written. The corpus is what people and accidents
put into files.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from optlab.cli.app import main
from optlab.core import paths

GOOD = '[dataset]\nname = "iris"\n[model]\nname = "linear"\n[optimizer]\nname = "sgd"\nlr = 0.1\n[budget]\nsteps = 5\n'

BAD_TEXTS: dict[str, tuple[str, str]] = {
    "wrong optimizer": (GOOD.replace('"sgd"', '"sdg"'), "did you mean sgd?"),
    "optimizer is a number": (GOOD.replace('"sgd"', "7"), "optimizer.name"),
    "number as text": (GOOD.replace("0.1", '"0.1"'), "optimizer.lr"),
    "negative rate": (GOOD.replace("0.1", "-0.1"), "above 0"),
    "zero rate": (GOOD.replace("0.1", "0.0"), "above 0"),
    "bool for a rate": (GOOD.replace("0.1", "true"), "optimizer.lr is true"),
    "bool for steps": (GOOD.replace("steps = 5", "steps = true"), "budget.steps is true"),
    "fraction of a step": (GOOD.replace("steps = 5", "steps = 5.5"), "whole number"),
    "not a number": (GOOD.replace("0.1", "nan"), "optimizer.lr is nan"),
    "infinity": (GOOD.replace("0.1", "inf"), "optimizer.lr is inf"),
    "huge number of steps": (GOOD.replace("steps = 5", "steps = 1000000000000000000000000000000"), "budget.steps"),
    "huge rate": (GOOD.replace("0.1", "1e999"), "optimizer.lr"),
    "huge layer": (GOOD.replace('"linear"', '"mlp"\nhidden = [1000000000]'), "model.hidden"),
    "too many parameters": (GOOD.replace('"linear"', '"mlp"\nhidden = [65536, 65536]'), "parameters"),
    "unknown key": (GOOD.replace("lr = 0.1", "learning_rate = 0.1"), "optimizer.learning_rate"),
    "unknown key at the top": ("speed = 3\n" + GOOD, "'speed'"),
    "unknown section": (GOOD + "[optimiser]\nname = 'sgd'\n", "did you mean optimizer?"),
    "section that is a value": ("optimizer = 3\n" + GOOD.replace('[optimizer]\nname = "sgd"\nlr = '
        '0.1\n', ""), "[optimizer]"),
    "section without a name": (GOOD.replace('name = "iris"', ""), "dataset.name is missing"),
    "missing section": (GOOD.replace('[model]\nname = "linear"\n', ""), "[model] is missing"),
    "newer format": ("format = 99\n" + GOOD, "format is 99"),
    "format that is a text": ('format = "1"\n' + GOOD, "format"),
    "truncated line": (GOOD + "[batches\nname", "not a TOML file"),
    "key given twice": (GOOD + 'steps = 6\n', "not a TOML file"),
    "nested garbage": ("a = " + "[" * 5000 + "]" * 5000, "not a TOML file"),
    "tables in tables": (GOOD + "[optimizer.lr.deep]\nx = 1\n", "not a TOML file"),
    "list for a number": (GOOD.replace("0.1", "[[[0.1]]]"), "optimizer.lr"),
    "line break in a name": (GOOD.replace('"sgd"', '"s\\ngd"'), "optimizer.name"),
    "line break in a key": ('"a\\nb" = 1\n' + GOOD, "part of an experiment"),
    "line break in a field": (GOOD.replace("lr = 0.1", '"l\\nr" = 0.1'), "optimizer"),
    "loss for another task": (GOOD.replace("iris", "diabetes") + '[loss]\nname = "cross_entropy"\n', "loss.name"),
    "stopping for another task": (GOOD.replace("iris", "diabetes") + '[stopping]\nname = "target"\n', "stopping.name"),
    "nothing to train on": (GOOD.replace('"iris"', '"iris"\nvalidation = 0.5\ntest = 0.5'), "nothing "
        "to "
        "train "
        "on"),
    "unknown weight": (GOOD + '[measures]\nchosen = ["layers.9.weight[0,0]"]\n', "layers.9.weight"),
    "empty": ("", "[dataset] is missing"),
    "a word": ("hello", "not a TOML file"),
    "another kind of file": ("<html><body>404</body></html>", "not a TOML file"),
}  # fmt: skip


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence of a refusal, after checking that it is one and that nothing was written."""
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith("\n") and output.err.count("\n") == 1, "one sentence, one line"
    assert "Traceback" not in output.err
    assert not paths.home().exists(), "nothing may be written for a run that was refused"
    return output.err


@pytest.mark.parametrize("what", BAD_TEXTS)
def test_that_a_bad_file_is_refused_in_one_sentence(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, reported = BAD_TEXTS[what]
    path = tmp_path / "bad.toml"
    path.write_text(content, encoding="utf-8")
    sentence = refused(["run", str(path)], capsys)
    assert str(path) in sentence
    assert reported in sentence


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(1_000_000))


def _short_noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(1_000))


def _latin1(path: Path) -> None:
    path.write_bytes(b'title = "Gr\xfc\xdfe"\n' + GOOD.encode())


def _utf16(path: Path) -> None:
    path.write_bytes(GOOD.encode("utf-16"))


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(1000))


@pytest.mark.parametrize(
    ("make", "reported"),
    [
        (_noise, "larger than"),
        (_short_noise, "not a text file"),
        (_latin1, "UTF-8"),
        (_utf16, "UTF-8"),
        (_zeros, "not a TOML file"),
        (Path.mkdir, "cannot be read"),
        (lambda path: None, "cannot be read"),
    ],
    ids=["noise", "short noise", "latin-1", "utf-16", "zeros", "folder", "missing"],
)
def test_that_what_is_no_experiment_file_is_refused(
    make: Callable[[Path], object],
    reported: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "bad.toml"
    make(path)
    sentence = refused(["run", str(path)], capsys)
    assert str(path) in sentence
    assert reported in sentence


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["--set", "optimizer.lr=fast"], "optimizer.lr is 'fast'"),
        (["--set", "optimizer.lr=-1"], "above 0"),
        (["--set", "optimizer.lr=nan"], "optimizer.lr"),
        (["--set", "optimizer.speed=1"], "optimizer.speed is not a field"),
        (["--set", "optimiser.lr=1"], "did you mean optimizer?"),
        (["--set", "lr=1"], "'lr' is not part of an experiment"),
        (["--set", "optimizer.lr"], "path=value"),
        (["--set", "=1"], "path=value"),
        (["--set", "optimizer.name=sdg"], "did you mean sgd?"),
        (["--set", "model.hidden=64;64"], "model.hidden"),
        (["--set", "model.hidden.deep=1"], "no section"),
        (["--set", "dataset.standardize=maybe"], "true or false"),
        (["--steps", "0"], "budget.steps"),
        (["--steps", "many"], "budget.steps is 'many'"),
        (["--seed", "-1"], "seed"),
        (["--seed", "inf"], "seed"),
        (["--device", "tpu"], "one of auto, cpu, cuda, mps"),
        (["--device", "mps"], "this machine has"),
        (["--runner", "cluster"], "one of auto, thread, process"),
        (["--speed", "9"], "--speed"),
        (["one", "more"], "see optlab run --help"),
        (["--resume", "20260101"], "--resume continues a stored run"),
    ],
)
def test_that_a_wrong_option_is_refused_in_one_sentence(
    arguments: list[str], reported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported in refused(["run", "digits-mlp", *arguments], capsys)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["run"], "optlab list presets"),
        (["run", "digits-mpl"], "did you mean digits-mlp?"),
        (["run", "folder/digits-mlp"], "cannot be read"),
        (["run", "--resume", "nothing"], "There is no run"),
        (["fly"], "No such command"),
        (["show"], "Give the name of what to show"),
        (["export", "nothing", "--format", "csv", "--to", "x.csv"], "There is no run"),
        (["export", "nothing", "--format", "xlsx", "--to", "x.csv"], "one of csv, parquet"),
        (["export", "nothing", "--format", "csv"], "--to"),
        (["runs", "--jsn"], "--jsn"),
    ],
)
def test_that_bad_usage_is_refused_in_one_sentence(
    arguments: list[str], reported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reported in refused(arguments, capsys)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (["run", "digits-mlp", "--set", "optimizer.lr=-1"], "optimizer.lr"),
        (["run", "digits-mlp", "--runner", "cluster"], "runner"),
        (["run", "nothing"], None),
        (["run", "digits-mlp", "--nonsense"], None),
        (["list", "nothing"], None),
    ],
)
def test_that_a_refusal_is_one_json_document_where_json_was_asked_for(
    arguments: list[str], field: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--json"]) == 2
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert set(document) == {"error", "field"}
    assert document["field"] == field
    assert output.err.strip() == document["error"]
    assert not paths.home().exists()


def test_that_a_defect_leaves_a_report_and_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(kind: str) -> list[object]:
        raise RuntimeError("a defect")

    monkeypatch.setattr("optlab.cli.list._items", broken)
    monkeypatch.delenv("OPTLAB_DEBUG", raising=False)
    assert main(["list", "optimizers"]) == 1
    output = capsys.readouterr()
    assert output.err.count("\n") == 1 and "Traceback" not in output.err
    (report,) = (paths.home() / "reports").iterdir()
    assert str(report) in output.err
    text = report.read_text(encoding="utf-8")
    assert "RuntimeError: a defect" in text and "optlab list optimizers" in text


def test_that_a_defect_shows_its_traceback_where_that_was_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(kind: str) -> list[object]:
        raise RuntimeError("a defect")

    monkeypatch.setattr("optlab.cli.list._items", broken)
    monkeypatch.setenv("OPTLAB_DEBUG", "1")
    assert main(["list", "optimizers"]) == 1
    assert "RuntimeError: a defect" in capsys.readouterr().err
    assert not paths.home().exists()


@pytest.mark.parametrize("target", ["²", "①", "٣٣", "9" * 150])
def test_that_a_column_that_is_not_there_is_refused(
    target: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b,kind\n" + "1,2,red\n3,4,blue\n" * 10, encoding="utf-8")
    changes = ["dataset.name=csv_file", f"dataset.path={path}", f"dataset.target={target}"]
    assert "has no column '" in refused(
        ["run", "digits-mlp", *(word for change in changes for word in ("--set", change))], capsys
    )


@pytest.mark.parametrize("inputs", ["²", "4,①", "9" * 5000, "-1", ""])
def test_that_a_shape_that_is_none_is_refused(
    inputs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.py"
    net.write_text("import torch\n\nclass Net(torch.nn.Linear):\n    pass\n", encoding="utf-8")
    assert "it must be a shape such as 64 or 1,28,28" in refused(
        ["model", "register", str(net), "--inputs", inputs or " ", "--yes"], capsys
    )


@pytest.mark.parametrize("preset", ["digits-nesterov", "early-stopping"])
@pytest.mark.parametrize("share", ["0", "0.0001"])
def test_that_a_rule_that_looks_at_the_validation_part_is_refused_without_one(
    preset: str, share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    without = ["run", preset, "--set", f"dataset.validation={share}"]
    sentence = refused(without, capsys)
    assert "stopping.name" in sentence and f"dataset.validation is {share}" in sentence
    assert main([*without, "--set", "stopping.name=never", "--steps", "2"]) == 0


def test_that_inputs_that_are_no_probabilities_are_refused_before_a_run_is_stored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "set dataset.unit_range to true" in refused(
        ["run", "rbm-digits", "--set", "dataset.unit_range=false"], capsys
    )
