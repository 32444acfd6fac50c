"""``optlab export --format python``, ``notebook`` and ``safetensors``."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from optlab.cli.app import main
from optlab.experiment import Experiment
from optlab.scripts import writing
from optlab.store import Store
from optlab.tasks import script_export
from optlab.tasks.script_export import Target
from optlab.training.control import Inbox, SetValue, Stop
from optlab.training.events import SeriesBlock
from optlab.training.session import session

DOCUMENT = """
title = "A \\"quoted\\" run \\\\ with an end"
[dataset]
name = "iris"
[model]
name = "mlp"
hidden = [3]
[optimizer]
name = "nesterov"
[budget]
steps = 30
"""


def recorded(document: str = DOCUMENT, *sent: Any) -> str:
    """The name of a run in the test's own store, to which messages were sent before it began."""
    experiment, inbox = Experiment.from_toml(document), Inbox()
    for message in sent:
        inbox.put(message)
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
    for event in session([experiment], inbox):
        writer.record(event)
    writer.close()
    return writer.run_ids[0]


def test_that_a_run_is_written_tried_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, target = recorded(), tmp_path / "again.py"
    assert main(["export", run, "--format", "python", "--to", str(target)]) == 0
    printed = capsys.readouterr()
    said = printed.err + printed.out
    assert "differ from those of the run by at most" in said and "rounding" not in said
    text = target.read_text(encoding="utf-8")
    assert run in text and "import optlab" not in text and "from optlab" not in text
    assert not (tmp_path / "again.npz").exists()  # the lines say the data and the start
    assert main(["export", run, "--format", "python", "--to", str(target)]) == 2
    assert "again.py already exists" in capsys.readouterr().err


def test_that_a_preset_and_a_file_are_written_without_a_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(DOCUMENT, encoding="utf-8")
    for source in (str(file), "iris-softmax"):
        target = tmp_path / f"{Path(source).stem}.py"
        arguments = ["export", source, "--format", "python", "--to", str(target), "--no-check"]
        assert main(arguments) == 0
        compile(target.read_text(encoding="utf-8"), target.name, "exec")


def test_that_what_lines_do_not_say_is_beside_the_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, target = tmp_path / "mine.toml", tmp_path / "again.py"
    file.write_text(DOCUMENT + '[initializer]\nname = "batch_scaled"\n', encoding="utf-8")
    arguments = ["export", str(file), "--format", "python", "--to", str(target), "--no-check"]
    assert main(arguments) == 0
    head = " ".join(target.read_text(encoding="utf-8").split())
    assert "the start weights are in again.npz" in head
    with np.load(tmp_path / "again.npz") as data:
        assert sorted(data)[0] == "start/layers.0.bias" and "x_train" not in data
    target.unlink()
    assert main(arguments) == 2
    assert "again.npz already exists" in capsys.readouterr().err


def test_that_a_notebook_has_the_cells_of_the_script(tmp_path: Path) -> None:
    target, script = tmp_path / "again.ipynb", tmp_path / "script.py"
    run = recorded(DOCUMENT + '[initializer]\nname = "batch_scaled"\n')
    arguments = ["--no-check", "--to"]
    assert main(["export", run, "--format", "notebook", *arguments, str(target)]) == 0
    assert main(["export", run, "--format", "python", *arguments, str(script)]) == 0
    document = json.loads(target.read_text(encoding="utf-8"))
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in document["cells"]]
    assert len(set(ids)) == len(ids) and all(1 <= len(one) <= 64 for one in ids)
    for cell in document["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            wanted |= {"execution_count", "outputs"}
        assert set(cell) == wanted and all(isinstance(line, str) for line in cell["source"])
    code = ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]
    beside = script.read_text(encoding="utf-8").replace(
        'Path(__file__).with_name("script.npz")', '"again.npz"'
    )
    assert all(cell in beside for cell in code)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('[optimizer]\nname = "lbfgs"', "optimizer.name is 'lbfgs'"),
        ('[optimizer]\nname = "soap"', "optimizer.name is 'soap'"),
    ],
)
def test_that_what_cannot_be_written_is_refused_before_anything_is(
    change: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = DOCUMENT.replace('[optimizer]\nname = "nesterov"', change)
    file = tmp_path / "mine.toml"
    file.write_text(document, encoding="utf-8")
    target = tmp_path / "again.py"
    assert main(["export", str(file), "--format", "python", "--to", str(target)]) == 2
    assert words in capsys.readouterr().err
    assert sorted(tmp_path.glob("again*")) == []


def test_that_a_run_that_was_changed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = recorded(DOCUMENT, SetValue("optimizer.lr", 0.1))
    assert main(["export", run, "--format", "python", "--to", str(tmp_path / "a.py")]) == 2
    assert "optimizer.lr was changed during run" in capsys.readouterr().err
    assert not (tmp_path / "a.py").exists()


def test_that_a_script_that_fails_is_not_handed_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert Path(arguments[-1]).read_text(encoding="utf-8").startswith('"""')
        return subprocess.CompletedProcess(arguments, 1, "", "Traceback …\nValueError: no result")

    monkeypatch.setattr(script_export.subprocess, "run", failing)
    target = tmp_path / "a.py"
    assert main(["export", recorded(), "--format", "python", "--to", str(target)]) == 1
    assert "ValueError: no result" in capsys.readouterr().err
    assert sorted(tmp_path.glob("a.*")) == []


def test_that_a_script_with_another_end_is_compared_in_double_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded()

    def tried(program: writing.Script, data: bytes, limit: float) -> dict[str, float]:
        return {"train_loss": 9.0, "validation_loss": 9.0}

    monkeypatch.setattr(script_export, "_tried", tried)
    with (
        Store.open_readonly() as store,
        pytest.raises(script_export.RunFailed, match="differs from the run after 3 steps"),
    ):
        script_export.export_run(store, run, Target("python", tmp_path / "a.py"))
    assert not (tmp_path / "a.py").exists()


def test_that_a_script_that_takes_too_long_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*arguments: Any, **options: Any) -> None:
        raise subprocess.TimeoutExpired("script.py", 120.0)

    monkeypatch.setattr(script_export.subprocess, "run", late)
    run = recorded()
    with (
        Store.open_readonly() as store,
        pytest.raises(script_export.RunFailed, match="did not end within 300 seconds"),
    ):
        script_export.export_run(store, run, Target("python", tmp_path / "a.py"))
    assert not (tmp_path / "a.py").exists()


def test_that_the_steps_of_a_stopped_run_are_repeated_and_no_more(tmp_path: Path) -> None:
    document, inbox = DOCUMENT.replace("steps = 30", "steps = 1000000"), Inbox()
    experiment = Experiment.from_toml(document)
    with Store.open() as store:
        writer = store.begin([experiment], "thread")
    for event in session([experiment], inbox):
        writer.record(event)
        if isinstance(event, SeriesBlock) and event.step > 0:
            inbox.put(Stop())
    writer.close()
    with Store.open_readonly() as store:
        record = store.run(writer.run_ids[0])
        script_export.export_run(store, record.id, Target("python", tmp_path / "a.py", tried=False))
    assert 0 < record.steps < 1_000_000
    assert f"\nSTEPS = {record.steps}\n" in (tmp_path / "a.py").read_text(encoding="utf-8")


def test_that_weights_have_the_names_of_the_module_of_the_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, target = recorded(), tmp_path / "weights.safetensors"
    assert main(["export", run, "--format", "safetensors", "--to", str(target)]) == 0
    experiment = Experiment.from_toml(DOCUMENT)
    module = experiment.model.as_module(experiment.dataset.shape())
    assert module is not None
    space: dict[str, Any] = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional}
    exec(module.source, space)  # noqa: S102
    weights = load_file(target)
    space["Net"]().load_state_dict(weights)
    with Store.open_readonly() as store:
        snapshot = store.latest_snapshot(store.run(run).id)
    assert snapshot is not None
    joined = np.concatenate([value.numpy().ravel() for value in weights.values()])
    assert sorted(joined.tolist()) == sorted(snapshot.theta.tolist())
    with safe_open(target, "numpy") as file:
        assert file.metadata()["run"] == run and file.metadata()["step"] == "30"


OWN = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 4), nn.BatchNorm1d(4), nn.Dropout(0.2))
        self.last = nn.Linear(4, outputs)

    def forward(self, x):
        return self.last(self.body(x))
"""


def test_that_a_run_of_an_own_model_is_written_with_a_copy_of_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my_net.py"
    file.write_text(OWN, encoding="utf-8")
    assert main(["model", "register", str(file), "--name", "mine", "--yes"]) == 0
    run = recorded(DOCUMENT.replace('"mlp"\nhidden = [3]', '"own.mine"'))
    folder = tmp_path / "scripts"
    folder.mkdir()
    target, copy = folder / "again.py", folder / "my_net.py"
    words = ["export", run, "--format", "python", "--to", str(target)]
    capfd.readouterr()
    assert main(words) == 0  # in a process of its own, which has the user's code
    said = capfd.readouterr()
    assert "It was run once" in said.err + said.out
    assert copy.read_text(encoding="utf-8") == OWN
    head = " ".join(target.read_text(encoding="utf-8").split())
    assert "It imports my_net.py, which belongs beside this file." in head
    copy.write_text("# the only copy of something else\n", encoding="utf-8")
    assert main([*words, "--force", "--no-check"]) == 2
    assert f"{copy} is another file; choose another folder" in capfd.readouterr().err
    assert copy.read_text(encoding="utf-8") == "# the only copy of something else\n"
    assert main([*words[:-1], str(file), "--force", "--no-check"]) == 2
    assert "choose another name" in capfd.readouterr().err
    assert file.read_text(encoding="utf-8") == OWN


OWN_RULE = """
import torch


class Signs(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, beta=0.9):
        super().__init__(params, dict(lr=lr, beta=beta))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                m.lerp_(p.grad, 1 - group["beta"])
                p.sub_(m.sign(), alpha=group["lr"])
"""


@pytest.mark.parametrize("format_", ["python", "notebook"])
def test_that_a_run_of_an_own_optimizer_is_written_with_a_copy_of_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], format_: str
) -> None:
    file = tmp_path / "my_rule.py"
    file.write_text(OWN_RULE, encoding="utf-8")
    assert main(["optimizer", "register", str(file), "--name", "mine", "--yes"]) == 0
    run = recorded(DOCUMENT.replace('"nesterov"', '"own.mine"'))
    folder = tmp_path / "scripts"
    folder.mkdir()
    ending = script_export.FORMATS[format_]
    target, copy = folder / f"again{ending}", folder / "my_rule.py"
    capfd.readouterr()
    assert main(["export", run, "--format", format_, "--to", str(target)]) == 0
    said = capfd.readouterr()
    assert "It was run once" in said.err + said.out and "rounding" not in said.err + said.out
    assert copy.read_text(encoding="utf-8") == OWN_RULE
    text = target.read_text(encoding="utf-8")
    assert "from my_rule import Signs" in text
    if format_ == "python":
        assert "It imports my_rule.py, which belongs beside this file." in " ".join(text.split())
