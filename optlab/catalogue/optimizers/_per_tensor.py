"""Quantities per tensor of a layout, spread over the values of the tensor."""

from __future__ import annotations

from collections.abc import Sequence

from optlab.core.layout import Layout
from optlab.core.lazy import torch


def spread(per_tensor: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return numbers of each tensor ``[R, K]`` for each of its values ``[R, P]``."""
    parts = zip(per_tensor.split(1, dim=1), layout.sizes, strict=True)
    return torch.cat([number.expand(-1, size) for number, size in parts], dim=1)


def numbers(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """Return a number of each tensor ``[K]``, in device and precision as ``like``.

    They are written on the device: a copy from the host would wait for what it computes.
    """
    return torch.cat([like.new_full((1,), value) for value in values])


def norms(theta: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the Euclidean norm of each tensor ``[R, K]`` of flat values ``[R, P]``."""
    parts = theta.split_with_sizes(layout.sizes, 1)
    return torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts], dim=1)


def means(values: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the mean of each tensor ``[R, K]`` of flat values ``[R, P]``."""
    return torch.stack([part.mean(dim=1) for part in values.split_with_sizes(layout.sizes, 1)], 1)
