"""The losses of R runs as one loss: each run's own for its row of the outputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from optlab.catalogue.losses.base import Loss
from optlab.core.lazy import torch


class RunLosses:
    """The per-example losses of R runs, without weight decay.

    Rows with the same loss are computed together.

    Args:
        losses: one a run.

    Attributes:
        canonical, ignores_shift: whether the losses of all runs are, see
            :class:`~optlab.catalogue.losses.base.Loss`.
    """

    def __init__(self, losses: Sequence[Loss]) -> None:
        rows: dict[Loss, list[int]] = {}
        for run, loss in enumerate(losses):
            rows.setdefault(loss.without_decay(), []).append(run)
        self._losses = list(rows)
        self._rows = [torch.tensor(own) for own in rows.values()]
        # Where the row of each run is when those of the groups follow each other.
        self._places: torch.Tensor = torch.cat(self._rows).argsort()
        self.canonical = all(loss.canonical for loss in rows)
        self.ignores_shift = all(loss.ignores_shift for loss in rows)

    def per_example(self, outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the losses ``[R, m]`` of outputs ``[R, m, outputs]`` and targets ``[R, m, …]``."""
        return self._joined(
            [loss.per_example(*own) for loss, own in self._divided(outputs, y)], outputs
        )

    def with_gradient(
        self, outputs: torch.Tensor, y: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the mean losses ``[R]`` and their gradient by the outputs ``[R, m, outputs]``.

        None where a loss leaves gradients to autograd.
        """
        parts = [loss.with_gradient(*own) for loss, own in self._divided(outputs, y)]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        return (
            self._joined([loss for loss, _ in known], outputs),
            self._joined([delta for _, delta in known], outputs),
        )

    def probabilities(self, outputs: torch.Tensor) -> torch.Tensor | None:
        """Return the class probabilities ``[R, m, classes]``; None where a run predicts none."""
        parts = [loss.probabilities(*own) for loss, own in self._divided(outputs)]
        known = [part for part in parts if part is not None]
        return self._joined(known, outputs) if len(known) == len(parts) else None

    def fisher_product(self, outputs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        """Multiply ``u`` ``[R, m, outputs]`` by the Fisher matrix of each example.

        Returns:
            ``S u``, of the same shape; see :meth:`optlab.catalogue.losses.base.Loss.fisher_product`.

        Raises:
            InvalidInput: the loss of a run is not a negative log-likelihood.
        """
        return self._joined(
            [loss.fisher_product(*own) for loss, own in self._divided(outputs, u)], outputs
        )

    def fisher_products(self, outputs: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return ``u`` → ``S u``, for many ``u`` at the same outputs ``[R, m, outputs]``.

        Raises:
            InvalidInput: as :meth:`fisher_product`; the products may raise it, too.
        """
        if len(self._losses) == 1:
            return self._losses[0].fisher_products(outputs)
        return functools.partial(self.fisher_product, outputs)

    def draw(self, outputs: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
        """Return targets drawn from what outputs ``[R, m, outputs]`` predict.

        Args:
            uniforms: numbers that decide the draws, of the same shape.

        Returns:
            See :meth:`optlab.catalogue.losses.base.Loss.draw`.

        Raises:
            InvalidInput: the loss of a run is not a negative log-likelihood.
        """
        parts = []
        for loss, rows in zip(self._losses, self._rows, strict=True):
            own = slice(None) if len(self._losses) == 1 else rows
            parts.append(loss.draw(outputs[own], uniforms[own]))
        return self._joined(parts, outputs)

    def _divided(self, *tensors: torch.Tensor) -> list[tuple[Loss, tuple[torch.Tensor, ...]]]:
        """Return each loss with its rows of tensors ``[R, …]``."""
        if len(self._losses) == 1:
            return [(self._losses[0], tensors)]
        on_device = [rows.to(tensors[0].device) for rows in self._rows]
        return [
            (loss, tuple(tensor[rows] for tensor in tensors))
            for loss, rows in zip(self._losses, on_device, strict=True)
        ]

    def _joined(self, parts: list[torch.Tensor], outputs: torch.Tensor) -> torch.Tensor:
        """Return what the losses gave for their rows in the order of the runs."""
        if len(parts) == 1:
            return parts[0]
        return torch.cat(parts)[self._places.to(outputs.device)]
