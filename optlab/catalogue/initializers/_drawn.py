"""Draws that several initializers share: distributions of a chosen spread, orthogonal matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from optlab.core.fields import choice
from optlab.core.layout import Parameter
from optlab.core.lazy import torch

Distribution = Literal["normal", "uniform", "truncated"]

Fan = Literal["in", "out"]

CUT = 2.0
"""Standard deviations of the normal distribution at which the truncated one ends."""


def distribution(default: Distribution) -> Any:
    """Declare the field that chooses the distribution."""
    return choice(
        default,
        "Distribution",
        help="Distribution of the weights, each with the same standard deviation: normal, uniform,"
        " or a normal one that is truncated at two of its standard deviations.",
        why="Uniform and truncated weights have no outliers; on average they train alike.",
    )


def fan() -> Any:
    """Declare the field that chooses what m counts."""
    return choice(
        "in",
        "Fan",
        help="Whether m counts the inputs of a unit, which keeps the spread of activations in the"
        " forward pass, or the units that an input reaches, which keeps that of gradients in the"
        " backward pass.",
        why="Inputs are the common choice.",
    )


def drawn(
    kind: Distribution, std: float, shape: Sequence[int], generator: torch.Generator
) -> torch.Tensor:
    """Return independent values of mean zero and standard deviation ``std``, in float64.

    Args:
        shape: of the result, which is ``[*shape]``.
    """
    if kind == "normal":
        return std * torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
    uniform = 2.0 * torch.rand(tuple(shape), generator=generator, dtype=torch.float64) - 1.0
    if kind == "uniform":
        return math.sqrt(3.0) * std * uniform
    return std / truncated_std(CUT) * truncated(uniform, CUT)


def truncated(uniform: torch.Tensor, cut: float) -> torch.Tensor:
    """Return standard normal values cut off at ``±cut``, from values ``[…]`` between −1 and 1."""
    quantiles: torch.Tensor = torch.special.erfinv(uniform * math.erf(cut / math.sqrt(2.0)))
    return math.sqrt(2.0) * quantiles


def truncated_std(cut: float) -> float:
    """Return the standard deviation of a standard normal distribution that is cut off at ``±cut``.

    At 2 it is 0.87962566103423978, the constant of Keras and TensorFlow.
    """
    density = math.exp(-0.5 * cut * cut) / math.sqrt(2.0 * math.pi)
    return math.sqrt(1.0 - 2.0 * cut * density / math.erf(cut / math.sqrt(2.0)))


def orthogonal_stack(parameter: Parameter, generator: torch.Generator) -> torch.Tensor:
    """Return a tensor ``[*shape]`` whose stacked matrices are random and orthogonal, in float64."""
    rows = parameter.shape[0] // parameter.stacked
    columns = parameter.size // parameter.shape[0]
    matrices = [_orthogonal(rows, columns, generator) for _ in range(parameter.stacked)]
    return torch.cat(matrices).reshape(parameter.shape)


def _orthogonal(rows: int, columns: int, generator: torch.Generator) -> torch.Tensor:
    """Return a random matrix ``[rows, columns]``, orthonormal along its shorter side."""
    normal = torch.randn(
        (max(rows, columns), min(rows, columns)), generator=generator, dtype=torch.float64
    )
    q, r = torch.linalg.qr(normal)
    # Without the signs of the diagonal of R, Q is not uniform over the orthogonal matrices.
    q = q * r.diagonal().sign()
    matrix: torch.Tensor = q if rows >= columns else q.t()
    return matrix
