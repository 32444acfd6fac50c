"""The parameters of a module as rules see them: flat values, and their layout."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from optlab.core.layout import Layout, Parameter


def flat_values(tensor: torch.Tensor) -> torch.Tensor:
    """Return real values ``[1, n]``, as a view where possible."""
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).detach().reshape(1, -1)


def shaped_values(flat: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return real values ``[1, n]`` in the shape of ``like``, complex if it is complex."""
    return (
        torch.view_as_complex(flat.reshape(*like.shape, 2))
        if like.is_complex()
        else flat.reshape(like.shape)
    )


def layout_of(parameters: Sequence[torch.Tensor]) -> Layout:
    """Return the division of the flat parameters ``[1, P]`` into tensors of their shapes.

    Tensors of less than two dimensions count as biases. Complex parameters are pairs of real
    numbers, so their last dimension is 2.
    """
    return _layout(tuple((*p.shape, 2) if p.is_complex() else tuple(p.shape) for p in parameters))


@functools.lru_cache(maxsize=1024)
def _layout(shapes: tuple[tuple[int, ...], ...]) -> Layout:
    return Layout(
        tuple(
            Parameter(f"parameters.{index}", shape, "weight" if len(shape) > 1 else "bias", 1, 1)
            for index, shape in enumerate(shapes)
        )
    )
