"""Named generators: every purpose draws from a stream of its own.

Drawing more for one purpose (a larger model, another sampling order) leaves all other draws
unchanged. Generators live on the CPU, so that a seed means the same on every device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from optlab.core.lazy import torch


def derived(seed: int, purpose: str) -> int:
    """Return a 63-bit seed for one purpose, from the SHA-256 of both."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """Return a new torch generator for one purpose of a run with this seed."""
    return torch.Generator().manual_seed(derived(seed, purpose))


def numpy_generator(seed: int, purpose: str) -> np.random.Generator:
    """Return a new NumPy generator for one purpose of a run; for data sets, which use no torch."""
    return np.random.Generator(np.random.PCG64(derived(seed, purpose)))


def random_units(
    seeds: Sequence[int], purpose: str, x: torch.Tensor
) -> Callable[[int], torch.Tensor]:
    """Return a source of uniform numbers for each example of a batch ``x`` ``[R, m, …]``.

    It maps a number of units to new numbers ``[R, m, units]``, on the device and in the precision
    of ``x``.

    Args:
        seeds: one a run, or one for all.
    """
    sources = [generator(seed, purpose) for seed in seeds]

    def draw(units: int) -> torch.Tensor:
        drawn = [
            torch.rand(x.shape[1], units, generator=source, dtype=torch.float64)
            for source in sources
        ]
        return torch.stack(drawn).to(x).expand(x.shape[0], -1, -1)

    return draw


def generators(seed: int) -> Callable[[str], torch.Generator]:
    """Return the function purpose → new generator."""
    return lambda purpose: generator(seed, purpose)
