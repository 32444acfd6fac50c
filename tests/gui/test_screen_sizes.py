"""Windows fit small screens and do not grow when a run starts, and no text in them is cut."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("screen_measures.py")


@pytest.mark.parametrize(("width", "height", "scale"), [(1280, 720, 1), (1280, 720, 2)])
def test_that_windows_fit_a_small_screen_and_do_not_grow(
    tmp_path: Path, width: int, height: int, scale: int
) -> None:
    screen = {"name": "small", "x": 0, "y": 0, "width": width, "height": height}
    screen |= {"logicalDpi": 96, "logicalBaseDpi": 96, "dpr": 1}
    (tmp_path / "screen.json").write_text(json.dumps({"screens": [screen]}))
    environment = {
        **os.environ,
        "OPTLAB_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "QT_QPA_PLATFORM": f"offscreen:configfile={tmp_path / 'screen.json'}",
        "QT_SCALE_FACTOR": str(scale),
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    messages = done.stderr.replace("This plugin does not support propagateSizeHints()\n", "")
    assert (done.stdout.strip(), messages, done.returncode) == ("", "", 0)
