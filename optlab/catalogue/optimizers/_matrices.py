"""Square matrices of every dimension of every tensor, for rules that precondition by tensor.

A tensor of shape ``[m, n]`` has two sides with matrices ``[m, m]`` and ``[n, n]``. The matrices of
all sides of all tensors lie one after the other in one flat state tensor ``[R, N]``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from optlab.core.layout import Layout
from optlab.core.lazy import torch


class Side(NamedTuple):
    """One dimension of one tensor.

    Attributes:
        tensor: number of the tensor. axis: number of the dimension. size: its length.
        order: number of dimensions of the tensor.
    """

    tensor: int
    axis: int
    size: int
    order: int


@functools.lru_cache(maxsize=256)
def sides(layout: Layout, largest: int, least_order: int = 1) -> tuple[Side, ...]:
    """Return the sides that have matrices.

    Args:
        layout: the tensors. largest: dimensions that are longer have none. least_order: tensors of
            fewer dimensions have none.
    """
    return tuple(
        Side(tensor, axis, size, len(spec.shape))
        for tensor, spec in enumerate(layout.parameters)
        for axis, size in enumerate(spec.shape)
        if len(spec.shape) >= least_order and size <= largest
    )


def split(flat: torch.Tensor, of: Sequence[Side]) -> list[torch.Tensor]:
    """Return the matrices ``[R, n, n]`` of the sides in ``flat`` ``[R, N]``."""
    parts = flat.split_with_sizes([side.size**2 for side in of], 1)
    return [part.view(-1, side.size, side.size) for part, side in zip(parts, of, strict=True)]


def joined(matrices: Sequence[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Return matrices ``[R, n, n]`` as one flat tensor ``[R, N]``; ``like`` is ``[R, P]``."""
    if not matrices:
        return like[:, :0].clone()
    return torch.cat([matrix.flatten(1) for matrix in matrices], dim=1)


def identities(of: Sequence[Side], like: torch.Tensor) -> torch.Tensor:
    """Return identity matrices for all sides ``[R, N]``; ``like`` is ``[R, P]``."""
    eyes = [torch.eye(side.size, dtype=like.dtype, device=like.device) for side in of]
    return joined([eye.expand(len(like), -1, -1) for eye in eyes], like)


def gram(g: torch.Tensor, axis: int) -> torch.Tensor:
    """Return ``G Gᵀ`` ``[R, n, n]`` of tensors ``g`` ``[R, …]`` unfolded along a dimension."""
    unfolded = g.movedim(axis + 1, 1).flatten(2) if g.dim() > 2 else g.unsqueeze(2)
    return unfolded @ unfolded.transpose(1, 2)


def along(matrix: torch.Tensor, g: torch.Tensor, axis: int) -> torch.Tensor:
    """Return ``g`` ``[R, …]`` multiplied by ``matrix`` ``[R, n, n]`` along a dimension."""
    moved = g.movedim(axis + 1, 1)
    product = matrix @ moved.reshape(len(g), moved.shape[1], -1)
    return product.view(moved.shape).movedim(1, axis + 1)


def eigen(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return eigenvalues ``[R, n]``, eigenvectors ``[R, n, n]`` and which matrices are finite.

    The matrices ``[R, n, n]`` are symmetric; in place of one that is not finite the identity is
    decomposed, because one run must not end the others. The last result is ``[R, 1, 1]``.
    """
    finite = torch.isfinite(matrix).all(dim=2, keepdim=True).all(dim=1, keepdim=True)
    eye = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    values, vectors = torch.linalg.eigh(torch.where(finite, matrix, eye))
    return values, vectors, finite
