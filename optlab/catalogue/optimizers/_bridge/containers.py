"""The dictionaries in which torch optimizers keep their state, and comparisons of their entries."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from optlab.core.layout import Parameter
from optlab.core.lazy import torch

Owner = str
"""Owner of an entry: the name of a parameter, ``group.i`` or ``self.i``."""


def containers(
    optimizers: Sequence[torch.optim.Optimizer],
    parameters: Sequence[tuple[Parameter, torch.Tensor]],
    *,
    every: bool = False,
) -> Iterator[tuple[Owner, dict[Any, Any]]]:
    """Yield the dictionaries in which the optimizers of a run keep their state.

    Args:
        optimizers: the optimizers.
        parameters: parameters of the run, of any shape.
        every: include those of parameters that have no state yet.
    """
    owners = {id(parameter): spec.name for spec, parameter in parameters}
    count = itertools.count()
    for number, optimizer in enumerate(optimizers):
        for group in optimizer.param_groups:
            yield f"group.{next(count)}", _GroupState(group)
            for parameter in group["params"]:
                if every or parameter in optimizer.state:
                    yield owners[id(parameter)], optimizer.state[parameter]
        yield f"self.{number}", vars(optimizer)


class _GroupState(dict[Any, Any]):
    """A parameter group without its parameters; writing to it changes the group."""

    def __init__(self, group: dict[str, Any]) -> None:
        super().__init__(
            {key: value for key, value in group.items() if key not in ("params", "param_names")}
        )
        self._group = group

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._group[key] = value


def own_values(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return the numbers and tensors among the attributes of an optimizer."""
    return {
        key: value.clone() if isinstance(value, torch.Tensor) else value
        for key, value in vars(optimizer).items()
        if isinstance(value, int | float | torch.Tensor)
    }


def same(one: Any, other: Any) -> bool:
    """Return whether two entries have the same type, shape and value."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and bool(torch.equal(one, other))
    return type(one) is type(other) and bool(one == other)
