"""Streaming: an endless sequence of fresh examples, named by seed and step; their gradient is unbiased for the
risk, that of stored examples is not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from optlab.catalogue.datasets.least_squares import LeastSquares
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.objective.run_examples import RunExamples
from optlab.training import batches as module
from optlab.training.batches import BatchStream
from optlab.training.fresh import FreshExamples, tensors
from optlab.training.trainer import Trainer

Build = Callable[..., Experiment]
LINE = LeastSquares(size=100, dimension=6, condition=20.0, noise=0.5)
WIDTH = 6


def stream_of(name: str, size: int, seed: int = 0, dataset: Any = LINE) -> BatchStream:
    data = dataset.load()
    fresh = FreshExamples(dataset, data, "cpu", torch.float64)
    order: Any = registry.build("batches", {"name": name, "size": size})
    examples = RunExamples(*tensors(data.training, "cpu", torch.float64))
    return BatchStream(examples, [order], [seed], [fresh.draw])


def batch_gradients(
    stream: BatchStream, theta: NDArray[np.float64], steps: range
) -> NDArray[np.float64]:
    """Gradients ``[steps, P]`` of the mean squared error of a linear model at one point, a batch
    each.
    """
    experiment = Experiment.from_dict(
        {"dataset": {"name": "least_squares", **LINE.values()}, "model": {"name": "linear"}}
    )
    objective = Objective(experiment.model, experiment.loss, LINE.shape())
    rows = [stream.at(step) for step in steps]
    x, y = torch.cat([x for x, _ in rows]), torch.cat([y for _, y in rows])
    everyone = torch.from_numpy(theta).expand(len(rows), -1).contiguous()
    found: NDArray[np.float64] = objective.value_and_gradient(everyone, x, y)[1].numpy()
    return found


def risk_gradient(theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """∇J* of (w, b) in closed form: 2 C (w − w*), 2 b."""
    return np.append(2.0 * LINE.covariance() @ (theta[:WIDTH] - LINE.weights()), 2.0 * theta[WIDTH])


def test_that_the_streamed_gradient_is_an_unbiased_estimate_of_that_of_the_risk() -> None:
    theta = np.append(LINE.weights() + np.array([0.5, -0.3, 0.2, 0.8, -1.0, 0.1]), 0.4)
    # 2,000 epochs: no second pass anywhere
    gradients = batch_gradients(stream_of("streaming", 20), theta, range(6000))
    error = gradients.std(axis=0, ddof=1) / np.sqrt(len(gradients))
    deviation = (gradients.mean(axis=0) - risk_gradient(theta)) / error
    assert np.abs(deviation).max() < 4.0
    assert np.linalg.norm(error) < 0.02 * np.linalg.norm(risk_gradient(theta)), (
        "the estimate is sharp enough to tell"
    )
    assert np.abs(np.corrcoef(gradients[:-1, 0], gradients[1:, 0])[0, 1]) < 4.0 / np.sqrt(
        len(gradients)
    ), "batches are independent"


def test_that_a_second_pass_over_stored_examples_is_biased_and_the_stream_is_not() -> None:
    data = LINE.load()
    weights, bias, _ = LINE.minimum(data.training.x, data.training.y)
    theta = np.append(weights, bias)  # where many passes over the stored examples end
    truth = risk_gradient(theta)
    assert np.linalg.norm(truth) > 0.1, "not where the risk is least"
    stored = batch_gradients(stream_of("with_replacement", 20), theta, range(6000))
    streamed = batch_gradients(stream_of("streaming", 20), theta, range(6000))
    errors = [gradients.std(axis=0, ddof=1) / np.sqrt(6000) for gradients in (stored, streamed)]
    assert np.abs((streamed.mean(axis=0) - truth) / errors[1]).max() < 4.0
    assert np.abs((stored.mean(axis=0) - truth) / errors[0]).max() > 20.0, "biased against the risk"
    assert np.abs(stored.mean(axis=0) / errors[0]).max() < 4.0, (
        "unbiased for the empirical risk, whose gradient is zero here"
    )


def test_that_no_example_is_used_twice() -> None:
    stream, n = stream_of("streaming", 7), len(LINE.load().training)
    x = torch.cat([stream.at(step)[0][0] for step in range(20 * stream.steps_per_epoch)])
    assert len(x) == 20 * n
    assert len(x.unique(dim=0)) == len(x)


@pytest.mark.parametrize("values", [WIDTH, 40, 10**5])
def test_that_an_epoch_has_as_many_examples_as_the_training_set_and_batches_of_any_size_cut_one_stream(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIECE_VALUES", values)
    n = len(LINE.load().training)
    found = []
    for size in (0, 7, n, 1000):
        stream = stream_of("streaming", size)
        batches = [stream.at(step) for step in range(3 * stream.steps_per_epoch)]
        assert stream.steps_per_epoch == (9 if size == 7 else 1)
        sizes = [len(part) for part in torch.arange(n).split(size or n)]
        assert [x.shape[1] for x, _ in batches] == [y.shape[1] for _, y in batches] == sizes * 3
        found.append(torch.cat([torch.cat([x[0], y[0]], dim=1) for x, y in batches]))
    assert all(len(rows) == 3 * n and torch.equal(rows, found[0]) for rows in found)


@pytest.mark.parametrize("values", [1, 100, 10**6])
def test_that_a_streamed_batch_does_not_depend_on_earlier_batches(
    values: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIECE_VALUES", values)
    expected = [stream_of("streaming", 8).at(step)[0].clone() for step in range(30)]
    stream = stream_of("streaming", 8)
    for step in [0, 29, 3, 3, 12, 5, 6, 18, 1]:
        assert torch.equal(stream.at(step)[0], expected[step])
    assert not torch.equal(stream_of("streaming", 8, seed=1).at(0)[0], expected[0])


def test_that_each_run_of_a_population_has_the_stream_that_it_has_alone(
    build: Build, advanced: Any
) -> None:
    streaming = {"name": "streaming", "size": 16}
    experiments = [
        build(batches=streaming),
        build(batches=streaming, seed=9),
        build(),
        build(batches=streaming, optimizer={"name": "sgd"}),
    ]
    together = advanced(experiments, 40)
    assert len({row.tobytes() for row in together.theta.numpy()}) == 4
    for run, experiment in enumerate(experiments):
        alone = advanced(experiment, 40)
        torch.testing.assert_close(together.theta[run], alone.theta[0], rtol=1e-10, atol=1e-12)


def test_that_a_streamed_run_resumes_from_a_snapshot_as_if_it_had_not_stopped(
    build: Build, advanced: Any
) -> None:
    experiment = build(batches={"name": "streaming", "size": 16})
    whole, half = advanced(experiment, 40), advanced(experiment, 17)
    rest = Trainer([experiment], [half.snapshot(0, 0.0, "test")])
    for _ in range(23):
        rest.advance()
    assert rest.snapshot(0, 0.0, "").theta_sha256 == whole.snapshot(0, 0.0, "").theta_sha256


def test_that_streaming_is_refused_where_the_distribution_is_not_known() -> None:
    with pytest.raises(InvalidInput) as refusal:
        Experiment.from_dict(
            {
                "dataset": {"name": "digits"},
                "model": {"name": "linear"},
                "batches": {"name": "streaming"},
            }
        )
    assert refusal.value.field == "batches.name"
    words = str(refusal.value)
    assert "'digits' is not known" in words
    assert all(
        name in words
        for name in ("gaussian_mixture", "moons", "teacher", "least_squares", "copy_task")
    )
    assert "iris" not in words and "csv" not in words
