"""Initializers: bounds and moments against closed forms, and against torch.nn.init where it has the
same.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from optlab.catalogue.initializers.base import Start
from optlab.core import registry
from optlab.core.layout import Parameter, layout, linear
from optlab.objective.seeding import generator

OUT, IN = 300, 200
DRAWN = [one.name for one in registry.components(Start) if not one.from_constructor]
"""The initializers that draw; the others need a model with a constructor."""
WEIGHT = Parameter("w", (OUT, IN), "weight", IN, OUT)
N = OUT * IN


def draw(parameter: Parameter = WEIGHT, seed: int = 0, **values: Any) -> torch.Tensor:
    initializer: Any = registry.build("initializer", values)
    return initializer.weight(parameter, generator(seed, "start"))


UNIFORM = [
    ({"name": "normalized"}, math.sqrt(6.0 / (IN + OUT))),
    ({"name": "fan_in"}, 1.0 / math.sqrt(IN)),
    ({"name": "uniform", "bound": 0.7}, 0.7),
    ({"name": "he", "distribution": "uniform"}, math.sqrt(6.0 / IN)),
    ({"name": "he", "distribution": "uniform", "fan": "out"}, math.sqrt(6.0 / OUT)),
    ({"name": "lecun", "distribution": "uniform"}, math.sqrt(3.0 / IN)),
]
NORMAL = [
    ({"name": "gaussian", "std": 0.25}, 0.25),
    ({"name": "he"}, math.sqrt(2.0 / IN)),
    ({"name": "lecun"}, math.sqrt(1.0 / IN)),
    ({"name": "he", "fan": "out"}, math.sqrt(2.0 / OUT)),
    ({"name": "lecun", "fan": "out"}, math.sqrt(1.0 / OUT)),
    ({"name": "normalized", "distribution": "normal"}, math.sqrt(2.0 / (IN + OUT))),
    ({"name": "maximal_update", "scale": 1.5}, 1.5 * math.sqrt(1.0 / IN)),
    ({"name": "identity", "std": 0.02}, 0.02),
]
TRUNCATED = [
    ({"name": "he", "distribution": "truncated"}, math.sqrt(2.0 / IN), 2.0),
    ({"name": "lecun", "distribution": "truncated", "fan": "out"}, math.sqrt(1.0 / OUT), 2.0),
    ({"name": "normalized", "distribution": "truncated"}, math.sqrt(2.0 / (IN + OUT)), 2.0),
]


@pytest.mark.parametrize(
    ("values", "bound"), UNIFORM, ids=lambda v: v["name"] if isinstance(v, dict) else ""
)
def test_that_a_uniform_start_fills_its_range_evenly(values: dict[str, Any], bound: float) -> None:
    w = draw(**values).flatten() / bound
    assert w.abs().max() <= 1.0
    assert w.max() > 1.0 - 20.0 / N
    assert w.min() < -1.0 + 20.0 / N
    # Kolmogorov–Smirnov at 1e-6.
    ranks = (torch.arange(N, dtype=torch.float64) + 0.5) / N
    assert ((w.sort().values + 1.0) / 2.0 - ranks).abs().max() < 2.7 / math.sqrt(N)


@pytest.mark.parametrize(
    ("values", "std"), NORMAL, ids=lambda v: v["name"] if isinstance(v, dict) else ""
)
def test_that_a_normal_start_has_its_distribution(values: dict[str, Any], std: float) -> None:
    w = draw(**values).flatten() / std
    ranks = (torch.arange(N, dtype=torch.float64) + 0.5) / N
    assert (torch.special.ndtr(w.sort().values) - ranks).abs().max() < 2.7 / math.sqrt(N)
    assert w.std().item() == pytest.approx(1.0, abs=5.0 / math.sqrt(2.0 * N))


@pytest.mark.parametrize(
    ("values", "batch_objective"),
    [
        ({"name": "normalized"}, torch.nn.init.xavier_uniform_),
        ({"name": "he"}, lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="relu")),
        ({"name": "lecun"}, lambda w: torch.nn.init.kaiming_normal_(w, nonlinearity="linear")),
        ({"name": "fan_in"}, lambda w: torch.nn.init.kaiming_uniform_(w, a=math.sqrt(5.0))),
        (
            {"name": "he", "distribution": "uniform", "fan": "out"},
            lambda w: torch.nn.init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
        ),
        ({"name": "normalized", "distribution": "normal"}, torch.nn.init.xavier_normal_),
        (
            {"name": "gaussian", "std": 0.5, "cut": 1.5},
            lambda w: torch.nn.init.trunc_normal_(w, std=0.5, a=-0.75, b=0.75),
        ),
    ],
    ids=lambda v: v["name"] if isinstance(v, dict) else "",
)
def test_that_the_scale_is_that_of_torchs_initializer(
    values: dict[str, Any], batch_objective: Any
) -> None:
    torch.manual_seed(0)
    theirs = batch_objective(torch.empty(OUT, IN, dtype=torch.float64))
    assert draw(**values).std().item() == pytest.approx(
        theirs.std().item(), rel=8.0 / math.sqrt(2.0 * N)
    )


@pytest.mark.parametrize("shape", [(40, 40), (60, 25), (25, 60)])
def test_that_an_orthogonal_start_keeps_norms_times_its_gain(shape: tuple[int, int]) -> None:
    w = draw(Parameter("w", shape, "weight", shape[1], shape[0]), name="orthogonal", gain=1.5)
    gram = w.T @ w if shape[0] >= shape[1] else w @ w.T
    torch.testing.assert_close(
        gram, 2.25 * torch.eye(min(shape), dtype=torch.float64), rtol=0.0, atol=1e-12
    )


def test_that_orthogonal_matrices_are_uniform_over_rotations_and_reflections() -> None:
    square = Parameter("w", (2, 2), "weight", 2, 2)
    draws = torch.stack([draw(square, seed, name="orthogonal") for seed in range(600)])
    bound = 5.0 / math.sqrt(600.0)
    assert abs(float(torch.linalg.det(draws).mean())) < bound
    assert draws.mean(dim=0).abs().max() < bound
    angles = torch.atan2(draws[:, 1, 0], draws[:, 0, 0]).sort().values / (2.0 * math.pi) + 0.5
    assert (angles - (torch.arange(600) + 0.5) / 600).abs().max() < 2.7 / math.sqrt(600.0)


@pytest.mark.parametrize("count", [1, 15, 200, 500])
def test_that_a_sparse_start_has_exactly_so_many_inputs_a_unit(count: int) -> None:
    w = draw(name="sparse", count=count, std=0.5)
    assert ((w != 0).sum(dim=1) == min(count, IN)).all()
    values = w[w != 0]
    assert values.std().item() == pytest.approx(0.5, rel=5.0 / math.sqrt(2.0 * len(values)))
    if count == 15:
        assert (w != 0).sum(dim=0).min() > 0, "some inputs are never chosen"


def test_that_constant_starts_are_constant() -> None:
    assert not draw(name="zero").any()
    assert set(draw(name="constant", value=0.3).flatten().tolist()) == {0.3}


@pytest.mark.parametrize("name", DRAWN)
def test_that_a_start_depends_on_its_seed_only(name: str) -> None:
    initializer: Any = registry.build("initializer", {"name": name, "bias": 0.1})
    tensors = layout([*linear("layers.0", 6, 5), *linear("layers.1", 5, 3, output=True)])
    first = initializer.start(tensors, generator(3, "start"))
    assert first.dtype is torch.float64
    assert first.shape == (tensors.total,)
    assert torch.equal(first, initializer.start(tensors, generator(3, "start")))
    named = tensors.named(first.unsqueeze(0))
    assert all(
        set(part.flatten().tolist()) == {0.1} for key, part in named.items() if key.endswith("bias")
    )
    if name not in ("zero", "constant"):
        assert not torch.equal(first, initializer.start(tensors, generator(4, "start")))


@pytest.mark.parametrize(("values", "std", "cut"), TRUNCATED, ids=lambda v: str(v)[:40])
def test_that_a_truncated_start_is_that_of_keras(
    values: dict[str, Any], std: float, cut: float
) -> None:
    w = draw(**values).flatten()
    assert w.std().item() == pytest.approx(std, rel=5.0 / math.sqrt(2.0 * N))
    # Keras divides by this constant before it truncates at two standard deviations.
    edge = cut * std / 0.87962566103423978
    assert 0.999 * edge < w.abs().max().item() <= edge
    ranks = (np.arange(N) + 0.5) / N
    theirs = scipy.stats.truncnorm(-cut, cut, scale=edge / cut).cdf(w.sort().values.numpy())
    assert np.abs(theirs - ranks).max() < 2.7 / math.sqrt(N)


@pytest.mark.parametrize("name", ["orthogonal", "batch_scaled"])
def test_that_each_of_stacked_matrices_is_orthogonal(name: str) -> None:
    """Case 26: the gates of an LSTM and the projections of attention."""
    values = {"gain": 1.7} if name == "orthogonal" else {"first": "orthogonal"}
    gain = values.get("gain", 1.0)
    w = draw(Parameter("w", (4 * 12, 12), "weight", 12, 12, stacked=4), name=name, **values)
    for gate in w.chunk(4):
        torch.testing.assert_close(
            gate.T @ gate, gain**2 * torch.eye(12, dtype=torch.float64), rtol=0.0, atol=1e-12
        )
    assert torch.linalg.matrix_rank(w.chunk(4)[0] - w.chunk(4)[1]) > 6


@pytest.mark.parametrize(
    ("model", "tensor", "parts"),
    [
        ({"name": "lstm", "units": 6}, "recurrent.weight", 4),
        ({"name": "transformer", "width": 8, "heads": 2}, "blocks.0.attention.weight", 3),
    ],
    ids=lambda v: v["name"] if isinstance(v, dict) else "",
)
def test_that_models_say_which_matrices_are_stacked(
    model: dict[str, Any], tensor: str, parts: int
) -> None:
    shape = registry.build("dataset", {"name": "adding_problem"}).shape()
    tensors = registry.build("model", model).layout(shape)
    start = registry.build("initializer", {"name": "orthogonal"}).start(
        tensors, generator(0, "start")
    )
    (theta,) = tensors.named(start.unsqueeze(0))[tensor]
    for part in theta.chunk(parts):
        torch.testing.assert_close(part.T @ part, torch.eye(part.shape[1], dtype=part.dtype))


def test_that_square_matrices_start_as_the_identity_and_others_small() -> None:
    square = Parameter("w", (30, 30), "weight", 30, 30)
    ours = draw(square, name="identity", gain=0.5)
    assert torch.equal(ours, 0.5 * torch.nn.init.eye_(torch.empty(30, 30, dtype=torch.float64)))
    gates = draw(Parameter("w", (60, 30), "weight", 30, 30, stacked=2), name="identity")
    assert torch.equal(gates, torch.eye(30, dtype=torch.float64).repeat(2, 1))


def test_that_the_output_of_maximal_update_shrinks_with_the_width() -> None:
    last = Parameter("w", (OUT, IN), "weight", IN, OUT, output=True)
    w = draw(last, name="maximal_update", scale=2.0)
    assert w.std().item() == pytest.approx(2.0 / IN, rel=5.0 / math.sqrt(2.0 * N))
