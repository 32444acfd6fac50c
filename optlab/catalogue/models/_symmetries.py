"""Symmetries of layered networks: changes of hidden units that the layers above undo.

A hidden space of n units is written by the rows of some tensors and read by the columns of others.
With ``h → A h`` the rows become ``A W`` and the columns ``W A⁻¹``. The outputs stay as they are
where the activation commutes with A: with the identity for every invertible matrix, with ReLU for
every diagonal matrix with positive entries, as ``max(0, αz) = α max(0, z)`` for α > 0. At ``A = I``
the change is ``G W`` in the rows and ``−W G`` in the columns, for a basis of matrices G.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models.capabilities import Symmetry
from optlab.core.lazy import torch


@dataclass(frozen=True)
class HiddenSpace:
    """Units, and the tensors in the layout that write and read them.

    Attributes:
        units: n.
        rows: indices of tensors ``[n, …]``, one row for each unit.
        columns: indices of tensors ``[out, n · …]``, the same number of columns for each unit.
        shifts: index of the bias ``[n]`` of the units, and for each tensor of ``columns`` that of
            the bias ``[out]`` beside it, where shifts of the units can be undone there; None where
            they cannot.
    """

    units: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    shifts: tuple[int, tuple[int, ...]] | None = None


def of_chain(parameters: list[torch.Tensor], activation: Activation) -> list[Symmetry]:
    """Return the symmetries of a chain of weights and biases ``[1, *shape]``."""
    return of_spaces(
        parameters,
        [
            HiddenSpace(
                parameters[2 * layer].shape[1],
                (2 * layer, 2 * layer + 1),
                (2 * layer + 2,),
                (2 * layer + 1, (2 * layer + 3,)),
            )
            for layer in range(len(parameters) // 2 - 1)
        ],
        activation,
    )


def of_spaces(
    parameters: list[torch.Tensor],
    spaces: Sequence[HiddenSpace],
    activation: Activation,
    *,
    mixing: bool = True,
) -> list[Symmetry]:
    """Return the symmetries of hidden spaces behind an activation.

    Args:
        parameters: ``[1, *shape]``, in the order of the layout.
        spaces: all hidden spaces.
        activation: of all their units.
        mixing: whether units can be mixed where the activation is the identity; otherwise they can
            only be rescaled.
    """
    if activation not in ("relu", "identity"):
        return []
    if activation == "relu" or not mixing:
        return [
            Symmetry("rescaling of units", space.units, partial(_rescaled, parameters, space))
            for space in spaces
        ]
    found: list[Symmetry] = []
    for space in spaces:
        n = space.units
        found += [
            Symmetry(
                "rotation of hidden layers",
                n * (n - 1) // 2,
                partial(_mixed, parameters, space, antisymmetric=True),
                rotation=True,
            ),
            Symmetry(
                "stretching of hidden layers",
                n * (n + 1) // 2,
                partial(_mixed, parameters, space, antisymmetric=False),
            ),
        ]
        if space.shifts is not None:
            found.append(Symmetry("shift of hidden units", n, partial(_shifted, parameters, space)))
    return [symmetry for symmetry in found if symmetry.count]


def _rescaled(parameters: list[torch.Tensor], space: HiddenSpace) -> torch.Tensor:
    """Return a direction ``[n, P]`` for each unit."""
    own = torch.eye(space.units, dtype=parameters[0].dtype, device=parameters[0].device)
    changes = []
    for index, tensor in enumerate(parameters):
        value = tensor[0]
        change = value.new_zeros(space.units, *value.shape)
        if index in space.rows:
            change += torch.einsum("ka,a...->ka...", own, value)
        if index in space.columns:
            columns = value.reshape(len(value), space.units, -1)
            change -= torch.einsum("ka,oar->koar", own, columns).reshape(change.shape)
        changes.append(change.flatten(1))
    return torch.cat(changes, dim=1)


def _mixed(
    parameters: list[torch.Tensor], space: HiddenSpace, *, antisymmetric: bool
) -> torch.Tensor:
    """Return a direction ``[k, P]`` for each matrix of a basis of one kind."""
    n = space.units
    sign = -1.0 if antisymmetric else 1.0
    i, j = torch.triu_indices(n, n, offset=1 if antisymmetric else 0)
    generators = parameters[0].new_zeros(len(i), n, n)
    number = torch.arange(len(i))
    generators[number, i, j] = 1.0
    generators[number, j, i] = torch.where(i == j, 1.0, sign).to(generators)
    changes = []
    for index, tensor in enumerate(parameters):
        value = tensor[0]
        change = value.new_zeros(len(i), *value.shape)
        if index in space.rows:
            change += torch.einsum("kab,b...->ka...", generators, value)
        if index in space.columns:
            columns = value.reshape(len(value), n, -1)
            change -= torch.einsum("kab,oar->kobr", generators, columns).reshape(change.shape)
        changes.append(change.flatten(1))
    return torch.cat(changes, dim=1)


def _shifted(parameters: list[torch.Tensor], space: HiddenSpace) -> torch.Tensor:
    """Return a direction ``[n, P]`` for each unit: its bias up, and those above down."""
    assert space.shifts is not None
    bias, undone = space.shifts
    changes = [tensor.new_zeros(space.units, *tensor.shape[1:]) for tensor in parameters]
    changes[bias] += torch.eye(space.units).to(changes[bias])
    for column, above in zip(space.columns, undone, strict=True):
        changes[above] -= parameters[column][0].T
    return torch.cat([change.flatten(1) for change in changes], dim=1)
