"""Which rules one loop over the parameters can do, and where."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.core.hyperparameters import Hyperparameters
from optlab.numerics.compiled.compiler import compiler
from optlab.optim.flat.block import is_dense
from optlab.optim.flat.listing import listing
from optlab.optim.flat.scalars import TYPES
from optlab.optim.tensor_lists import understood


@functools.cache
def fusible(rule: type[Rule]) -> bool:
    """Return whether a loop can do what a rule does at its defaults."""
    if not understood(rule):
        return False
    values = {field.name: field.default for field in rule.fields()}
    numbers = tuple(field.name for field in rule.fields() if field.kind == "number")
    choices = tuple((name, value) for name, value in values.items() if name not in numbers)
    entries = tuple(rule.begin(torch.ones(1, 1), Hyperparameters(**values, step=1)))
    return listing(rule, choices, numbers, entries, decays=True, maximizes=True) is not None


def check_fused(rule: type[Rule], group: Mapping[str, Any]) -> None:
    """Refuse a parameter group that asks for fused steps and cannot have them.

    Raises:
        NotCompiled: there is no compiler.
        ValueError: a parameter is none that a loop can update.
    """
    if not group.get("fused"):
        return
    compiler()
    for parameter in group["params"]:
        if parameter.numel() and not suits(parameter):
            raise ValueError(
                f"{rule.__name__}: fused steps need dense float32 or float64 parameters on the CPU,"
                f" but one is {parameter.dtype} of shape {tuple(parameter.shape)} on"
                f" {parameter.device}; leave out fused."
            )


def suits(parameter: torch.Tensor) -> bool:
    """Return whether a parameter of any shape can be a part of flat memory."""
    return (
        type(parameter) in (torch.Tensor, torch.nn.Parameter)
        and parameter.layout is torch.strided
        and parameter.is_cpu
        and parameter.dtype in TYPES
        and parameter.numel() > 0
        and is_dense(parameter)
    )
