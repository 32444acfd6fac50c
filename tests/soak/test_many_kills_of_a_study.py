"""``kill -9`` of a program that records a study, many times at random moments: every run that it said
it had added is there, none is counted twice, and the study can be resumed.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def _short_form() -> ModuleType:
    path = Path(__file__).parents[1] / "store" / "test_studies_in_the_store.py"
    spec = importlib.util.spec_from_file_location("studies_in_the_store", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(25))
def test_that_many_kills_lose_no_run_of_a_study(tmp_path: Path, seed: int) -> None:
    short, home = _short_form(), tmp_path / "home"
    chance = random.Random(seed)
    for _ in range(2):
        study, added = short.kill_while_it_records(home, chance.randint(0, 120))
        short.check_killed(home, study, added)
