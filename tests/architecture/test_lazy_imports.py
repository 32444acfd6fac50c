"""Imports at startup: the catalogue without torch, the engine without Qt."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


BLOCK = """
import importlib.abc, sys

class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Block())
"""


def test_that_the_catalogue_and_experiments_load_without_torch_scikit_learn_and_qt() -> None:
    run(
        "import sys\n"
        "from optlab.core import registry; from optlab.experiment import pages\n"
        "from optlab.experiment import Experiment\n"
        "shown = [pages.page(c) for kind in registry.kinds() for c in registry.components(kind)]\n"
        "experiment = Experiment.from_dict({'dataset': {'name': 'digits'}, 'model': {'name': "
        "'mlp'}})\n"
        "assert Experiment.from_toml(experiment.to_toml()) == experiment\n"
        "loaded = {'torch', 'sklearn', 'PySide6', 'pyqtgraph', 'scipy', 'pyarrow'} & "
        "set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )


def test_that_an_experiment_imports_the_components_that_it_names_and_no_others() -> None:
    run(
        "import sys\n"
        "from optlab.experiment import Experiment\n"
        "Experiment.from_dict({'dataset': {'name': 'moons'}, 'model': {'name': 'mlp'}, "
        "'optimizer': {'name': 'adam'}})\n"
        "folder = 'optlab.catalogue.optimizers.'\n"
        "loaded = {name.removeprefix(folder) for name in sys.modules if name.startswith(folder)}\n"
        "assert {name for name in loaded if name[0] != '_'} == {'base', 'adam'}, loaded\n"
        "assert 'optlab.catalogue.datasets.openml' not in sys.modules\n"
    )


def test_that_the_engine_and_the_torch_face_run_where_qt_is_not_installed() -> None:
    run(
        "BLOCKED = {'PySide6', 'shiboken6', 'pyqtgraph', 'superqt', 'qtawesome'}\n"
        + BLOCK
        + "from optlab.training.control import Replay\n"
        "from optlab.training.session import session\n"
        "from optlab.experiment import Experiment\n"
        "import optlab.optim\n"
        "experiment = Experiment.from_dict({'dataset': {'name': 'moons'}, 'model': {'name': "
        "'linear'}, 'budget': {'steps': 5}})\n"
        "events = list(session([experiment], Replay([])))\n"
        "assert type(events[-1]).__name__ == 'SessionEnded'\n"
        "optlab.optim.Adam\n"
    )


def test_that_the_plots_of_the_main_window_are_found_without_what_the_others_need() -> None:
    run(
        "import sys\n"
        "from optlab.gui.plots.tiles import tile_plots\n"
        "assert tile_plots()\n"
        "loaded = {'contourpy', 'ziamath', 'torch'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )


def test_that_generated_data_train_where_scikit_learn_is_not_installed() -> None:
    run(
        "BLOCKED = {'sklearn'}\n" + BLOCK + "from optlab.training.trainer import Trainer\n"
        "from optlab.experiment import Experiment\n"
        "Trainer([Experiment.from_dict({'dataset': {'name': 'moons'}, 'model': {'name': "
        "'linear'}})]).advance()\n"
    )


def test_that_the_first_use_of_torch_sets_how_its_threads_wait() -> None:
    run(
        "import os, sys\n"
        "os.environ.pop('OMP_WAIT_POLICY', None)\n"
        "from optlab.core.lazy import torch\n"
        "assert 'torch' not in sys.modules and 'OMP_WAIT_POLICY' not in os.environ\n"
        "torch.float32\n"
        "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'\n"
    )


def test_that_listing_runs_imports_neither_numpy_nor_the_other_commands(tmp_path) -> None:
    run(
        "import os, sys\n"
        f"os.environ['OPTLAB_HOME'] = {str(tmp_path / 'home')!r}\n"
        "from optlab.entry import main\n"
        "assert main(['runs']) == 0\n"
        "loaded = {'torch', 'numpy', 'scipy', 'sklearn', 'PySide6', 'optlab.experiment', "
        "'optlab.catalogue', 'optlab.runners', 'optlab.cli.run', 'filelock'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )


def test_that_each_command_is_found_without_the_others() -> None:
    run(
        "import sys\n"
        "from optlab.cli import parser\n"
        "words = ['list', 'runs', 'export', 'import', 'model', 'nonsense']\n"
        "found = {word: set(parser.command_line([word]).commands) for word in words}\n"
        "assert found['list'] == {'list'} and found['runs'] == {'runs'}\n"
        "assert {'import', 'model', 'run', 'runs'} < found['import'] == found['nonsense']\n"
        "assert found['model'] == found['nonsense']\n"
    )


def test_that_nothing_imports_the_distributions_of_scipy() -> None:
    """They take four times as long as ``scipy.special``, and bring most of SciPy into a package."""
    found = []
    for path in sorted((ROOT / "optlab").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names = [one.name for one in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{one.name}" for one in node.names]
            else:
                continue
            if any(f"{name}.".startswith("scipy.stats.") for name in names):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
