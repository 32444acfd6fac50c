"""Named generators: every purpose draws from a stream of its own.

Drawing more for one purpose (a larger model, another sampling order) leaves all other draws as they
were. Generators live on the CPU, so that a seed means the same on every device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from optlab.core.lazy import torch


def derived(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, from the SHA-256 of both (independent for any two purposes)."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A fresh torch generator for one purpose of a run with this seed."""
    return torch.Generator().manual_seed(derived(seed, purpose))


def numpy_generator(seed: int, purpose: str) -> np.random.Generator:
    """A fresh NumPy generator for one purpose of a run with this seed; for draws of data sets,
    which know no torch.
    """
    return np.random.Generator(np.random.PCG64(derived(seed, purpose)))


def random_units(
    seeds: Sequence[int], purpose: str, x: torch.Tensor
) -> Callable[[int], torch.Tensor]:
    """Number of units → fresh uniform numbers ``[R, m, units]`` for each example of a batch ``x``
    ``[R, m, …]``, where and as precise as it is.

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
    """Purpose → fresh generator."""
    return lambda purpose: generator(seed, purpose)
