"""Real torch optimizers, one per run, on a flat ``theta [R, P]``.

They are loaded from a state, stepped, and read back. The state of a torch optimizer is in its
``state`` (per parameter), in its parameter groups (besides the constructor's arguments) and, for
some, in its attributes. Each entry is a :class:`Slot`; a few trial steps on copies discover them,
because optimizers create their state at the first step. The state of the rule is a dictionary of
tensors with a leading run axis:

- ``*/exp_avg`` ``[R, P]``: entries in the shape of their parameter, in the order of ``theta``;
- ``*/step`` ``[R, K]``: single numbers, one for each of the K parameters;
- ``layers.0.weight/row_var`` ``[R, *shape]``: entries of another shape;
- ``group.0/k``, ``self/k`` ``[R]``: numbers of a group or of the optimizer itself;
- ``present`` ``[R, slots]``: whether an entry has a value (1), is None (2) or is missing (0).

Tensor entries are views of these buffers, so that a step writes directly into them; reading the
state copies each buffer once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.catalogue.optimizers._bridge.containers import Owner, containers, own_values, same
from optlab.catalogue.optimizers.base import State
from optlab.core.errors import InvalidInput, RunFailed
from optlab.core.layout import Layout, Parameter
from optlab.core.lazy import torch

Values = Mapping[str, Any]
Build = Callable[
    [Sequence[tuple[Parameter, "torch.Tensor"]], Values], "list[torch.optim.Optimizer]"
]
"""Parameters of one run and values of its fields → the optimizers that train them."""
Assign = Callable[["list[torch.optim.Optimizer]", Values], bool]
"""Assign new values to existing optimizers; False if they must be rebuilt."""

PRESENT = "present"
_ABSENT, _VALUE, _NONE = 0, 1, 2
_TRIAL_STEPS = 3
_EVERY = "*"


@dataclass(frozen=True)
class Slot:
    """One entry of an optimizer's state.

    Attributes:
        owner: owner of the entry.
        key: key of the entry.
        shape: shape of its tensor; [] for a number.
        dtype: type of its tensor, or the type with which a number is stored.
        number: Python type of a number; None for a tensor.
        host: whether its tensor is on the CPU whatever the device of the parameters.
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
        """Name of the tensor of the state that holds the entry."""
        return f"{_EVERY if self.packed else self.owner}/{self.key}"


class Population:
    """The optimizers of R runs.

    Args:
        title: label of the optimizer, for messages.
        build: creates the optimizers of a run.
        assign: assigns new values to them.
        ignored: keys in parameter groups that are arguments of the constructor.
        layout: division of ``theta`` into tensors.
        theta: parameters ``[R, P]``. Their shape, type and device are used, and their values for
            the trial steps.
        values: values of the fields of each run.

    Raises:
        InvalidInput: torch refuses the values, or the state of the optimizer cannot be stored.
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
        self._layout = Layout(layout.parameters)  # a copy, so that the original can be released
        self._theta, self._g = theta.clone(), torch.zeros_like(theta)
        self._values: list[dict[str, Any]] = [dict(own) for own in values]
        self._parameters = [self._split(run) for run in range(len(values))]
        self._optimizers = [
            self._built(parameters, own)
            for parameters, own in zip(self._parameters, values, strict=True)
        ]
        self._slots = self._discover_slots()
        self._indices = {(slot.owner, slot.key): index for index, slot in enumerate(self._slots)}
        self._buffers = self._allocate_buffers()
        self._views = [
            [self._view(slot, run) for slot in self._slots] for run in range(len(values))
        ]
        self._codes = [[_ABSENT] * len(self._slots) for _ in values]
        self._last: State = {}
        self._present = self._coded()

    # --- stepping ---------------------------------------------------------------------------------

    def state(self) -> State:
        """Return a copy of the current state; the module lists its tensors and their shapes."""
        for run in range(len(self._values)):
            self._gather(run)
        self._present = self._coded()
        return self._read()

    def step(
        self, theta: torch.Tensor, g: torch.Tensor, state: State, values: Sequence[Values]
    ) -> tuple[torch.Tensor, State]:
        """Take one step of every run without modifying the arguments.

        Args:
            theta: parameters ``[R, P]``.
            g: gradients ``[R, P]``.
            state: state before the step.
            values: values of the fields of each run.

        Returns:
            The new parameters ``[R, P]`` and the new state.
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

    # --- loading and reading ----------------------------------------------------------------------

    def _is_last(self, state: State) -> bool:
        """Return whether the last step returned this state; it is then in the buffers already."""
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
                f"The state does not belong to {self._title} with these settings, but to another"
                " optimizer"
                " or another version of it."
            )
        for name, buffer in self._buffers.items():
            buffer.copy_(state[name])
        self._codes = [list(map(int, codes)) for codes in state[PRESENT].tolist()]
        self._present = state[PRESENT]
        for run, optimizers in enumerate(self._optimizers):
            for optimizer in optimizers:
                optimizer.state.clear()
            owned = dict(containers(optimizers, self._parameters[run], every=True))
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
                owned[slot.owner][slot.key] = value

    def _gather(self, run: int) -> bool:
        """Copy the state of the optimizers of a run into the buffers.

        Return whether the set of entries has changed.
        """
        codes = [_ABSENT] * len(self._slots)
        views = self._views[run]
        for owner, container in containers(self._optimizers[run], self._parameters[run]):
            for key, value in list(container.items()):
                index = self._indices.get((owner, key))
                if index is None:
                    if self._is_state(owner, key, value):
                        raise RunFailed(
                            f"{self._title} added '{key}' to its state during a run, which cannot"
                            " be stored in a snapshot."
                        )
                    continue
                codes[index] = _NONE if value is None else _VALUE
                view = views[index]
                if value is None or value is view:
                    continue
                if self._slots[index].number is not None:
                    view.fill_(value)
                elif value.shape != view.shape or value.dtype != view.dtype:
                    raise RunFailed(
                        f"{self._title} changed the shape or type of '{key}' in its state during a"
                        " run, which cannot be stored in a snapshot."
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

    # --- values -----------------------------------------------------------------------------------

    def _set_values(self, values: Sequence[Values]) -> None:
        for run, (own, before) in enumerate(zip(values, self._values, strict=True)):
            if own == before:
                continue
            if not self._assign(self._optimizers[run], own):
                self._optimizers[run] = self._built(self._parameters[run], own)
                self._last = {}  # the new optimizers have no state yet
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

    # --- discovering the state --------------------------------------------------------------------

    def _split(
        self, run: int, theta: torch.Tensor | None = None
    ) -> list[tuple[Parameter, torch.Tensor]]:
        """Return the parameters of a run as views of the flat storage, with their gradients.

        With ``theta``, they are views of it, and the gradients are constant.
        """
        storage = self._theta if theta is None else theta
        gradient = self._g if theta is None else torch.full_like(storage, 1e-3)
        parameters: list[tuple[Parameter, torch.Tensor]] = []
        for spec, part, g in zip(
            self._layout.parameters,
            self._layout.split(storage[run : run + 1]),
            self._layout.split(gradient[run : run + 1]),
            strict=True,
        ):
            parameter = torch.nn.Parameter(part[0])
            parameter.grad = g[0]
            parameters.append((spec, parameter))
        return parameters

    def _discover_slots(self) -> list[Slot]:
        """Return the entries of the state, from trial steps of every kind of run.

        Which values are zero can decide which entries exist, and values may change during a run.
        """
        slots: dict[tuple[Owner, str], Slot] = {}
        tried: set[tuple[Any, ...]] = set()
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
                if kind in tried:
                    continue
                tried.add(kind)
                parameters = self._split(run, self._theta.clone())
                try:
                    optimizers = self._built(parameters, values)
                except InvalidInput:
                    if required:
                        raise
                    continue
                for slot in self._trial_steps(optimizers, parameters):
                    other = slots.setdefault((slot.owner, slot.key), slot)
                    if (other.shape, other.dtype, other.number) != (
                        slot.shape,
                        slot.dtype,
                        slot.number,
                    ):
                        raise InvalidInput(
                            f"{self._title} changes the shape or type of '{slot.key}' in its state,"
                            " which cannot be stored in a snapshot.",
                            "optimizer.name",
                        )
        return self._arranged(list(slots.values()))

    def _trial_steps(
        self,
        optimizers: list[torch.optim.Optimizer],
        parameters: list[tuple[Parameter, torch.Tensor]],
    ) -> Iterator[Slot]:
        """Take a few steps and yield the entries of the state that they create."""
        before = [own_values(optimizer) for optimizer in optimizers]
        arguments = [
            [
                {k: v for k, v in group.items() if k in self._ignored}
                for group in optimizer.param_groups
            ]
            for optimizer in optimizers
        ]
        names: list[set[tuple[Owner, str]]] = []
        for _ in range(_TRIAL_STEPS):
            for optimizer in optimizers:
                try:
                    optimizer.step()
                except Exception as error:  # noqa: BLE001 - foreign code may raise anything
                    reason = " ".join(str(error).split()).rstrip(".") or "no reason given"
                    raise InvalidInput(
                        f"{self._title} failed in a trial step with {type(error).__name__}:"
                        f" {reason}.",
                        "optimizer.name",
                    ) from None
            entries = [
                (owner, key)
                for owner, container in containers(optimizers, parameters)
                for key, v in container.items()
                if self._is_state(owner, key, v)
            ]
            names.append(set(entries))
        if names[0] != names[-1]:
            raise InvalidInput(
                f"{self._title} has a state that grows at every step, which cannot be stored in a"
                " snapshot.",
                "optimizer.name",
            )
        for optimizer, kept in zip(optimizers, arguments, strict=True):
            for group, own in zip(optimizer.param_groups, kept, strict=True):
                for key, value in own.items():
                    if not same(group[key], value):
                        raise InvalidInput(
                            f"{self._title} changes its own setting '{key}', so its steps cannot be"
                            " reproduced.",
                            "optimizer.name",
                        )
        for number, (optimizer, own) in enumerate(zip(optimizers, before, strict=True)):
            for key, value in own_values(optimizer).items():
                if not same(own.get(key), value):
                    yield self._slot(f"self.{number}", key, value)
        for owner, container in containers(optimizers, parameters):
            if not owner.startswith("self."):
                for key, value in container.items():
                    if self._is_state(owner, key, value) and value is not None:
                        yield self._slot(owner, key, value)

    def _is_state(self, owner: Owner, key: str, value: Any) -> bool:
        """Return whether an entry belongs to the state and is not a setting."""
        if owner.startswith("self."):
            return False  # attributes belong to the state if trial steps change them
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
            real = torch.float32 if self._theta.device.type == "mps" else torch.float64
            dtype = {bool: torch.bool, int: torch.int64, float: real}[type(value)]
            return Slot(owner, key, (), dtype, type(value), True, False)
        raise InvalidInput(
            f"{self._title} has '{key}', a {type(value).__name__}, in its state, which cannot be"
            " stored"
            " in a snapshot.",
            "optimizer.name",
        )

    def _arranged(self, slots: list[Slot]) -> list[Slot]:
        """Return the slots in a fixed order, with those that share a buffer marked."""
        shapes = {spec.name: spec.shape for spec in self._layout.parameters}
        arranged: list[Slot] = []
        for key, group in itertools.groupby(
            sorted(slots, key=lambda slot: slot.key), key=lambda slot: slot.key
        ):
            members = list(group)
            uniform = len({(slot.dtype, slot.number, slot.host) for slot in members}) == 1 and all(
                slot.owner in shapes for slot in members
            )
            parameter_shaped = uniform and all(
                slot.shape == shapes[slot.owner] and slot.shape and slot.dtype == self._theta.dtype
                for slot in members
            )
            scalars = uniform and all(slot.shape == () for slot in members)
            arranged += [
                Slot(s.owner, key, s.shape, s.dtype, s.number, s.host, parameter_shaped or scalars)
                for s in members
            ]
        return sorted(arranged, key=lambda slot: (slot.owner, slot.key))

    def _allocate_buffers(self) -> State:
        runs, device = self._theta.shape[0], self._theta.device
        buffers: State = {}
        for slot in self._slots:
            if slot.buffer not in buffers:
                extent = (
                    slot.shape
                    if not slot.packed
                    else (self._layout.total,)
                    if slot.shape
                    else (len(self._layout.parameters),)
                )
                buffers[slot.buffer] = torch.zeros(
                    runs, *extent, dtype=slot.dtype, device="cpu" if slot.host else device
                )
        return buffers

    def _view(self, slot: Slot, run: int) -> torch.Tensor:
        """Return the view of an entry in its buffer."""
        row = self._buffers[slot.buffer][run]
        if not slot.packed:
            return row
        index = next(
            index for index, spec in enumerate(self._layout.parameters) if spec.name == slot.owner
        )
        if not slot.shape:
            return row[index]
        begin = self._layout.offsets[index]
        return row[begin : begin + self._layout.sizes[index]].view(slot.shape)
