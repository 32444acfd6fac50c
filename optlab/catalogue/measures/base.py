"""What a measure is: a number (or several) for each run, taken at every step or at every
evaluation.

Taking a measure never changes the training: it gets tensors to read and no generator.
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
    """What can be seen of one step.

    Attributes:
        loss: batch loss ``[R]`` at the point where the gradient was taken.
        gradient: ``[R, P]``, before clipping; ``gradient_norm``: its norm ``[R]``.
        before, after: parameters ``[R, P]`` on either side of the step.
        rate: learning rates ``[R]``.
        tracked: flat positions ``[K]`` of the weights that are followed.
        clipped: share ``[R]`` of the gradient's components that clipping changed; None where no run
            clips.
    """

    loss: torch.Tensor
    gradient: torch.Tensor
    gradient_norm: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    rate: torch.Tensor
    tracked: torch.Tensor
    clipped: torch.Tensor | None = None


@dataclass
class Evaluation:
    """What can be seen at an evaluation: per-example losses, 0-1 errors and margins ``[R, n]`` on
    whole parts.

    Errors and margins are None for regression; validation is None where the part is empty, and
    fresh examples where none are drawn.

    Attributes:
        training_margin, validation_margin: output of the right class less the largest of the
            others.
        fresh_loss, fresh_error: means ``[R]`` over fresh examples of the distribution, which no run
            was trained on.
        penalty: the weight-decay terms ``[R]`` of the objective; None where it has none.
        weight_norm: Euclidean norm ``[R]`` of the weights, biases left out.
        full_gradient_norm: norm ``[R]`` of the gradient of the objective on the whole training set;
            None where it is not due.
        averaged: the same at the averaged parameters; None where nothing is averaged.
    """

    training_loss: torch.Tensor
    training_error: torch.Tensor | None
    validation_loss: torch.Tensor | None
    validation_error: torch.Tensor | None
    training_margin: torch.Tensor | None = None
    validation_margin: torch.Tensor | None = None
    fresh_loss: torch.Tensor | None = None
    fresh_error: torch.Tensor | None = None
    penalty: torch.Tensor | None = None
    weight_norm: torch.Tensor | None = None
    full_gradient_norm: torch.Tensor | None = None
    averaged: Evaluation | None = None


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
    """A measure of every step."""

    when: ClassVar[When] = "step"
    of_clipping: ClassVar[bool] = False
    """Whether it exists only where gradients are clipped."""

    @abstractmethod
    def take(self, step: Step) -> torch.Tensor:
        """The values ``[R]``, or ``[R, K]`` for a measure of several numbers."""


class EvaluationMeasure(Measure):
    """A measure of every evaluation."""

    when: ClassVar[When] = "evaluation"

    @abstractmethod
    def take(self, evaluation: Evaluation) -> torch.Tensor | None:
        """The values ``[R]``, or None where they do not exist."""
