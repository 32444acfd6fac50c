"""The compiled loops of a step: now, or once a thread has them ready."""

from __future__ import annotations

import functools

import torch

from optlab.numerics.compiled import background, compiler
from optlab.numerics.compiled.compiler import Function
from optlab.numerics.compiled.loop import ARGUMENTS, NAME
from optlab.optim.flat.listing import Listing
from optlab.optim.flat.stages import stages

Functions = tuple[Function, ...]
"""What :meth:`~optlab.numerics.compiled.loop.Loop.compiled` returns, for each loop of a step."""


@functools.cache
def _sources(listing: Listing, dtype: torch.dtype) -> tuple[str, ...]:
    return tuple(loop.source(dtype) for loop in stages(listing).loops)


def functions_of(listing: Listing, dtype: torch.dtype, *, fused: bool | None) -> Functions | None:
    """Return the loops for values of a type with which a step begins; None for ordinary steps.

    Args:
        listing: what a step does.
        dtype: float32 or float64.
        fused: whether the loops are compiled now; None where those that are ready are used.

    Raises:
        NotCompiled: there is no compiler, or it fails.
    """
    if fused is False:
        return None
    sources = _sources(listing, dtype)
    if fused:
        return tuple(compiler.compiled(source, NAME, ARGUMENTS) for source in sources)
    return _all([background.compiled_before(source) for source in sources])


def awaited(listing: Listing, dtype: torch.dtype) -> Functions | None:
    """Return the loops for values of a type; None while a thread compiles them.

    Raises:
        NotCompiled: there is no compiler, or it has failed.
    """
    sources = _sources(listing, dtype)
    return _all([background.awaited(source, NAME, ARGUMENTS) for source in sources])


def _all(found: list[Function | None]) -> Functions | None:
    functions = tuple(one for one in found if one is not None)
    return functions if len(functions) == len(found) else None
