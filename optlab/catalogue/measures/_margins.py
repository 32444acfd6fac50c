"""What the measures of margins share: the margin itself, and what is said of it."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.measures.base import EvaluationMeasure
from optlab.core.data import LearningTask


class MeasureOfMargins(EvaluationMeasure):
    """A measure of by how much the output of the right class exceeds the largest of the others."""

    rule: ClassVar[tuple[str, ...]] = (
        r"\frac{1}{n} \sum_i \left(f_{y_i}(x_i) - \max_{k \neq y_i} f_k(x_i)\right)",
    )
    symbols: ClassVar[dict[str, str]] = {"f_k": "output for class k", "n": "number of examples"}
    source: ClassVar[str] = "Notes, surrogate loss functions."
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes",)
