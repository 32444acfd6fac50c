"""The further figures of a run's end, beside losses, errors and the gradient norm, in words."""

from __future__ import annotations

from collections.abc import Mapping

from optlab.core import registry
from optlab.training.final_results import ALWAYS

_PERCENT = ("_error", "_share")
"""Endings of the names of shares."""


def further_figures(final: Mapping[str, float | None]) -> list[tuple[str, str]]:
    """Return label and value of what is known beside the figures that every run has.

    They are those of measures that exist only for some experiments: risk, averaged parameters,
    weight decay, margins, the norm of the weights, clipping.

    Args:
        final: see :class:`optlab.training.final_results.FinalResult`.
    """
    labels = {measure.name: measure.label for measure in registry.components("measure")}
    return [
        (labels[name], figure(name, value))
        for name, value in final.items()
        if name in labels and name not in ALWAYS and value is not None
    ]


def figure(name: str, value: float) -> str:
    """Return a value in words: shares as a percentage."""
    return f"{value:.2%}" if name.endswith(_PERCENT) else f"{value:.4g}"
