"""What a loss is: a number an example, and the weight-decay terms that are added to their mean.

The objective is ``J(θ) = mean per-example loss + λ₁‖W‖₁ + ½λ₂‖W‖²`` (8.1, 8.3); the two parts are
reported apart.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from optlab.core.component import Component, Section
from optlab.core.data import LearningTask
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
        shared=True,
    )
    tasks: ClassVar[tuple[LearningTask, ...]] = ()
    """Tasks whose targets the loss can take."""
    canonical: ClassVar[bool] = False
    """Whether :meth:`fisher_product` is also the product with the Hessian of the loss by the
    outputs, as where the outputs are the natural parameters of an exponential family."""

    l2: float = number(
        0.0,
        "Weight decay L2",
        symbol="λ₂",
        ge=0.0,
        log=True,
        slider=(1e-6, 1.0),
        help="Adds ½λ₂‖W‖² to the objective; weights only, not biases.",
    )
    l1: float = number(
        0.0,
        "Weight decay L1",
        symbol="λ₁",
        ge=0.0,
        log=True,
        slider=(1e-6, 1.0),
        help="Adds λ₁‖W‖₁ to the objective; weights only, not biases.",
    )

    @abstractmethod
    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Loss of each example.

        Args:
            outputs: ``[R, m, outputs]``.
            y: class numbers ``[R, m]`` or values ``[R, m, outputs]``.

        Returns:
            ``[R, m]``.
        """

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Mean loss ``[R]`` and its gradient by the outputs ``[R, m, outputs]``; None where the
        loss leaves gradients to autograd.
        """
        return None

    def probabilities(self, outputs: torch.Tensor) -> torch.Tensor | None:
        """The class probabilities ``[R, m, classes]`` that the outputs predict; None where they
        predict none.
        """
        return None

    @classmethod
    def likelihood(cls) -> bool:
        """Whether the loss is a negative log-likelihood: then it says what distribution the outputs
        predict.
        """
        return cls.fisher_product is not Loss.fisher_product

    def fisher_product(self, outputs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """``S u`` ``[R, m, outputs]`` with the Fisher matrix S of the distribution that the outputs
        predict, example by example.

        Raises:
            InvalidInput: the loss is no negative log-likelihood.
        """
        raise InvalidInput(
            f"loss.name is {self.name!r}, which is no negative log-likelihood, so natural gradients do not exist.",
            "loss.name",
        )


def zero_one(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """0-1 loss ``[R, m]`` of the most probable class: 1.0 where it is not ``y`` ``[R, m]``."""
    return (outputs.argmax(dim=2) != y).to(outputs.dtype)


def margin(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """By how much the output of the right class exceeds the largest of the others, ``[R, m]``;
    negative where the 0-1 loss is 1.

    Args:
        outputs: ``[R, m, classes]``, two classes at least. y: class numbers ``[R, m]``.
    """
    right = y.unsqueeze(2)
    others: torch.Tensor = outputs.scatter(2, right, -math.inf).amax(dim=2)
    return outputs.gather(2, right).squeeze(2) - others
