"""Probes: the number of a seed, compared with what is known of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.studies.probes.base import Probe
from optlab.studies.probes.rounded_weights import stochastic
from optlab.studies.probes.weight_matching import matching

CANYON = {
    "name": "descent",
    "surface": '{ name = "quadratic", condition = 4.0, angle = 0.0 }',
    "start": "[1.0, 2.0]",
    "optimizer": '{ name = "sgd", lr = 0.1 }',
}
SMALL: dict[str, dict[str, Any]] = {
    "constant": {"value": 3.0},
    "demonstration": {"demonstration": "cd_bias", "figure": "eigenvalue at 1"},
    "descent": CANYON,
    "unit_spread": {"steps": 5},
    "momentum_schedule": {
        "experiment": '{ dataset = { name = "iris" }, model = { name = "linear" }, '
        'optimizer = { name = "momentum" } }',
        "momentum": "linear",
        "rates": "[0.01, 0.1]",
        "steps": 20,
    },
    "rounded_weights": {"rounding": "stochastic", "hidden": 4, "steps": 5},
    "random_features": {"features": 20, "examples": 60},
    "rank_collapse": {"depth": 3, "width": 8, "size": 4},
    "catapult": {"width": 16, "inputs": 4, "examples": 4, "steps": 10},
    "adam_edge": {"steps": 20, "since": 5},
    "weight_matching": {"width": 6, "steps": 20, "of": "share"},
}


def value(name: str, seed: int = 0, **fields: Any) -> float:
    """The number of a probe; every sign of life is a share."""
    steps = registry.build(Probe, {"name": name, **{**SMALL[name], **fields}}).measure(seed)
    while True:
        try:
            assert 0.0 <= next(steps) <= 1.0
        except StopIteration as stop:
            assert isinstance(stop.value, float)
            return stop.value


def test_that_every_probe_is_tried_here() -> None:
    assert set(SMALL) == set(registry.names(Probe))


@pytest.mark.parametrize("name", SMALL)
def test_that_equal_seeds_give_equal_numbers_and_others_other_ones(name: str) -> None:
    first = value(name, 1)
    assert math.isfinite(first) and value(name, 1) == first
    # The start of this descent has no spread, and a constant is one.
    assert (value(name, 2) == first) == (name in ("constant", "descent"))
    assert registry.build(Probe, {"name": name, **SMALL[name]}).words()  # type: ignore[attr-defined]


def test_that_a_descent_ends_where_the_formula_says() -> None:
    # Along the axes of ½(u² + 4w²) each coordinate shrinks by 1 − 0.1 and by 1 − 0.4 a step.
    u, w = 0.9**10, 2.0 * 0.6**10
    assert value("descent", steps=10) == pytest.approx(0.5 * (u * u + 4.0 * w * w), rel=1e-12)
    way = np.array([[0.9**k, 2.0 * 0.6**k] for k in range(11)])
    moves = np.diff(way, axis=0)
    lengths = np.linalg.norm(moves, axis=1)
    assert value("descent", steps=10, of="largest_step") == pytest.approx(lengths[0])
    assert value("descent", steps=10, of="last_step") == pytest.approx(lengths[-1])
    distance = np.linalg.norm(way[-1] - way[0])
    assert value("descent", steps=10, of="distance") == pytest.approx(distance)
    assert value("descent", steps=10, of="path_over_distance") == pytest.approx(
        lengths.sum() / distance
    )
    assert value("descent", steps=10, of="reversals") == 0.0
    # Beyond 1/λ every step across turns back.
    across = '{ name = "sgd", lr = 0.4 }'
    assert value("descent", start="[0.0, 1.0]", optimizer=across, steps=10, of="reversals") == 1.0
    assert value("descent", optimizer='{ name = "sgd", lr = 2.0 }', steps=90) == math.inf


def test_that_the_start_of_a_descent_is_spread_by_the_seed() -> None:
    assert value("descent", 1, spread=0.1) != value("descent", 2, spread=0.1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"name": "demonstration", "demonstration": "cd_bias", "figure": "bias"}, "it has: rel"),
        ({**CANYON, "start": "7"}, r"must be as \[1.0, 2.0\]"),
        ({**CANYON, "optimizer": "sgd"}, "not TOML"),
        ({**CANYON, "optimizer": "7"}, "must be a table"),
        ({"name": "momentum_schedule", "rates": "[]"}, "a list of rates"),
    ],
    ids=str,
)
def test_that_what_is_wrong_with_a_probe_is_said(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        for _ in registry.build(Probe, fields).measure(0):  # type: ignore[attr-defined]
            pass


def test_that_units_that_start_alike_stay_alike() -> None:
    alike = '{ name = "constant", value = 0.1 }'
    assert value("unit_spread", initializer=alike, steps=20) < 1e-4
    assert value("unit_spread", steps=20) > 0.1


def test_that_stochastic_rounding_is_right_on_average_and_keeps_what_is_exact() -> None:
    draws = torch.Generator().manual_seed(0)
    values = torch.tensor([1.0, -1.5, 0.1, -3.14159, 1e-20])
    kept = torch.stack([stochastic(values, draws) for _ in range(4000)]).double()
    assert torch.equal(kept.float(), kept.bfloat16().float())
    assert torch.equal(kept[:, :2].unique(dim=0), values[:2].double().unsqueeze(0))
    spread = kept.std(dim=0) / 4000**0.5
    assert bool(((kept.mean(dim=0) - values.double()).abs() <= 4.0 * spread + 1e-30).all())
    assert bool((kept[:, 2:].std(dim=0) > 0.0).all())


def test_that_small_updates_are_lost_by_rounding_to_the_nearest_only() -> None:
    fields = {"hidden": 16, "lr": 1e-4, "steps": 200}
    losses = {
        kind: value("rounded_weights", rounding=kind, **fields)
        for kind in ("none", "nearest", "stochastic")
    }
    start = value("rounded_weights", rounding="none", **{**fields, "steps": 1})
    assert start - losses["nearest"] < 0.5 * (start - losses["none"])
    assert losses["stochastic"] == pytest.approx(
        losses["none"], abs=0.25 * (start - losses["none"])
    )


def test_that_matching_finds_the_permutation_of_a_network() -> None:
    rng = np.random.default_rng(0)
    shapes = [(7, 5), (7,), (6, 7), (6,), (3, 6), (3,)]
    one = [rng.standard_normal(shape) for shape in shapes]
    first, second = rng.permutation(7), rng.permutation(6)
    two = [one[0][first], one[1][first], one[2][second][:, first], one[3][second]]
    two += [one[4][:, second], one[5]]
    for ours, theirs in zip(matching(one, two), one, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # With one hidden layer the assignment is that of the inner products of all weights of a unit.
    other = [rng.standard_normal(tensor.shape) for tensor in one[:2]]
    other += [rng.standard_normal((3, 7)), rng.standard_normal(3)]
    base = [one[0], one[1], rng.standard_normal((3, 7)), one[5]]
    units = [np.concatenate([n[0], n[1][:, None], n[2].T], axis=1) for n in (base, other)]
    _, order = linear_sum_assignment(-units[0] @ units[1].T)
    np.testing.assert_array_equal(matching(base, other)[0], other[0][order])


def test_that_matching_keeps_the_function() -> None:
    assert value("weight_matching", of="change", width=12) < 1e-12


def test_that_the_soft_rank_of_one_layer_is_that_of_its_outputs() -> None:
    # Of many units: the ReLU features of independent inputs have a known Gram matrix, ½ on the
    # diagonal and ½/π beside it.
    found = value("rank_collapse", depth=1, width=4096, size=16)
    gram = np.full((16, 16), 0.5 / np.pi) + np.eye(16) * (0.5 - 0.5 / np.pi)
    values = np.linalg.eigvalsh(gram)
    assert found == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=0.05)
    assert value("rank_collapse", depth=60, width=32, size=8) < 1.5
    assert value("rank_collapse", depth=60, width=32, size=8, batch_norm=True) > 2.0


def test_that_small_rates_are_lazy_and_huge_ones_diverge() -> None:
    wide = {"width": 256, "inputs": 16, "examples": 8, "steps": 100}
    assert value("catapult", rate=0.5, **wide) == pytest.approx(1.0, abs=0.15)
    assert value("catapult", rate=0.5, of="diverged", **wide) == 0.0
    assert value("catapult", rate=100.0, of="diverged", **wide) == 1.0
    assert value("catapult", rate=100.0, **wide) == math.inf


def test_that_ridge_lowers_the_peak_of_random_features() -> None:
    peak = value("random_features", features=60)
    assert value("random_features", features=60, ridge=0.1) < peak
    assert value("random_features", features=600) < peak


def test_that_momentum_is_raised_along_a_line_and_by_nesterovs_rule() -> None:
    quadratic = (
        '{ precision = "float64", dataset = { name = "least_squares", size = 50, dimension = 8, '
        'condition = 1e6, noise = 0.0 }, model = { name = "linear" }, '
        'optimizer = { name = "nesterov" }, batches = { name = "never_shuffled", size = 0 } }'
    )
    fields = {"experiment": quadratic, "rates": "[0.3]", "of": "excess_order", "steps": 200}
    plain = quadratic.replace('"nesterov"', '"sgd"')
    slow = value("momentum_schedule", **{**fields, "experiment": plain, "momentum": "kept"})
    fast = value("momentum_schedule", **{**fields, "momentum": "nesterov"})
    assert fast < slow - 0.3
    raised = value("momentum_schedule", raised_to=0.3)
    assert raised != value("momentum_schedule", momentum="kept")
