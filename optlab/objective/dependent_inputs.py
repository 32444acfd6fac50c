"""Inputs that depend on each other, so that weights have directions without effect.

Where ``Σ uⱼ xⱼ + u₀ = 0`` in every example, as where a column is constant, is the sum of others, or where
indicators of classes add up to one, adding u to the weights of a unit and u₀ to its bias changes none of
its outputs.
"""

from __future__ import annotations

from optlab.catalogue.models.base import Model
from optlab.catalogue.models.capabilities import InputLayer, Symmetry
from optlab.core.layout import Layout
from optlab.core.lazy import torch

NAME = "dependent inputs"
_DEPENDENT = 1e-10
"""Singular value of columns of length one, relative to the largest, up to which they are dependent."""
_MAX_WORK = 1e11
"""Multiplications, at most, to find what depends on what."""


def dependent_inputs(
    model: Model, layout: Layout, x: torch.Tensor, theta: torch.Tensor
) -> list[Symmetry]:
    """Return the symmetry that dependent inputs give the layer that reads them.

    Args:
        model: whose layer it is.
        layout: of the model.
        x: all examples, ``[…, *inputs]``.
        theta: ``[1, P]``, for precision and device.
    """
    layer = model.input_layer()
    if layer is None:
        return []
    units, inputs = layout.parameters[layer.weight].shape
    rows = x.reshape(-1, inputs)
    if len(rows) * inputs**2 > _MAX_WORK:
        return []
    relations = _relations(rows.double(), constant=bool(layer.biases)).to(theta)
    if not len(relations):
        return []
    return [
        Symmetry(
            NAME,
            units * len(relations),
            lambda: _directions(layout, layer, relations),
        )
    ]


def _relations(rows: torch.Tensor, *, constant: bool) -> torch.Tensor:
    """Return a basis ``[k, inputs + 1]`` of the linear relations between columns.

    Args:
        rows: ``[n, inputs]``. constant: whether a column of ones is one of them; without it, the last
            number of each relation is zero.
    """
    ones = rows.new_ones(len(rows), 1)
    columns = torch.cat([rows, ones], dim=1) if constant else rows
    lengths = torch.linalg.vector_norm(columns, dim=0)
    lengths = torch.where(lengths > 0.0, lengths, 1.0)
    # The same null space and singular values as those of all rows.
    triangle = torch.linalg.qr(columns / lengths, mode="r").R
    _, singular, vectors = torch.linalg.svd(triangle, full_matrices=True)
    rank = int((singular > _DEPENDENT * singular.max()).sum()) if len(singular) else 0
    relations = vectors[rank:] / lengths
    return relations if constant else torch.nn.functional.pad(relations, (0, 1))


def _directions(layout: Layout, layer: InputLayer, relations: torch.Tensor) -> torch.Tensor:
    """Return a direction ``[units · k, P]`` for each unit and relation."""
    units, inputs = layout.parameters[layer.weight].shape
    own = torch.eye(units).to(relations)
    weights = torch.einsum("ua,kj->ukaj", own, relations[:, :inputs]).flatten(0, 1)
    biases = torch.einsum("ua,k->uka", own, relations[:, inputs]).flatten(0, 1)
    parts, first = [], 0
    for index, spec in enumerate(layout.parameters):
        if index == layer.weight:
            parts.append(weights.flatten(1))
        elif index in layer.biases:
            parts.append(biases[:, first : first + spec.size])
            first += spec.size
        else:
            parts.append(weights.new_zeros(len(weights), spec.size))
    return torch.cat(parts, dim=1)
