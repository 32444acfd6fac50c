"""Symmetries of the small transformer: changes of its parameters that change no output.

* Within a head, values are read by the mixing that follows alone, so ``v → G v`` is undone by
  ``O → O G⁻¹``; queries and keys meet in ``qᵀk`` alone, so ``q → G q`` is undone by ``k → G⁻ᵀ k``.
* Attention takes means, so a shift of all values is a shift of its result, and the softmax ignores what
  the scores of a query have in common, so a shift of the keys has no effect.
* Scales and biases of a normalization are undone by the affine map behind it, and as the mean over the
  units has been subtracted, so is a change of all weights of a row alike.
* What reads the stream subtracts its mean over the units first, so that whatever is written into all
  units alike has no effect.
* A normalization commutes with rotations of the stream that leave equal values equal, which what writes
  and what reads can undo.
* A shift of the embedding is undone by the positions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from optlab.catalogue.models._symmetries import HiddenSpace, of_spaces
from optlab.catalogue.models.capabilities import Symmetry
from optlab.core.lazy import torch

_EMBEDDING, _EMBEDDING_BIAS, _POSITIONS, _BLOCKS = 0, 1, 2, 3
PER_BLOCK = 12
"""Tensors of a block: scale and bias of a normalization, weight and bias of the attention, of the mixing,
of the second normalization, of the hidden layer and of the way back.
"""

Changes = Mapping[int, "torch.Tensor"]
"""Index of a tensor → its part of each direction, ``[k, *shape]``."""


def of_transformer(
    parameters: list[torch.Tensor], heads: int, switching: Sequence[torch.Tensor] = ()
) -> list[Symmetry]:
    """Return the symmetries of blocks of attention and a hidden layer of rectified units.

    Args:
        parameters: ``[1, *shape]``, in the order of the layout.
        heads: attention heads of a block.
        switching: of each block which hidden units switch together, or empty.
    """
    blocks = range(_BLOCKS, len(parameters) - 4, PER_BLOCK)
    found: list[Symmetry] = []
    for number, first in enumerate(blocks):
        found += _of_attention(parameters, first + 2, heads)
        found += _of_norm(parameters, first, (first + 2, first + 3))
        found += _of_norm(parameters, first + 6, (first + 8, first + 9))
        space = HiddenSpace(
            parameters[first + 8].shape[1],
            (first + 8, first + 9),
            (first + 10,),
            (first + 9, (first + 11,)),
        )
        found += of_spaces(parameters, [space], "relu", switching=switching[number : number + 1])
    last = len(parameters) - 4
    found += _of_norm(parameters, last, (last + 2, last + 3))
    weights = [_EMBEDDING, *(first + at for first in blocks for at in (4, 10))]
    found += [_everywhere(parameters, index) for index in weights]
    found += [_everywhere(parameters, index + 1) for index in weights]
    found.append(_everywhere(parameters, _POSITIONS, across=True))
    width = parameters[_EMBEDDING_BIAS].shape[1]
    norms = [(first, first + 2) for first in blocks]
    norms += [(first + 6, first + 8) for first in blocks] + [(last, last + 2)]
    turns = (width - 1) * (width - 2) // 2
    if turns and all(bool((parameters[scale] != 0.0).all()) for scale, _ in norms):
        rotated = partial(_rotated, weights, norms)
        found.append(_symmetry("rotation of all units", turns, parameters, rotated))
    found.append(_symmetry("shift of positions", width, parameters, _position_shifts))
    return found


def _symmetry(
    name: str,
    count: int,
    parameters: list[torch.Tensor],
    changes: Callable[[list[torch.Tensor]], Changes],
    *,
    rotation: bool = False,
) -> Symmetry:
    def directions() -> torch.Tensor:
        values = [tensor[0] for tensor in parameters]
        changed = changes(values)
        return torch.cat(
            [
                (
                    changed[index] if index in changed else value.new_zeros(count, *value.shape)
                ).reshape(count, -1)
                for index, value in enumerate(values)
            ],
            dim=1,
        )

    return Symmetry(name, count, directions, rotation)


# --- attention --------------------------------------------------------------------------------------


def _of_attention(parameters: list[torch.Tensor], weight: int, heads: int) -> list[Symmetry]:
    width = parameters[weight].shape[2]
    units = width // heads
    found: list[Symmetry] = []
    for head in range(heads):
        own = slice(head * units, (head + 1) * units)
        for antisymmetric in (True, False):
            name = f"{'rotation' if antisymmetric else 'stretching'} of attention heads"
            count = units * (units - 1) // 2 if antisymmetric else units * (units + 1) // 2
            if not count:
                continue
            found += [
                _symmetry(
                    name,
                    count,
                    parameters,
                    partial(changes, weight, own, antisymmetric=antisymmetric),
                    rotation=antisymmetric,
                )
                for changes in (_mixed_values, _mixed_scores)
            ]
        found.append(
            _symmetry(
                "shift of keys and values",
                2 * units,
                parameters,
                partial(_shifted_heads, weight, own),
            )
        )
    return found


def _generators(like: torch.Tensor, units: int, *, antisymmetric: bool) -> torch.Tensor:
    """Return a basis ``[k, units, units]`` of the (anti)symmetric matrices."""
    i, j = torch.triu_indices(units, units, offset=1 if antisymmetric else 0)
    basis = like.new_zeros(len(i), units, units)
    number = torch.arange(len(i))
    basis[number, i, j] = 1.0
    basis[number, j, i] = -1.0 if antisymmetric else 1.0
    return basis


def _rows(width: int, part: int, own: slice) -> slice:
    """Return the rows of queries (0), keys (1) or values (2) of a head in the joint tensor."""
    return slice(part * width + own.start, part * width + own.stop)


def _mixed_values(
    weight: int, own: slice, values: list[torch.Tensor], *, antisymmetric: bool
) -> Changes:
    joint, bias, mixing = values[weight], values[weight + 1], values[weight + 2]
    basis = _generators(joint, own.stop - own.start, antisymmetric=antisymmetric)
    rows = _rows(len(mixing), 2, own)
    changes = _zeros(len(basis), values, weight, weight + 1, weight + 2)
    changes[weight][:, rows] = basis @ joint[rows]
    changes[weight + 1][:, rows] = basis @ bias[rows]
    changes[weight + 2][:, :, own] = -(mixing[:, own] @ basis)
    return changes


def _mixed_scores(
    weight: int, own: slice, values: list[torch.Tensor], *, antisymmetric: bool
) -> Changes:
    joint, bias = values[weight], values[weight + 1]
    basis = _generators(joint, own.stop - own.start, antisymmetric=antisymmetric)
    changes = _zeros(len(basis), values, weight, weight + 1)
    for part, change in ((0, basis), (1, -basis.transpose(1, 2))):
        rows = _rows(joint.shape[1], part, own)
        changes[weight][:, rows] = change @ joint[rows]
        changes[weight + 1][:, rows] = change @ bias[rows]
    return changes


def _shifted_heads(weight: int, own: slice, values: list[torch.Tensor]) -> Changes:
    mixing = values[weight + 2]
    units = own.stop - own.start
    changes = _zeros(2 * units, values, weight + 1, weight + 3)
    unit = torch.eye(units).to(mixing)
    changes[weight + 1][:units, _rows(len(mixing), 1, own)] = unit
    changes[weight + 1][units:, _rows(len(mixing), 2, own)] = unit
    changes[weight + 3][units:] = -mixing[:, own].T
    return changes


# --- normalizations and the stream ------------------------------------------------------------------


def _of_norm(parameters: list[torch.Tensor], scale: int, behind: tuple[int, int]) -> list[Symmetry]:
    """Return the symmetries of a normalization and the affine map behind it."""
    width = parameters[scale].shape[1]
    weight, bias = behind

    def rescaled(values: list[torch.Tensor]) -> Changes:
        unit = torch.eye(width).to(values[scale])
        return {
            scale: unit * values[scale],
            scale + 1: unit * values[scale + 1],
            weight: -torch.einsum("kj,oj->koj", unit, values[weight]),
        }

    def shifted(values: list[torch.Tensor]) -> Changes:
        return {scale + 1: torch.eye(width).to(values[scale]), bias: -values[weight].T}

    def centered(values: list[torch.Tensor]) -> Changes:
        # The sum over the units of what is normalized, before it is scaled, is zero.
        zero = values[scale] == 0.0
        share = 1.0 / values[scale].where(~zero, 1.0)
        share = share * zero.to(share) if zero.any() else share
        share = share / torch.linalg.vector_norm(share)
        unit = torch.eye(len(values[weight])).to(share)
        return {
            weight: torch.einsum("ko,j->koj", unit, share),
            bias: -unit * (share @ values[scale + 1]),
        }

    rows = parameters[weight].shape[1]
    return [
        _symmetry("weights behind normalizations", rows, parameters, centered),
        _symmetry("rescaling of normalizations", width, parameters, rescaled),
        _symmetry("shift of normalizations", width, parameters, shifted),
    ]


def _everywhere(parameters: list[torch.Tensor], index: int, *, across: bool = False) -> Symmetry:
    """Return the change of all units alike by a tensor that writes into the stream.

    Args:
        parameters: of the model.
        index: of a weight ``[units, k]``, or of a bias ``[units]``.
        across: whether it is ``[k, units]`` instead.
    """
    shape = parameters[index].shape[1:]
    count = shape[0] if across else shape[1] if len(shape) > 1 else 1

    def changes(values: list[torch.Tensor]) -> Changes:
        value = values[index]
        if value.dim() == 1:
            return {index: torch.ones_like(value).unsqueeze(0)}
        ones = value.new_ones(shape[1] if across else shape[0])
        unit = torch.eye(count).to(value)
        return {index: torch.einsum("kt,u->ktu" if across else "kt,u->kut", unit, ones)}

    return _symmetry("shift of all units", count, parameters, changes)


def _rotated(
    writers: list[int], readers: list[tuple[int, int]], values: list[torch.Tensor]
) -> Changes:
    """Return the rotations of the stream that leave a vector of equal numbers as it is.

    Args:
        writers: indices of the weights that write into it; their biases follow them.
        readers: index of the scale of each normalization, and of the weight behind it; their biases
            follow them.
        values: of the parameters.
    """
    width = len(values[_EMBEDDING_BIAS])
    small = _generators(values[_EMBEDDING_BIAS], width - 1, antisymmetric=True)
    equal = torch.ones(width, 1).to(small)
    # An orthonormal basis whose first vector has equal numbers.
    others = torch.linalg.qr(torch.cat([equal, torch.eye(width).to(small)[:, 1:]], dim=1)).Q[:, 1:]
    basis = others @ small @ others.T
    changes: dict[int, torch.Tensor] = {_POSITIONS: values[_POSITIONS] @ basis.transpose(1, 2)}
    for index in writers:
        changes[index] = basis @ values[index]
        changes[index + 1] = basis @ values[index + 1]
    for scale, weight in readers:
        undone = values[weight] * values[scale]
        change = -(undone @ basis) / values[scale]
        changes[weight] = change
        changes[weight + 1] = -(change @ values[scale + 1])
    return changes


def _position_shifts(values: list[torch.Tensor]) -> Changes:
    unit = torch.eye(len(values[_EMBEDDING_BIAS])).to(values[_EMBEDDING_BIAS])
    steps = len(values[_POSITIONS])
    return {
        _EMBEDDING_BIAS: unit,
        _POSITIONS: -unit.unsqueeze(1).expand(-1, steps, -1),
    }


def _zeros(count: int, values: list[torch.Tensor], *indices: int) -> dict[int, torch.Tensor]:
    return {index: values[index].new_zeros(count, *values[index].shape) for index in indices}
