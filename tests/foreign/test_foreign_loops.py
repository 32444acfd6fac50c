"""Ten foreign training scripts run as they do unwatched, and are seen while they run.

Seven need torch alone, three a library that ``make test-foreign`` installs beside OptLab.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import optlab
from optlab.outside.foreign_runs.watched import find_runs, open_run
from tests.foreign import loops

os.environ.setdefault("KERAS_BACKEND", "torch")
pytestmark = [pytest.mark.foreign, pytest.mark.filterwarnings("default")]


class Watch:
    """``optlab.watch`` with the options of a test."""

    def __init__(self, folder: Path, every: int | None) -> None:
        self.options = {"folder": folder, "every": every}

    def __call__(self, *arguments: Any) -> Any:
        return optlab.watch(*arguments, **self.options)


EXPECTED = {
    "two_optimizers": ("gradient_norm/body", "update_ratio/head", "loss"),
    "gan": ("gradient_norm/D", "update_ratio/G", "loss_d", "loss_g"),
    "compiled": ("gradient_norm", "update_ratio", "top_eigenvalue"),
    "lstm": ("gradient_norm", "update_ratio", "top_eigenvalue", "loss"),
    "mixed_precision": ("gradient_norm", "amp_scale", "amp_skipped_steps", "loss"),
    "lightning_trainer": ("gradient_norm", "update_ratio", "loss", "val_loss"),
    "hugging_face_trainer": ("gradient_norm", "update_ratio", "loss"),
    "keras_fit": ("gradient_norm", "update_ratio", "loss", "val_loss"),
}


@pytest.mark.parametrize("every", [1, None])
@pytest.mark.parametrize("loop", [*loops.PLAIN, *loops.LIBRARIES], ids=lambda loop: loop.__name__)
def test_that_a_foreign_script_trains_the_same_weights_and_is_seen(
    loop: Callable[..., loops.Weights], every: int | None, tmp_path: Path, capfd: Any
) -> None:
    torch.manual_seed(0)
    alone = loop(None)
    capfd.readouterr()
    torch.manual_seed(0)
    watched = loop(Watch(tmp_path, every))
    assert "optlab.watch" not in capfd.readouterr().err
    assert len(alone) == len(watched) > 0
    assert all(torch.equal(one, other) for one, other in zip(alone, watched, strict=True))

    (folder,) = find_runs(tmp_path)
    assert not (folder / "watch.log").exists()
    run = open_run(folder)
    run.read()
    assert run.status == "finished"
    names = EXPECTED.get(loop.__name__, ("gradient_norm", "update_ratio", "loss"))
    assert set(names) <= run.series.keys(), sorted(run.series)
    for name in names:
        count, step, values = run.last(name)
        assert count > 0 and step > 0 and all(map(math.isfinite, values))
    steps = run.state["step"]
    if every == 1:
        gradient = next(name for name in names if name.startswith("gradient_norm"))
        assert run.last(gradient)[0] == steps
    assert steps >= 12
