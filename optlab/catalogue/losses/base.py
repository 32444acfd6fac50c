"""What a loss is: a number for each example, and weight-decay terms that are added to their mean.

The objective is ``J(θ) = mean per-example loss + λ₁‖W‖₁ + ½λ₂‖W‖²`` (8.1, 8.3); the two parts
are reported separately.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Self

from optlab.core.component import Component, Section
from optlab.core.data import DataShape, LearningTask
from optlab.core.errors import InvalidInput
from optlab.core.fields import number

if TYPE_CHECKING:
    import torch


class Loss(Component):
    """Base of all losses."""

    kind: ClassVar[str] = "loss"
    section: ClassVar[Section] = Section(
        title="Loss",
        plural="Losses",
        chapter="What is optimized",
        order=30,
        form_order=70,
    )
    tasks: ClassVar[tuple[LearningTask, ...]] = ()
    """Tasks whose targets the loss accepts."""
    canonical: ClassVar[bool] = False
    """Whether :meth:`fisher_product` is also the product with the Hessian of the loss by the
    outputs. It is where the outputs are the natural parameters of an exponential family.
    """
    ignores_shift: ClassVar[bool] = False
    """Whether the loss stays the same when all outputs of an example change by the same amount."""

    l2: float = number(
        0.0,
        "Weight decay L2",
        symbol="λ₂",
        ge=0.0,
        log=True,
        slider=(1e-6, 1.0),
        help="Adds ½λ₂‖W‖² to the objective; applies to weights, not to biases.",
    )
    l1: float = number(
        0.0,
        "Weight decay L1",
        symbol="λ₁",
        ge=0.0,
        log=True,
        slider=(1e-6, 1.0),
        help="Adds λ₁‖W‖₁ to the objective; applies to weights, not to biases.",
    )

    def scheduled_fields(self) -> tuple[str, ...]:
        # The weight-decay terms; other numbers of a loss define what is minimized.
        return ("l1", "l2")

    def misfit(self, shape: DataShape) -> str:
        """Return why the loss cannot take targets of a shape; "" if it can.

        Args:
            shape: of the data, of one of :attr:`tasks`.
        """
        return ""

    def best_outputs(self, expected: torch.Tensor) -> torch.Tensor | None:
        """Return the outputs of the lowest expected loss, ``[R, m, outputs]``.

        Args:
            expected: the expected targets, values or probabilities of the classes, of that shape.

        Returns:
            None where they do not follow from the expected targets.
        """
        return None

    def without_decay(self) -> Self:
        """Return the loss of an example alone, without weight-decay terms."""
        return self.model_copy(update={"l1": 0.0, "l2": 0.0})

    @abstractmethod
    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Compute the loss of each example.

        Args:
            outputs: ``[R, m, outputs]``.
            y: class numbers ``[R, m]`` or values ``[R, m, outputs]``.

        Returns:
            ``[R, m]``.
        """

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Compute the mean loss and its gradient by the outputs.

        Args:
            outputs: ``[R, m, outputs]``.
            y: class numbers ``[R, m]`` or values ``[R, m, outputs]``.

        Returns:
            Mean loss ``[R]`` and gradient ``[R, m, outputs]``; None where the loss leaves gradients
            to autograd.
        """
        return None

    def written(self, task: LearningTask) -> str:
        """Return the loss of each example of one run as source, for scripts; "" where there is none.

        It is an expression of ``outputs`` ``[m, outputs]`` and ``y``, class numbers ``[m]`` or
        values ``[m, outputs]``, in which ``F`` is ``torch.nn.functional``.
        """
        return ""

    def probabilities(self, outputs: torch.Tensor) -> torch.Tensor | None:
        """Return the class probabilities ``[R, m, classes]`` that the outputs predict.

        None where they predict none.
        """
        return None

    @classmethod
    def likelihood(cls) -> bool:
        """Return whether the loss is a negative log-likelihood.

        It then defines the distribution that the outputs predict.
        """
        return cls.fisher_product is not Loss.fisher_product

    def fisher_product(self, outputs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Multiply by the Fisher matrix S of the predicted distribution, example by example.

        Args:
            outputs: ``[R, m, outputs]``.
            u: ``[R, m, outputs]``.

        Returns:
            ``S u`` ``[R, m, outputs]``.

        Raises:
            InvalidInput: the loss is not a negative log-likelihood.
        """
        raise InvalidInput(
            f"loss.name is {self.name!r}, which is not a negative log-likelihood, so natural "
            "gradients do not exist.",
            "loss.name",
        )

    def fisher_products(self, outputs: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``u`` → ``S u``, which is :meth:`fisher_product` at ``outputs`` ``[R, m, outputs]``.

        A loss overrides it where the matrices need work that does not depend on ``u``.
        """
        return functools.partial(self.fisher_product, outputs)

    def draw(self, outputs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        """Return targets drawn from the predicted distribution, example by example.

        Args:
            outputs: ``[R, m, outputs]``.
            uniforms: independent numbers in [0, 1) that decide the draws, ``[R, m, outputs]``
                float64 on the CPU.

        Returns:
            Class numbers ``[R, m]`` or values ``[R, m, outputs]``, as the loss takes them.

        Raises:
            InvalidInput: the loss is not a negative log-likelihood.
        """
        raise InvalidInput(
            f"loss.name is {self.name!r}, which is not a negative log-likelihood, so it predicts no "
            "distribution to draw from.",
            "loss.name",
        )


def most_probable(outputs: torch.Tensor) -> torch.Tensor:
    """Return the class of the largest output of ``[R, m, classes]``: ``[R, m]``, the first of equals."""
    # As argmax, which takes ten times as long over a few classes.
    return outputs.max(dim=2).indices


def zero_one(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the 0-1 loss ``[R, m]``: 1.0 where the most probable class is not ``y`` ``[R, m]``."""
    return (most_probable(outputs) != y).to(outputs.dtype)


def margin(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return by how much the output of the correct class exceeds the largest of the others.

    Args:
        outputs: ``[R, m, classes]``, at least two classes.
        y: class numbers ``[R, m]``.

    Returns:
        ``[R, m]``; negative where the 0-1 loss is 1.
    """
    correct = y.unsqueeze(2)
    others: torch.Tensor = outputs.scatter(2, correct, -math.inf).amax(dim=2)
    return outputs.gather(2, correct).squeeze(2) - others
