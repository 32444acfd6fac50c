"""Each instrument against an independent way to the same number, in float64, from the trainer's own
steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from optlab.catalogue.instruments.base import Instrument, Reading, histogram, quartiles
from optlab.core import registry
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.training.observing.example_gradients import example_gradients
from optlab.training.observing.step_context import TrainingStepContext
from optlab.training.trainer import Trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script. is deprecated:DeprecationWarning"
)

Build = Callable[..., Experiment]


def instrument(name: str, **values: Any) -> Instrument:
    result = registry.build("instrument", {"name": name, **values})
    assert isinstance(result, Instrument)
    return result


def catch(
    experiment: Experiment, steps: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Trainer, TrainingStepContext]:
    """Return the trainer after some steps, and the step context of the last one."""
    trainer = Trainer([experiment.with_instrument("update_ratio", {"every": 1})])
    contexts: list[TrainingStepContext] = []
    after = trainer.instrument_runner.after

    def spy(step: int, row: torch.Tensor, context: Callable[[bool], TrainingStepContext]) -> None:
        contexts.append(context(True))
        after(step, row, context)

    monkeypatch.setattr(trainer.instrument_runner, "after", spy)
    for _ in range(steps):
        trainer.advance()
    return trainer, contexts[-1]


def value(
    objective: Objective, x: torch.Tensor, y: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The objective of one run as a function of its flat parameters ``[P]``."""
    objective.penalty(torch.zeros(1, objective.layout.total, dtype=torch.float64))

    def result(point: torch.Tensor) -> torch.Tensor:
        return objective.total(point.unsqueeze(0), x, y)[0]

    return result


def numbers(reading: Reading, name: str) -> torch.Tensor:
    result = reading.series[name]
    return result if isinstance(result, torch.Tensor) else result.values


LOSS = {"name": "cross_entropy", "l2": 0.01}


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adam"])
def test_that_conditioning_is_that_of_the_dense_hessian(
    build: Build, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    trainer, context = catch(
        build(optimizer={"name": optimizer, "lr": 0.3}, loss=LOSS), 4, monkeypatch
    )
    x, y = trainer.batch_of(3)
    function = value(trainer.objective, x, y)
    point = context.theta[0]
    g = torch.func.grad(function)(point)
    hessian = torch.func.hessian(function)(point)
    reading = instrument("conditioning", step="gradient").read(context, {})
    gg, ghg = float(g @ g), float(g @ hessian @ g)
    expected = {
        "gg": gg,
        "ghg": ghg,
        "predicted": 0.5 * 0.3**2 * ghg - 0.3 * gg,
        "actual": float(function(point - 0.3 * g) - function(point)),
        "trouble": float(0.5 * 0.3**2 * ghg > 0.3 * gg),
        "largest_rate": 2.0 * gg / ghg if ghg > 0.0 else math.inf,
    }
    for name, number in expected.items():
        assert float(numbers(reading, name)) == pytest.approx(number, rel=1e-9), name
    taken = instrument("conditioning").read(context, {})
    step = trainer.theta[0] - point
    predicted = float(g @ step + 0.5 * step @ hessian @ step)
    assert float(numbers(taken, "predicted")) == pytest.approx(predicted, rel=1e-9)
    for name in ("gg", "ghg", "trouble", "largest_rate"):
        assert float(numbers(taken, name)) == pytest.approx(expected[name], rel=1e-9), name
    assert float(numbers(taken, "actual")) == pytest.approx(
        float(function(trainer.theta[0]) - function(point)), rel=1e-9
    )
    if optimizer != "adam":  # of Nesterov, too: from the interim point it goes −εg
        assert float(numbers(taken, "predicted")) == pytest.approx(expected["predicted"], rel=1e-9)
    else:
        assert predicted != pytest.approx(expected["predicted"], rel=1e-3)


def test_that_a_step_beyond_the_largest_rate_is_trouble(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a quadratic the prediction is exact, and the largest rate parts the steps downhill from
    those uphill.
    """
    base = {
        "model": {"name": "linear"},
        "dataset": {"name": "diabetes"},
        "loss": {"name": "squared_error"},
    }
    _, context = catch(build(**base, optimizer={"name": "sgd", "lr": 1e-3}), 1, monkeypatch)
    limit = float(numbers(instrument("conditioning").read(context, {}), "largest_rate"))
    for factor, trouble in ((0.99, 0.0), (1.01, 1.0)):
        _, context = catch(
            build(**base, optimizer={"name": "sgd", "lr": factor * limit}), 1, monkeypatch
        )
        reading = instrument("conditioning").read(context, {})
        assert float(numbers(reading, "trouble")) == trouble
        assert float(numbers(reading, "predicted")) == pytest.approx(
            float(numbers(reading, "actual")), rel=1e-6
        )
        assert (float(numbers(reading, "actual")) > 0.0) == bool(trouble)


def looped(
    objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Gradients ``[R, m, P]`` of each example's loss, one at a time, without weight decay."""
    rows = []
    for run in range(len(theta)):
        for example in range(x.shape[1]):
            leaf = theta[run : run + 1].clone().requires_grad_()
            if objective.model.normalizes():
                loss = objective.per_example(leaf, x[run : run + 1], y[run : run + 1])[0, example]
            else:
                loss = objective.per_example(
                    leaf,
                    x[run : run + 1, example : example + 1],
                    y[run : run + 1, example : example + 1],
                )[0, 0]
            rows.append(torch.autograd.grad(loss, leaf)[0][0])
    return torch.stack(rows).view(len(theta), x.shape[1], -1)


NOISY: list[dict[str, Any]] = [
    {"model": {"name": "mlp", "hidden": [6, 5], "activation": "tanh"}},
    {
        "model": {"name": "mlp", "hidden": [6], "activation": "gelu"},
        "loss": {"name": "squared_error", "l2": 0.02},
    },
    {"model": {"name": "mlp", "hidden": [6, 4], "batch_norm": True}},
    {"model": {"name": "mlp", "hidden": [6, 6], "skip": True}},
    {"model": {"name": "linear"}},
    {"model": {"name": "deep_linear", "depth": 3, "width": 4}},
    {
        "model": {"name": "autoencoder", "code": 1, "hidden": [3]},
        "loss": {"name": "squared_error", "l2": 0.02},
    },
    {"model": {"name": "cnn", "channels": [3]}, "dataset": {"name": "digits", "validation": 0.0}},
    {
        "model": {"name": "rnn", "units": 4},
        "dataset": {"name": "adding_problem", "length": 5},
        "loss": {"name": "squared_error"},
    },
]


@pytest.mark.parametrize(
    "case", NOISY, ids=lambda case: " ".join(str(value) for value in case["model"].values())
)
def test_that_gradient_noise_is_that_of_a_loop_over_examples(
    build: Build, case: dict[str, Any]
) -> None:
    case = {
        "loss": {"name": "cross_entropy", "l1": 0.01, "l2": 0.02},
        "batches": {"name": "shuffled", "size": 7},
        **case,
    }
    trainer = Trainer([build(seed=seed, **case) for seed in (1, 2)])
    x, y = trainer.batch_of(0)
    gradients = looped(trainer.objective, trainer.theta, x, y)
    squares, mean = example_gradients(trainer.objective, trainer.theta, x, y)
    torch.testing.assert_close(squares, gradients.square().sum(dim=2), rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(mean, gradients.mean(dim=1), rtol=1e-9, atol=1e-13)
    context = trainer.context_at_rest()
    reading = instrument("gradient_noise").read(context, {})
    covariance = torch.stack([torch.cov(rows.T) for rows in gradients])
    error = (covariance.diagonal(dim1=1, dim2=2).sum(dim=1) / 7).sqrt()
    norm = gradients.mean(dim=1).norm(dim=1)
    torch.testing.assert_close(numbers(reading, "standard_error"), error, rtol=1e-8, atol=0.0)
    torch.testing.assert_close(
        numbers(reading, "signal_to_noise"), norm / error, rtol=1e-8, atol=0.0
    )
    torch.testing.assert_close(
        numbers(reading, "noise_scale"), 7 * (error / norm) ** 2, rtol=1e-8, atol=0.0
    )
    shares = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
    expected = torch.quantile(gradients.norm(dim=2), shares, dim=1).T
    torch.testing.assert_close(numbers(reading, "norms"), expected, rtol=1e-9, atol=1e-12)
    assert (reading.picture["counts"].sum(dim=1) == 7).all()


def test_that_chains_of_affine_layers_need_no_gradient_of_an_example(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("the gradients of single examples were formed")

    monkeypatch.setattr("optlab.training.observing.example_gradients._as_runs", refuse)
    for case in (NOISY[0], NOISY[1], NOISY[4], NOISY[5], NOISY[6]):
        trainer = Trainer([build(**case)])
        example_gradients(trainer.objective, trainer.theta, *trainer.batch_of(0))


@pytest.mark.parametrize(
    "case",
    [NOISY[0], NOISY[1], NOISY[4], NOISY[6]],
    ids=["mlp", "mlp squared error", "linear", "autoencoder"],
)
def test_that_a_step_keeps_what_the_norms_are_computed_from(
    build: Build, case: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In training nothing is computed again: the layers are those that the step's own gradient
    passed through.
    """
    case = {
        **case,
        "instruments": {"gradient_noise": {"every": 3}},
        "optimizer": {"name": "nesterov", "lr": 0.1},
    }

    def refuse(*arguments: Any) -> Any:
        raise AssertionError("the layers were computed again")

    monkeypatch.setattr("optlab.training.observing.example_gradients.linearized", refuse)
    trainer = Trainer([build(seed=seed, **case) for seed in (1, 2)])
    points = []
    for step in range(6):
        taken = trainer.population.propose(*trainer.batch_of(step))
        points.append((taken.point, *trainer.batch_of(step)))
        assert trainer.objective.kept is None or step % 3 != 1
        trainer.advance()
    series = trainer.recorder.flush()
    assert series["gradient_noise.norms"].steps.tolist() == [3, 6]
    for index, step in enumerate((2, 5)):
        norms = looped(trainer.objective, *points[step]).norm(dim=2)
        shares = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=torch.float64)
        np.testing.assert_allclose(
            series["gradient_noise.norms"].values[index],
            torch.quantile(norms, shares, dim=1).T,
            rtol=1e-9,
        )


def test_that_many_examples_are_processed_in_chunks(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer([build(model={"name": "mlp", "hidden": [6, 6], "skip": True})])
    full = example_gradients(trainer.objective, trainer.theta, *trainer.batch_of(0))
    monkeypatch.setattr(
        "optlab.training.observing.example_gradients._VALUES", 3 * trainer.layout.total
    )
    parts = example_gradients(trainer.objective, trainer.theta, *trainer.batch_of(0))
    torch.testing.assert_close(parts, full, rtol=1e-12, atol=1e-15)


def test_that_the_standard_error_is_the_spread_of_gradients_over_batches(build: Build) -> None:
    """What it estimates from one batch, seen over many: batches drawn with replacement."""
    trainer = Trainer(
        [
            build(
                batches={"name": "with_replacement", "size": 24},
                optimizer={"name": "sgd", "lr": 1e-12},
            )
        ]
    )
    gradients, errors = [], []
    for step in range(400):
        x, y = trainer.batch_of(step)
        squares, mean = example_gradients(trainer.objective, trainer.theta, x, y)
        gradients.append(mean[0])
        errors.append(float((squares.sum() - 24 * mean.square().sum()) / (24 * 23)))
    spread = float(torch.stack(gradients).var(dim=0).sum())
    assert spread == pytest.approx(float(np.mean(errors)), rel=0.1)


def test_that_eigenvalues_are_those_of_the_dense_hessian(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, context = catch(build(loss=LOSS), 5, monkeypatch)
    x, y = trainer.batch_of(4)
    exact = torch.linalg.eigvalsh(
        torch.func.hessian(value(trainer.objective, x, y))(context.theta[0])
    )
    taken = instrument("spectrum", top=3, bottom=2, probes=400, tolerance=1e-10)
    memory: dict[str, Any] = {}
    for _ in range(2):
        reading = taken.read(context, memory)
        torch.testing.assert_close(
            numbers(reading, "top")[0], exact.flip(0)[:3], rtol=1e-8, atol=1e-9
        )
        torch.testing.assert_close(numbers(reading, "bottom")[0], exact[:2], rtol=1e-8, atol=1e-9)
        assert float(numbers(reading, "largest_rate")) == pytest.approx(
            2.0 / float(exact[-1]), rel=1e-8
        )
        margin = 1e-6 * float(exact.abs().max())
        assert float(numbers(reading, "negative_share")) == pytest.approx(
            float((exact < -margin).double().mean())
        )
    off = abs(float(numbers(reading, "trace")) - float(exact.sum()))
    assert off < 4.0 * float(numbers(reading, "trace_error"))
    assert memory["vectors"].shape == (1, 5, trainer.layout.total)


def test_that_a_warm_start_needs_fewer_products_for_the_same_result(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, context = catch(
        build(model={"name": "mlp", "hidden": [12, 12]}, loss=LOSS), 30, monkeypatch
    )
    taken = instrument("spectrum", tolerance=1e-6)
    memory: dict[str, Any] = {}
    cold = taken.read(context, memory)
    warm = taken.read(context, memory)
    assert float(numbers(warm, "products")) < float(numbers(cold, "products"))
    torch.testing.assert_close(numbers(warm, "top"), numbers(cold, "top"), rtol=1e-5, atol=0.0)
    some = instrument("spectrum", examples=50, tolerance=1e-8).read(context, {})
    data = trainer.requested[0].dataset.load().training
    here = value(
        trainer.objective,
        torch.from_numpy(data.x[:50]).unsqueeze(0),
        torch.from_numpy(data.y[:50]).unsqueeze(0),
    )
    exact = torch.linalg.eigvalsh(torch.func.hessian(here)(context.theta[0]))
    assert float(numbers(some, "top")) == pytest.approx(float(exact[-1]), rel=1e-7)


def test_that_the_spectral_density_has_the_moments_of_the_dense_hessian(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, context = catch(build(loss=LOSS), 5, monkeypatch)
    x, y = trainer.batch_of(4)
    exact = torch.linalg.eigvalsh(
        torch.func.hessian(value(trainer.objective, x, y))(context.theta[0])
    )
    reading = instrument("spectral_density", probes=200, steps=27).read(context, {})
    spread = float(exact.std(correction=0))
    assert float(numbers(reading, "mean")) == pytest.approx(float(exact.mean()), abs=0.1 * spread)
    assert float(numbers(reading, "spread")) == pytest.approx(spread, rel=0.1)
    area = torch.trapezoid(reading.picture["density"], reading.picture["eigenvalue"], dim=1)
    assert float(area) == pytest.approx(1.0, rel=1e-3)


def test_that_a_diverged_run_has_no_spectrum_and_the_others_have_theirs(build: Build) -> None:
    trainer = Trainer([build(seed=1), build(seed=2)])
    sound = trainer.context_at_rest()
    theta = trainer.theta.clone()
    theta[0] = math.nan
    trainer.theta = theta
    broken = trainer.context_at_rest()
    for name in (
        "spectrum",
        "spectral_density",
        "conditioning",
        "gradient_noise",
        "activations",
        "reliability",
        "margins",
        "excess_error",
    ):
        taken = instrument(name)
        mixed, full = taken.read(broken, {}), taken.read(sound, {})
        for key in mixed.series:
            result, expected = numbers(mixed, key), numbers(full, key)
            if key not in ("products", "excess", "slope", "left"):
                torch.testing.assert_close(
                    result[1], expected[1], rtol=1e-6, atol=1e-9, msg=f"{name}.{key}"
                )
    assert bool(instrument("spectral_density").read(broken, {}).series["mean"].isnan()[0])
    assert bool(instrument("spectrum").read(broken, {}).series["negative_share"].isnan()[0])


@pytest.mark.parametrize(
    ("activation", "inverse"), [("relu", None), ("tanh", np.arctanh), ("sigmoid", None)]
)
def test_that_activations_are_those_of_the_same_network_in_torch(
    build: Build, monkeypatch: pytest.MonkeyPatch, activation: str, inverse: Any
) -> None:
    trainer, context = catch(
        build(
            model={"name": "mlp", "hidden": [40], "activation": activation},
            optimizer={"name": "sgd", "lr": 3.0},
        ),
        12,
        monkeypatch,
    )
    x = trainer.batch_of(11)[0][0]
    parts = {name: part[0].numpy() for name, part in trainer.layout.named(context.theta).items()}
    z = x.numpy() @ parts["layers.0.weight"].T + parts["layers.0.bias"]
    function: Any = {
        "relu": lambda v: np.maximum(v, 0.0),
        "tanh": np.tanh,
        "sigmoid": lambda v: 1.0 / (1.0 + np.exp(-v)),
    }[activation]
    h = function(z)
    outputs = h @ parts["layers.1.weight"].T + parts["layers.1.bias"]
    reading = instrument("activations", saturation=0.5).read(context, {})
    mean: Any = reading.series["mean"]
    assert mean.names == ("layers.0", f"layers.0.{activation}", "layers.1")
    np.testing.assert_allclose(
        mean.values[0], [z.mean(), h.mean(), outputs.mean()], rtol=1e-10, atol=1e-13
    )
    np.testing.assert_allclose(
        numbers(reading, "std")[0], [z.std(), h.std(), outputs.std()], rtol=1e-10
    )
    assert float(numbers(reading, "dead")) == pytest.approx((h == 0.0).all(axis=0).mean())
    if activation == "relu":
        assert (h == 0.0).all(axis=0).any(), "the case has a dead unit"
        assert "saturated" not in reading.series
    else:
        far = np.abs(h) > 0.5 if activation == "tanh" else np.abs(2.0 * h - 1.0) > 0.5
        assert 0.0 < far.mean() < 1.0
        assert float(numbers(reading, "saturated")) == pytest.approx(far.mean())


def test_that_a_channel_of_an_image_and_a_state_over_time_are_units(build: Build) -> None:
    taken = instrument("activations")
    images = Trainer([build(model={"name": "cnn", "channels": [4]}, dataset={"name": "digits"})])
    theta = images.theta.clone()
    bias = images.layout.named(theta)["convolutions.0.bias"]
    bias[0, 1] = -1e6
    images.theta = theta
    dead: Any = taken.read(images.context_at_rest(), {}).series["dead"]
    assert float(dead.values[0, dead.names.index("convolutions.0.relu")]) == 0.25
    sequences = Trainer(
        [
            build(
                model={"name": "rnn", "units": 3},
                dataset={"name": "adding_problem", "length": 6},
                loss={"name": "squared_error"},
            )
        ]
    )
    reading = taken.read(sequences.context_at_rest(), {})
    mean: Any = reading.series["mean"]
    assert mean.names == ("state", "output")
    states = torch.cat(
        [state for name, state in sequences.context_at_rest().traced() if name.startswith("state")],
        dim=1,
    )
    assert float(mean.values[0, 0]) == pytest.approx(float(states.mean()))
    saturated: Any = reading.series["saturated"]
    assert saturated.names == ("state",)


def test_that_gradients_and_updates_are_reported_by_tensor(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, context = catch(
        build(loss=LOSS, optimizer={"name": "adam", "lr": 0.01}), 6, monkeypatch
    )
    before = Trainer([build(loss=LOSS, optimizer={"name": "adam", "lr": 0.01})])
    for _ in range(5):
        before.advance()
    gradient = torch.func.grad(value(trainer.objective, *trainer.batch_of(5)))(
        before.theta[0]
    ).unsqueeze(0)
    reading = instrument("gradients_by_layer").read(context, {})
    norm: Any = reading.series["norm"]
    assert norm.names == tuple(spec.name for spec in trainer.layout.parameters)
    for index, part in enumerate(trainer.layout.split(gradient)):
        assert float(norm.values[0, index]) == pytest.approx(float(part.norm()), rel=1e-9)
        assert float(numbers(reading, "std")[0, index]) == pytest.approx(
            float(part.std(correction=0)), rel=1e-9
        )
    ratio = numbers(instrument("update_ratio").read(context, {}), "ratio")[0]
    for index, (new, old) in enumerate(
        zip(trainer.layout.split(trainer.theta), trainer.layout.split(before.theta), strict=True)
    ):
        assert float(ratio[index]) == pytest.approx(
            float((new - old).norm() / old.norm()), rel=1e-9
        )


def test_that_a_tensor_of_zeros_has_no_update_ratio(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, context = catch(build(), 1, monkeypatch)
    ratio: Any = instrument("update_ratio").read(context, {}).series["ratio"]
    assert bool(ratio.values[0, ratio.names.index("layers.0.bias")].isnan())
    assert bool(ratio.values[0, ratio.names.index("layers.0.weight")].isfinite())


def test_that_distance_and_length_are_those_of_the_parameters_themselves(build: Build) -> None:
    trainer = Trainer(
        [build(optimizer={"name": "sgd", "lr": 0.5}, instruments={"distance": {"every": 7}})]
    )
    path = [trainer.theta.clone()]
    for _ in range(21):
        trainer.advance()
        path.append(trainer.theta.clone())
    series = trainer.recorder.flush()
    for index, step in enumerate((7, 14, 21)):
        length = sum(
            float((b - a).norm()) for a, b in zip(path[:step], path[1 : step + 1], strict=True)
        )
        distance = float((path[step] - path[0]).norm())
        assert series["distance.length"].steps[index] == step
        assert series["distance.length"].values[index, 0] == pytest.approx(length, rel=1e-12)
        assert series["distance.distance"].values[index, 0] == pytest.approx(distance, rel=1e-12)
        assert series["distance.straightness"].values[index, 0] == pytest.approx(
            distance / length, rel=1e-12
        )


def test_that_clipped_steps_are_counted_since_the_last_reading(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("optlab.catalogue.instruments.clipped_steps.MAX_WAITING_ROWS", 4)
    trainer = Trainer(
        [
            build(
                clipping={"name": "norm", "threshold": 0.4},
                instruments={"clipped_steps": {"every": 10}},
            )
        ]
    )
    for _ in range(40):
        trainer.advance()
    series = trainer.recorder.flush()
    clipped = (series["gradient_norm"].values[:, 0] > 0.4).reshape(4, 10).mean(axis=1)
    assert clipped.max() > clipped.min(), "the case is a mixed one"
    np.testing.assert_allclose(series["clipped_steps.share"].values[:, 0], clipped)


@pytest.mark.parametrize("model", ["rnn", "lstm", "transformer"])
def test_that_gradients_by_time_are_those_of_finite_differences(build: Build, model: str) -> None:
    case = {
        "dataset": {"name": "adding_problem", "length": 5},
        "loss": {"name": "squared_error"},
        "batches": {"name": "shuffled", "size": 3},
    }
    sizes = {
        "rnn": {"units": 4},
        "lstm": {"units": 3},
        "transformer": {"width": 4, "heads": 2, "hidden": 4, "blocks": 1},
    }[model]
    trainer = Trainer([build(seed=seed, model={"name": model, **sizes}, **case) for seed in (1, 2)])
    x, y = trainer.batch_of(0)
    context = trainer.context_at_rest()
    reading = instrument("time_gradient").read(context, {})
    norm: Any = reading.series["norm"]
    torch.testing.assert_close(numbers(reading, "left"), norm.values[:, 0] / norm.values[:, -1])
    if model == "transformer":
        assert norm.names[0] == "input.0"
        differences = torch.zeros_like(x)
        for t in range(5):
            for entry in range(x.shape[3]):
                moved = torch.zeros_like(x)
                moved[:, :, t, entry] = 1e-6
                up, down = (
                    trainer.objective.per_example(trainer.theta, x + sign * moved, y)
                    for sign in (1.0, -1.0)
                )
                differences[:, :, t, entry] = (up - down) / 2e-6
        torch.testing.assert_close(
            norm.values, differences.norm(dim=3).mean(dim=1), rtol=1e-5, atol=1e-9
        )
        return
    assert norm.names == tuple(f"state.{t}" for t in range(5))
    if model == "rnn":
        # Back through time by hand: δ_T = Vᵀ dℓ/df, δ_t = Uᵀ (1 − h²) δ_{t+1}.
        states = [state for name, state in context.traced() if name.startswith("state")]
        parts = trainer.layout.named(trainer.theta)
        outputs = trainer.objective.outputs(trainer.theta, x)
        delta = torch.einsum("rmo,rou->rmu", 2.0 * (outputs - y), parts["output.weight"])
        for t in range(4, -1, -1):
            torch.testing.assert_close(
                norm.values[:, t], delta.norm(dim=2).mean(dim=1), rtol=1e-9, atol=1e-12
            )
            delta = torch.einsum(
                "rmv,rvu->rmu", delta * (1.0 - states[t].square()), parts["recurrent.weight"]
            )


def test_that_reliability_is_that_of_scikit_learn(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, context = catch(
        build(
            dataset={"name": "moons", "size": 400, "noise": 0.4},
            optimizer={"name": "sgd", "lr": 1.0},
        ),
        30,
        monkeypatch,
    )
    taken = instrument("reliability", part="training", bins=8)
    reading = taken.read(context, {})
    data = trainer.requested[0].dataset.load().training
    outputs = trainer.objective.outputs(trainer.theta, torch.from_numpy(data.x).unsqueeze(0))[0]
    p = torch.softmax(outputs, dim=1).numpy()
    confidence, right = p.max(axis=1), p.argmax(axis=1) == data.y
    accuracy, mean = calibration_curve(right, confidence, n_bins=8)
    there = reading.picture["count"][0] > 0
    np.testing.assert_allclose(reading.picture["accuracy"][0][there], accuracy, rtol=1e-12)
    np.testing.assert_allclose(reading.picture["probability"][0][there], mean, rtol=1e-12)
    counts = np.histogram(confidence, bins=np.linspace(0.0, 1.0, 9))[0]
    np.testing.assert_array_equal(reading.picture["count"][0], counts)
    error = (counts[counts > 0] * np.abs(accuracy - mean)).sum() / len(data)
    assert float(numbers(reading, "ece")) == pytest.approx(error, rel=1e-12)
    assert float(numbers(reading, "overconfidence")) == pytest.approx(
        confidence.mean() - right.mean(), rel=1e-9
    )


def test_that_margins_are_those_of_the_outputs(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, context = catch(
        build(model={"name": "linear"}, dataset={"name": "iris"}), 20, monkeypatch
    )
    reading = instrument("margins", bins=12).read(context, {})
    data = trainer.requested[0].dataset.load().training
    outputs = trainer.objective.outputs(trainer.theta, torch.from_numpy(data.x).unsqueeze(0))[
        0
    ].numpy()
    right = outputs[np.arange(len(data)), data.y]
    outputs[np.arange(len(data)), data.y] = -np.inf
    margins = right - outputs.max(axis=1)
    np.testing.assert_allclose(
        numbers(reading, "quartiles")[0],
        np.quantile(margins, [0.0, 0.25, 0.5, 0.75, 1.0]),
        rtol=1e-9,
    )
    assert float(numbers(reading, "negative")) == pytest.approx((margins < 0.0).mean())
    counts, edges = np.histogram(margins, bins=12)
    np.testing.assert_array_equal(reading.picture["counts"][0], counts)
    np.testing.assert_allclose(reading.picture["edges"][0], edges, rtol=1e-9, atol=1e-12)


class Falling:
    """A step context of an objective that falls as a known function of the steps, in two runs."""

    def __init__(
        self, step: int, values: list[float], objectives: tuple[int, ...] = (0, 0)
    ) -> None:
        self.step = step
        self.objectives = objectives[: len(values)]
        self._values = torch.tensor(values, dtype=torch.float64)
        self.rate = torch.full_like(self._values, 1.0 / max(step, 1))
        self.expected_orders = [-1.0, None][: len(values)]

    def objective(self) -> torch.Tensor:
        return self._values


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0])
def test_that_the_slope_of_the_excess_is_the_order_of_convergence(order: float) -> None:
    taken: Any = instrument("excess_error", known=True, minimum=0.25)
    memory: dict[str, Any] = {}
    for step in range(0, 2001, 10):
        reading = taken.read(
            Falling(step, [0.25 + 3.0 / max(step, 1) ** order, 0.25 + 2.0 * 0.99**step]), memory
        )
    assert float(numbers(reading, "slope")[0]) == pytest.approx(-order, rel=1e-9)
    assert float(numbers(reading, "left")[1]) == pytest.approx(0.99, rel=1e-9)
    assert numbers(reading, "expected")[0] == -1.0 and numbers(reading, "expected")[1].isnan()
    assert float(numbers(reading, "excess")[0]) == pytest.approx(3.0 / 2000**order, rel=1e-9)
    name = {0.5: "1/√k", 1.0: "1/k", 2.0: "1/k²"}[order]
    late = reading.picture["steps"][0] >= 200
    torch.testing.assert_close(
        reading.picture[name][0][late], reading.picture["excess"][0][late], rtol=1e-9, atol=0.0
    )
    torch.testing.assert_close(
        reading.picture["fit"][0][late], reading.picture["excess"][0][late], rtol=1e-9, atol=0.0
    )
    torch.testing.assert_close(
        reading.picture["linear"][1][late], reading.picture["excess"][1][late], rtol=1e-7, atol=0.0
    )


def test_that_the_smallest_value_replaces_an_unknown_minimum() -> None:
    taken: Any = instrument("excess_error")
    memory: dict[str, Any] = {}
    for step, pair in ((0, [5.0, 9.0]), (10, [3.0, 4.0]), (20, [3.5, 2.0])):
        reading = taken.read(Falling(step, pair), memory)
    assert numbers(reading, "excess").tolist() == [1.5, 0.0]
    assert reading.picture["excess"].tolist() == [[3.0, 1.0, 1.5], [7.0, 2.0, 0.0]]
    assert bool(numbers(reading, "slope").isnan().all()), "three points are too few for a line"


def test_that_a_run_with_another_objective_has_a_minimum_of_its_own() -> None:
    taken: Any = instrument("excess_error")
    memory: dict[str, Any] = {}
    for step, pair in ((0, [5.0, 9.0]), (10, [3.0, 4.0]), (20, [3.5, 2.0])):
        reading = taken.read(Falling(step, pair, objectives=(0, 1)), memory)
    assert numbers(reading, "excess").tolist() == [0.5, 0.0]


def test_that_a_long_run_keeps_a_bounded_number_of_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optlab.catalogue.instruments.excess_error._MAX_POINTS", 16)
    taken: Any = instrument("excess_error", known=True)
    memory: dict[str, Any] = {}
    for step in range(1, 1001):
        reading = taken.read(Falling(step, [1.0 / step]), memory)
    steps = reading.picture["steps"][0]
    assert len(steps) <= 17 and len(steps.diff().unique()) == 1
    assert float(numbers(reading, "slope")) == pytest.approx(-1.0, rel=1e-9)


def test_that_the_objective_is_the_evaluation_with_weight_decay(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, context = catch(build(loss=LOSS), 8, monkeypatch)
    value = float(numbers(instrument("excess_error").read(context, {}), "objective"))
    evaluated = trainer.evaluate()
    assert value == pytest.approx(float(evaluated["train_loss"] + evaluated["penalty"]), rel=1e-12)


def test_that_quartiles_and_histograms_are_those_of_numpy() -> None:
    values = torch.randn(3, 29, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(
        quartiles(values).values, np.quantile(values.numpy(), [0.0, 0.25, 0.5, 0.75, 1.0], axis=1).T
    )
    edges, counts = histogram(values, 6)
    for row in range(3):
        expected, bounds = np.histogram(values[row].numpy(), bins=6)
        np.testing.assert_array_equal(counts[row], expected)
        np.testing.assert_allclose(edges[row], bounds)
    assert histogram(torch.ones(1, 4), 3)[1].tolist() == [[4.0, 0.0, 0.0]]
