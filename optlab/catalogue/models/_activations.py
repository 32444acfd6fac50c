"""Activations of hidden units, with their derivatives written out."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Literal

from optlab.core.lazy import functional, torch

Activation = Literal["relu", "tanh", "sigmoid", "softplus", "gelu", "identity"]

Forward = Callable[["torch.Tensor"], "torch.Tensor"]
Backward = Callable[["torch.Tensor", "torch.Tensor", "torch.Tensor"], "torch.Tensor"]
Second = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]


@functools.cache
def forward(name: Activation) -> Forward:
    """Return the function: pre-activations ``z`` → activations, elementwise."""
    return {
        "relu": torch.relu,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "softplus": functional.softplus,
        "gelu": functional.gelu,
        "identity": lambda z: z,
    }[name]


def written(name: Activation, z: str) -> str:
    """Return the function of an expression as source."""
    if name == "identity":
        return z
    return f"{'F' if name in ('softplus', 'gelu') else 'torch'}.{name}({z})"


@functools.cache
def backward(name: Activation) -> Backward:
    """Return the gradient, elementwise.

    It maps the gradient of the activations, the pre-activations ``z`` and the activations ``h`` to
    the gradient of ``z``.
    """
    aten = torch.ops.aten
    table: dict[str, Backward] = {
        "relu": lambda delta, z, h: aten.threshold_backward(delta, h, 0),
        "tanh": lambda delta, z, h: aten.tanh_backward(delta, h),
        "sigmoid": lambda delta, z, h: aten.sigmoid_backward(delta, h),
        "softplus": lambda delta, z, h: aten.softplus_backward(delta, z, 1.0, 20.0),
        "gelu": lambda delta, z, h: aten.gelu_backward(delta, z),
        "identity": lambda delta, z, h: delta,
    }
    return table[name]


def second(name: Activation) -> Second | None:
    """Return the second derivative, elementwise; None where it is zero.

    It maps the pre-activations ``z`` and the activations ``h`` to φ''(z).
    """
    table: dict[str, Second] = {
        "tanh": lambda z, h: -2.0 * h * (1.0 - h.square()),
        "sigmoid": lambda z, h: h * (1.0 - h) * (1.0 - 2.0 * h),
        # Above 20 torch's softplus is the identity.
        "softplus": lambda z, h: torch.where(z > 20.0, 0.0, torch.sigmoid(z) * torch.sigmoid(-z)),
        "gelu": lambda z, h: (
            torch.exp(-0.5 * z.square()) * (2.0 - z.square()) / math.sqrt(2.0 * math.pi)
        ),
    }
    return table.get(name)
