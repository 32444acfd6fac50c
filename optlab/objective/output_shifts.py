"""The shift of all outputs by the same amount, which some losses ignore."""

from __future__ import annotations

from functools import partial

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.capabilities import Symmetry
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch
from optlab.objective.run_losses import RunLosses


def output_shifts(loss: Loss | RunLosses, layout: Layout, theta: torch.Tensor) -> list[Symmetry]:
    """Return the shift of all outputs by the same amount, for each tensor that feeds them.

    It adds the same number to a bias, or to the weights of one input, of all outputs.

    Args:
        loss: of the objective; none of the shifts is returned where it does not ignore them.
        layout: of the model.
        theta: ``[1, P]``.
    """
    if not loss.ignores_shift:
        return []

    def directions(spec: Parameter, offset: int) -> torch.Tensor:
        inputs = spec.size // spec.shape[0]
        shifts = theta.new_zeros(inputs, theta.shape[1])
        same = torch.eye(inputs).to(theta).repeat(1, spec.shape[0])
        shifts[:, offset : offset + spec.size] = same
        return shifts

    return [
        Symmetry(
            "shift of all outputs",
            spec.size // spec.shape[0],
            partial(directions, spec, offset),
        )
        for spec, offset in zip(layout.parameters, layout.offsets, strict=True)
        if spec.output
    ]
