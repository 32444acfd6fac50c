"""Lanczos: a symmetric matrix seen through a Krylov space, for R matrices at once.

With full reorthogonalization: in finite precision the basis would otherwise lose orthogonality as
soon as an eigenvalue converges, and ghosts of it would appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product


@dataclass(frozen=True)
class Krylov:
    """A Krylov space of each run's matrix.

    Attributes:
        basis: orthonormal rows ``[R, k, P]``; rows after a breakdown (the space is invariant) or
            beyond a run's own size are zero.
        matrix: ``basis A basisᵀ``, tridiagonal, ``[R, k, k]``.
        sizes: dimension ``[R]`` of each run's space.
    """

    basis: torch.Tensor
    matrix: torch.Tensor
    sizes: torch.Tensor

    def eigen(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Ritz values ``[R, k]``, ascending, and vectors ``[R, k, P]``; those of a smaller space
        are padded with zeros.
        """
        values, vectors = torch.linalg.eigh(self.matrix)
        return values, vectors.transpose(1, 2) @ self.basis


def lanczos(product: Product, start: torch.Tensor, size: Any) -> Krylov:
    """The Krylov space of ``start`` and its images.

    Args:
        product: ``v [R, P]`` → ``A v``. start: ``[R, P]``; from a row of zeros comes an empty
            space.
        size: dimension k, a number or a column ``[R, 1]``; more than P is P.
    """
    runs, parameters = start.shape
    most = torch.as_tensor(size, device=start.device).reshape(-1)
    size = min(int(most.max()), parameters)
    basis = start.new_zeros(runs, size, parameters)
    matrix = start.new_zeros(runs, size, size)
    norm = torch.linalg.vector_norm(start, dim=1, keepdim=True)
    v = start / norm.clamp_min(torch.finfo(start.dtype).tiny)
    # A start of nan goes on into the basis, so that what is broken is seen to be.
    going = (norm.squeeze(1) != 0.0) & (most > 0)
    sizes = torch.zeros(runs, dtype=torch.int64, device=start.device)
    scale = torch.zeros(runs, dtype=start.dtype, device=start.device)
    for k in range(size):
        basis[:, k] = torch.where(going.unsqueeze(1), v, 0.0)
        sizes += going
        w = product(basis[:, k])
        here = (basis[:, k] * w).sum(dim=1)
        matrix[:, k, k] = torch.where(going, here, 0.0)
        scale = torch.maximum(scale, torch.linalg.vector_norm(w, dim=1))
        if k + 1 == size:
            break
        done = basis[:, : k + 1]
        # once leaves rounding errors of the order of the cancellation; twice is enough
        for _ in range(2):
            w = w - torch.einsum("rk,rkp->rp", torch.einsum("rkp,rp->rk", done, w), done)
        beta = torch.linalg.vector_norm(w, dim=1)
        going = going & (k + 1 < most) & (beta > 1e3 * torch.finfo(start.dtype).eps * scale)
        matrix[:, k, k + 1] = matrix[:, k + 1, k] = torch.where(going, beta, 0.0)
        v = w / beta.clamp_min(torch.finfo(start.dtype).tiny).unsqueeze(1)
    return Krylov(basis, matrix, sizes)
