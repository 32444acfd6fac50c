"""Dropout: in a training pass of a step, random units are zero and the others scaled up.

Each run draws its masks from a generator of its own, seeded for the step, so a run draws the same
alone and in a population, and all passes of a step see the same masks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optlab.catalogue.models.base import ForwardContext
from optlab.core.fields import number
from optlab.core.lazy import torch

Drop = Callable[["torch.Tensor"], "torch.Tensor"]
"""Values ``[R, m, …]`` → the same with a random share of them zero and the others scaled up."""


def dropout_field(where: str) -> Any:
    """Return the declaration of the field ``dropout``.

    Args:
        where: what is dropped, at the end of a sentence.
    """
    return number(
        0.0,
        "Dropout",
        symbol="p",
        ge=0.0,
        lt=1.0,
        slider=(0.0, 0.9),
        help=f"Share of values that a training pass sets to zero at random, {where}; the others are "
        "divided by 1 − p. Evaluations, instruments and spectra see the network without dropout.",
    )


def dropping(share: float, context: ForwardContext) -> Drop | None:
    """Return what drops values in a pass; None in a pass that does not.

    The masks of one pass are drawn one after the other from the generators of the runs.

    Args:
        share: of the values that are set to zero.
    """
    if share == 0.0 or context.seeds is None or not context.training:
        return None
    sources = [torch.Generator().manual_seed(seed) for seed in context.seeds]

    def drop(values: torch.Tensor) -> torch.Tensor:
        kept = torch.stack(
            [
                torch.rand(values.shape[1:], generator=source, dtype=torch.float64) >= share
                for source in sources
            ]
        )
        return values * (kept.to(values) / (1.0 - share))

    return drop


WRITTEN = '''def dropped(values, share, masks):
    """Set a random share of the values to zero and scale the others up; without masks, none."""
    if masks is None:
        return values
    kept = torch.rand(values.shape, generator=masks, dtype=torch.float64) >= share
    return values * (kept.to(values) / (1.0 - share))


'''
"""The source of :func:`dropping` for scripts: ``masks`` is the generator of a pass of a step."""
