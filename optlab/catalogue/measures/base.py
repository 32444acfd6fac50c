"""What a measure is: numbers of each run, recorded at every step or at every evaluation.

Recording a measure never changes the training: a measure reads tensors and has no generator.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from optlab.core.component import Component, Section
from optlab.core.data import LearningTask

if TYPE_CHECKING:
    import torch

When = Literal["step", "evaluation"]


@dataclass
class Step:
    """One step, as measures see it.

    Attributes:
        loss: batch loss ``[R]`` at the point of the gradient.
        gradient: ``[R, P]``, before clipping.
        gradient_norm: norm ``[R]`` of ``gradient``.
        before: parameters ``[R, P]`` before the step.
        after: parameters ``[R, P]`` after the step.
        rate: learning rates ``[R]``.
        tracked: flat indices ``[K]`` of the tracked weights.
        clipped: share ``[R]`` of the gradient's components that clipping changed; None where no run
            clips.
        gradient_evaluations: gradients evaluated so far, this step included, ``[R]`` float64; None
            where each step of every run evaluates one.
    """

    loss: torch.Tensor
    gradient: torch.Tensor
    gradient_norm: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    rate: torch.Tensor
    tracked: torch.Tensor
    clipped: torch.Tensor | None = None
    gradient_evaluations: torch.Tensor | None = None


@dataclass
class Evaluation:
    """One evaluation, as measures see it: values ``[R, n]`` for all examples of a part.

    Errors and margins are None for regression, validation values are None where the part is empty,
    and values on fresh examples are None where none are drawn.

    Attributes:
        training_loss: losses ``[R, n]`` of the training examples.
        training_error: 0-1 errors ``[R, n]`` of the training examples.
        validation_loss: losses ``[R, n]`` of the validation examples.
        validation_error: 0-1 errors ``[R, n]`` of the validation examples.
        training_margin: output of the correct class minus the largest of the others, ``[R, n]``.
        validation_margin: the same for the validation examples.
        fresh_loss: mean loss ``[R]`` over fresh examples of the distribution, on which no run was
            trained.
        fresh_error: mean 0-1 error ``[R]`` over the same fresh examples.
        fresh_excess: ``fresh_loss`` minus that of the best possible predictions of the same
            examples, ``[R]``; None where the expected targets are not known.
        penalty: the weight-decay terms ``[R]`` of the objective; None where it has none.
        weight_norm: Euclidean norm ``[R]`` of the weights, without biases.
        full_gradient_norm: norm ``[R]`` of the gradient of the objective on the entire training
            set; None where it is not due.
        averaged: the same at the averaged parameters; None where nothing is averaged.
        at_point: the same where the next gradient is evaluated; None where no rule shows it.
    """

    training_loss: torch.Tensor
    training_error: torch.Tensor | None
    validation_loss: torch.Tensor | None
    validation_error: torch.Tensor | None
    training_margin: torch.Tensor | None = None
    validation_margin: torch.Tensor | None = None
    fresh_loss: torch.Tensor | None = None
    fresh_error: torch.Tensor | None = None
    fresh_excess: torch.Tensor | None = None
    penalty: torch.Tensor | None = None
    weight_norm: torch.Tensor | None = None
    full_gradient_norm: torch.Tensor | None = None
    averaged: Evaluation | None = None
    at_point: Evaluation | None = None


class Measure(Component):
    """Base of all measures. ``name`` is also the name of the series."""

    kind: ClassVar[str] = "measure"
    section: ClassVar[Section] = Section(
        title="Measure",
        plural="Measures",
        chapter="Instruments",
        order=200,
        per_experiment="none",
    )

    when: ClassVar[When] = "step"
    unit: ClassVar[str] = ""
    tasks: ClassVar[tuple[LearningTask, ...]] = ("classes", "regression")
    """Tasks for which the measure exists."""
    log: ClassVar[bool] = False
    """Whether its natural axis is logarithmic."""


class StepMeasure(Measure):
    """A measure recorded at every step."""

    when: ClassVar[When] = "step"
    of_clipping: ClassVar[bool] = False
    """Whether it exists only where gradients are clipped."""
    of_evaluations: ClassVar[bool] = False
    """Whether it exists only where a step may evaluate another number of gradients than one."""

    @abstractmethod
    def compute(self, step: Step) -> torch.Tensor:
        """Return the values ``[R]``, or ``[R, K]`` for a measure of several numbers."""


class EvaluationMeasure(Measure):
    """A measure recorded at every evaluation."""

    when: ClassVar[When] = "evaluation"

    @abstractmethod
    def compute(self, evaluation: Evaluation) -> torch.Tensor | None:
        """Return the values ``[R]``, or None where they do not exist."""
