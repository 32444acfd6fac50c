"""Fresh examples, as tensors, of a data set whose distribution is known.

Streaming trains on them, and the risk is measured on them. Every draw is a pure function of a seed
and a purpose. Large draws come in pieces, so that they need not fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optlab.catalogue.datasets.base import Dataset
from optlab.core.data import Data, Part
from optlab.core.lazy import torch
from optlab.objective.seeding import numpy_generator

_PIECE_VALUES = 1_000_000
"""Input values drawn in one piece (8 MB)."""


class FreshExamples:
    """Draws of an endless data set in the units, precision and device of a run.

    Args:
        dataset: an endless one. data: the same, loaded; only its units are kept.
    """

    def __init__(self, dataset: Dataset, data: Data, device: str, dtype: torch.dtype) -> None:
        self._dataset = dataset
        self._offset, self._scale = data.offset, data.scale
        self._device, self._dtype = device, dtype
        self._rows = max(1, _PIECE_VALUES // max(1, data.shape.width))

    def draw(self, seed: int, purpose: str, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ``n`` examples: ``x`` ``[n, *inputs]`` and ``y`` ``[n]`` or ``[n, outputs]``."""
        return self._tensors(numpy_generator(seed, purpose), n)

    def pieces(
        self, seed: int, purpose: str, n: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield ``n`` examples ``[k, …]``, a bounded piece at a time."""
        source = numpy_generator(seed, purpose)
        for begin in range(0, n, self._rows):
            yield self._tensors(source, min(self._rows, n - begin))

    def expected(self, x: torch.Tensor) -> torch.Tensor | None:
        """Return the expected targets ``[n, outputs]`` of inputs ``x`` ``[n, *inputs]`` of a draw.

        Returns:
            None where the data set does not know them.
        """
        values = self._dataset.expected(x.double().cpu().numpy() * self._scale + self._offset)
        return None if values is None else torch.from_numpy(values).to(x)

    def _tensors(self, source: np.random.Generator, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors(
            self._dataset.fresh(source, n, self._offset, self._scale), self._device, self._dtype
        )


def tensors(part: Part, device: str, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs ``[n, *inputs]`` and targets ``[n]`` or ``[n, outputs]`` on a device.

    Real values have the precision of the run, class numbers are int64.
    """
    x = torch.from_numpy(part.x).to(device=device, dtype=dtype)
    y = torch.from_numpy(part.y).to(device=device)
    return x, y.to(dtype) if y.is_floating_point() else y
