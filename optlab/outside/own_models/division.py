"""How the inputs of an example are divided among the arguments of a module's forward pass.

A module whose forward pass takes several tensors says by name what each of them is: columns of a
table, arrays of a file, or places along the last axis of whatever else the data are::

    class Net(nn.Module):
        inputs = {"numbers": "age, income", "city": "city"}

        def forward(self, numbers, city): ...

What it says itself stands for the default of the field ``model.inputs``. An argument that nothing is
said of takes the column of its own name, or else all inputs that no other argument takes.
"""

from __future__ import annotations

import ast
import csv
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.core.data import DataShape
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.core.lazy import torch

REST = "*"
"""Stands for the inputs that no other argument takes."""
_ENTRY = re.compile(r"\s*([A-Za-z_]\w*)\s*=(.*)", re.DOTALL)
_RANGE = re.compile(r"([0-9]{1,9})\s*-\s*([0-9]{1,9})")
_WHERE = "model.inputs"


@dataclass(frozen=True)
class Share:
    """What one argument of the forward pass takes.

    Attributes:
        name: of the argument.
        spans: where it is along the last axis of the inputs, as pairs (begin, end).
        shape: of one example of it.
        codes: how many codes each of its values may be; () where they are quantities.
    """

    name: str
    spans: tuple[tuple[int, int], ...]
    shape: tuple[int, ...]
    codes: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Number of values of one example."""
        return DataShape(self.shape, 1, "regression").width


@dataclass(frozen=True)
class Division:
    """What each argument of the forward pass takes.

    Attributes:
        shares: one an argument. axes: number of axes of an example of the data. flat: whether each
            argument takes its examples as rows of values.
    """

    shares: tuple[Share, ...]
    axes: int
    flat: bool

    def divided(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the arguments for examples ``x`` ``[…, *inputs]``.

        Codes are whole numbers (int64), quantities are as they stand in ``x``.
        """
        before = x.shape[: x.ndim - self.axes]
        found: dict[str, torch.Tensor] = {}
        for share in self.shares:
            pieces = [x[..., begin:end] for begin, end in share.spans]
            values = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)
            shape = (share.width,) if self.flat else share.shape
            values = values.reshape(*before, *shape)
            found[share.name] = values.long() if share.codes else values
        return found

    def from_data(self) -> dict[str, Any]:
        """Return what a constructor may ask of the data, each by the name of the argument.

        ``inputs``: numbers of values. ``input_shape``: shapes of one example. ``codes``: for each
        value the number of its codes, () for quantities.
        """
        return {
            "inputs": {share.name: share.width for share in self.shares},
            "input_shape": {share.name: share.shape for share in self.shares},
            "codes": {share.name: share.codes for share in self.shares},
        }


def made_up(shape: DataShape, count: int) -> torch.Tensor:
    """Return ``count`` examples ``[count, *inputs]`` that data of this shape may have, float64."""
    x = torch.rand(count, *shape.inputs, dtype=torch.float64)
    begin = 0
    for group in shape.groups:
        end = begin + group.width
        if group.codes:
            x[:, begin:end] = torch.randint(group.codes, (count, group.width)).double()
        begin = end
    return x


# --- what is said -------------------------------------------------------------------------------


def wanted(cls: type[Any], where: str) -> tuple[str, ...]:
    """Return the names of the arguments that the forward pass of a class cannot do without.

    () where they cannot be read.

    Raises:
        InvalidInput: there are several, and one of them has no name that it could be given by.
    """
    required = [
        argument
        for argument in _parameters(cls)
        if argument.default is inspect.Parameter.empty and argument.kind not in _VARIOUS
    ]
    nameless = [one.name for one in required if one.kind is inspect.Parameter.POSITIONAL_ONLY]
    if len(required) > 1 and nameless:
        raise InvalidInput(
            f"{where}: the argument {shown(nameless[0])} of its forward pass can be given by "
            "position only; allow its name.",
            "origin",
        )
    return tuple(one.name for one in required)


def declared(cls: type[Any], where: str) -> dict[str, str]:
    """Return what a class says in its own ``inputs``: argument → columns; {} for nothing.

    Raises:
        InvalidInput: it says something that is no division.
    """
    own = getattr(cls, "inputs", None)
    if not isinstance(own, Mapping):
        return {}
    return checked(cls, {str(name): joined(columns) for name, columns in own.items()}, where)


def checked(cls: type[Any], said: Mapping[str, str], where: str) -> dict[str, str]:
    """Return what is said, if each name is that of an argument of the forward pass of ``cls``.

    Raises:
        InvalidInput: one is not.
    """
    known = [one.name for one in _parameters(cls) if one.kind not in _VARIOUS]
    for name in said:
        if name not in known:
            raise InvalidInput(
                f"{where}: its forward pass has no argument {shown(name)}"
                f"{did_you_mean(name, known)}; it has: {', '.join(known) or 'none'}.",
                _WHERE,
            )
    return dict(said)


_VARIOUS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(cls: type[Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(cls.forward).parameters.values())[1:]
    except (TypeError, ValueError):
        return []  # it cannot be read: the pass itself will tell


def asked_by(content: bytes, cls: str) -> dict[str, str]:
    """Return argument → columns for a class in a source file, read without executing anything.

    Returns:
        The arguments that its forward pass cannot do without, and what the class says of them, ""
        for nothing; {} where the pass takes one tensor, or is not written in the class.
    """
    body = next(
        (
            one.body
            for one in ast.parse(content).body
            if isinstance(one, ast.ClassDef) and one.name == cls
        ),
        [],
    )
    said: dict[str, str] = {}
    found: list[str] = []
    for node in body:
        if isinstance(node, ast.Assign) and [ast.unparse(one) for one in node.targets] == [
            "inputs"
        ]:
            try:
                own = ast.literal_eval(node.value)
            except ValueError:
                continue  # it is computed: the class itself will tell
            if isinstance(own, dict):
                said = {str(name): joined(columns) for name, columns in own.items()}
        if isinstance(node, ast.FunctionDef) and node.name == "forward":
            plain = [*node.args.posonlyargs, *node.args.args][1:]
            needed = plain[: len(plain) - len(node.args.defaults)]
            needed += [
                one
                for one, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                if default is None
            ]
            found = [one.arg for one in needed]
    if len(found) < 2 and not said:
        return {}
    return {name: said.get(name, "") for name in dict.fromkeys([*found, *said])}


def joined(columns: object) -> str:
    """Return the columns of an argument as one text, with quotes around names that hold a comma."""
    if isinstance(columns, str):
        return columns
    if not isinstance(columns, Iterable):
        return str(columns)
    return ", ".join(
        '"' + text.replace('"', '""') + '"' if "," in text or '"' in text else text
        for text in map(str, columns)
    )


def said_by(entries: Sequence[str]) -> dict[str, str]:
    """Return argument → columns of entries ``NAME=COLUMNS``; one without a name goes on with the last.

    Raises:
        InvalidInput: the first has no name, a name stands twice, or has nothing behind it.
    """
    found: dict[str, str] = {}
    last = ""
    for text in entries:
        match = _ENTRY.fullmatch(text)
        if match is None and last:
            found[last] += f", {text}"
            continue
        if match is None or not match[2].strip() or match[1] in found:
            problem = "stands twice" if match and match[1] in found else "must be NAME=COLUMNS"
            raise InvalidInput(
                f"model.inputs holds {shown(text)}, which {problem}: an argument of the forward "
                "pass, and what it takes, such as numbers=age,income.",
                _WHERE,
            )
        last = match[1]
        found[last] = match[2].strip()
    return found


def entries(said: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is said as entries ``NAME=COLUMNS``."""
    return tuple(f"{name}={columns}" for name, columns in said.items())


def listed(columns: str) -> list[str]:
    """Return the items of a list of columns; a comma between double quotes belongs to its item."""
    rows = csv.reader([columns], skipinitialspace=True)
    return [item.strip() for row in rows for item in row if item.strip()]


# --- which inputs that are ----------------------------------------------------------------------


def division(
    names: Sequence[str], said: Mapping[str, str], shape: DataShape, what: str, *, flat: bool
) -> Division:
    """Return what each argument takes of data of a shape.

    Args:
        names: of the arguments that the pass needs. said: argument → columns; more arguments than
            ``names`` may be there. shape: of the data. what: what messages call the module.
        flat: see :class:`Division`.

    Raises:
        InvalidInput: a column is not there, or it is not clear which argument takes it.
    """
    known = _Known(shape, what)
    every = list(dict.fromkeys([*names, *said]))
    given = {name: said.get(name, name if name in known.columns else REST) for name in every}
    items = {name: listed(columns) for name, columns in given.items()}
    open_ended = [name for name in every if REST in items[name]]
    if len(open_ended) > 1:
        raise InvalidInput(
            f"{what}: its forward pass takes {', '.join(every)}, and which inputs of the data are "
            f"{' and which are '.join(open_ended)} is not said; give each its columns in "
            f"model.inputs, such as {open_ended[0]}={known.example}. {known.sentence}",
            _WHERE,
        )
    taken = {
        name: [number for item in items[name] if item != REST for number in known.numbers(item)]
        for name in every
    }
    others = {number for numbers in taken.values() for number in numbers}
    rest = [number for number in range(known.count) if number not in others]
    for name in open_ended:
        taken[name] += rest
        rest = []
    for name, numbers in taken.items():
        if not numbers:
            raise InvalidInput(
                f"{what}: no input is left for {name} of its forward pass; say what it takes in "
                f"model.inputs. {known.sentence}",
                _WHERE,
            )
    if rest and shape.groups:
        left = ", ".join(shape.groups[number].name for number in rest[:10])
        raise InvalidInput(
            f"{what}: none of the inputs of its forward pass ({', '.join(every)}) takes {left}; "
            "add it in model.inputs, or leave it out of the data.",
            _WHERE,
        )
    return Division(
        tuple(known.share(name, numbers) for name, numbers in taken.items()),
        len(shape.inputs),
        flat,
    )


class _Known:
    """What the data have: columns with names, or places along their last axis."""

    def __init__(self, shape: DataShape, what: str) -> None:
        self._shape, self._what = shape, what
        self.columns = {group.name: number for number, group in enumerate(shape.groups)}
        self.count = len(shape.groups) or shape.inputs[-1]
        self.example = next(iter(self.columns), "1-2" if self.count > 1 else "1")
        self._bounds = [0]
        for group in shape.groups:
            self._bounds.append(self._bounds[-1] + group.width)

    @property
    def sentence(self) -> str:
        """What there is, for a message."""
        if not self.columns:
            axis = "" if len(self._shape.inputs) == 1 else " along the last axis"
            return f"The inputs{axis} are the numbers 1 to {self.count}."
        listing = ", ".join(list(self.columns)[:20]) + (", …" if self.count > 20 else "")
        return f"The columns are: {listing}."

    def numbers(self, item: str) -> list[int]:
        """Return the numbers, from 0, of the columns or places that an item names.

        Raises:
            InvalidInput: there are none.
        """
        if item in self.columns:
            return [self.columns[item]]
        match = _RANGE.fullmatch(item)
        first, last = (match[1], match[2]) if match else (item, item)
        if first.isdecimal() and 1 <= int(first) <= int(last) <= self.count:
            return list(range(int(first) - 1, int(last)))
        raise InvalidInput(
            f"{self._what}: model.inputs names {shown(item)}, which the data do not have"
            f"{did_you_mean(item, self.columns)}. {self.sentence}",
            _WHERE,
        )

    def share(self, name: str, numbers: Sequence[int]) -> Share:
        """Return what an argument takes that takes these columns or places.

        Raises:
            InvalidInput: some of them are codes and others quantities.
        """
        groups = [self._shape.groups[number] for number in numbers if self.columns]
        spans = _spans(
            [(self._bounds[n], self._bounds[n + 1]) for n in numbers]
            if groups
            else [(n, n + 1) for n in numbers]
        )
        width = sum(end - begin for begin, end in spans)
        coded = [group.name for group in groups if group.codes]
        if coded and len(coded) < len(groups):
            other = next(group.name for group in groups if not group.codes)
            raise InvalidInput(
                f"{self._what}: {name} of its forward pass takes {coded[0]}, which are codes, and "
                f"{other}, which are not; give them to different inputs in model.inputs, or "
                "encode both alike (dataset.columns).",
                _WHERE,
            )
        codes = tuple(group.codes for group in groups if group.codes for _ in range(group.width))
        shape = groups[0].shape if len(groups) == 1 else (*self._shape.inputs[:-1], width)
        return Share(name, spans, shape, codes)


def _spans(pairs: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return pairs (begin, end) with neighbors that follow each other joined."""
    found: list[tuple[int, int]] = []
    for begin, end in pairs:
        if found and found[-1][1] == begin:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return tuple(found)
