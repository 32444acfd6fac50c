"""Learning rate, clipping, gradient evaluations and tracked weights of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.measures.base import Step, StepMeasure

if TYPE_CHECKING:
    import torch


class LearningRate(StepMeasure):
    """The learning rate of the step, as set by the schedule."""

    name: ClassVar[str] = "learning_rate"
    label: ClassVar[str] = "Learning rate"
    sort_order: ClassVar[int] = 35
    rule: ClassVar[tuple[str, ...]] = (r"\epsilon_k",)
    source: ClassVar[str] = "Notes, (8.14)."
    log: ClassVar[bool] = True

    def compute(self, step: Step) -> torch.Tensor:
        return step.rate


class ClippedShare(StepMeasure):
    """Share of the gradient's components that clipping changed in a step.

    Clipping by norm changes all components or none, so the mean over steps is the share of clipped
    steps; clipping by value may change only some. Recorded where a run clips gradients.
    """

    name: ClassVar[str] = "clipped_share"
    label: ClassVar[str] = "Clipped share"
    sort_order: ClassVar[int] = 37
    source: ClassVar[str] = "Notes, gradient clipping."
    of_clipping: ClassVar[bool] = True

    def compute(self, step: Step) -> torch.Tensor:
        assert step.clipped is not None, "not recorded where no run clips gradients"
        return step.clipped


class GradientEvaluations(StepMeasure):
    """Gradients of the objective on a batch that the run has evaluated, up to and including a step.

    Line searches evaluate one at each trial, a product with the Hessian or the Fisher matrix counts
    as two, a blurred objective has one for each draw. Values of the objective alone are not counted.
    Not recorded where every step evaluates one: the number of steps then says the same.
    """

    name: ClassVar[str] = "gradient_evaluations"
    label: ClassVar[str] = "Gradient evaluations"
    sort_order: ClassVar[int] = 38
    source: ClassVar[str] = "The usual unit of cost of methods that take different steps."
    of_evaluations: ClassVar[bool] = True

    def compute(self, step: Step) -> torch.Tensor:
        assert step.gradient_evaluations is not None, "not recorded where each step has one"
        return step.gradient_evaluations


class Weights(StepMeasure):
    """The tracked weights after each step, one column per weight."""

    name: ClassVar[str] = "weights"
    label: ClassVar[str] = "Weights"
    sort_order: ClassVar[int] = 40
    source: ClassVar[str] = "Notes, Figure 8.5: the path of the parameters."

    def compute(self, step: Step) -> torch.Tensor:
        if not len(step.tracked):
            return step.after.new_empty((len(step.after), 0))
        return step.after.index_select(1, step.tracked)
