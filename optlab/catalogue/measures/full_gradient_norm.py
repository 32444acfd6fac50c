"""Norm of the gradient on the whole training set."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure

if TYPE_CHECKING:
    import torch


class FullGradientNorm(EvaluationMeasure):
    """Euclidean norm of the gradient of the objective, penalty included, on the whole training set.

    This is the norm that the gradient-norm test is about. At a critical point it is zero, unlike
    the norm of a batch gradient, which keeps the size of its noise. If it has not shrunk to
    insignificance against its value at the start, the run is at no critical point, so no local
    minimum is what holds it back. If it has, the run is close to a critical point of some kind: a
    minimum, a saddle or a flat region; the Hessian tells which.

    It costs a pass forwards and backwards through the training set, so it is taken at the start, at
    the end, and at some evaluations between: see "Full gradient every" of the measure plan.
    Stopping rules that ask for it have it recorded where they do. Where fresh examples are streamed
    there is no training set: then it is the norm on 10,000 held examples, which estimates the
    gradient of the risk and does not fall below its own noise.
    """

    name: ClassVar[str] = "full_gradient_norm"
    label: ClassVar[str] = "Full gradient norm"
    sort_order: ClassVar[int] = 22
    rule: ClassVar[tuple[str, ...]] = (r"\left\| \nabla J(\theta) \right\|",)
    symbols: ClassVar[dict[str, str]] = {"J": "objective on the whole training set, with penalty"}
    source: ClassVar[str] = "Notes, the gradient-norm test for local minima."
    log: ClassVar[bool] = True

    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.full_gradient_norm
