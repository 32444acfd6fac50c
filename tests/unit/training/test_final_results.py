"""What is known of a run at its end, beside losses and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, mean_absolute_error, r2_score

from optlab.catalogue.losses.cross_entropy import CrossEntropy
from optlab.catalogue.losses.squared_error import SquaredError
from optlab.catalogue.models.linear import Linear
from optlab.catalogue.models.mlp import MLP
from optlab.core.data import DataShape
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.training.control import Inbox
from optlab.training.events import Event, SeriesBlock, SnapshotTaken
from optlab.training.final_results import ALWAYS, gaps
from optlab.training.held_out import held_out_performance
from optlab.training.session import session
from optlab.training.snapshot import Snapshot
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_that_confusions_are_counted_as_scikit_learn_counts_them(batch_norm: bool) -> None:
    source = torch.Generator().manual_seed(0)
    x = torch.randn(200, 3, generator=source, dtype=torch.float64)
    y = torch.randint(4, (200,), generator=source)
    y[y == 2] = 1  # a class without examples
    objective = Objective(
        MLP(hidden=(5,), batch_norm=batch_norm), CrossEntropy(), DataShape((3,), 4, "classes"), x
    )
    theta = torch.randn(3, objective.layout.total, generator=source, dtype=torch.float64)
    result = held_out_performance(objective, theta, x, y)
    assert result.confusion is not None and result.r2 is None
    predicted = objective.outputs(theta, x.expand(3, 200, 3)).argmax(2)
    for run in range(3):
        expected = confusion_matrix(y, predicted[run], labels=range(4))
        np.testing.assert_array_equal(result.confusion[run], expected)
        assert result.error is not None
        assert float(result.error[run]) == pytest.approx(1.0 - np.trace(expected) / 200)


@pytest.mark.parametrize("outputs", [1, 3])
def test_that_regression_has_the_figures_of_scikit_learn(outputs: int) -> None:
    source = torch.Generator().manual_seed(1)
    x = torch.randn(50, 2, generator=source, dtype=torch.float64)
    y = torch.randn(50, outputs, generator=source, dtype=torch.float64) * 3.0 + 1.0
    objective = Objective(Linear(), SquaredError(), DataShape((2,), outputs, "regression"))
    theta = torch.randn(2, objective.layout.total, generator=source, dtype=torch.float64)
    result = held_out_performance(objective, theta, x, y)
    assert result.confusion is None and result.error is None and result.examples == 50
    assert result.r2 is not None and result.mean_absolute_error is not None
    f = objective.outputs(theta, x.expand(2, 50, 2))
    for run in range(2):
        assert float(result.r2[run]) == pytest.approx(
            1.0 - ((y - f[run]) ** 2).sum() / ((y - y.mean(dim=0)) ** 2).sum()
        )
        assert float(result.mean_absolute_error[run]) == pytest.approx(
            mean_absolute_error(y, f[run])
        )
        if outputs == 1:
            assert float(result.r2[run]) == pytest.approx(r2_score(y, f[run]))


def test_that_targets_without_variance_have_no_share_of_it() -> None:
    objective = Objective(Linear(), SquaredError(), DataShape((1,), 1, "regression"))
    ones = torch.ones(4, 1, dtype=torch.float64)
    result = held_out_performance(objective, torch.zeros(1, 2, dtype=torch.float64), ones, ones)
    assert result.r2 is None and "test_r2" not in result.values()


def test_that_the_gap_is_of_errors_for_classes_and_of_losses_otherwise() -> None:
    assert gaps(
        {"test_loss": 3.0, "test_error": 0.3, "train_error": 0.1, "validation_error": None}
    ) == {"test_minus_train": pytest.approx(0.2)}
    assert gaps({"test_loss": 3.0, "train_loss": 1.0, "validation_loss": 2.5}) == {
        "test_minus_train": 2.0,
        "test_minus_validation": 0.5,
    }
    assert gaps({"test_loss": None, "train_loss": 1.0}) == {}


def test_that_the_end_has_every_evaluation_measure_and_the_confusion_matrix(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build(loss={"name": "cross_entropy", "l2": 0.01}, budget={"steps": 10})
    events = play(experiment)
    end = ended(events)
    last = {
        name: values.values[-1, 0]
        for event in events
        if isinstance(event, SeriesBlock)
        for name, values in event.series.items()
    }
    for name in ("penalty", "weight_norm", "margin", "validation_margin"):
        assert end.final[name] == last[name]
    assert not any(name.startswith("averaged") for name in end.final)
    test = experiment.dataset.load().test
    matrix = np.array(end.confusion)
    classes = experiment.dataset.load().shape.outputs
    assert matrix.shape == (classes, classes)
    np.testing.assert_array_equal(matrix.sum(axis=1), np.bincount(test.y, minlength=classes))
    assert end.final["test_error"] == pytest.approx(1.0 - np.trace(matrix) / len(test))
    assert end.final["test_minus_validation"] == pytest.approx(
        end.final["test_error"] - end.final["validation_error"]
    )
    assert list(end.final)[: len(ALWAYS)] == list(ALWAYS)


def test_that_the_clipped_share_is_the_mean_over_all_steps_and_survives_resuming(
    build: Build, play: Any, ended: Any
) -> None:
    experiment = build(
        clipping={"name": "norm", "threshold": 0.4}, budget={"steps": 40}, precision="float64"
    )
    events = play(experiment)
    shares = np.concatenate(
        [
            event.series["clipped_share"].values[:, 0]
            for event in events
            if isinstance(event, SeriesBlock) and "clipped_share" in event.series
        ]
    )
    assert 0.0 < shares.mean() < 1.0 and len(shares) == 40
    assert ended(events).final["clipped_share"] == pytest.approx(shares.mean())
    trainer = Trainer([experiment])
    trainer.evaluate(gradient=True)
    for _ in range(17):
        trainer.advance()
    snapshot = trainer.snapshot(0, 0.0, "asked")
    resumed = ended(list(_session_from(experiment, snapshot)))
    assert resumed.final == ended(events).final
    plain = build(budget={"steps": 5})
    assert "clipped_share" not in ended(play(plain)).final


def test_that_a_run_that_ends_early_keeps_its_share_while_others_go_on(
    build: Build, play: Any, ended: Any
) -> None:
    clipping = {"name": "norm", "threshold": 0.4}
    members = [
        build(
            clipping=clipping,
            budget={"steps": 60},
            optimizer={"name": "sgd", "lr": 0.1},
            stopping={"name": "target", "error": error},
        )
        for error in (0.3, 0.0)
    ]
    together = play(members)
    first = ended(together, 0)
    assert first.steps < ended(together, 1).steps
    for run, member in enumerate(members):
        assert ended(together, run).final["clipped_share"] == pytest.approx(
            ended(play(member)).final["clipped_share"]
        )


def _session_from(experiment: Experiment, snapshot: Snapshot) -> Iterator[Event]:
    for event in session([experiment], Inbox(), [snapshot]):
        if not isinstance(event, SnapshotTaken):
            yield event
