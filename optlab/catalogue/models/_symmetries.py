"""Symmetries of layered networks: changes of hidden units that the layers above undo.

A hidden space of n units is written by the rows of some tensors and read by the columns of others.
With ``h → A h`` the rows become ``A W`` and the columns ``W A⁻¹``. The outputs stay as they are
where the activation commutes with A: with the identity for every invertible matrix, with ReLU for
every diagonal matrix with positive entries, as ``max(0, αz) = α max(0, z)`` for α > 0. At ``A = I``
the change is ``G W`` in the rows and ``−W G`` in the columns, for a basis of matrices G.

Near a point, and on given examples, a ReLU commutes with more: units that are on for the same
examples are linear on these and zero on the others, so they can be mixed with each other, and those
that are on for all examples can also be shifted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from optlab.catalogue.models._activations import Activation
from optlab.catalogue.models.capabilities import RectifiedUnits, Symmetry
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


def of_chain(
    parameters: list[torch.Tensor],
    activation: Activation,
    switching: Sequence[torch.Tensor] = (),
) -> list[Symmetry]:
    """Return the symmetries of a chain of weights and biases ``[1, *shape]``.

    Args:
        switching: see :func:`of_spaces`.
    """
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
        switching=switching,
    )


def rectified_chain(layers: int, activation: Activation) -> list[RectifiedUnits]:
    """Return the rectified units of a chain with so many hidden layers."""
    return rectified([f"layers.{layer}" for layer in range(layers)], activation)


def rectified(
    traces: Sequence[str], activation: Activation, axis: int = -1
) -> list[RectifiedUnits]:
    """Return the units in these traces, where they are rectified."""
    return [RectifiedUnits(trace, axis) for trace in traces] if activation == "relu" else []


def of_spaces(
    parameters: list[torch.Tensor],
    spaces: Sequence[HiddenSpace],
    activation: Activation,
    *,
    mixing: bool = True,
    switching: Sequence[torch.Tensor] = (),
) -> list[Symmetry]:
    """Return the symmetries of hidden spaces behind an activation.

    Args:
        parameters: ``[1, *shape]``, in the order of the layout.
        spaces: all hidden spaces.
        activation: of all their units.
        mixing: whether units can be mixed where the activation is the identity; otherwise they can
            only be rescaled.
        switching: of each space which units switch together, or empty; see
            :meth:`optlab.catalogue.models.capabilities.Symmetries.symmetries`.
    """
    if activation not in ("relu", "identity"):
        return []
    if activation == "relu" or not mixing:
        return [
            Symmetry("rescaling of units", space.units, partial(_rescaled, parameters, space))
            for space in spaces
        ] + [
            symmetry
            for space, groups in zip(spaces, switching, strict=bool(switching))
            for symmetry in _of_switching(parameters, space, groups.tolist())
        ]
    found: list[Symmetry] = []
    for space in spaces:
        n = space.units
        found += [
            Symmetry(
                "rotation of hidden layers",
                n * (n - 1) // 2,
                partial(_mixed, parameters, space, _pairs(range(n)), -1.0),
                rotation=True,
            ),
            Symmetry(
                "stretching of hidden layers",
                n * (n + 1) // 2,
                partial(
                    _mixed, parameters, space, [*_pairs(range(n)), *((i, i) for i in range(n))], 1.0
                ),
            ),
        ]
        if space.shifts is not None:
            shifted = partial(_shifted, parameters, space, range(n))
            found.append(Symmetry("shift of hidden units", n, shifted))
    return [symmetry for symmetry in found if symmetry.count]


def _of_switching(
    parameters: list[torch.Tensor], space: HiddenSpace, groups: list[int]
) -> list[Symmetry]:
    """Return the symmetries of rectified units by the group of each, beside their rescaling."""
    members: dict[int, list[int]] = {}
    for unit, group in enumerate(groups):
        if group >= 0:
            members.setdefault(group, []).append(unit)
    pairs = [pair for units in members.values() for pair in _pairs(units)]
    name, always = "mixing of units that switch together", members.get(0, [])
    found = [
        Symmetry(name, len(pairs), partial(_mixed, parameters, space, pairs, -1.0), rotation=True),
        Symmetry(name, len(pairs), partial(_mixed, parameters, space, pairs, 1.0)),
    ]
    if space.shifts is not None:
        shifted = partial(_shifted, parameters, space, always)
        found.append(Symmetry("shift of units that are always on", len(always), shifted))
    return [symmetry for symmetry in found if symmetry.count]


def _pairs(units: Sequence[int]) -> list[tuple[int, int]]:
    return list(itertools.combinations(units, 2))


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
    parameters: list[torch.Tensor],
    space: HiddenSpace,
    pairs: Sequence[tuple[int, int]],
    sign: float,
) -> torch.Tensor:
    """Return a direction ``[k, P]`` for each pair of units.

    Args:
        sign: 1 for symmetric matrices, −1 for antisymmetric ones, which rotate.
    """
    n = space.units
    i, j = torch.tensor(pairs, device=parameters[0].device).T
    number = torch.arange(len(pairs), device=parameters[0].device)
    generators = parameters[0].new_zeros(len(pairs), n, n)
    generators[number, j, i] = sign
    generators[number, i, j] = 1.0
    changes = []
    for index, tensor in enumerate(parameters):
        value = tensor[0]
        change = value.new_zeros(len(pairs), *value.shape)
        if index in space.rows:
            change += torch.einsum("kab,b...->ka...", generators, value)
        if index in space.columns:
            columns = value.reshape(len(value), n, -1)
            change -= torch.einsum("kab,oar->kobr", generators, columns).reshape(change.shape)
        changes.append(change.flatten(1))
    return torch.cat(changes, dim=1)


def _shifted(
    parameters: list[torch.Tensor], space: HiddenSpace, units: Sequence[int]
) -> torch.Tensor:
    """Return a direction ``[k, P]`` for each of ``units``: its bias up, and those above down."""
    assert space.shifts is not None
    bias, undone = space.shifts
    chosen = list(units)
    changes = [tensor.new_zeros(len(chosen), *tensor.shape[1:]) for tensor in parameters]
    changes[bias] += torch.eye(space.units).to(changes[bias])[chosen]
    for column, above in zip(space.columns, undone, strict=True):
        value = parameters[column][0]
        changes[above] -= value.reshape(len(value), space.units, -1).sum(dim=2).T[chosen]
    return torch.cat([change.flatten(1) for change in changes], dim=1)
