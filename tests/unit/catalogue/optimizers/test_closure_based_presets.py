"""The presets of rules that search along lines and of populations show what they state."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from optlab.core import paths
from optlab.experiment import Experiment
from optlab.objective.batch_objective import BatchObjective
from optlab.objective.objective import Objective
from optlab.training.control import Inbox
from optlab.training.events import RunEnded, SeriesBlock
from optlab.training.session import session
from optlab.training.trainer import Trainer


def played(name: str) -> tuple[Experiment, dict[str, NDArray[np.float64]], RunEnded]:
    experiment = Experiment.load(paths.presets() / f"{name}.toml")
    parts: dict[str, list[NDArray[np.float64]]] = {}
    ended = None
    for event in session([experiment], Inbox()):
        if isinstance(event, SeriesBlock):
            for key, values in event.series.items():
                parts.setdefault(key, []).append(values.values[:, 0])
        elif isinstance(event, RunEnded):
            ended = event
    assert ended is not None and ended.status == "finished"
    return experiment, {key: np.concatenate(values) for key, values in parts.items()}, ended


def final(ended: RunEnded, name: str) -> float:
    value = ended.final[name]
    assert value is not None
    return value


def test_that_lbfgs_digits_falls_at_every_step_far_below_what_generalizes() -> None:
    experiment, series, ended = played("lbfgs-digits")
    assert experiment.budget.steps == 30
    assert np.all(np.diff(series["batch_loss"]) < 0.0)
    assert final(ended, "train_loss") < 1e-5
    assert 0.01 < final(ended, "validation_error") < 0.06


def test_that_cg_softmax_shrinks_the_gradient_a_thousandfold() -> None:
    experiment, series, _ = played("cg-softmax")
    assert experiment.budget.steps == 60
    assert series["gradient_norm"][-1] < series["gradient_norm"][0] / 1000


def test_that_cma_iris_comes_within_one_percent_of_the_minimum() -> None:
    experiment, _, ended = played("cma-iris")
    state = Trainer([experiment]).snapshot(0, 0.0, "asked").state
    assert state["mean"].shape == (15,) and 4 + int(3 * np.log(15)) == 12
    data = experiment.dataset.load()
    x, y = torch.from_numpy(data.training.x).double(), torch.from_numpy(data.training.y)
    objective = Objective(experiment.model, experiment.loss, data.shape)
    batch_objective = BatchObjective(objective, x.unsqueeze(0), y.unsqueeze(0), [0], 0)

    def both(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, g = batch_objective.gradient(torch.tensor(at).unsqueeze(0))
        return value.item(), g[0].numpy()

    best = torch.tensor(minimize(both, np.zeros(15), jac=True, method="BFGS").x).unsqueeze(0)
    least = float(objective.losses(best, x.unsqueeze(0), y.unsqueeze(0)))
    assert final(ended, "train_loss") == pytest.approx(least, rel=0.01)
