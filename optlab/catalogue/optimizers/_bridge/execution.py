"""Real torch optimizers, one a run, over one flat ``theta [R, P]``: loaded from a state, stepped,
read back.

What an optimizer remembers lies in its ``state`` (by parameter), in its parameter groups (beside
the constructor's arguments) and, for some, in attributes of its own. Each remembered entry is a
:class:`Slot`; the slots are found by a few dry steps on copies, because optimizers make their state
at their first step. A state is a dictionary of tensors with a leading run axis:

- ``*/exp_avg`` ``[R, P]``: entries in the shape of their parameter, in the order of ``theta``;
- ``*/step`` ``[R, K]``: single numbers, one for each of the K parameters;
- ``layers.0.weight/row_var`` ``[R, *shape]``: entries of another shape;
- ``group.0/k``, ``self/k`` ``[R]``: numbers of a group or of the optimizer itself;
- ``present`` ``[R, slots]``: whether an entry is there (1), is None (2) or not there yet (0).

Entries that are tensors are views of these buffers, so that a step writes straight into them;
reading back is one copy a buffer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.catalogue.optimizers.base import State
from optlab.core.errors import InvalidInput, RunFailed
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch

Values = Mapping[str, Any]
Build = Callable[
    [Sequence[tuple[Parameter, "torch.Tensor"]], Values], "list[torch.optim.Optimizer]"
]
"""Parameters of one run, and values of its fields → the optimizers that train them."""
Assign = Callable[["list[torch.optim.Optimizer]", Values], bool]
"""Give optimizers that are there other values; False where they have to be built anew."""

PRESENT = "present"
_ABSENT, _VALUE, _NONE = 0, 1, 2
_DRY_STEPS = 3
_EVERY = "*"
Owner = str
"""Whose entry it is: a parameter's name, ``group.i`` or ``self.i``."""


@dataclass(frozen=True)
class Slot:
    """One remembered entry.

    Attributes:
        owner, key: where it lies. shape, dtype: of its tensor (of a number: [] and how it is kept).
        number: the Python type, for what is no tensor. host: whether its tensor lies on the CPU
            whatever the device.
        packed: whether it shares a buffer with the same entry of the other parameters.
    """

    owner: Owner
    key: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    number: type | None
    host: bool
    packed: bool

    @property
    def buffer(self) -> str:
        """Name of the state's tensor that holds it."""
        return f"{_EVERY if self.packed else self.owner}/{self.key}"


class Population:
    """The optimizers of R runs.

    Args:
        theta: parameters ``[R, P]``; only their shape, type and device are used, and their values
            for the dry steps.
        values: fields of each run.
        ignored: names in parameter groups that are the constructor's arguments.

    Raises:
        InvalidInput: torch refuses the values, or what the optimizer remembers cannot be kept in a
            state.
    """

    def __init__(
        self,
        title: str,
        build: Build,
        assign: Assign,
        ignored: frozenset[str],
        layout: Layout,
        theta: torch.Tensor,
        values: Sequence[Values],
    ) -> None:
        self._title, self._build, self._assign, self._ignored = title, build, assign, ignored
        self._layout = Layout(layout.parameters)  # its own, so that the one it was made for may go
        self._theta, self._g = theta.clone(), torch.zeros_like(theta)
        self._values = [dict(own) for own in values]
        self._parameters = [self._split(run) for run in range(len(values))]
        self._optimizers = [
            self._built(parameters, own)
            for parameters, own in zip(self._parameters, values, strict=True)
        ]
        self._slots = self._found_slots()
        self._places = {(slot.owner, slot.key): place for place, slot in enumerate(self._slots)}
        self._buffers = self._made_buffers()
        self._views = [
            [self._view(slot, run) for slot in self._slots] for run in range(len(values))
        ]
        self._codes = [[_ABSENT] * len(self._slots) for _ in values]
        self._last: State = {}
        self._present = self._coded()

    # --- what the rule does with it --------------------------------------------------------------------------------------------

    def state(self) -> State:
        """The state as it stands, copied."""
        for run in range(len(self._values)):
            self._gather(run)
        self._present = self._coded()
        return self._read()

    def step(
        self, theta: torch.Tensor, g: torch.Tensor, state: State, values: Sequence[Values]
    ) -> tuple[torch.Tensor, State]:
        """One step of every run from ``theta`` and ``state`` with the gradients ``g``; nothing that
        is given is written to.
        """
        self._set_values(values)
        if not self._is_last(state):
            self._load(state)
        with torch.no_grad():
            self._theta.copy_(theta)
            self._g.copy_(g)
        for run, optimizers in enumerate(self._optimizers):
            for optimizer in optimizers:
                optimizer.step()
            if self._gather(run):
                self._present = self._coded()
        return self._theta.clone(), self._read()

    # --- loading and reading ---------------------------------------------------------------------------------------------------

    def _is_last(self, state: State) -> bool:
        """Whether this is what the last step returned: then it lies in the buffers already."""
        return bool(self._last) and all(
            state.get(name) is value for name, value in self._last.items()
        )

    def _read(self) -> State:
        self._last = {
            name: buffer.to(self._theta.device, copy=True) for name, buffer in self._buffers.items()
        }
        self._last[PRESENT] = self._present
        return dict(self._last)

    def _load(self, state: State) -> None:
        if set(state) != {*self._buffers, PRESENT}:
            raise RunFailed(
                f"The state is not one of {self._title} with these settings; it is of another optimizer or another version of it."
            )
        for name, buffer in self._buffers.items():
            buffer.copy_(state[name])
        self._codes = [list(map(int, codes)) for codes in state[PRESENT].tolist()]
        self._present = state[PRESENT]
        for run, optimizers in enumerate(self._optimizers):
            for optimizer in optimizers:
                optimizer.state.clear()
            containers = dict(_containers(optimizers, self._parameters[run], every=True))
            for slot, code, view in zip(
                self._slots, self._codes[run], self._views[run], strict=True
            ):
                if code == _ABSENT:
                    continue
                value = (
                    None
                    if code == _NONE
                    else view
                    if slot.number is None
                    else slot.number(view.item())
                )
                containers[slot.owner][slot.key] = value

    def _gather(self, run: int) -> bool:
        """What the optimizers of a run remember, into the buffers; whether other entries are there
        than before.
        """
        codes = [_ABSENT] * len(self._slots)
        views = self._views[run]
        for owner, container in _containers(self._optimizers[run], self._parameters[run]):
            for key, value in list(container.items()):
                place = self._places.get((owner, key))
                if place is None:
                    if self._remembers(owner, key, value):
                        raise RunFailed(
                            f"{self._title} began to remember '{key}' in the middle of a run, which cannot be kept in a snapshot."
                        )
                    continue
                codes[place] = _NONE if value is None else _VALUE
                view = views[place]
                if value is None or value is view:
                    continue
                if self._slots[place].number is not None:
                    view.fill_(value)
                elif value.shape != view.shape or value.dtype != view.dtype:
                    raise RunFailed(
                        f"{self._title} changed the shape or type of '{key}' in the middle of a run, which cannot be kept in a snapshot."
                    )
                else:
                    view.copy_(value)
                    container[key] = view
        changed = codes != self._codes[run]
        self._codes[run] = codes
        return changed

    def _coded(self) -> torch.Tensor:
        return torch.tensor(self._codes, dtype=torch.uint8, device=self._theta.device).reshape(
            len(self._values), len(self._slots)
        )

    # --- values ----------------------------------------------------------------------------------------------------------------

    def _set_values(self, values: Sequence[Values]) -> None:
        for run, (own, before) in enumerate(zip(values, self._values, strict=True)):
            if own == before:
                continue
            if not self._assign(self._optimizers[run], own):
                self._optimizers[run] = self._built(self._parameters[run], own)
                self._last = {}  # the new ones remember nothing yet
            self._values[run] = dict(own)

    def _built(
        self, parameters: Sequence[tuple[Parameter, torch.Tensor]], values: Values
    ) -> list[torch.optim.Optimizer]:
        try:
            return self._build(parameters, values)
        except (ValueError, TypeError, AssertionError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise InvalidInput(
                f"{self._title} refuses these settings: {reason}.", "optimizer.name"
            ) from None

    # --- what there is to remember -------------------------------------------------------------------------------------------------

    def _split(
        self, run: int, theta: torch.Tensor | None = None
    ) -> list[tuple[Parameter, torch.Tensor]]:
        """The parameters of a run as torch's, views of the flat storage, with their gradients
        likewise.
        """
        whole = self._theta if theta is None else theta
        gradient = self._g if theta is None else torch.full_like(whole, 1e-3)
        found: list[tuple[Parameter, torch.Tensor]] = []
        for spec, part, g in zip(
            self._layout.parameters,
            self._layout.split(whole[run : run + 1]),
            self._layout.split(gradient[run : run + 1]),
            strict=True,
        ):
            parameter = torch.nn.Parameter(part[0])
            parameter.grad = g[0]
            found.append((spec, parameter))
        return found

    def _found_slots(self) -> list[Slot]:
        """Dry steps of every kind of run: which of its numbers are zero can decide what is
        remembered, and they may change on the way.
        """
        found: dict[tuple[Owner, str], Slot] = {}
        seen: set[tuple[Any, ...]] = set()
        for run, own in enumerate(self._values):
            lifted = {
                name: 0.1 if type(value) is float and value == 0.0 else value
                for name, value in own.items()
            }
            for values, required in ((own, True), (lifted, False)):
                kind = tuple(
                    value if isinstance(value, bool | str) else value == 0
                    for value in values.values()
                )
                if kind in seen:
                    continue
                seen.add(kind)
                parameters = self._split(run, self._theta.clone())
                try:
                    optimizers = self._built(parameters, values)
                except InvalidInput:
                    if required:
                        raise
                    continue
                for slot in self._dry(optimizers, parameters):
                    other = found.setdefault((slot.owner, slot.key), slot)
                    if (other.shape, other.dtype, other.number) != (
                        slot.shape,
                        slot.dtype,
                        slot.number,
                    ):
                        raise InvalidInput(
                            f"{self._title} keeps '{slot.key}' in changing shapes, which cannot be part of a snapshot.",
                            "optimizer.name",
                        )
        return self._arranged(list(found.values()))

    def _dry(
        self,
        optimizers: list[torch.optim.Optimizer],
        parameters: list[tuple[Parameter, torch.Tensor]],
    ) -> Iterator[Slot]:
        before = [_own_values(optimizer) for optimizer in optimizers]
        arguments = [
            [
                {k: v for k, v in group.items() if k in self._ignored}
                for group in optimizer.param_groups
            ]
            for optimizer in optimizers
        ]
        names: list[set[tuple[Owner, str]]] = []
        for _ in range(_DRY_STEPS):
            for optimizer in optimizers:
                try:
                    optimizer.step()
                except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises, these settings do not work here
                    reason = " ".join(str(error).split()).rstrip(".") or "no reason given"
                    raise InvalidInput(
                        f"{self._title} failed in a trial step with {type(error).__name__}: {reason}.",
                        "optimizer.name",
                    ) from None
            remembered = [
                (owner, key)
                for owner, container in _containers(optimizers, parameters)
                for key, v in container.items()
                if self._remembers(owner, key, v)
            ]
            names.append(set(remembered))
        if names[0] != names[-1]:
            raise InvalidInput(
                f"{self._title} remembers ever more from step to step, which cannot be part of a snapshot.",
                "optimizer.name",
            )
        for optimizer, kept in zip(optimizers, arguments, strict=True):
            for group, own in zip(optimizer.param_groups, kept, strict=True):
                for key, value in own.items():
                    if not _same(group[key], value):
                        raise InvalidInput(
                            f"{self._title} changes its own setting '{key}', so that it could not be repeated.",
                            "optimizer.name",
                        )
        for number, (optimizer, own) in enumerate(zip(optimizers, before, strict=True)):
            for key, value in _own_values(optimizer).items():
                if not _same(own.get(key), value):
                    yield self._slot(f"self.{number}", key, value)
        for owner, container in _containers(optimizers, parameters):
            if not owner.startswith("self."):
                for key, value in container.items():
                    if self._remembers(owner, key, value) and value is not None:
                        yield self._slot(owner, key, value)

    def _remembers(self, owner: Owner, key: str, value: Any) -> bool:
        """Whether an entry is something that the optimizer remembers, and not a setting of its own."""
        if owner.startswith("self."):
            return False  # found by its changes
        if owner.startswith("group."):
            return (
                key not in self._ignored
                and not isinstance(value, bool)
                and isinstance(value, int | float | torch.Tensor)
            )
        return value is not None

    def _slot(self, owner: Owner, key: str, value: Any) -> Slot:
        if isinstance(value, torch.Tensor):
            host = value.device.type == "cpu" and self._theta.device.type != "cpu"
            return Slot(owner, key, tuple(value.shape), value.dtype, None, host, False)
        if type(value) in (bool, int, float):
            wide = torch.float32 if self._theta.device.type == "mps" else torch.float64
            dtype = {bool: torch.bool, int: torch.int64, float: wide}[type(value)]
            return Slot(owner, key, (), dtype, type(value), True, False)
        raise InvalidInput(
            f"{self._title} remembers '{key}', a {type(value).__name__}, which cannot be part of a snapshot.",
            "optimizer.name",
        )

    def _arranged(self, slots: list[Slot]) -> list[Slot]:
        """Entries that lie in one buffer marked as such, all in a fixed order."""
        shapes = {spec.name: spec.shape for spec in self._layout.parameters}
        arranged: list[Slot] = []
        for key, group in itertools.groupby(
            sorted(slots, key=lambda slot: slot.key), key=lambda slot: slot.key
        ):
            members = list(group)
            alike = len({(slot.dtype, slot.number, slot.host) for slot in members}) == 1 and all(
                slot.owner in shapes for slot in members
            )
            whole = alike and all(
                slot.shape == shapes[slot.owner] and slot.shape and slot.dtype == self._theta.dtype
                for slot in members
            )
            numbers = alike and all(slot.shape == () for slot in members)
            arranged += [
                Slot(s.owner, key, s.shape, s.dtype, s.number, s.host, whole or numbers)
                for s in members
            ]
        return sorted(arranged, key=lambda slot: (slot.owner, slot.key))

    def _made_buffers(self) -> State:
        runs, device = self._theta.shape[0], self._theta.device
        made: State = {}
        for slot in self._slots:
            if slot.buffer not in made:
                extent = (
                    slot.shape
                    if not slot.packed
                    else (self._layout.total,)
                    if slot.shape
                    else (len(self._layout.parameters),)
                )
                made[slot.buffer] = torch.zeros(
                    runs, *extent, dtype=slot.dtype, device="cpu" if slot.host else device
                )
        return made

    def _view(self, slot: Slot, run: int) -> torch.Tensor:
        """The place of an entry in its buffer."""
        row = self._buffers[slot.buffer][run]
        if not slot.packed:
            return row
        place = next(
            place for place, spec in enumerate(self._layout.parameters) if spec.name == slot.owner
        )
        if not slot.shape:
            return row[place]
        begin = self._layout.offsets[place]
        return row[begin : begin + self._layout.sizes[place]].view(slot.shape)


def _containers(
    optimizers: Sequence[torch.optim.Optimizer],
    parameters: Sequence[tuple[Parameter, torch.Tensor]],
    *,
    every: bool = False,
) -> Iterator[tuple[Owner, dict[Any, Any]]]:
    """The dictionaries in which the optimizers of a run keep what they remember; ``every``: also
    those of parameters of which nothing is remembered yet.
    """
    owners = {id(parameter): spec.name for spec, parameter in parameters}
    count = itertools.count()
    for number, optimizer in enumerate(optimizers):
        for group in optimizer.param_groups:
            yield f"group.{next(count)}", _Beside(group)
            for parameter in group["params"]:
                if every or parameter in optimizer.state:
                    yield owners[id(parameter)], optimizer.state[parameter]
        yield f"self.{number}", vars(optimizer)


class _Beside(dict[Any, Any]):
    """A parameter group without its parameters."""

    def __init__(self, group: dict[str, Any]) -> None:
        super().__init__(
            {key: value for key, value in group.items() if key not in ("params", "param_names")}
        )
        self._group = group

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)
        self._group[key] = value


def _own_values(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Numbers and tensors among the optimizer's own attributes."""
    return {
        key: value.clone() if isinstance(value, torch.Tensor) else value
        for key, value in vars(optimizer).items()
        if isinstance(value, int | float | torch.Tensor)
    }


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.shape == other.shape and bool(torch.equal(one, other))
    return type(one) is type(other) and bool(one == other)
