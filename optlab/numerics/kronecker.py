"""Kronecker-factored curvature: for each affine layer or convolution a matrix ``A ⊗ S``.

A is the second moment of the layer's inputs and S that of the gradients by its outputs, over the
examples of a batch. The block of a layer with weights ``V [out, in + 1]`` (the bias is the last
column) then multiplies as ``S V A``, and its inverse as ``S⁻¹ V A⁻¹``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from optlab.core.errors import InvalidInput
from optlab.core.layout import Layout
from optlab.core.lazy import torch


class LayerShape(NamedTuple):
    """A layer in a layout.

    Attributes:
        weight: index of its weight. bias: whether the tensor after it is its bias.
        rows: of its weight, outputs of the layer. columns: values that a row multiplies, and one
            more for a bias.
    """

    weight: int
    bias: bool
    rows: int
    columns: int


class LayerFactors(NamedTuple):
    """The factors of one layer on a batch.

    Attributes:
        weight: index of its weight in the layout.
        inputs: A ``[R, columns, columns]``. outputs: S ``[R, rows, rows]``.
    """

    weight: int
    inputs: torch.Tensor
    outputs: torch.Tensor


def layer_shapes(layout: Layout) -> list[LayerShape]:
    """Return the layers of a layout: each weight, with the bias of its rows where one follows.

    Raises:
        InvalidInput: a tensor is no weight of a layer, and no bias either.
    """
    found: list[LayerShape] = []
    specs = layout.parameters
    index = 0
    while index < len(specs):
        shape = specs[index].shape
        if len(shape) < 2:
            raise InvalidInput(
                f"K-FAC knows the curvature of affine layers and convolutions only, but"
                f" {specs[index].name} with the shape {list(shape)} belongs to none; use"
                " hessian_free, which takes any model."
            )
        bias = index + 1 < len(specs) and specs[index + 1].shape == shape[:1]
        columns = specs[index].size // shape[0] + bias
        found.append(LayerShape(index, bias, shape[0], columns))
        index += 1 + bias
    return found


def layer_factors(shape: LayerShape, inputs: torch.Tensor, deltas: torch.Tensor) -> LayerFactors:
    """Return the factors of a layer on the examples of a batch.

    Inputs and deltas of the places of a convolution are taken as independent of each other, and of
    the place (Grosse and Martens, 2016).

    Args:
        shape: the layer.
        inputs: ``[R, m, in]``, or ``[R, m, places, in]`` of a layer that is used at many places.
        deltas: gradients of each example's loss by the outputs, ``[R, m, out]`` or
            ``[R, m, places, out]``.
    """
    examples = inputs.shape[1]
    a, delta = inputs.flatten(1, -2), deltas.flatten(1, -2)
    if shape.bias:
        a = torch.cat([a, torch.ones_like(a[:, :, :1])], dim=2)
    return LayerFactors(
        shape.weight,
        a.transpose(1, 2) @ a / examples,
        delta.transpose(1, 2) @ delta / delta.shape[1],
    )


def joined(factors: Sequence[LayerFactors]) -> torch.Tensor:
    """Return all factors as one flat tensor ``[R, N]``."""
    return torch.cat([part.flatten(1) for one in factors for part in one[1:]], dim=1)


def values(shapes: Sequence[LayerShape]) -> int:
    """Return N, the number of values of all factors."""
    return sum(shape.columns**2 + shape.rows**2 for shape in shapes)


def split(flat: torch.Tensor, shapes: Sequence[LayerShape]) -> list[LayerFactors]:
    """Return the factors in a flat tensor ``[R, N]``."""
    sides = [side for shape in shapes for side in (shape.columns, shape.rows)]
    parts = iter(flat.split_with_sizes([side**2 for side in sides], 1))
    return [
        LayerFactors(
            shape.weight,
            next(parts).view(-1, shape.columns, shape.columns),
            next(parts).view(-1, shape.rows, shape.rows),
        )
        for shape in shapes
    ]


def solve(
    layout: Layout,
    shapes: Sequence[LayerShape],
    factors: Sequence[LayerFactors],
    g: torch.Tensor,
    damping: float,
) -> torch.Tensor:
    """Return ``((A + πγI) ⊗ (S + γ/π I))⁻¹ g`` ``[R, P]``, layer by layer.

    π is the root of the ratio of the mean eigenvalues of A and S, so that the damping, which is
    spread over both factors, is the same share of each; it is 1 where one of them is zero.

    Args:
        g: ``[R, P]``. damping: γ, the root of what is added to every eigenvalue, more than 0.
    """
    tensors = layout.split(g)
    result = torch.empty_like(g)
    into = layout.split(result)
    for shape, (_, a, s) in zip(shapes, factors, strict=True):
        matrix = tensors[shape.weight].flatten(2)
        if shape.bias:
            matrix = torch.cat([matrix, tensors[shape.weight + 1].unsqueeze(2)], dim=2)
        means = [m.diagonal(dim1=1, dim2=2).mean(dim=1).view(-1, 1, 1) for m in (a, s)]
        # Where one of them is zero there is no ratio, and nothing to balance.
        known = (means[0] > 0.0) & (means[1] > 0.0)
        pi = torch.where(known, (means[0] / means[1]).sqrt(), 1.0)
        solved = _solved(s, damping / pi, matrix)
        solved = _solved(a, damping * pi, solved.transpose(1, 2)).transpose(1, 2)
        weight = into[shape.weight]
        columns = shape.columns - shape.bias
        weight.copy_(solved[:, :, :columns].view_as(weight))
        if shape.bias:
            into[shape.weight + 1].copy_(solved[:, :, columns])
    return result


def _solved(matrix: torch.Tensor, damping: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Return ``(M + dI)⁻¹ b`` for matrices ``[R, n, n]`` without negative eigenvalues.

    It is not a number where the matrix is not finite.
    """
    eye = torch.eye(matrix.shape[1], dtype=matrix.dtype, device=matrix.device)
    factor, failed = torch.linalg.cholesky_ex(matrix + damping * eye)
    solution = torch.cholesky_solve(b, factor)
    return torch.where((failed == 0).view(-1, 1, 1), solution, float("nan"))
