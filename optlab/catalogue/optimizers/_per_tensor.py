"""Quantities per tensor of a layout, spread over the values of the tensor."""

from __future__ import annotations

from optlab.core.layout import Layout
from optlab.core.lazy import torch


def spread(per_tensor: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return numbers of each tensor ``[R, K]`` for each of its values ``[R, P]``."""
    sizes = torch.tensor(layout.sizes, device=per_tensor.device)
    return per_tensor.repeat_interleave(sizes, dim=1, output_size=layout.total)


def norms(theta: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the Euclidean norm of each tensor ``[R, K]`` of flat values ``[R, P]``."""
    parts = theta.split_with_sizes(layout.sizes, 1)
    return torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts], dim=1)


def means(values: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the mean of each tensor ``[R, K]`` of flat values ``[R, P]``."""
    return torch.stack([part.mean(dim=1) for part in values.split_with_sizes(layout.sizes, 1)], 1)
