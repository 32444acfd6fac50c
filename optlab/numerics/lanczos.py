"""Lanczos: a symmetric matrix seen through a Krylov space, for R matrices at once.

With full reorthogonalization: in finite precision the basis would otherwise lose orthogonality as soon as an eigenvalue converges, and ghosts of it would
appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from optlab.lazy import torch as _torch
from optlab.numerics.conjugate_gradients import Product

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Krylov:
    """A Krylov space of each run's matrix.

    Attributes:
        basis: orthonormal rows ``[R, k, P]``; rows after a breakdown (the space is invariant) are zero.
        matrix: ``basis A basisᵀ``, tridiagonal, ``[R, k, k]``.
        sizes: dimension ``[R]`` of each run's space.
    """

    basis: torch.Tensor
    matrix: torch.Tensor
    sizes: torch.Tensor

    def eigen(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ritz values ``[R, k]``, ascending, and vectors ``[R, k, P]``; those of a space that broke down are padded with zeros."""
        values, vectors = _torch.linalg.eigh(self.matrix)
        return values, vectors.transpose(1, 2) @ self.basis


def lanczos(product: Product, start: torch.Tensor, size: int) -> Krylov:
    """The Krylov space of ``start`` and its images.

    Args:
        product: ``v [R, P]`` → ``A v``. start: ``[R, P]``, not zero. size: dimension k, at most P.
    """
    runs, parameters = start.shape
    size = min(size, parameters)
    basis = start.new_zeros(runs, size, parameters)
    matrix = start.new_zeros(runs, size, size)
    norm = _torch.linalg.vector_norm(start, dim=1, keepdim=True)
    v = start / norm.clamp_min(_torch.finfo(start.dtype).tiny)
    going = norm.squeeze(1) > 0.0
    sizes = _torch.zeros(runs, dtype=_torch.int64, device=start.device)
    scale = _torch.zeros(runs, dtype=start.dtype, device=start.device)
    for k in range(size):
        basis[:, k] = v * going.unsqueeze(1)
        sizes += going
        w = product(basis[:, k])
        here = (basis[:, k] * w).sum(dim=1)
        matrix[:, k, k] = here * going
        scale = _torch.maximum(scale, _torch.linalg.vector_norm(w, dim=1))
        if k + 1 == size:
            break
        done = basis[:, : k + 1]
        for _ in range(2):  # once leaves rounding errors of the order of the cancellation; twice is enough
            w = w - _torch.einsum("rk,rkp->rp", _torch.einsum("rkp,rp->rk", done, w), done)
        beta = _torch.linalg.vector_norm(w, dim=1)
        going = going & (beta > 1e3 * _torch.finfo(start.dtype).eps * scale)
        matrix[:, k, k + 1] = matrix[:, k + 1, k] = beta * going
        v = w / beta.clamp_min(_torch.finfo(start.dtype).tiny).unsqueeze(1)
    return Krylov(basis, matrix, sizes)
