"""Whether a repeated step is the ordinary one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optlab.catalogue.optimizers.base import State
from optlab.core.lazy import torch
from optlab.training.capturing.trace import tensors
from optlab.training.groups import Group
from optlab.training.measured_steps import Measured

_ROUNDING = 1e-4
"""Norm of the difference of a compiled result to an ordinary one, relative to the ordinary one's, up to
which it is rounding: in single precision, of which double precision gets a hundred-millionth.
"""
_AMPLIFIED = 1e-2
"""The same of what a rule may divide by its own rounding errors: Adam moves a weight whose gradient
is zero but for rounding as far as any other.
"""


def same_bits(usual: Measured, repeated: Measured) -> bool:
    """Return whether a step that was taken in two ways is the same bit by bit."""
    return all(
        torch.allclose(one, other, rtol=0.0, atol=0.0, equal_nan=True)
        for one, other in zip(
            (*_of_gradients(usual), *_of_rules(usual)),
            (*_of_gradients(repeated), *_of_rules(repeated)),
            strict=True,
        )
    )


def same_but_for_rounding(
    usual: Measured, repeated: Measured, groups: Sequence[Group], theta: torch.Tensor
) -> bool:
    """Return whether a compiled step is the ordinary one up to rounding.

    The rules are compared by what they make of the gradients of the compiled step.

    Args:
        groups: whose rules they are. theta: the parameters before the step, ``[R, P]``.
    """
    proposed = repeated.proposed
    updated = [
        group.update(group.select(theta), used)
        for group, used in zip(groups, proposed.used, strict=True)
    ]
    return (
        _close(_of_gradients(usual), _of_gradients(repeated), _ROUNDING)
        and _close(
            [after for after, _ in updated],
            [group.select(proposed.after) for group in groups],
            _ROUNDING,
        )
        and _close(_values(state for _, state in updated), _values(proposed.states), _ROUNDING)
        and _close(_of_rules(usual), _of_rules(repeated), _AMPLIFIED)
    )


def _close(ones: Iterable[torch.Tensor], others: Iterable[torch.Tensor], rounding: float) -> bool:
    """Return whether tensors of any shape are the same but for rounding."""
    for one, other in zip(ones, others, strict=True):
        apart = torch.linalg.vector_norm((one - other).double())
        scale = torch.linalg.vector_norm(one.double())
        if not apart <= rounding * scale * (1.0 if one.dtype == torch.float32 else 1e-8):
            return False
    return True


def _of_gradients(measured: Measured) -> list[torch.Tensor]:
    """Return what a step computes before its rules."""
    proposed = measured.proposed
    return [
        *(proposed.loss, proposed.gradient, proposed.norm, *proposed.used),
        *tensors(measured.layers),
    ]


def _of_rules(measured: Measured) -> list[torch.Tensor]:
    """Return what a step computes by its rules, and measures afterwards."""
    proposed = measured.proposed
    return [proposed.after, *_values(proposed.states), measured.row, *measured.vectors]


def _values(states: Iterable[State]) -> list[torch.Tensor]:
    return [value for state in states for value in state.values()]
