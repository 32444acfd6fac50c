"""How a foreign optimizer is called: its step, its closure, its modes, and what it holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from optlab.catalogue.optimizers._bridge.tree import Walk
from optlab.core.layout import Parameter
from optlab.core.lazy import torch

Evaluate = Callable[["torch.Tensor"], "tuple[torch.Tensor, torch.Tensor]"]
"""Parameters ``[P]`` of a run → loss ``[]`` and gradient ``[P]`` there."""


class Gradients(Protocol):
    """The parameters of some runs and their gradients."""

    def flat(self, run: int) -> torch.Tensor:
        """Return a copy of the current parameters ``[P]`` of a run."""

    def set_gradient(self, run: int, g: torch.Tensor) -> None:
        """Give the parameters of a run new gradients, from ``g`` ``[P]``."""


class Closure:
    """Loss and gradient at the present parameters of a run, as an optimizer asks for them.

    Args:
        population: that of the run. run: its number. evaluate: loss and gradient at parameters.
    """

    def __init__(self, population: Gradients, run: int, evaluate: Evaluate) -> None:
        self._population, self._run, self._evaluate = population, run, evaluate

    def __call__(self) -> torch.Tensor:
        loss, g = self._evaluate(self._population.flat(self._run))
        self._population.set_gradient(self._run, g)
        return loss


def take_step(
    optimizers: Sequence[torch.optim.Optimizer], closure: Callable[[], torch.Tensor] | None
) -> None:
    """Take a step of each, with the closure if there is one, which returns the loss ``[]``."""
    for optimizer in optimizers:
        if closure is None:
            optimizer.step()
        else:
            optimizer.step(closure)  # type: ignore[arg-type]


def walked(
    optimizers: Sequence[torch.optim.Optimizer],
    parameters: Sequence[tuple[Parameter, torch.Tensor]],
) -> Walk:
    """Return what the optimizers of a run hold; its parameters are tensors of any shape."""
    return Walk(optimizers, {id(parameter): spec.name for spec, parameter in parameters})


def has_modes(optimizer: Any) -> bool:
    """Return whether an optimizer, or a class of them, has a training and an evaluation mode."""
    return callable(getattr(optimizer, "train", None)) and callable(
        getattr(optimizer, "eval", None)
    )


def copied(value: Any) -> Any:
    """Return a value, or a copy of it where it is a tensor."""
    return value.detach().clone() if isinstance(value, torch.Tensor) else value
