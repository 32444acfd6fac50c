"""Weight decay: the terms ``λ₁‖W‖₁ + ½λ₂‖W‖²`` of the objective, and their derivatives.

The factors are numbers where the runs agree, else columns ``[R, 1]``. A column multiplies an
infinite weight by zero where a run has no decay, so such runs are left out of the terms.
"""

from __future__ import annotations

from collections.abc import Sequence

from optlab.catalogue.losses.base import Loss
from optlab.core.layout import Layout
from optlab.core.lazy import torch


class WeightDecay:
    """The weight-decay terms of R runs.

    Args:
        losses: that of each run, or one that all have. layout: of the parameters.

    Attributes:
        active: whether a run has a weight-decay term. has_l1: whether one has an L1 term.
    """

    def __init__(self, losses: Sequence[Loss], layout: Layout) -> None:
        self._layout = layout
        self._l1, self._l2 = [loss.l1 for loss in losses], [loss.l2 for loss in losses]
        self.has_l1 = any(self._l1)
        self._has_l2 = any(self._l2)
        self.active = self.has_l1 or self._has_l2
        self._differ = len(set(zip(self._l1, self._l2, strict=True))) > 1
        self._columns: tuple[torch.Tensor, torch.Tensor] | None = None
        self._mask: torch.Tensor | None = None
        self._diagonal: tuple[torch.Tensor, torch.Tensor] | None = None
        """The mask, and the diagonal of the Hessian that was made of it."""

    def replaced(self, losses: Sequence[Loss]) -> WeightDecay:
        """Return the terms of other losses for the same parameters."""
        other = WeightDecay(losses, self._layout)
        other._mask = self._mask
        return other

    def mask(self, theta: torch.Tensor) -> torch.Tensor:
        """Return 1 for weights and 0 for biases, ``[P]``."""
        if (
            self._mask is None
            or self._mask.device != theta.device
            or self._mask.dtype != theta.dtype
        ):
            parts = [
                torch.full((spec.size,), float(spec.role == "weight"))
                for spec in self._layout.parameters
            ]
            self._mask = torch.cat(parts).to(theta)
        return self._mask

    def penalty(self, theta: torch.Tensor) -> torch.Tensor | None:
        """Return the terms ``[R]`` at ``theta`` ``[R, P]``; None where no run has one."""
        if not self.active:
            return None
        weights = theta * self.mask(theta)
        if not self._differ:
            return self._l1[0] * weights.abs().sum(dim=1) + 0.5 * self._l2[
                0
            ] * weights.square().sum(dim=1)
        l1, l2 = self._factors(theta)
        return _scaled(l1.squeeze(1), weights.abs().sum(dim=1)) + _scaled(
            0.5 * l2.squeeze(1), weights.square().sum(dim=1)
        )

    def gradient(self, theta: torch.Tensor) -> torch.Tensor | None:
        """Return the gradient ``[R, P]`` of the terms at ``theta``; None where no run has one."""
        if not self.active:
            return None
        mask = self.mask(theta)
        if self._differ:
            l1, l2 = self._factors(theta)
            return _scaled(l2, mask * theta) + _scaled(l1, mask * theta.sign())
        if not self.has_l1:
            return torch.mul(theta, mask).mul_(self._l2[0])
        return mask * (self._l2[0] * theta + self._l1[0] * theta.sign())

    def add_gradient(self, gradient: torch.Tensor, theta: torch.Tensor) -> None:
        """Add the gradient of the terms at ``theta`` ``[R, P]`` to ``gradient`` in place."""
        if self._differ:
            own = self.gradient(theta)
            if own is not None:
                gradient.add_(own)
            return
        if self._has_l2:
            gradient.addcmul_(theta, self.mask(theta), value=self._l2[0])
        if self.has_l1:
            gradient.addcmul_(theta.sign(), self.mask(theta), value=self._l1[0])

    def product(self, v: torch.Tensor) -> torch.Tensor | None:
        """Return the Hessian of the terms times ``v`` ``[R, P]``.

        None where it is zero, as that of the L1 term is.
        """
        if not self._has_l2:
            return None
        if self._differ:
            return _scaled(self._factors(v)[1], self.mask(v) * v)
        mask = self.mask(v)
        if self._diagonal is None or self._diagonal[0] is not mask:
            self._diagonal = mask, self._l2[0] * mask
        return self._diagonal[1] * v

    def _factors(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return λ₁ and λ₂ as columns ``[R, 1]``."""
        if (
            self._columns is None
            or self._columns[0].device != theta.device
            or self._columns[0].dtype != theta.dtype
        ):
            l1, l2 = (
                torch.tensor(values, dtype=theta.dtype, device=theta.device).unsqueeze(1)
                for values in (self._l1, self._l2)
            )
            self._columns = l1, l2
        return self._columns


def _scaled(factor: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return the product; 0 where the factor is, whatever the value."""
    return torch.where(factor == 0.0, 0.0, factor * values)
