"""Optimizers of other packages and of the user, one per run, whatever they keep and wherever.

Torch's own optimizers are known (:mod:`execution`). Of any other, a few trial steps on copies show
what it keeps (:mod:`tree`); each such entry gets a place in the tensors of the state. Its parameters
are tensors of their own, and every step gets new gradients, as in a script, so that it may keep or
replace them. What it draws depends on the seed of the run and the step (:mod:`draws`).

The state is loaded into a new optimizer that has taken the trial steps: it then has all containers
and objects, and the stored values replace those in them. An optimizer with a training and an
evaluation mode has two points: the trainer sees the one of evaluation, and ``point`` ``[R, P]`` of the state is the
one at which its gradients are evaluated.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from optlab.catalogue.optimizers._bridge import entries
from optlab.catalogue.optimizers._bridge.calls import (
    Closure,
    Evaluate,
    copied,
    has_modes,
    take_step,
    walked,
)
from optlab.catalogue.optimizers._bridge.containers import same
from optlab.catalogue.optimizers._bridge.draws import drawing_from, reseed, seed_of
from optlab.catalogue.optimizers._bridge.entries import ABSENT
from optlab.catalogue.optimizers._bridge.execution import PRESENT, Population, Slot, Values
from optlab.catalogue.optimizers._bridge.tree import Leaf, Path, Walk
from optlab.catalogue.optimizers.base import State
from optlab.core.errors import InvalidInput, RunFailed
from optlab.core.layout import Parameter
from optlab.core.lazy import torch

POINT = "point"
"""Entry of the state: where the gradients are evaluated, ``[R, P]``."""
ASSIGNED = "assigned"
"""Entry of the state: the values of the fields that were set last, ``[R, fields]``."""
_TRIAL_STEPS = 12
_MAX_TRIAL_STEPS = 150
_SETTLED = 3
"""Trial steps without a new entry after which no more are taken."""

Entries = dict[Path, "list[Any]"]


class ForeignPopulation(Population):
    """The optimizers of R runs; see :class:`~optlab.catalogue.optimizers._bridge.execution.Population`.

    Args:
        seeds: of the runs.
        closure: whether a step is given a function that evaluates loss and gradient again.
        arguments: values of the fields → what the groups may have of them.
        rest: further arguments of a population.
    """

    def __init__(
        self,
        *rest: Any,
        seeds: Sequence[int],
        closure: bool,
        arguments: Callable[[Values], dict[str, Any]],
    ) -> None:
        self._seeds, self._closure, self._arguments = list(seeds), closure, arguments
        self._steps_to_warm_up = _TRIAL_STEPS
        self._settings: set[Path] = set()
        self._walks: list[Walk] = []
        self._constants: dict[int, dict[Path, float]] = {}
        super().__init__(*rest)
        self._modes = all(map(has_modes, self._optimizers[0]))
        self._points = self._theta.clone()
        self._numbers = [
            name for name, value in self._values[0].items() if type(value) in (int, float)
        ]
        self._fresh_codes: list[list[int]] = []
        for run in range(len(self._values)):
            self._gather(run)
            self._fresh_codes.append(list(self._codes[run]))

    @property
    def rewritten(self) -> frozenset[str]:
        """The arguments among the entries of parameter groups that the optimizers change."""
        return frozenset(key for _, key in self._settings)

    @property
    def first(self) -> tuple[torch.optim.Optimizer, Sequence[Any]]:
        """An optimizer of the first run, and the random generators that it keeps."""
        return self._optimizers[0][0], self._walks[0].generators

    # --- stepping ---------------------------------------------------------------------------------

    def advance(
        self,
        theta: torch.Tensor,
        g: torch.Tensor,
        state: State,
        values: Sequence[Values],
        step: int,
        evaluate: Sequence[Evaluate] = (),
    ) -> tuple[torch.Tensor, State]:
        """Take step ``step`` (1, 2, …) of every run without modifying the arguments.

        Args:
            theta: parameters ``[R, P]``.
            g: gradients ``[R, P]`` at ``theta``, or at ``point`` of the state if it has one.
            state: state before the step.
            values: values of the fields of each run.
            evaluate: of each run, loss and gradient at any parameters; () where it has no closure.

        Returns:
            The new parameters ``[R, P]`` and the new state.
        """
        if not self._is_last(state):
            self._load(state)
        self._set_values(values)
        start = state[POINT] if self._modes else theta
        after = theta.clone()
        for run, optimizers in enumerate(self._optimizers):
            self._place(run, start[run], g[run])
            closure = None if not evaluate else Closure(self, run, evaluate[run])
            seed = seed_of(self._seeds[run], step)
            reseed(self._walks[run].generators, seed)
            with drawing_from(seed):
                take_step(optimizers, closure)
            self._points[run] = self._flat(run)
            after[run] = self._evaluated(run) if self._modes else self._points[run]
            for _, parameter in self._parameters[run]:
                parameter.grad = None
            if self._gather(run):
                self._present = self._coded()
        return after, self._read()

    def flat(self, run: int) -> torch.Tensor:
        """Return a copy of the current parameters ``[P]`` of a run."""
        return self._flat(run)

    def set_gradient(self, run: int, g: torch.Tensor) -> None:
        """Give the parameters of a run new gradients, from ``g`` ``[P]``."""
        for (_, parameter), part in zip(
            self._parameters[run], self._layout.split(g.unsqueeze(0)), strict=True
        ):
            parameter.grad = part[0].clone()

    def _place(self, run: int, theta: torch.Tensor, g: torch.Tensor) -> None:
        with torch.no_grad():
            for (_, parameter), part in zip(
                self._parameters[run], self._layout.split(theta.unsqueeze(0)), strict=True
            ):
                parameter.copy_(part[0])
        self.set_gradient(run, g)

    def _flat(self, run: int) -> torch.Tensor:
        return torch.cat([p.detach().reshape(-1) for _, p in self._parameters[run]])

    def _evaluated(self, run: int) -> torch.Tensor:
        """Return the parameters ``[P]`` of evaluation mode; those of training stay in place."""
        kept = [parameter.detach().clone() for _, parameter in self._parameters[run]]
        for optimizer in self._optimizers[run]:
            optimizer.eval()  # type: ignore[attr-defined]
        shown = self._flat(run)
        for optimizer in self._optimizers[run]:
            optimizer.train()  # type: ignore[attr-defined]
        with torch.no_grad():  # going there and back rounds
            for (_, parameter), value in zip(self._parameters[run], kept, strict=True):
                parameter.copy_(value)
        return shown

    # --- loading and reading ----------------------------------------------------------------------

    def _names(self) -> set[str]:
        names = {*self._buffers, PRESENT}
        if self._modes:
            names.add(POINT)
        if self._settings:
            names.add(ASSIGNED)
        return names

    def _read(self) -> State:
        super()._read()
        if self._modes:
            self._last[POINT] = self._points.clone()
        if self._settings:
            rows = [[float(own[name]) for name in self._numbers] for own in self._values]
            self._last[ASSIGNED] = torch.tensor(rows, dtype=torch.float64)
        return dict(self._last)

    def _load(self, state: State) -> None:
        if set(state) != self._names():
            raise RunFailed(
                f"The state does not belong to {self._title} with these settings, but to another"
                " optimizer or another version of it."
            )
        for name, buffer in self._buffers.items():
            buffer.copy_(state[name])
        self._codes = [list(map(int, codes)) for codes in state[PRESENT].tolist()]
        self._present = state[PRESENT]
        for run, own in enumerate(self._values):
            if self._settings:
                assigned = state[ASSIGNED][run].tolist()
                for name, value in zip(self._numbers, assigned, strict=True):
                    own[name] = type(own[name])(value)
            self._parameters[run] = self._split(run)
            self._optimizers[run] = self._built(self._parameters[run], own)
            self._constants.pop(run, None)
            if self._codes[run] != self._fresh_codes[run]:
                self._warm_up(self._optimizers[run], self._parameters[run], self._seeds[run])
            self._restore(run)
        if self._modes:
            self._points = state[POINT].clone()
        self._last = dict(state)

    def _restore(self, run: int) -> None:
        """Replace what the optimizers of a run keep by what the buffers hold."""
        walk = self._walk(run)
        leaves = {leaf.path: leaf for leaf in walk.leaves}
        gone: list[Leaf] = []
        for slot, code, view in zip(self._slots, self._codes[run], self._views[run], strict=True):
            leaf = leaves.get((slot.owner, slot.key))
            if code == ABSENT:
                if leaf is not None:
                    gone.append(leaf)
            elif leaf is None or not entries.put(
                leaf, entries.stored(slot, code, view, self._theta.dtype)
            ):
                raise RunFailed(
                    f"{self._title}: the stored value of '{slot.key}' has no place in a new"
                    " optimizer, so the run cannot be continued."
                )
        for leaf in reversed(gone):
            leaf.remove()
        self._clear_empty(run, walk)
        self._walks[run] = self._walk(run)

    def _clear_empty(self, run: int, walk: Walk) -> None:
        """Remove what no parameter keeps: an optimizer asks whether its state is empty."""
        kept = {
            (slot.owner, slot.key.partition("/")[0])
            for slot, code in zip(self._slots, self._codes[run], strict=True)
            if code != ABSENT
        }
        slots = {(slot.owner, slot.key.partition("/")[0]) for slot in self._slots}
        owners = {owner for owner, _ in kept}
        for owner, states, parameter in walk.states:
            for key in list(states[parameter]):
                if (owner, str(key)) in slots - kept:
                    del states[parameter][key]
            if owner not in owners:
                del states[parameter]

    def _gather(self, run: int) -> bool:
        codes = [ABSENT] * len(self._slots)
        walk = self._walk(run)
        views = self._views[run]
        numbers: dict[Path, float] = {}
        parameters = {spec.name for spec in self._layout.parameters}
        for leaf in walk.leaves:
            index = self._indices.get(leaf.path)
            if index is None:
                if leaf.path[0] in parameters and not isinstance(leaf.value, str | None):
                    raise RunFailed(
                        f"{self._title} added '{leaf.path[1]}' to its state during a run, which"
                        " cannot be stored in a snapshot."
                    )
                if isinstance(leaf.value, int | float):
                    numbers[leaf.path] = leaf.value
                continue
            try:
                codes[index] = entries.keep(self._slots[index], leaf.value, views[index])
            except entries.Unstorable as error:
                raise RunFailed(
                    f"{self._title} has '{leaf.path[1]}' in its state, which {error} and cannot be"
                    " stored in a snapshot."
                ) from None
        self._check_constants(run, numbers)
        while len(self._walks) <= run:
            self._walks.append(walk)
        self._walks[run] = walk
        changed = codes != self._codes[run]
        self._codes[run] = codes
        return changed

    def _check_constants(self, run: int, numbers: dict[Path, float]) -> None:
        """Refuse a number that begins to change after the trial steps; settings are no state."""
        before = self._constants.setdefault(run, numbers)
        for path, value in numbers.items():
            setting = path[1].partition("/")[0] in self._ignored
            if not setting and not same(before.get(path, value), value):
                raise RunFailed(
                    f"{self._title} changed '{path[1]}' for the first time after"
                    f" {self._steps_to_warm_up} steps, so that it was not taken for state; register"
                    " it with a constructor that makes it a tensor, or change it from the start."
                )

    def _walk(self, run: int) -> Walk:
        return walked(self._optimizers[run], self._parameters[run])

    # --- values -----------------------------------------------------------------------------------

    def _set_values(self, values: Sequence[Values]) -> None:
        for run, (own, before) in enumerate(zip(values, self._values, strict=True)):
            if own == before:
                continue
            if not self._assign_changed(self._optimizers[run], before, own):
                kept = self._walk(run)
                self._parameters[run] = self._split(run)
                self._optimizers[run] = self._built(self._parameters[run], own)
                self._constants.pop(run, None)
                if self._codes[run] != self._fresh_codes[run]:
                    self._warm_up(self._optimizers[run], self._parameters[run], self._seeds[run])
                self._walks[run] = kept
                self._restore(run)
            self._values[run] = dict(own)

    def _assign_changed(
        self, optimizers: list[torch.optim.Optimizer], before: Values, own: Values
    ) -> bool:
        """Assign what changed to the groups that have it; False if some have none of it."""
        old, new = self._arguments(before), self._arguments(own)
        changed = {key for key in new if not same(old.get(key), new[key])}
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        if any(not any(key in group for group in groups) for key in changed):
            return False
        for key, group in itertools.product(sorted(changed), groups):
            if key not in group:
                continue
            if same(group[key], old[key]):
                group[key] = new[key]
            elif key == "lr" and old[key]:
                group[key] = group[key] * (new[key] / old[key])
        return True

    def _built(
        self, parameters: Sequence[tuple[Parameter, torch.Tensor]], values: Values
    ) -> list[torch.optim.Optimizer]:
        # Every run of a population builds its own; which it is matters only for its draws.
        with drawing_from(seed_of(self._seeds[0], 0)):
            optimizers = super()._built(parameters, values)
        for optimizer in optimizers:
            if not hasattr(optimizer, "param_groups") or not hasattr(optimizer, "state"):
                raise InvalidInput(
                    f"{self._title} has no param_groups or no state, as torch's optimizers do.",
                    "optimizer.name",
                )
            if has_modes(optimizer):
                try:
                    optimizer.train()  # type: ignore[attr-defined]
                except Exception as error:  # noqa: BLE001 - foreign code may raise anything
                    raise InvalidInput(
                        f"{self._title}: its train() failed with {type(error).__name__}: {error}.",
                        "optimizer.name",
                    ) from None
        return optimizers

    # --- discovering the state --------------------------------------------------------------------

    def _split(
        self, run: int, theta: torch.Tensor | None = None
    ) -> list[tuple[Parameter, torch.Tensor]]:
        """Return the parameters of a run, each a tensor of its own."""
        storage = self._theta if theta is None else theta
        return [
            (spec, torch.nn.Parameter(part[0].clone()))
            for spec, part in zip(
                self._layout.parameters, self._layout.split(storage[run : run + 1]), strict=True
            )
        ]

    def _discover_slots(self) -> list[Slot]:
        found: Entries = {}
        tried: set[tuple[Any, ...]] = set()
        for run, own in enumerate(self._values):
            kind = tuple(
                value if isinstance(value, bool | str) else value == 0 for value in own.values()
            )
            if kind in tried:
                continue
            tried.add(kind)
            self._try_out(run, own, found)
        slots: list[Slot] = []
        for path, values in found.items():
            try:
                slots.append(entries.slot_of(path, values, self._theta.device))
            except entries.Unstorable as error:
                raise self._refused(path, str(error)) from None
        return self._arranged(slots)

    def _try_out(self, run: int, values: Values, found: Entries) -> None:
        """Take trial steps, and add the entries that they create or change, with examples."""
        parameters = self._split(run)
        owners = {spec.name for spec, _ in parameters}
        optimizers = self._built(parameters, values)
        first = {leaf.path: copied(leaf.value) for leaf in walked(optimizers, parameters).leaves}
        texts: dict[Path, str] = {}
        settled = 0
        for step in range(_MAX_TRIAL_STEPS):
            self._trial_step(optimizers, parameters, step, self._seeds[run])
            before = len(found)
            for leaf in walked(optimizers, parameters).leaves:
                path, value = leaf.path, leaf.value
                if isinstance(value, str):
                    if texts.setdefault(path, value) != value:
                        raise self._refused(path, "is a text that changes from step to step")
                    continue
                known = path in first and same(first[path], value)
                if path not in found and known and not self._is_always_kept(leaf, owners):
                    continue
                found.setdefault(path, []).append(entries.example(value))
                if path[0].startswith("group.") and path[1] in self._ignored:
                    self._settings.add(path)
            settled = settled + 1 if len(found) == before else 0
            if step + 1 >= _TRIAL_STEPS and settled >= _SETTLED:
                break
        else:
            raise InvalidInput(
                f"{self._title} has a state that grows at every step, which cannot be stored in a"
                " snapshot.",
                "optimizer.name",
            )
        for path in found:
            if path in first:
                found[path].append(entries.example(first[path]))
        self._steps_to_warm_up = max(self._steps_to_warm_up, step + 1)

    def _is_always_kept(self, leaf: Leaf, owners: Collection[str]) -> bool:
        """Return whether an entry belongs to the state although no trial step changed it."""
        owner, key = leaf.path
        if owner in owners:
            return True
        return (
            owner.startswith("group.")
            and key.partition("/")[0] not in self._ignored
            and not isinstance(leaf.value, bool)
            and isinstance(leaf.value, int | float | torch.Tensor)
            and not isinstance(leaf.holder, tuple)
        )

    def _warm_up(
        self,
        optimizers: list[torch.optim.Optimizer],
        parameters: Sequence[tuple[Parameter, torch.Tensor]],
        seed: int,
    ) -> None:
        for step in range(self._steps_to_warm_up):
            self._trial_step(optimizers, parameters, step, seed)
        for _, parameter in parameters:
            parameter.grad = None

    def _trial_step(
        self,
        optimizers: list[torch.optim.Optimizer],
        parameters: Sequence[tuple[Parameter, torch.Tensor]],
        step: int,
        seed: int,
    ) -> None:
        """Take a step with small gradients that vary."""
        generator = torch.Generator().manual_seed(step)

        def evaluate() -> torch.Tensor:
            loss = torch.ones((), dtype=self._theta.dtype, device=self._theta.device)
            for _, parameter in parameters:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.grad = 1e-3 * noise.to(parameter)
            return loss

        evaluate()
        try:
            with drawing_from(seed_of(seed, -1 - step)):
                take_step(optimizers, evaluate if self._closure else None)
        except Exception as error:  # noqa: BLE001 - foreign code may raise anything
            reason = " ".join(str(error).split()).rstrip(".") or "no reason given"
            if "does not require grad" in reason:
                reason = "it differentiates the gradient, but gets it without a graph"
            raise InvalidInput(
                f"{self._title} failed in a trial step with {type(error).__name__}: {reason[:300]}.",
                "optimizer.name",
            ) from None

    def _refused(self, path: Path, why: str) -> InvalidInput:
        return InvalidInput(
            f"{self._title} has '{path[1]}' in its state, which {why} and cannot be stored in a"
            " snapshot.",
            "optimizer.name",
        )
