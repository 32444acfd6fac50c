"""A file dropped into a folder is found without another edit: an optimizer, a command, a rule of the
diagnosis, a figure.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch

import optlab.catalogue.optimizers
import optlab.optim
from optlab.core import registry
from optlab.experiment import Experiment, pages
from optlab.training.trainer import Trainer

SOURCE = '''"""Sign descent."""

from __future__ import annotations

from typing import ClassVar

from optlab.core.fields import number
from optlab.core.lazy import torch as _torch
from optlab.catalogue.optimizers.base import Optimizer


class SignDescent(Optimizer):
    """A step of fixed length against the sign of a fading average of the gradient."""

    name: ClassVar[str] = "sign_descent"
    label: ClassVar[str] = "Sign descent"
    rule: ClassVar[tuple[str, ...]] = (r"\\theta \\leftarrow \\theta - \\epsilon\\, \\mathrm{sign}(m)",)
    source: ClassVar[str] = "A test."

    lr: float = number(0.01, "Learning rate", symbol="ε", gt=0.0, help="Length of the step of each value.")
    fade: float = number(0.5, "Fade", ge=0.0, lt=1.0, help="Share of the average that a step keeps.")

    @staticmethod
    def start(theta):
        return {"m": _torch.zeros_like(theta)}

    @staticmethod
    def update(theta, g, state, h):
        m = h.fade * state["m"] + (1.0 - h.fade) * g
        return theta - h.lr * m.sign(), {"m": m}
'''


@pytest.fixture
def _dropped(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "sign_descent.py").write_text(SOURCE, encoding="utf-8")
    optlab.catalogue.optimizers.__path__.append(str(tmp_path))
    registry.rescan()
    yield
    optlab.catalogue.optimizers.__path__.remove(str(tmp_path))
    sys.modules.pop("optlab.catalogue.optimizers.sign_descent", None)
    vars(optlab.catalogue.optimizers).pop("sign_descent", None)
    registry.rescan()


@pytest.mark.usefixtures("_dropped")
def test_that_a_file_dropped_into_the_folder_is_an_optimizer_everywhere() -> None:
    assert "sign_descent" in registry.names("optimizer")
    assert "optlab.catalogue.optimizers.sign_descent" in registry.modules()
    experiment = Experiment.from_dict(
        {
            "dataset": {"name": "moons", "size": 100},
            "model": {"name": "linear"},
            "precision": "float64",
            "device": "cpu",
            "optimizer": {"name": "sign_descent", "lr": 0.125},
        }
    )
    assert Experiment.from_toml(experiment.to_toml()) == experiment
    assert set(experiment.live_fields()) == {
        "optimizer.lr",
        "optimizer.fade",
        "batches.size",
    }
    (component,) = pages.find("sign_descent")
    described = pages.page(component)
    assert described.rule == (r"\theta \leftarrow \theta - \epsilon\, \mathrm{sign}(m)",)
    assert [field.name for field in described.fields] == ["lr", "fade"]

    trainer = Trainer([experiment])
    start = trainer.theta.clone()
    trainer.advance()
    assert set((trainer.theta - start).abs().flatten().tolist()) == {0.125}

    face = cast(Any, optlab.optim.SignDescent)
    assert "SignDescent" in dir(optlab.optim)
    assert list(inspect.signature(face).parameters) == [
        "params",
        "lr",
        "fade",
        "weight_decay",
        "maximize",
        "fused",
    ]
    parameter = torch.nn.Parameter(torch.tensor([3.0, -2.0]))
    optimizer = face([parameter], lr=0.5)
    parameter.grad = torch.tensor([1.0, -7.0])
    optimizer.step()
    assert parameter.tolist() == [2.5, -1.5]


def test_that_it_is_gone_when_the_file_is() -> None:
    assert "sign_descent" not in registry.names("optimizer")
    assert "SignDescent" not in dir(optlab.optim)


DROPPED = {
    "optlab.cli": """
ORDER = 45
def register(app):
    app.command("greet", short_help="Say hello.")(lambda: print("hello"))
""",
    "optlab.studies.diagnosis": """
from optlab.studies.diagnosis.base import Finding
def examine(history):
    return Finding
""",
    "optlab.studies.figures.notes": """
from optlab.studies.figures.base import Figure
class Blank(Figure):
    number = "99.1"
    title = "Blank"
    def compute(self): ...
    def draw(self, data, page): ...
    def numbers(self, data): ...
    def caption(self, data): ...
""",
    "optlab.studies.demonstrations": '''
from optlab.studies.demonstrations.base import Demonstration
class Coin(Demonstration):
    """A coin is tossed."""
    name = "dropped"
    label = "Coin"
    def run(self, course=None):
        yield from ()
''',
}
"""Folder → what a file in it must hold at least, to be found."""

PROGRAM = """
import importlib, sys
from pathlib import Path
for folder in Path(sys.argv[1]).iterdir():
    importlib.import_module(folder.name).__path__.append(str(folder))
from optlab.cli.app import main
from optlab.core import registry
from optlab.studies import diagnosis
from optlab.studies.figures.catalogue import figures
assert {f"{folder.name}.dropped" for folder in Path(sys.argv[1]).iterdir()} <= set(registry.plugin_modules())
assert any(rule.__module__.endswith('.dropped') for rule in diagnosis.rules())
assert figures()[-1].number == "99.1"
assert main(["greet"]) == main(["--help"]) == main(["list", "demonstrations"]) == main(["show", "dropped"]) == 0
"""


def test_that_a_dropped_command_rule_figure_and_demonstration_are_found(tmp_path: Path) -> None:
    for folder, source in DROPPED.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dropped.py").write_text(f'"""Dropped."""{source}', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello")
    commands = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert commands.index("start") < commands.index("greet") < commands.index("list")
    assert "A coin is tossed." in done.stdout
    assert "optlab explore dropped" in done.stdout
