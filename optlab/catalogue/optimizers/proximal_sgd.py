"""Proximal gradient descent for the L1 penalty: steps followed by a soft threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from optlab.catalogue.optimizers import _per_tensor as per_tensor
from optlab.catalogue.optimizers import _shared_fields as shared
from optlab.catalogue.optimizers.base import Optimizer, State
from optlab.core.fields import number
from optlab.core.lazy import torch

if TYPE_CHECKING:
    from optlab.core.hyperparameters import Hyperparameters


class ProximalSGD(Optimizer):
    """Gradient descent on the loss, and an exact step on an L1 penalty that sets weights to zero.

    The penalty λ₁‖W‖₁ has no gradient where a weight is zero, and descent along its sign jumps to
    and fro across zero. The proximal step solves for the penalty exactly: every weight moves by
    ε λ₁ towards zero and stops there. So weights that the loss does not need are exactly zero.
    """

    name: ClassVar[str] = "proximal_sgd"
    label: ClassVar[str] = "Proximal SGD (L1)"
    group: ClassVar[str] = "Basic algorithms"
    sort_order: ClassVar[int] = 34
    rule: ClassVar[tuple[str, ...]] = (
        r"u = \theta - \epsilon\, g",
        r"\theta \leftarrow \mathrm{sign}(u)\, \max(|u| - \epsilon \lambda_1,\ 0)",
    )
    symbols: ClassVar[dict[str, str]] = {
        "θ": "parameters; the second line is for weights only, biases take u",
        "g": "gradient of the objective on the batch, without the penalty",
    }
    elementwise: ClassVar[bool] = False
    source: ClassVar[str] = (
        "N. Parikh, S. Boyd, Proximal Algorithms (2014), section 4.2; I. Daubechies et al. (2004),"
        " ISTA; not in the notes."
    )
    differences: ClassVar[str] = (
        "torch has no proximal rule. The penalty is a field of the rule, because the L1 term of the"
        " loss is part of its gradient: set that one to zero, or both act. The recorded losses do"
        " not contain it. In optlab.optim tensors of less than two dimensions count as biases."
    )

    lr: float = shared.learning_rate(
        0.1, slider=(1e-5, 10.0), help="Factor of gradient and penalty.", why="As for SGD."
    )
    l1: float = number(
        1e-3,
        "L1 penalty",
        symbol="λ₁",
        ge=0.0,
        log=True,
        slider=(1e-6, 1.0),
        help="Weights move by this value times the learning rate towards zero and stop there.",
        why="Small enough to keep the accuracy of most models, large enough for some zeros.",
    )

    @staticmethod
    def update(
        theta: torch.Tensor, g: torch.Tensor, state: State, h: Hyperparameters
    ) -> tuple[torch.Tensor, State]:
        u = theta - h.lr * g
        weights = [float(spec.role == "weight") for spec in h.layout.parameters]
        mask = per_tensor.numbers(weights, theta).unsqueeze(0)
        threshold = per_tensor.spread(mask, h.layout) * (h.lr * h.l1)
        return u.sign() * (u.abs() - threshold).clamp(min=0.0), {}
