"""*File ▸ Copy as command* and *Copy as Python*: what the editor shows is in the clipboard."""

from __future__ import annotations

import shlex
import tomllib
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from optlab.catalogue.optimizers._bridge.own import register as register_rule
from optlab.cli.run import changed
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment, presets
from optlab.experiment.named import load
from optlab.gui.bridge import TaskBridge
from optlab.gui.copied_experiment import CopiedExperiment
from optlab.gui.main_window import MainWindow
from optlab.gui.panels.banner import Banner
from optlab.gui.panels.experiment_panel import ExperimentPanel
from optlab.outside.own_models import sources
from optlab.outside.own_models.records import OPTIMIZER
from optlab.outside.own_models.registering import register
from optlab.tasks.commands import command_of

DOCUMENT = """
title = "it's mine"
seed = 4
[dataset]
name = "iris"
[model]
name = "mlp"
hidden = [3, 4]
[optimizer]
name = "adam"
lr = 0.02
[schedules]
"optimizer.beta1" = "linear to 0.5 in 9"
[budget]
steps = 20
[instruments.conditioning]
every = 7
"""


def said(command: str) -> Experiment:
    """The experiment that a command runs."""
    program, verb, source, *flags = shlex.split(command)
    assert (program, verb) == ("optlab", "run") and set(flags[::2]) <= {"--set"}
    return changed(load(source), flags[1::2])


def test_that_a_command_says_an_experiment_by_a_preset_and_its_changes() -> None:
    experiment = Experiment.from_toml(DOCUMENT)
    assert said(command_of(experiment)) == experiment
    for path in presets.files()[::12]:
        assert command_of(Experiment.load(path)) == f"optlab run {path.stem}"


def file_menu(qtbot: QtBot, window: MainWindow) -> dict[str, QAction]:
    """Show a window, and return what is in its *File* menu by name."""
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    window.complete()
    (menu,) = [one for one in window.menuBar().actions() if one.text() == "&File"]
    return {one.text().replace("&", ""): one for one in menu.menu().actions()}


def test_that_the_command_of_the_editor_is_copied(qtbot: QtBot) -> None:
    experiment = Experiment.from_toml(DOCUMENT)
    actions = file_menu(qtbot, MainWindow(experiment, "thread"))
    actions["Copy as command"].trigger()
    assert said(QApplication.clipboard().text()) == experiment


class Editor:
    """What the editor shows."""

    def experiment(self, *, check: bool = True) -> Experiment:
        return Experiment.from_toml(DOCUMENT).with_values({"initializer.name": "batch_scaled"})


def test_that_a_script_is_copied_with_the_path_of_its_numbers(qtbot: QtBot) -> None:
    banner = Banner()
    qtbot.addWidget(banner)
    tasks = TaskBridge(None, banner)
    copied = CopiedExperiment(cast("ExperimentPanel", Editor()), tasks, banner, banner)
    with qtbot.waitSignal(tasks.finished, timeout=110_000):
        copied.copy_script()
    text = QApplication.clipboard().text()
    compile(text, "pasted.py", "exec")
    (line,) = [line for line in text.splitlines() if line.startswith("with np.load(")]
    with np.load(Path(line.partition('"')[2].rpartition('"')[0])) as data:
        assert data["start/layers.0.weight"].shape == (3, 4)
    copied.shut_down()


def test_that_what_no_command_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = Experiment.from_toml(DOCUMENT)
    monkeypatch.setattr(presets, "files", list)
    with pytest.raises(InvalidInput, match="save it to a file"):
        command_of(experiment)


OWN = """
import torch


class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.last = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.last(x)
"""


OWN_RULE = """
import torch


class Descent(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(p.grad, alpha=group["lr"])
"""


@pytest.mark.parametrize(
    ("source", "changes", "line"),
    [
        (OWN, {"model.name": "own.mine"}, "from my_net import Net"),
        (
            OWN_RULE,
            {"optimizer.name": "own.mine", "schedules": {}},
            "from my_net import Descent",
        ),
    ],
    ids=["model", "optimizer"],
)
def test_that_a_script_of_own_code_is_copied_with_a_copy_of_its_file(
    qtbot: QtBot, tmp_path: Path, source: str, changes: dict[str, Any], line: str
) -> None:
    file = tmp_path / "my_net.py"
    file.write_text(source, encoding="utf-8")
    if source == OWN:
        register(sources.find(str(file)), "mine")
    else:
        register_rule(sources.find(str(file), kind=OPTIMIZER), "mine")
    document = tomllib.loads(DOCUMENT)
    for path, value in changes.items():
        section, _, name = path.partition(".")
        document[section] = {"name": value} if name else value
    window = MainWindow(Experiment.from_dict(document), "thread")
    actions = file_menu(qtbot, window)
    QApplication.clipboard().clear()
    actions["Copy as Python"].trigger()  # a worker process has the user's code
    qtbot.waitUntil(lambda: bool(QApplication.clipboard().text()), timeout=110_000)
    text = QApplication.clipboard().text()
    assert f"\n{line}\n" in text
    (inserted,) = [one for one in text.splitlines() if one.startswith("sys.path.insert(0, ")]
    copy = Path(inserted.partition('"')[2].rpartition('"')[0]) / "my_net.py"
    assert copy.read_text(encoding="utf-8") == source
