"""The parameters of a module as the layout that rules see."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch

from optlab.core.layout import Layout, Parameter


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
