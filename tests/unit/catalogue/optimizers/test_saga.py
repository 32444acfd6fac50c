"""SAGA against the paper in NumPy, and against the solution of least squares."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import optlab.optim
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.training.data_parallel import check_shareable
from optlab.training.trainer import Trainer

L2 = 0.5


def experiment(rule: str = "saga", order: str = "shuffled", size: int = 20, **values: Any) -> Any:
    return Experiment.from_dict(
        {
            "precision": "float64",
            "device": "cpu",
            "dataset": {"name": "diabetes"},
            "model": {"name": "linear"},
            "loss": {"name": "squared_error", "l2": L2},
            "optimizer": {"name": rule, "lr": 0.02, **values},
            "batches": {"name": order, "size": size},
        }
    )


def data(of: Experiment) -> tuple[Any, Any]:
    training = of.dataset.load().training
    return training.x, training.y.reshape(-1)


def numpy_gradients(w: Any, x: Any, y: Any) -> Any:
    """The gradient ``[m, 11]`` of each squared error and ½λ‖w‖², the bias last."""
    residual = x @ w[:-1] + w[-1] - y
    decay = np.append(L2 * w[:-1], 0.0)
    return 2 * residual[:, None] * np.c_[x, np.ones(len(x))] + decay


def places(batch: Any, x: Any) -> Any:
    """The rows of a training set in which the examples of a batch are."""
    return np.array([np.flatnonzero((x == one).all(axis=1))[0] for one in batch])


@pytest.mark.parametrize("order", ["shuffled", "with_replacement"])
def test_that_the_steps_are_those_of_the_paper(order: str) -> None:
    of = experiment(order=order, size=30)
    x, y = data(of)
    trainer = Trainer([of])
    w = trainer.theta[0].numpy().copy()
    table = np.zeros((len(y), 11))
    for t in range(40):
        batch = trainer.batch_of(t)[0][0].numpy()
        rows = places(batch, x)
        fresh = numpy_gradients(w, x[rows], y[rows])
        w = w - 0.02 * (fresh.mean(axis=0) - table[rows].mean(axis=0) + table.mean(axis=0))
        for row, gradient in zip(rows, fresh, strict=True):
            table[row] = gradient
        trainer.advance()
    np.testing.assert_allclose(trainer.theta[0].numpy(), w, rtol=1e-10, atol=1e-12)
    stored = trainer.population.groups[0].state["table"].view(len(y), 11).numpy()
    np.testing.assert_allclose(stored, table, rtol=1e-9, atol=1e-11)
    counted = trainer.steps.evaluations
    assert counted is not None and counted.tolist() == [40.0]


def test_that_it_converges_to_the_solution_with_a_constant_rate() -> None:
    """Where SGD does not, as the test of SVRG shows."""
    of = experiment(lr=0.05)
    x, y = data(of)
    full = np.c_[x, np.ones(len(y))]
    ridge = np.diag([len(y) * L2 / 2] * x.shape[1] + [0.0])
    solution = np.linalg.solve(full.T @ full + ridge, full.T @ y)
    trainer = Trainer([of])
    for _ in range(1200):
        trainer.advance()
    assert np.abs(trainer.theta[0].numpy() - solution).max() < 1e-8


def test_that_runs_of_other_seeds_and_rules_are_the_runs_alone() -> None:
    runs = [experiment(), experiment("sgd"), experiment(order="never_shuffled", size=20)]
    together, alone = Trainer(runs), [Trainer([run]) for run in runs]
    for _ in range(50):
        for trainer in (together, *alone):
            trainer.advance()
    for run, single in enumerate(alone):
        torch.testing.assert_close(together.theta[run], single.theta[0], rtol=1e-12, atol=1e-13)


def test_that_a_run_goes_on_from_a_snapshot() -> None:
    whole, first = Trainer([experiment()]), Trainer([experiment()])
    for _ in range(12):
        first.advance()
    second = Trainer([experiment()], [first.snapshot(0, 0.0, "asked")])
    for _ in range(25):
        whole.advance()
    for _ in range(13):
        second.advance()
    assert torch.equal(second.theta, whole.theta)


def test_that_the_script_face_takes_losses_and_rows() -> None:
    of = experiment(order="never_shuffled")
    trainer = Trainer([of])
    x, y = (torch.from_numpy(values) for values in data(of))
    model = torch.nn.Linear(x.shape[1], 1).double()
    torch.nn.utils.vector_to_parameters(trainer.theta[0].clone(), model.parameters())
    optimizer = optlab.optim.SAGA(model.parameters(), lr=0.02, examples=len(y))

    def losses(rows: torch.Tensor) -> torch.Tensor:
        penalty = 0.5 * L2 * model.weight.square().sum()
        return (model(x[rows]).squeeze(1) - y[rows]).square() + penalty

    for step in range(30):
        begin = step % trainer.steps_per_epoch * 20
        rows = torch.arange(begin, min(begin + 20, len(y)))
        first = losses(rows).mean().detach()
        returned = optimizer.step(lambda rows=rows: losses(rows), rows=rows)
        assert torch.equal(returned, first)
        trainer.advance()
        if step == 11:
            kept = optimizer.state_dict()
            optimizer = optlab.optim.SAGA(model.parameters(), lr=0.02, examples=len(y))
            optimizer.load_state_dict(kept)
    theirs = torch.nn.utils.parameters_to_vector(model.parameters()).detach()
    torch.testing.assert_close(theirs, trainer.theta[0], rtol=1e-10, atol=1e-12)


def test_that_a_script_is_told_what_does_not_fit() -> None:
    model = torch.nn.Linear(2, 1)
    x = torch.ones(4, 2)
    optimizer = optlab.optim.SAGA(model.parameters(), examples=6)
    losses = lambda: model(x).squeeze(1)  # noqa: E731
    with pytest.raises(RuntimeError, match=r"returned 4 losses, but examples is 6.*rows"):
        optimizer.step(losses)
    for rows in (torch.arange(3), torch.tensor([0, 1, 2, 6]), torch.ones(4)):
        with pytest.raises(RuntimeError, match="rows must be 4 whole numbers from 0 to 5"):
            optimizer.step(losses, rows=rows)
    with pytest.raises(RuntimeError, match="losses of the examples"):
        optimizer.step(lambda: model(x).mean(), rows=torch.arange(4))
    with pytest.raises(ValueError, match="examples is 0, but it must be the number"):
        optlab.optim.SAGA(model.parameters(), examples=0)


def test_that_what_has_no_gradients_of_its_examples_is_refused_in_words() -> None:
    digits = {"dataset": {"name": "digits"}, "optimizer": {"name": "saga"}}
    with pytest.raises(InvalidInput, match="normalizes over the batch"):
        Experiment.from_dict({**digits, "model": {"name": "mlp", "batch_norm": True}})
    with pytest.raises(InvalidInput, match="never shows one twice"):
        Experiment.from_dict(
            {
                "dataset": {"name": "moons"},
                "model": {"name": "linear"},
                "optimizer": {"name": "saga"},
                "batches": {"name": "streaming"},
            }
        )
    large = Experiment.from_dict({**digits, "model": {"name": "mlp", "hidden": [512, 256]}})
    with pytest.raises(InvalidInput, match=r"numbers, but at most 50,000,000 are allowed"):
        Trainer([large])
    sound = experiment()
    with pytest.raises(InvalidInput, match="Train without --ranks") as refused:
        check_shareable(sound, sound.dataset.load())
    assert refused.value.field == "optimizer.name"
