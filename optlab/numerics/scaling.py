"""Norms and inner products whose squares neither overflow nor underflow.

In single precision the square of 1e20 is infinite and that of 1e-23 is zero, although both numbers
are ordinary gradients of a loss in large or small units. Dividing by a power of two is exact, so
scaled results have the bits of the plain ones wherever those are in range.
"""

from __future__ import annotations

import math

from optlab.core.lazy import torch


def power_of_two(rows: torch.Tensor) -> torch.Tensor:
    """Return the power of two at or below the largest absolute value of each row.

    Args:
        rows: ``[R, P]``, in single or double precision.

    Returns:
        A column ``[R, 1]``; it is 1 for rows that are zero or not finite.
    """
    largest = rows.abs().amax(dim=1, keepdim=True)
    # The bits of a number that hold its exponent; without the others it is a power of two.
    integer, mask = {
        torch.float32: (torch.int32, 0x7F800000),
        torch.float64: (torch.int64, 0x7FF << 52),
    }[rows.dtype]
    scale = (largest.view(integer) & mask).view(rows.dtype)
    scale = scale.clamp_min(torch.finfo(rows.dtype).tiny)
    power: torch.Tensor = torch.where(torch.isfinite(largest) & (largest > 0.0), scale, 1.0)
    return power


def norms(rows: torch.Tensor) -> torch.Tensor:
    """Return the Euclidean norms ``[R]`` of rows ``[R, P]``."""
    scale = power_of_two(rows)
    result: torch.Tensor = torch.linalg.vector_norm(rows / scale, dim=1) * scale.squeeze(1)
    return result


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the inner product of two rows ``[1, P]``, in the range of double precision."""
    plain = float((a * b).sum())
    smallest = float(torch.finfo(a.dtype).tiny) / float(torch.finfo(a.dtype).eps)
    if smallest < abs(plain) < math.inf:
        return plain
    of_a, of_b = power_of_two(a), power_of_two(b)
    return float((a / of_a * (b / of_b)).sum()) * float(of_a) * float(of_b)


def row_dots(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return the inner products ``[R]`` of rows ``[R, P]``."""
    return (a * b).sum(dim=1)
