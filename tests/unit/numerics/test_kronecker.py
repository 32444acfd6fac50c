"""Solves with Kronecker factors against those with the dense product."""

from __future__ import annotations

import pytest
import torch

from optlab.core.layout import Layout, Parameter
from optlab.numerics import kronecker

GAMMA = 0.3
LAYOUT = Layout(
    (
        Parameter("0.weight", (4, 2), "weight", 2, 4),
        Parameter("0.bias", (4,), "bias", 2, 4),
        Parameter("1.weight", (3, 4), "weight", 4, 3),
        Parameter("2.weight", (2, 3, 1, 2), "weight", 6, 4),
        Parameter("2.bias", (2,), "bias", 6, 4),
    )
)
"""Two layers with a bias, of which one is a convolution, and one without."""
SHAPES = kronecker.layer_shapes(LAYOUT)


def draw(size: int, seed: int) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(2, size, dtype=torch.float64, generator=source)


def definite() -> list[kronecker.LayerFactors]:
    """Factors of two runs."""
    return [
        kronecker.LayerFactors(weight, a @ a.transpose(1, 2), s @ s.transpose(1, 2))
        for weight, a, s in kronecker.split(draw(kronecker.values(SHAPES), 0), SHAPES)
    ]


def matrices(flat: torch.Tensor) -> list[torch.Tensor]:
    """The layers of one run as matrices, with the bias in the last column."""
    parts = [part[0] for part in LAYOUT.split(flat.unsqueeze(0))]
    return [
        torch.cat([parts[0], parts[1].unsqueeze(1)], dim=1),
        parts[2],
        torch.cat([parts[3].flatten(1), parts[4].unsqueeze(1)], dim=1),
    ]


def by_hand(a: torch.Tensor, s: torch.Tensor, g: torch.Tensor, pi: float) -> torch.Tensor:
    eyes = (torch.eye(len(s), dtype=s.dtype), torch.eye(len(a), dtype=a.dtype))
    dense = torch.kron(s + GAMMA / pi * eyes[0], a + GAMMA * pi * eyes[1])
    return torch.linalg.solve(dense, g.flatten()).view_as(g)


def test_that_layers_are_found_with_their_biases() -> None:
    assert [tuple(shape) for shape in SHAPES] == [
        (0, True, 4, 3),
        (2, False, 3, 4),
        (3, True, 2, 7),
    ]
    assert kronecker.values(SHAPES) == 9 + 16 + 16 + 9 + 49 + 4


def test_that_factors_are_joined_and_split_again() -> None:
    factors = definite()
    again = kronecker.split(kronecker.joined(factors), SHAPES)
    for one, other in zip(factors, again, strict=True):
        assert one.weight == other.weight
        assert torch.equal(one.inputs, other.inputs) and torch.equal(one.outputs, other.outputs)


def test_that_the_solve_is_that_of_the_dense_kronecker_product() -> None:
    factors, g = definite(), draw(LAYOUT.total, 1)
    solved = kronecker.solve(LAYOUT, SHAPES, factors, g, GAMMA)
    for run in range(2):
        layers = zip(factors, matrices(g[run]), matrices(solved[run]), strict=True)
        for (_, inputs, outputs), of_layer, found in layers:
            a, s = inputs[run], outputs[run]
            pi = float(((a.trace() / len(a)) / (s.trace() / len(s))).sqrt())
            torch.testing.assert_close(found, by_hand(a, s, of_layer, pi))


@pytest.mark.parametrize("missing", ["inputs", "outputs"])
def test_that_the_damping_is_not_balanced_against_a_factor_that_is_zero(missing: str) -> None:
    """As it is in a run whose examples have no gradient by the outputs; the other run has both."""
    factors, g = definite(), draw(LAYOUT.total, 1)
    for one in factors:
        getattr(one, missing)[0].zero_()
    solved = kronecker.solve(LAYOUT, SHAPES, factors, g, GAMMA)
    layers = zip(factors, matrices(g[0]), matrices(solved[0]), strict=True)
    for (_, inputs, outputs), of_layer, found in layers:
        torch.testing.assert_close(found, by_hand(inputs[0], outputs[0], of_layer, 1.0))
    balanced = kronecker.solve(LAYOUT, SHAPES, definite(), g, GAMMA)
    assert torch.equal(solved[1], balanced[1])
