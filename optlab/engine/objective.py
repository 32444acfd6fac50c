"""The objective: ``theta [R, P]`` and a batch → losses ``[R]`` and gradients ``[R, P]``.

The losses of different runs do not touch each other, so the gradient of their sum holds every run's own gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from optlab.data import DataShape
from optlab.lazy import torch as _torch
from optlab.losses.base import Loss, zero_one
from optlab.models.base import EVALUATION, TRAINING, Model, Pass

if TYPE_CHECKING:
    import torch

_EVALUATION_VALUES = 4_000_000
"""Input values that one evaluation chunk may hold, over all runs: bounds the memory of an evaluation on a large set."""


class Objective:
    """``J(θ) = mean per-example loss + weight-decay terms`` of one model on data of one shape (8.1, 8.3).

    Attributes:
        layout: how ``theta`` divides into the model's tensors.
    """

    def __init__(self, model: Model, loss: Loss, shape: DataShape) -> None:
        self.model = model
        self.loss = loss
        self.shape = shape
        self.layout = model.layout(shape)
        self._decay_mask: torch.Tensor | None = None

    def outputs(self, theta: torch.Tensor, x: torch.Tensor, circumstances: Pass = EVALUATION) -> torch.Tensor:
        """Outputs ``[R, m, outputs]`` for inputs ``x`` ``[R, m, *inputs]``."""
        return self.model.forward(self.layout.split(theta), x, circumstances)

    def per_example(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, circumstances: Pass = TRAINING) -> torch.Tensor:
        """Loss ``[R, m]`` of each example, without weight decay."""
        return self.loss.per_example(self.outputs(theta, x, circumstances), y)

    def losses(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor, circumstances: Pass = TRAINING) -> torch.Tensor:
        """Mean loss ``[R]`` of a batch, without weight decay."""
        return self.per_example(theta, x, y, circumstances).mean(dim=1)

    def penalty(self, theta: torch.Tensor) -> torch.Tensor | None:
        """The weight-decay terms ``[R]``, or None where the loss asks for none."""
        if self.loss.l1 == 0.0 and self.loss.l2 == 0.0:
            return None
        weights = theta * self._mask(theta)
        return self.loss.l1 * weights.abs().sum(dim=1) + 0.5 * self.loss.l2 * weights.square().sum(dim=1)

    def value_and_gradient(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean batch loss ``[R]`` without weight decay, and the gradient ``[R, P]`` of the objective with it.

        Args:
            theta: ``[R, P]``. x: ``[R, m, *inputs]``. y: ``[R, m]`` or ``[R, m, outputs]``.
        """
        written_out = self._written_out(theta, x, y)
        if written_out is not None:
            return written_out
        leaf = theta.detach().requires_grad_()
        losses = self.losses(leaf, x, y)
        penalty = self.penalty(leaf)
        total = losses if penalty is None else losses + penalty
        # Ones in place of a sum: the same gradient with one operation less each way.
        (gradient,) = _torch.autograd.grad(total, leaf, _torch.ones_like(total))
        return losses.detach(), gradient

    def _written_out(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Loss and gradient by the backward passes that model and loss bring along; None where one of them has none."""
        with _torch.no_grad():
            parameters = self.layout.split(theta)
            recorded = self.model.record(parameters, x)
            if recorded is None:
                return None
            outputs, tape = recorded
            judged = self.loss.with_gradient(outputs, y)
            if judged is None:
                return None
            losses, delta = judged
            gradient = _torch.empty_like(theta)
            self.model.backward(parameters, tape, delta, self.layout.split(gradient))
            if self.loss.l2 != 0.0:
                gradient.addcmul_(theta, self._mask(theta), value=self.loss.l2)
            if self.loss.l1 != 0.0:
                gradient.addcmul_(theta.sign(), self._mask(theta), value=self.loss.l1)
        return losses, gradient

    def evaluate(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Losses and 0-1 errors (None for regression) of each example of a whole part, both ``[R, n]``.

        Args:
            x: ``[n, *inputs]``. y: ``[n]`` or ``[n, outputs]``; shared by all runs.
        """
        runs = theta.shape[0]
        rows = max(1, _EVALUATION_VALUES // (runs * max(1, self.shape.width)))
        losses: list[torch.Tensor] = []
        errors: list[torch.Tensor] = []
        with _torch.no_grad():
            for chunk_x, chunk_y in zip(x.split(rows), y.split(rows), strict=True):
                everyone = chunk_y.expand(runs, *chunk_y.shape)
                outputs = self.outputs(theta, chunk_x.expand(runs, *chunk_x.shape), EVALUATION)
                losses.append(self.loss.per_example(outputs, everyone))
                if self.shape.task == "classes":
                    errors.append(zero_one(outputs, everyone))
        return _torch.cat(losses, dim=1), _torch.cat(errors, dim=1) if errors else None

    def _mask(self, theta: torch.Tensor) -> torch.Tensor:
        """1 for weights, 0 for biases, ``[P]``."""
        if self._decay_mask is None or self._decay_mask.device != theta.device or self._decay_mask.dtype != theta.dtype:
            parts = [_torch.full((spec.size,), float(spec.role == "weight")) for spec in self.layout.parameters]
            self._decay_mask = _torch.cat(parts).to(theta)
        return self._decay_mask
