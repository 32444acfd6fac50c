"""A closure that returns the loss of each example, for rules that remember their gradients."""

from __future__ import annotations

from typing import Any

import torch

from optlab.optim.closure_objective import ClosureObjective


class ExampleObjective(ClosureObjective):
    """The objective of a closure that returns the losses ``[m]`` of the examples of a batch.

    Attributes:
        rows: numbers of the examples in the training set, ``[m]``; None where the batch is the
            training set.
        count: number of training examples.
    """

    rows: torch.Tensor | None = None
    count: int = 1
    _losses: torch.Tensor | None = None

    def example_gradients(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the losses ``[1, m]`` of the examples and their gradients ``[1, m, P]``.

        Both include the weight decay and the sign of ``maximize``.
        """
        self._count[0] += 1
        self.set_parameters(theta)
        value = self._value()
        assert self._losses is not None
        losses = self._losses
        mean = losses.detach().mean()
        # One by one: a batched backward pass imports the compiler, which takes seconds.
        with torch.enable_grad():
            singles = losses.unbind()
        rows = [
            self._row(
                torch.autograd.grad(
                    loss, self._parameters, retain_graph=True, materialize_grads=True
                )
            )
            for loss in singles
        ]
        gradients = self._sign * torch.cat(rows)
        own = self._sign * (losses.detach() - mean) + value.detach()
        return own.unsqueeze(0), (gradients + self._decay * theta).unsqueeze(0)

    def example_rows(self) -> torch.Tensor:
        """Return the numbers ``[1, m]`` of the examples of the batch in the training set.

        Raises:
            RuntimeError: they do not fit the losses, or the number of training examples.
        """
        assert self._losses is not None, "the gradients come first"
        m = len(self._losses)
        if self.rows is None:
            if m != self.count:
                raise RuntimeError(
                    f"{self._name}: the closure returned {m} losses, but examples is {self.count};"
                    " pass the numbers of the examples of the batch: step(closure, rows=…)."
                )
            return torch.arange(m, device=self.theta.device).unsqueeze(0)
        rows = self.rows.to(self.theta.device)
        sound = rows.shape == (m,) and not rows.is_floating_point()
        if not sound or int(rows.min()) < 0 or int(rows.max()) >= self.count:
            raise RuntimeError(
                f"{self._name}: rows must be {m} whole numbers from 0 to {self.count - 1}, one for"
                " each loss that the closure returned."
            )
        return rows.unsqueeze(0)

    def _loss(self, result: Any) -> Any:
        if not isinstance(result, torch.Tensor) or result.dim() != 1 or not result.requires_grad:
            raise RuntimeError(
                f"{self._name}: the closure must return the losses of the examples, a tensor"
                " [examples] with its graph."
            )
        self._losses = result
        return result.mean()
