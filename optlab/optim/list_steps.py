"""Steps of a torch optimizer for many parameters at once, in lists instead of one by one."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import torch

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.core.hyperparameters import Hyperparameters
from optlab.optim.arguments import common
from optlab.optim.loading import STEP
from optlab.optim.tensor_lists import Iterates, TensorList, assign

AHEAD = "ahead"
"""Entry of a parameter's state: how far the point of the gradient is from the iterate."""
OWN = frozenset({STEP, AHEAD})
"""Entries of the state of a parameter that do not belong to the rule."""
_LIST_VALUES = 1 << 18
"""Values that are updated at once, so that what a rule computes on the way stays small: in the cache
of a core, and in memory.
"""


def lists_of(
    state: Mapping[torch.Tensor, dict[str, Any]],
    group: dict[str, Any],
    h: Hyperparameters,
    parameters: list[torch.Tensor],
) -> Iterator[tuple[int, list[torch.Tensor], list[dict[str, Any]]]]:
    """Yield parameters of any shape that can be updated together, with the number of their step.

    The number is 0 for parameters that are updated one by one: complex ones, those in their
    first step, and all where a hyperparameter is a tensor. The states come with the others.
    """
    if any(isinstance(value, torch.Tensor) for value in (*vars(h).values(), *group.values())):
        yield 0, parameters, []
        return
    lists: dict[Hashable, tuple[list[torch.Tensor], list[dict[str, Any]], list[int]]] = {}
    for parameter in parameters:
        stored = state.get(parameter, {})
        if STEP not in stored or parameter.is_complex():
            yield 0, [parameter], []
            continue
        step = int(stored[STEP]) + 1
        key = step, parameter.dtype, parameter.device
        some, states, values = lists.setdefault(key, ([], [], [step, 0]))
        if some and values[1] + parameter.numel() > _LIST_VALUES:
            yield step, some, states
            lists[key] = some, states, values = [], [], [step, 0]
        some.append(parameter)
        states.append(stored)
        values[1] += parameter.numel()
    for some, states, (step, _) in lists.values():
        yield step, some, states


def update_list(
    rule: type[Rule],
    group: dict[str, Any],
    parameters: list[torch.Tensor],
    states: list[dict[str, Any]],
    h: Hyperparameters,
) -> None:
    """Update parameters of any shape that have the same type and number of steps."""
    theta = Iterates(parameters)
    gradients = g = TensorList([p.grad for p in parameters if p.grad is not None])
    added = common(rule)
    if "maximize" in added and group["maximize"]:
        g = -g
    decay = group["weight_decay"] if "weight_decay" in added else 0.0
    if decay != 0:
        g = g + decay * theta
    own = {
        name: TensorList([state[name] for state in states]) for name in states[0] if name not in OWN
    }
    # A list stands for a tensor.
    after, fresh = rule.update(theta, g, own, h)  # type: ignore[arg-type]
    values: Any
    for name, values in fresh.items():
        kept: list[torch.Tensor] = values.tensors
        if values is theta or values is gradients:
            # Others modify the parameters and their gradients.
            kept = [value.clone() for value in kept]
        for state, value in zip(states, kept, strict=True):
            state[name] = value
    assign(theta, after)  # type: ignore[arg-type]
    counts = torch._foreach_add([state[STEP] for state in states], 1)
    for state, count in zip(states, counts, strict=True):
        state[STEP] = count
