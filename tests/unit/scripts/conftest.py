"""What the tests of scripts of one's own models and optimizers share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The data folder in which the files of all cases are registered."""
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def programs(texts: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each case: its script and what belongs beside it."""
    folder = tmp_path_factory.mktemp("scripts")
    for name, program in texts.items():
        beside = folder / name
        beside.mkdir()
        np.savez(beside / "repeats.npz", **program.arrays)
        (beside / "repeats.py").write_text(program.text("repeats.npz"), encoding="utf-8")
        for file, content in program.files.items():
            (beside / file).parent.mkdir(exist_ok=True, parents=True)
            (beside / file).write_bytes(content)
    return folder
