"""Random draws of foreign optimizers: from the seed of the run and the step, and nothing else.

Such an optimizer draws from the generators of Python, NumPy and torch, or from one of its own. Each
step seeds them anew, so that it draws the same when it is repeated, and puts back what they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from optlab.core.lazy import torch


def seed_of(run: int, step: int) -> int:
    """Return the seed of a step of a run with the seed ``run``; step 0 is the construction."""
    return random.Random(f"optimizer {run} {step}").getrandbits(32)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Seed the generators of Python, NumPy and torch inside, and restore them afterwards."""
    python, arrays = random.getstate(), np.random.get_state()
    # torch.manual_seed would note the whole stack of calls for each kind of device without a use.
    sources = [torch.default_generator]
    if torch.cuda.is_initialized():
        sources += torch.cuda.default_generators
    states = [source.get_state() for source in sources]
    try:
        for source in sources:
            source.manual_seed(seed)
        if torch.backends.mps.is_available():
            torch.mps.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)
        for source, state in zip(sources, states, strict=True):
            source.set_state(state)


def reseed(generators: Sequence[Any], seed: int) -> None:
    """Seed generators that an optimizer keeps."""
    for generator in generators:
        if isinstance(generator, torch.Generator):
            generator.manual_seed(seed)
        elif isinstance(generator, np.random.Generator):
            bits = generator.bit_generator
            bits.state = type(bits)(seed).state
        else:
            generator.seed(seed)
