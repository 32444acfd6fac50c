"""Norms of gradients, updates and weights."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure, Step, StepMeasure
from optlab.core.lazy import torch


class GradientNorm(StepMeasure):
    """Euclidean norm of the batch gradient, before clipping.

    It has a noise floor: the gradient of a batch of m examples deviates from the full gradient by
    about σ/√m, where σ² is the variance of the gradients of single examples, summed over all
    components. So it does not vanish at a minimum unless σ does, and a norm that has not shrunk
    says nothing about critical points. Use the full gradient norm for the gradient-norm test.
    """

    name: ClassVar[str] = "gradient_norm"
    label: ClassVar[str] = "Gradient norm"
    sort_order: ClassVar[int] = 20
    rule: ClassVar[tuple[str, ...]] = (
        r"\left\| g \right\|",
        r"\mathbb{E} \left\| g \right\|^2"
        r" = \left\| \nabla J(\theta) \right\|^2 + \frac{\sigma^2}{m}",
    )
    symbols: ClassVar[dict[str, str]] = {
        "g": "gradient of the objective on a batch",
        "∇J": "full gradient, on the entire training set",
        "σ²": "variance of the gradients of single examples, summed over all components",
        "m": "number of examples in a batch",
    }
    source: ClassVar[str] = "Notes, Figure 8.1 and the batch size."
    log: ClassVar[bool] = True

    def compute(self, step: Step) -> torch.Tensor:
        return step.gradient_norm


class FullGradientNorm(EvaluationMeasure):
    """Euclidean norm of the gradient of the objective on the entire training set.

    The penalty is included. The gradient-norm test uses this norm: at a critical point it is zero,
    unlike the norm of a batch gradient, which never falls below its noise. If it is not negligible
    compared with its value at the start, the run is not at a critical point, though steps that are
    too large or too noisy may keep it circling around one. If it is negligible, the run is close to a critical point of some kind,
    a minimum, a saddle or a flat region, or on the way to a limit at infinity, as the cross-entropy
    of separable classes. The search for a critical point shows which.

    A value costs a forward and a backward pass through the training set, so it is recorded at the
    start, at the end, and at some evaluations in between: see "Full gradient every" in the measure
    plan. Stopping rules that need it have it recorded at their own evaluations. With streamed
    examples there is no training set: it is then the norm on 10,000 held-out examples, which
    estimates the gradient of the risk and does not fall below its own noise.
    """

    name: ClassVar[str] = "full_gradient_norm"
    label: ClassVar[str] = "Full gradient norm"
    sort_order: ClassVar[int] = 22
    rule: ClassVar[tuple[str, ...]] = (r"\left\| \nabla J(\theta) \right\|",)
    symbols: ClassVar[dict[str, str]] = {
        "J": "objective on the entire training set, penalty included"
    }
    source: ClassVar[str] = "Notes, the gradient-norm test for local minima."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.full_gradient_norm


class UpdateNorm(StepMeasure):
    """Euclidean norm of the change of the parameters in a step."""

    name: ClassVar[str] = "update_norm"
    label: ClassVar[str] = "Update norm"
    sort_order: ClassVar[int] = 30
    rule: ClassVar[tuple[str, ...]] = (r"\left\| \theta_{k+1} - \theta_k \right\|",)
    source: ClassVar[str] = "Notes, momentum: the size of each step."
    log: ClassVar[bool] = True

    def compute(self, step: Step) -> torch.Tensor:
        norm: torch.Tensor = torch.linalg.vector_norm(step.after - step.before, dim=1)
        return norm


class WeightNorm(EvaluationMeasure):
    """Euclidean norm of all weights, without biases.

    Where classes can be separated, cross-entropy has no minimum: the loss tends to 0 without
    reaching it, and this norm grows without bound.
    """

    name: ClassVar[str] = "weight_norm"
    label: ClassVar[str] = "Weight norm"
    sort_order: ClassVar[int] = 96
    rule: ClassVar[tuple[str, ...]] = (r"\lVert W \rVert = \sqrt{\sum_i W_i^2}",)
    symbols: ClassVar[dict[str, str]] = {"W": "the weights, without biases"}
    source: ClassVar[str] = "Notes, ill-posed objectives: a loss without a minimum."
    log: ClassVar[bool] = True

    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        return evaluation.weight_norm
