"""Orthonormal vectors that span the Krylov spaces of R matrices."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from optlab.core.lazy import torch

_FIRST_ROWS = 8
"""Vectors for which there is memory at first: most warm searches need no more."""
_KEPT_VALUES = 1_000_000
"""Numbers that a basis may hold to be kept for the next search, which then begins sooner."""
_kept = threading.local()


class _Dimension(NamedTuple):
    """What orthogonalizing against the first d vectors needs, made once.

    Attributes:
        done: the vectors ``[R, d, P]``; across: the same transposed. first, again: room for the
            coefficients of both passes, ``[R, 1, d]``. numbers: ``first`` ``[R, d]`` as NumPy has
            it; None on other devices than the CPU.
    """

    done: torch.Tensor
    across: torch.Tensor
    first: torch.Tensor
    again: torch.Tensor
    numbers: NDArray[Any] | None


class KrylovBasis:
    """Orthonormal vectors of R spaces, of which each has the same dimension.

    Args:
        like: ``[R, P]``, for size, device and precision. most: vectors that there are at most.
    """

    def __init__(self, like: torch.Tensor, most: int) -> None:
        runs, parameters = like.shape
        self._most = most
        # Vectors first, so that each of them is one piece of memory.
        self._memory = like.new_empty(_FIRST_ROWS, runs, parameters)
        self._rest = like.new_empty(runs, 1, parameters)
        self._remainder = self._rest.squeeze(1)
        self._length = like.new_empty(runs, 1)
        on_cpu = like.device.type == "cpu"
        self._length_numbers = self._length.numpy().squeeze(1) if on_cpu else None
        self._rows: list[torch.Tensor] = []
        self._dimensions: dict[int, _Dimension] = {}

    @classmethod
    def empty(cls, like: torch.Tensor, most: int) -> KrylovBasis:
        """Return a basis for ``like`` ``[R, P]``, in memory of an earlier one where there is some.

        Whoever is done with a basis may :meth:`keep` it, once nothing refers to its vectors.

        Args:
            most: vectors that there are at most.
        """
        found: KrylovBasis | None = getattr(_kept, "basis", None)
        _kept.basis = None
        if found is not None and found._fits(like):
            found._most = most
            return found
        return cls(like, most)

    def keep(self) -> None:
        """Leave the memory to the next basis of this thread."""
        if self._memory.numel() <= _KEPT_VALUES:
            _kept.basis = self

    def _fits(self, like: torch.Tensor) -> bool:
        mine = self._remainder
        return (mine.shape, mine.dtype, mine.device) == (like.shape, like.dtype, like.device)

    def row(self, index: int) -> torch.Tensor:
        """Return the memory ``[R, P]`` of a vector."""
        while len(self._rows) <= index:
            if len(self._rows) == len(self._memory):
                self._grow()
            self._rows.append(self._memory[len(self._rows)])
        return self._rows[index]

    def _grow(self) -> None:
        have, runs, parameters = self._memory.shape
        rows = max(have + 1, min(self._most, 2 * have))
        grown = self._memory.new_empty(rows, runs, parameters)
        grown[:have] = self._memory
        self._memory = grown
        self._rows = list(grown[:have])
        self._dimensions.clear()

    def vectors(self, dimension: int) -> torch.Tensor:
        """Return the first vectors, ``[d, R, P]``."""
        return self._memory[:dimension]

    def replace(self, vectors: torch.Tensor) -> None:
        """Put others in place of the first vectors, ``[d, R, P]``."""
        self._memory[: len(vectors)] = vectors

    def orthogonalize(
        self, w: torch.Tensor, dimension: int
    ) -> tuple[NDArray[Any], NDArray[Any], torch.Tensor]:
        """Take from ``w`` ``[R, P]`` its part in the first ``dimension`` vectors.

        Returns:
            The coefficients of that part ``[R, d]``, the length of the rest ``[R]``, and the rest
                ``[R, P]``. The next call overwrites all three.
        """
        part = self._dimensions.get(dimension)
        if part is None:
            part = self._dimensions[dimension] = self._dimension(dimension)
        # As rows: with several runs, batched products with a single column are many times slower.
        row = w.detach().unsqueeze(1)
        torch.bmm(row, part.across, out=part.first)
        torch.baddbmm(row, part.first, part.done, alpha=-1.0, out=self._rest)
        # One pass leaves rounding errors of the order of the cancellation; two are enough.
        torch.bmm(self._rest, part.across, out=part.again)
        self._rest.baddbmm_(part.again, part.done, alpha=-1.0)
        part.first.add_(part.again)
        torch.linalg.vector_norm(self._remainder, dim=1, keepdim=True, out=self._length)
        if part.numbers is not None and self._length_numbers is not None:
            return part.numbers, self._length_numbers, self._remainder
        both = torch.cat([part.first.squeeze(1), self._length], dim=1).cpu().numpy()
        return both[:, :-1], both[:, -1], self._remainder

    def append(self, dimension: int) -> torch.Tensor:
        """Make what :meth:`orthogonalize` left a vector of unit length after the first ones.

        Returns:
            Its memory, ``[R, P]``; not finite where nothing was left.
        """
        return torch.div(self._remainder, self._length, out=self.row(dimension))

    def _dimension(self, dimension: int) -> _Dimension:
        done = self.vectors(dimension).transpose(0, 1)
        first, again = (self._rest.new_empty(len(done), 1, dimension) for _ in range(2))
        numbers = np.squeeze(first.numpy(), 1) if first.device.type == "cpu" else None
        return _Dimension(done, done.transpose(1, 2), first, again, numbers)
