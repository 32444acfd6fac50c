"""Named generators: every purpose draws from a stream of its own.

Drawing more for one purpose (a larger model, another sampling order) leaves all other draws as they were. Generators live on the CPU, so that a
seed means the same on every device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from optlab.lazy import torch as _torch

if TYPE_CHECKING:
    import torch


def derived(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, from the SHA-256 of both (independent for any two purposes)."""
    digest = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A fresh torch generator for one purpose of a run with this seed."""
    return _torch.Generator().manual_seed(derived(seed, purpose))


def generators(seed: int) -> Callable[[str], torch.Generator]:
    """Purpose → fresh generator."""
    return lambda purpose: generator(seed, purpose)
