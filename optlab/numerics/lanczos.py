"""The Lanczos method: a symmetric matrix projected to a Krylov space, for R matrices at once.

With full reorthogonalization: in finite precision the basis would otherwise lose orthogonality as
soon as an eigenvalue converges, and spurious copies of it would appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from optlab.core.lazy import torch
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.scaling import norms


@dataclass(frozen=True)
class Krylov:
    """A Krylov space of each run's matrix.

    Attributes:
        basis: orthonormal rows ``[R, k, P]``; rows after a breakdown (the space is invariant) and
            beyond the size of a run are zero.
        matrix: ``basis A basisᵀ``, tridiagonal, ``[R, k, k]``.
        sizes: dimension of the space of each run, ``[R]`` int64.
    """

    basis: torch.Tensor
    matrix: torch.Tensor
    sizes: torch.Tensor

    def eigen(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the Ritz values ``[R, k]``, ascending, and the Ritz vectors ``[R, k, P]``.

        Those of a smaller space are padded with zeros.
        """
        values, vectors = torch.linalg.eigh(self.matrix)
        return values, vectors.transpose(1, 2) @ self.basis


def lanczos(product: Product, start: torch.Tensor, size: Any) -> Krylov:
    """Build the Krylov space of ``start``, ``A start``, ``A² start``, ….

    Args:
        product: ``v [R, P]`` → ``A v [R, P]``.
        start: vectors ``[R, P]``; a row of zeros gives an empty space.
        size: dimension k, a number or a column ``[R, 1]``; at most P.
    """
    runs, parameters = start.shape
    sizes_wanted = torch.as_tensor(size, device=start.device).reshape(-1)
    size = min(int(sizes_wanted.max()), parameters)
    basis = start.new_zeros(runs, size, parameters)
    matrix = start.new_zeros(runs, size, size)
    norm = norms(start).unsqueeze(1)
    v = start / norm.clamp_min(torch.finfo(start.dtype).tiny)
    # A nan in the start propagates into the basis, so that the failure is visible.
    active = (norm.squeeze(1) != 0.0) & (sizes_wanted > 0)
    sizes = torch.zeros(runs, dtype=torch.int64, device=start.device)
    scale = torch.zeros(runs, dtype=start.dtype, device=start.device)
    for k in range(size):
        basis[:, k] = torch.where(active.unsqueeze(1), v, 0.0)
        sizes += active
        w = product(basis[:, k])
        alpha = (basis[:, k] * w).sum(dim=1)
        matrix[:, k, k] = torch.where(active, alpha, 0.0)
        scale = torch.maximum(scale, norms(w))
        if k + 1 == size:
            break
        previous = basis[:, : k + 1]
        # One pass leaves rounding errors of the order of the cancellation; two are enough.
        for _ in range(2):
            w = w - torch.einsum("rk,rkp->rp", torch.einsum("rkp,rp->rk", previous, w), previous)
        beta = norms(w)
        active = (
            active & (k + 1 < sizes_wanted) & (beta > 1e3 * torch.finfo(start.dtype).eps * scale)
        )
        matrix[:, k, k + 1] = matrix[:, k + 1, k] = torch.where(active, beta, 0.0)
        v = w / beta.clamp_min(torch.finfo(start.dtype).tiny).unsqueeze(1)
    return Krylov(basis, matrix, sizes)
