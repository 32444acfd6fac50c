"""When the steps of an optimizer are taken in flat memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import is_
from typing import Any

import torch

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.core.hyperparameters import Hyperparameters
from optlab.numerics.compiled.compiler import NotCompiled
from optlab.numerics.traced_number import NotRepeatable
from optlab.optim.arguments import arguments, common, hyperparameters
from optlab.optim.flat.cohort import COUNT, Cohort
from optlab.optim.flat.fusible import suits
from optlab.optim.flat.listing import DECAY, listing
from optlab.optim.flat.loops import functions_of

LEAST_STEPS = 200
LEAST_VALUES = 100_000_000
"""Steps of a group, and values that they have updated, after which its loops are compiled where it does
not say when. The compiler takes half a second of a core, mostly of one that is idle, and a loop saves
1 to 3 ns a value: a training that has come so far soon gains more than that.
"""
_MAX_WAIT = 64
"""Steps until it is tried again with gradients that are now here, now there, at most."""
_SETTLED = 16
"""Steps after which it is tried again at once."""

Group = Mapping[str, Any]
States = Mapping[torch.Tensor, dict[str, Any]]
Begin = Callable[[Group, torch.Tensor], dict[str, Any]]
"""Parameter group and a parameter without state → its state before the first step."""


class FlatGroup:
    """The parameters of a group whose steps are taken in flat memory.

    Args:
        rule: the rule.
        group: the parameter group.
        states: of the parameters.
        begin: gives parameters without state one.
        before: number of steps that the group has taken in flat memory before.

    Attributes:
        cohorts: parameters that are stepped together.
        others: parameters that are left to others: of other types, or on other devices.
        served: number of steps so far.
        due: the number of steps after which :meth:`fuse` is to be called before each; infinite where
            it is not.

    Raises:
        NotRepeatable: the steps cannot be taken in flat memory.
        NotCompiled: the group asks for fused steps, and there is no compiler, or it fails.
    """

    def __init__(
        self, rule: type[Rule], group: Group, states: States, begin: Begin, before: int = 0
    ) -> None:
        self._rule = rule
        self._names = [argument.name for argument in arguments(rule)] + list(common(rule))
        self._numbers = tuple(field.name for field in rule.fields() if field.kind == "number")
        self._all = list(group["params"])
        self._absent = [one for one in self._all if one.grad is None]
        self._gradients: list[list[torch.Tensor]] = []
        self._values, self._leaves, self._choices = self._read(group)
        self._lasting = _lasting(self._values)
        self.others: list[torch.Tensor] = []
        self.served = 0
        choices, decays, maximizes, fused = self._choices
        h = Hyperparameters(**self._leaves, step=1)
        begun = rule.begin(torch.ones(1, 1), h)
        entries, alike = tuple(begun), all(one.shape == (1, 1) for one in begun.values())
        given = rule, choices, self._numbers, entries
        operations = listing(*given, decays=decays, maximizes=maximizes)
        kinds: dict[Any, list[tuple[torch.Tensor, dict[str, Any]]]] = {}
        if operations is not None:
            for parameter in self._all:
                if parameter.grad is None:
                    continue
                if not suits(parameter):
                    self.others.append(parameter)
                    continue
                state = states.get(parameter)
                if not state and alike:
                    key = parameter.dtype, 0, True
                    kinds.setdefault(key, []).append((parameter, states[parameter]))
                    continue
                state = state or begin(group, parameter)
                if _complete(state, entries, parameter):
                    key = parameter.dtype, int(state[COUNT]), False
                    kinds.setdefault(key, []).append((parameter, state))
                else:
                    self.others.append(parameter)
        if operations is None or not kinds:
            raise NotRepeatable(f"steps of {rule.__name__} are not taken in flat memory")
        self.cohorts = []
        for (dtype, step, fresh), some in kinds.items():
            functions = functions_of(operations, dtype, fused=fused)
            begins = (lambda theta: rule.begin(theta, h)) if fresh else None
            self.cohorts.append(Cohort(operations, some, step, begins, functions=functions))
        for cohort in self.cohorts:
            cohort.set_values(self._leaves)
        waits = fused is None and not self.fused
        self.due = max(0, self._worthwhile() - before) if waits else math.inf

    def _read(self, group: Group) -> tuple[list[Any], dict[str, Any], tuple[Any, ...]]:
        """Return the values of a group, hyperparameter → value, and what operations depend on."""
        values = [group[name] for name in self._names]
        leaves = dict(vars(hyperparameters(self._rule, group)))
        added = common(self._rule)
        decay = group["weight_decay"] if "weight_decay" in added else 0.0
        if any(isinstance(value, torch.Tensor) for value in (*leaves.values(), decay)):
            raise NotRepeatable("a hyperparameter is a tensor")
        choices = tuple(
            (name, value) for name, value in leaves.items() if name not in self._numbers
        )
        maximizes = bool(group["maximize"]) if "maximize" in added else False
        fused = group["fused"] if "fused" in added else False
        leaves[DECAY] = decay
        # Somebody may change a value within a list.
        values = [list(value) if isinstance(value, list) else value for value in values]
        return values, leaves, (choices, decay != 0, maximizes, fused)

    def ready(self, group: Group) -> bool:
        """Return whether the next step can be taken; keep its gradients until then."""
        parameters = group["params"]
        if len(parameters) != len(self._all) or not all(map(is_, parameters, self._all)):
            return False
        if any(parameter.grad is not None for parameter in self._absent):
            return False
        values = [group[name] for name in self._names]
        if not all(map(is_, values, self._lasting)) and (
            values != self._values or any(map(_is_tensor, values))
        ):
            try:
                self._values, self._leaves, choices = self._read(group)
            except NotRepeatable:
                return False
            if choices != self._choices:
                return False
            self._lasting = _lasting(self._values)
            for cohort in self.cohorts:
                cohort.set_values(self._leaves)
        found = [cohort.gradients() for cohort in self.cohorts]
        if any(gradients is None for gradients in found):
            return False
        self._gradients = found  # type: ignore[assignment]
        return True

    def _worthwhile(self) -> int:
        """Return the number of steps after which the loops are compiled."""
        return max(LEAST_STEPS, LEAST_VALUES // sum(cohort.values for cohort in self.cohorts))

    @property
    def fused(self) -> bool:
        """Whether compiled loops take the steps of all parameters but the others."""
        return all(cohort.fused for cohort in self.cohorts)

    def fuse(self) -> None:
        """Go on in compiled loops where those are ready; have them compiled by a thread otherwise.

        It can be called between :meth:`ready` and :meth:`step`.
        """
        try:
            ready = [cohort.fused or cohort.fuse() for cohort in self.cohorts]
        except NotCompiled:
            self.due = math.inf  # the log has the reason
        else:
            if all(ready):
                self.due = math.inf

    def step(self) -> None:
        """Take the step after :meth:`ready`."""
        gradients, self._gradients = self._gradients, []
        for cohort, its in zip(self.cohorts, gradients, strict=True):
            cohort.step(its, self._leaves)
        self.served += 1


class FlatSteps:
    """The groups of an optimizer whose steps are taken in flat memory.

    Args:
        rule: the rule.
        begin: gives parameters without state one.
    """

    def __init__(self, rule: type[Rule], begin: Begin) -> None:
        self._rule = rule
        self._begin = begin
        self._groups: dict[int, FlatGroup] = {}
        self._waits: dict[int, int] = {}
        self._lengths: dict[int, int] = {}
        self._served: dict[int, int] = {}
        self._fused: dict[int, bool] = {}
        self._states: list[dict[str, Any]] = []

    def forget(self) -> None:
        """Overwrite no tensor of the present states any more: others have them now."""
        for number in list(self._groups):
            self._give_up(number)

    def fused(self, number: int) -> bool:
        """Return whether compiled loops have taken the last step of the group of this number."""
        return self._fused.get(number, False)

    def _note_fused(self, number: int, flat: FlatGroup) -> None:
        self._fused[number] = flat.fused and not any(one.numel() for one in flat.others)

    def _give_up(self, number: int) -> None:
        served = self._groups.pop(number).served
        self._served[number] = self._served.get(number, 0) + served
        settled = served >= _SETTLED
        length = 0 if settled else min(2 * self._lengths.get(number, 0) + 1, _MAX_WAIT)
        self._lengths[number] = self._waits[number] = length

    def ready(self, number: int, group: Group, states: States) -> FlatGroup | None:
        """Return the group of this number if its next step can be taken as the last one."""
        flat = self._groups.get(number)
        if flat is None:
            return None
        known = self._states
        same = len(states) == len(known) and all(map(is_, states.values(), known))
        if same and flat.ready(group):
            if flat.served >= flat.due:
                flat.fuse()
                self._note_fused(number, flat)
            return flat
        self._give_up(number)
        self._fused[number] = False
        return None

    def begun(self, number: int, group: Group, states: States) -> FlatGroup | None:
        """Return the group of this number, ready for its next step; None where it is not tried.

        Raises:
            NotCompiled: it asks for fused steps, which cannot be compiled.
        """
        wait = self._waits.get(number, 0)
        if wait > 0:
            self._waits[number] = wait - 1
            return None
        if all(parameter.grad is None for parameter in group["params"]):
            return None
        try:
            before = self._served.get(number, 0)
            flat = FlatGroup(self._rule, group, states, self._begin, before)
        except NotRepeatable:
            flat = None
        if flat is None or not flat.ready(group):
            self._lengths[number] = self._waits[number] = _MAX_WAIT
            return None
        self._groups[number] = flat
        self._note_fused(number, flat)
        return flat

    def note(self, states: States) -> None:
        """Note the states after a step, to find out whether somebody replaces them."""
        if len(states) != len(self._states) or not all(map(is_, states.values(), self._states)):
            self._states = list(states.values())


def _lasting(values: Sequence[Any]) -> list[Any]:
    """Return values that are what they were as long as they are the same objects; None for others."""
    return [None if isinstance(value, list) else value for value in values]


def _is_tensor(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_is_tensor, value))
    return isinstance(value, torch.Tensor)


def _complete(state: Mapping[str, Any], entries: Sequence[str], parameter: torch.Tensor) -> bool:
    """Return whether a state has a tensor like the parameter, ``[*shape]``, for each entry."""
    return COUNT in state and all(
        isinstance(state.get(name), torch.Tensor)
        and state[name].shape == parameter.shape
        and state[name].dtype == parameter.dtype
        and state[name].is_cpu
        for name in entries
    )
