"""Activations and pre-activations by layer."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from optlab.catalogue.instruments.base import (
    Instrument,
    Named,
    Quantity,
    Reading,
    StepContext,
    schedule,
)
from optlab.core.fields import number
from optlab.core.lazy import torch

_OVER_TIME = re.compile(r"(.*)\.\d+")
_FIRST = re.compile(r"state\.0")


class Activations(Instrument):
    """Mean and spread of each layer's values, and which units no longer respond.

    An initialization is good where the spread stays about the same from layer to layer, for the
    values on the way up and for the gradients on the way down. A unit that outputs 0 for every
    example of the batch (a dead ReLU) gets no gradient and cannot recover by itself; a saturated
    one (tanh near ±1, sigmoid near 0 or 1) gets next to none.

    Names are those of the layers; a name that ends with that of an activation is its output. States
    over time are combined.
    """

    name: ClassVar[str] = "activations"
    label: ClassVar[str] = "Activations by layer"
    group: ClassVar[str] = "By layer"
    sort_order: ClassVar[int] = 50
    source: ClassVar[str] = (
        "Notes, section on initialization: ranges of activations on one minibatch; X. Glorot, "
        "Y. Bengio (2010), figures 2 to 4."
    )
    usual: ClassVar[bool] = True
    gives: ClassVar[tuple[Quantity, ...]] = (
        Quantity("mean", "Mean by layer", vector=True),
        Quantity("std", "Standard deviation by layer", log=True, vector=True),
        Quantity("dead", "Share of dead units by layer", vector=True),
        Quantity("saturated", "Share of saturated values by layer", vector=True),
    )

    every: int = schedule(100, "A reading costs about a step, so this is 1% of the training.")
    saturation: float = number(
        0.95,
        "Saturation",
        gt=0.0,
        lt=1.0,
        help="Absolute value of tanh (or of 2σ − 1, for the sigmoid σ) above which a unit counts "
        "as saturated.",
    )

    def read(self, context: StepContext, memory: dict[str, Any]) -> Reading:
        layers = self._layers(context)
        flat = [value.flatten(1) for _, value in layers]
        spread = [torch.var_mean(value, dim=1, correction=0) for value in flat]
        names = tuple(name for name, _ in layers)
        series: dict[str, torch.Tensor | Named] = {
            "mean": Named(torch.stack([mean for _, mean in spread], dim=1), names),
            "std": Named(torch.stack([variance for variance, _ in spread], dim=1).sqrt(), names),
        }
        active = [
            (name, value) for name, value in layers if self._activation(name, context.activation)
        ]
        if active:
            shares = torch.stack([self._dead(value) for _, value in active], dim=1)
            series["dead"] = Named(shares, tuple(name for name, _ in active))
        bounded = [
            (name, value)
            for name, value in active
            if self._activation(name, context.activation) in ("tanh", "sigmoid")
        ]
        if bounded:
            shares = torch.stack(
                [
                    self._saturated(value, self._activation(name, context.activation))
                    for name, value in bounded
                ],
                dim=1,
            )
            series["saturated"] = Named(shares, tuple(name for name, _ in bounded))
        return Reading(series)

    def cost(self) -> str:
        return "about one plain step"

    @staticmethod
    def _dead(value: torch.Tensor) -> torch.Tensor:
        """Return the share ``[R]`` of the units that are 0 for all examples.

        Units are the last axis, or the channels of images ``[R, m, channels, height, width]``.
        """
        units = value.movedim(2, -1) if value.dim() == 5 else value
        alive = (units != 0.0).flatten(1, -2).any(dim=1)
        share: torch.Tensor = 1.0 - alive.to(value).mean(dim=1)
        return share

    def _saturated(self, value: torch.Tensor, activation: str) -> torch.Tensor:
        far = value.abs() if activation == "tanh" else (2.0 * value - 1.0).abs()
        share: torch.Tensor = (far > self.saturation).to(value).flatten(1).mean(dim=1)
        return share

    @staticmethod
    def _layers(context: StepContext) -> list[tuple[str, torch.Tensor]]:
        """Return the intermediate results, the states of all time steps joined to one entry."""
        traced = context.traced()
        if not any(_FIRST.fullmatch(name) for name, _ in traced):
            return list(traced)
        joined: dict[str, list[torch.Tensor]] = {}
        for name, value in traced:
            repeated = _OVER_TIME.fullmatch(name)
            joined.setdefault(repeated[1] if repeated else name, []).append(value)
        return [
            (name, values[0] if len(values) == 1 else torch.cat(values, dim=1))
            for name, values in joined.items()
        ]

    @staticmethod
    def _activation(name: str, of_model: str) -> str:
        """Return the name of the activation whose output a value is, "" where there is none."""
        if name == "state":
            return of_model
        last = name.rpartition(".")[2]
        return last if last in ("relu", "tanh", "sigmoid", "softplus", "gelu") else ""
