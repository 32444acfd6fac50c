"""Every preset that can be written as a script repeats its run."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment, presets
from optlab.scripts.writing import check, script
from optlab.training.control import Inbox
from optlab.training.events import RunEnded
from optlab.training.session import session

pytestmark = pytest.mark.soak

MAX_STEPS = 600
AMPLIFYING = {"deep-batch-norm": 10}
"""Presets that amplify rounding even in double precision → steps after which that is not seen."""


def can_be_written(experiment: Experiment) -> bool:
    try:
        check(experiment)
    except InvalidInput:
        return False
    return True


PRESETS = [
    path.stem for path in presets.files() if can_be_written(Experiment.load(path, check=False))
]


@pytest.mark.parametrize("name", PRESETS)
def test_that_the_script_of_a_preset_repeats_it_in_double_precision(
    name: str, tmp_path: Path
) -> None:
    (path,) = [one for one in presets.files() if one.stem == name]
    given = Experiment.load(path)
    steps = AMPLIFYING.get(name, MAX_STEPS)
    budget = {"budget.steps": steps, "budget.unit": "steps", "budget.seconds": 0.0}
    if given.budget.unit == "steps" and given.budget.steps < steps:
        budget["budget.steps"] = given.budget.steps
    experiment = given.with_values({"precision": "float64", "device": "cpu", **budget})
    for event in session([experiment], Inbox()):
        if isinstance(event, RunEnded):
            end = event
    program = script(experiment, steps=end.steps)
    np.savez(tmp_path / "script.npz", **program.arrays)  # type: ignore[arg-type]
    before = torch.get_default_dtype()
    space = {"__name__": "__main__", "__file__": str(tmp_path / "script.py")}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(program.text("script.npz"), name, "exec"), space)  # noqa: S102
    finally:
        torch.set_default_dtype(before)
    final = space["final"]
    assert isinstance(final, dict)
    for one, value in final.items():
        expected = end.final[one]
        assert expected is not None
        assert value == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)
