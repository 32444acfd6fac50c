"""How many directions are left of a batch after many random layers."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from optlab.core.fields import flag, integer
from optlab.core.lazy import torch
from optlab.objective.seeding import generator
from optlab.studies.probes.base import Probe

_LAYERS_BETWEEN_SIGNS = 10


class RankCollapse(Probe):
    """The soft rank of a batch of random inputs after many ReLU layers of random weights.

    The soft rank is (Σλ)² / Σλ² of the eigenvalues λ of XᵀX: 1 where all rows point the same way,
    and as many as there are rows where they point all ways alike.
    """

    name: ClassVar[str] = "rank_collapse"
    label: ClassVar[str] = "Rank after many layers"
    source: ClassVar[str] = (
        "H. Daneshmand, J. Kohler, F. Bach, T. Hofmann, A. Lucchi (2020), Batch normalization "
        "provably avoids rank collapse for randomly initialised deep networks."
    )

    depth: int = integer(200, "Layers", ge=1, le=10_000, help="Number of layers.")
    width: int = integer(128, "Units", ge=2, le=4096, help="Units of each layer.")
    size: int = integer(64, "Batch size", ge=2, le=4096, help="Number of inputs.")
    batch_norm: bool = flag(
        False, "Batch normalization", help="Whether each layer is normalized over the batch."
    )

    def measure(self, seed: int) -> Generator[float, None, float]:
        source = generator(seed, "probe/rank_collapse")
        x = torch.randn(self.size, self.width, generator=source, dtype=torch.float64)
        for layer in range(self.depth):
            weight = torch.randn(self.width, self.width, generator=source, dtype=torch.float64)
            x = x @ weight * (2.0 / self.width) ** 0.5
            if self.batch_norm:
                x = (x - x.mean(dim=0)) / (x.var(dim=0, correction=0) + 1e-12).sqrt()
            x = x.relu()
            x = x / x.norm() * (self.size * self.width) ** 0.5
            if layer % _LAYERS_BETWEEN_SIGNS == 0:
                yield layer / self.depth
        values = torch.linalg.eigvalsh(x @ x.T).clamp_min(0.0)
        return float(values.sum().square() / values.square().sum())

    def words(self) -> str:
        return f"soft rank of {self.size} inputs"
