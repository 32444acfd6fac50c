"""The installed entry point on a small screen: a table of the user's own is chosen and trained.

Python imports ``sitecustomize`` before the entry point, which therefore stays as it is installed;
it only adds hands that use the window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.store import Store
from optlab.tasks.preview import preview

ENTRY_POINT = Path(sys.executable).with_name("optlab")
HANDS = """
import importlib.abc
import json
import os
import sys
import traceback

FACTS = {"problems": []}


def use(window):
    '''Yield conditions to wait for, between acts.'''
    from PySide6.QtTest import QTest

    available = window.screen().availableGeometry()
    size = window.size()
    yield lambda: hasattr(window, "experiment_panel")
    panel, shown = window.experiment_panel, window.experiment_panel.preview
    yield lambda: panel.problem() == "" and shown.picture._preview is not None

    def check(when):
        if not available.contains(window.frameGeometry()):
            FACTS["problems"].append(f"{when}: {window.frameGeometry()} on {available}")
        if window.size() != size:
            FACTS["problems"].append(f"{when}: grew from {size} to {window.size()}")

    check("at first")
    picker = panel.components["dataset"].picker
    picker.setCurrentIndex(picker.findData("csv_file"))
    path = panel.components["dataset"].form.editors["path"].editor()
    QTest.keyClicks(path, os.environ["OPTLAB_TEST_TABLE"])
    panel.plain["budget"].editors["steps"].set_value(40)
    panel._check()
    yield lambda: window.controls.start_button.isEnabled() and shown.picture._preview is not None
    check("with own data")
    window.controls.start_button.click()
    # Short runs may end between two looks at the window.
    yield lambda: window.shown_run.run_ids and not window.bridge.active
    (FACTS["run"],) = window.shown_run.run_ids
    check("after a run")
    drawn = shown.picture._preview
    FACTS["x"], FACTS["y"] = drawn.x.tolist(), drawn.y.tolist()


def begin():
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from optlab.gui.main_window import MainWindow

    (window,) = (w for w in QApplication.topLevelWidgets() if isinstance(w, MainWindow))
    script = use(window)
    waiting = [next(script)]

    def look():
        try:
            if waiting[0]():
                waiting[0] = next(script)
        except StopIteration:
            end()
        except Exception:
            FACTS["problems"].append(traceback.format_exc())
            end()

    def end():
        timer.stop()
        with open(os.environ["OPTLAB_TEST_FACTS"], "w", encoding="utf-8") as file:
            json.dump(FACTS, file)
        window.close_without_asking()

    timer = QTimer(window)
    timer.timeout.connect(look)
    timer.start(20)


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "optlab.gui.termination_signals":
            sys.meta_path.remove(self)
            from PySide6.QtCore import QTimer
            from PySide6.QtWidgets import QApplication

            execute = QApplication.exec

            def with_hands(*arguments):
                QTimer.singleShot(0, begin)
                return execute()

            QApplication.exec = with_hands
        return None


sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("scale", [1, 2])
def test_that_the_window_fits_and_previews_what_it_trains(tmp_path: Path, scale: int) -> None:
    hands = tmp_path / "hands"
    hands.mkdir()
    (hands / "sitecustomize.py").write_text(HANDS, encoding="utf-8")
    screen = {"name": "small", "x": 0, "y": 0, "width": 1280, "height": 720}
    screen |= {"logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1}
    (tmp_path / "screen.json").write_text(json.dumps({"screens": [screen]}), encoding="utf-8")
    table, facts = tmp_path / "table.csv", tmp_path / "facts.json"
    rows = [f"{n}.5,{n % 7},{'red' if n % 3 else 'blue'}" for n in range(60)]
    table.write_text("length,width,kind\n" + "\n".join(rows) + "\n", encoding="utf-8")
    home = tmp_path / "home"
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(hands), *sys.path]),
        "QT_QPA_PLATFORM": f"offscreen:configfile={tmp_path / 'screen.json'}",
        "QT_SCALE_FACTOR": str(scale),
        "OPTLAB_TEST_TABLE": str(table),
        "OPTLAB_TEST_FACTS": str(facts),
    }
    done = subprocess.run(
        [ENTRY_POINT], env=environment, capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    found = json.loads(facts.read_text(encoding="utf-8"))
    assert found["problems"] == []
    with Store.open_readonly(home) as store:
        (record,) = store.runs()
    assert (record.id, record.status, record.steps) == (found["run"], "finished", 40)
    trained = Experiment.from_toml(record.experiment)
    assert trained.dataset.name == "csv_file" and str(table) in record.experiment
    expected = preview(trained.to_dict()["dataset"])
    np.testing.assert_array_equal(np.array(found["x"]), expected.x)
    np.testing.assert_array_equal(np.array(found["y"]), expected.y)
    assert len(expected.x) > 0
