"""A torch optimizer around one rule of the catalogue.

A rule is a pure function on ``theta [R, P]``; here R = 1 and every parameter of the module is a
``theta`` of its own, viewed as ``[1, numel]``. What torch expects around it (groups, state dicts,
closures) is the same for all rules and lives in this one class.

A rule may want its gradient at a point ahead of the iterate. Without a closure nobody can move the
parameters there just before ``loss.backward()``, so they stay there between steps;
``state[p]["ahead"]`` holds how far (point − iterate), and its absence says that the parameter is at
its iterate.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Self

import torch
from torch.optim.optimizer import ParamsT

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.catalogue.optimizers.base import State
from optlab.core.hyperparameters import Hyperparameters
from optlab.optim.arguments import (
    arguments,
    check,
    common,
    documentation,
    hyperparameters,
    signature,
)

_STEP, _AHEAD = "step", "ahead"
_OWN = frozenset({_STEP, _AHEAD})
"""Entries of a parameter's state that are not the rule's."""


class RuleOptimizer(torch.optim.Optimizer):
    """Base of all optimizers here; the classes themselves are made by :meth:`of`.

    State of a parameter: ``step`` (int64, on the CPU), the rule's own tensors in the parameter's
    shape, and ``ahead`` while the parameter stands at the point where the rule wants its next
    gradient. Parameters without a gradient are left alone; complex ones are treated as pairs of
    reals.
    """

    rule: ClassVar[type[Rule]]
    """The component whose ``start``, ``point`` and ``update`` are used."""

    @classmethod
    def of(cls, rule: type[Rule], module: str) -> type[RuleOptimizer]:
        """The optimizer class of a rule, documented from the rule's page, as if written in
        ``module``.
        """
        body = {
            "rule": rule,
            "__module__": module,
            "__qualname__": rule.__name__,
            "__doc__": documentation(rule, module),
            "__signature__": signature(rule),
        }
        return type(rule.__name__, (cls,), body)

    def __init__(self, params: ParamsT, *args: Any, **kwargs: Any) -> None:
        """See the class for the arguments."""
        accepted = signature(self.rule)
        try:
            bound = accepted.bind(params, *args, **kwargs)
        except TypeError as error:
            raise TypeError(
                f"{self.rule.__name__}: {error}; its signature is {self.rule.__name__}{_short(accepted)}."
            ) from None
        bound.apply_defaults()
        values = dict(bound.arguments)
        super().__init__(values.pop("params"), values)

    # --- parameter groups and state ------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters; what it leaves out takes the values of the constructor.

        Raises:
            ValueError: a value is not allowed, or a parameter is in a group already.
        """
        if isinstance(param_group, dict):
            values = {**self.defaults, **param_group}
            check(self.rule, values)
            for argument in arguments(self.rule):
                if argument.bundled:
                    param_group[argument.name] = tuple(values[argument.name])
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A state saved before an argument existed takes its default.
        for group in self.param_groups:
            for name, argument in signature(self.rule).parameters.items():
                if name != "params":
                    group.setdefault(name, argument.default)

    # --- stepping ------------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward()`` and returns the
                loss; evaluated exactly once, where the rule wants its gradient. Without it the
                gradients that the parameters hold are used.

        Returns:
            what the closure returned; None without one.

        Raises:
            RuntimeError: a gradient is sparse, or it cannot have been taken where the rule wants
                it. No parameter has been changed then.
        """
        with torch.no_grad():
            if closure is None:
                gradients = self._gradients()
                self._check_places(gradients)
                for parameter in gradients:
                    self._return(parameter)
                loss = None
            else:
                loss, gradients = self._evaluate(closure)
            for group, parameter in self._parameters():
                if parameter in gradients:
                    self._update(group, parameter, gradients[parameter])
                    if closure is None:
                        self._advance(group, parameter)
        return loss

    @contextlib.contextmanager
    def at_iterate(self) -> Iterator[Self]:
        """Within this context the parameters are the iterates θ, for evaluating or saving them.

        For rules that look ahead and are stepped without a closure; for all others nothing changes.
        On leaving, parameters that were only read are exactly what they were before. Save module
        and optimizer both inside or both outside.
        """
        before: dict[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        with torch.no_grad():
            for _, parameter in self._parameters():
                if _AHEAD in self.state.get(parameter, {}):
                    point, ahead = parameter.clone(), self.state[parameter][_AHEAD]
                    self._return(parameter)
                    before[parameter] = (point, ahead, parameter.clone())
        try:
            yield self
        finally:
            with torch.no_grad():
                for group, parameter in self._parameters():
                    if parameter not in before or _AHEAD in self.state[parameter]:
                        continue
                    point, ahead, iterate = before[parameter]
                    if torch.equal(parameter, iterate):
                        parameter.copy_(point)
                        self.state[parameter][_AHEAD] = ahead
                    else:
                        self._advance(group, parameter)

    def look_ahead(self) -> None:
        """Move parameters that stand at their iterate to the point where the rule wants the next
        gradient, to go on without closures.
        """
        with torch.no_grad():
            for group, parameter in self._parameters():
                state = self.state.get(parameter)
                if state and _AHEAD not in state:
                    self._advance(group, parameter)

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, dict[torch.Tensor, torch.Tensor]]:
        """The closure's loss and the gradients at the points; afterwards every parameter is at its
        iterate.
        """
        iterates: dict[torch.Tensor, torch.Tensor] = {}
        for group, parameter in self._parameters():
            self._return(parameter)
            point = self._point(group, parameter)
            if point is not None:
                iterates[parameter] = parameter.clone()
                parameter.copy_(point)
        try:
            with torch.enable_grad():
                loss = closure()
            gradients = self._gradients()
        finally:
            for parameter, iterate in iterates.items():
                parameter.copy_(iterate)
        return loss, gradients

    def _gradients(self) -> dict[torch.Tensor, torch.Tensor]:
        """Gradients ``[1, n]`` of all parameters that have one, with sign and weight decay, at the
        parameters as they stand.
        """
        found: dict[torch.Tensor, torch.Tensor] = {}
        added = common(self.rule)
        for group, parameter in self._parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if gradient.layout is not torch.strided:
                raise RuntimeError(
                    f"{self.rule.__name__} does not support sparse gradients; make the layer that has them dense."
                )
            g = -_flat(gradient) if "maximize" in added and group["maximize"] else _flat(gradient)
            decay = group["weight_decay"] if "weight_decay" in added else 0.0
            found[parameter] = (
                g if isinstance(decay, float | int) and decay == 0 else g + decay * _flat(parameter)
            )
        return found

    def _update(self, group: dict[str, Any], parameter: torch.Tensor, g: torch.Tensor) -> None:
        state, h = self._state(group, parameter)
        theta = _flat(parameter)
        after, fresh = self.rule.update(theta, g, state, h)
        kept = self.state[parameter]
        kept.setdefault(_STEP, torch.zeros((), dtype=torch.int64))
        kept[_STEP] = kept[_STEP] + 1
        written = {_address(parameter), _address(parameter.grad)}
        for name, value in fresh.items():
            # What a rule hands on unchanged may be the parameter's or the gradient's own memory,
            # which others write to.
            own = value.clone() if _address(value) in written else value
            kept[name] = _shaped(own, parameter) if own.shape == theta.shape else own
        parameter.copy_(_shaped(after, parameter))

    def _state(
        self, group: dict[str, Any], parameter: torch.Tensor
    ) -> tuple[State, Hyperparameters]:
        """The rule's state of a parameter with a leading run axis, and the hyperparameters of its
        next step.
        """
        kept = self.state.get(parameter, {})
        h = hyperparameters(self.rule, group)
        h.step = int(kept[_STEP]) + 1 if _STEP in kept else 1
        if _STEP not in kept:
            return self.rule.start(_flat(parameter)), h
        return {
            name: _flat(value) if value.shape == parameter.shape else value
            for name, value in kept.items()
            if name not in _OWN
        }, h

    # --- points ahead of the iterates ----------------------------------------------------------------------------------------

    def _point(self, group: dict[str, Any], parameter: torch.Tensor) -> torch.Tensor | None:
        """Where the rule wants the next gradient of a parameter that stands at its iterate; None
        where that is the iterate itself.
        """
        if self.rule.point is Rule.point:
            return None
        state, h = self._state(group, parameter)
        theta = _flat(parameter)
        point = self.rule.point(theta, state, h)
        return None if point is theta else _shaped(point, parameter)

    def _advance(self, group: dict[str, Any], parameter: torch.Tensor) -> None:
        """From the iterate to the point."""
        point = self._point(group, parameter)
        if point is not None:
            # The difference of what is stored, not of what was computed: taking it off again then
            # gives the iterate back without rounding.
            self.state[parameter][_AHEAD] = point - parameter
            parameter.copy_(point)

    def _return(self, parameter: torch.Tensor) -> None:
        """From the point to the iterate."""
        ahead = self.state.get(parameter, {}).get(_AHEAD)
        if ahead is not None:
            parameter.sub_(ahead)
            del self.state[parameter][_AHEAD]

    def _check_places(self, gradients: dict[torch.Tensor, torch.Tensor]) -> None:
        """Refuse gradients that were taken at an iterate where the rule wants them ahead of it."""
        for group, parameter in self._parameters():
            if parameter not in gradients or _AHEAD in self.state.get(parameter, {}):
                continue
            point = self._point(group, parameter)
            if point is not None and not torch.equal(point, parameter):
                raise RuntimeError(
                    f"{self.rule.__name__}: this step has no closure, so the gradient has to be taken at the interim point, but the "
                    "parameters stand at the iterate (the last step had a closure, or this is within at_iterate()); call look_ahead() "
                    "before computing the gradient, or pass a closure."
                )

    def _parameters(self) -> Iterator[tuple[dict[str, Any], torch.Tensor]]:
        for group in self.param_groups:
            for parameter in group["params"]:
                yield group, parameter


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """``[1, n]`` reals: a view where the memory allows it."""
    return (torch.view_as_real(tensor) if tensor.is_complex() else tensor).detach().reshape(1, -1)


def _shaped(flat: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """``[1, n]`` reals in the shape (and, if complex, the type) of ``like``."""
    return (
        torch.view_as_complex(flat.reshape(*like.shape, 2))
        if like.is_complex()
        else flat.reshape(like.shape)
    )


def _address(tensor: torch.Tensor | None) -> int:
    return tensor.untyped_storage().data_ptr() if tensor is not None else 0


def _short(accepted: inspect.Signature) -> str:
    """A signature without annotations."""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in accepted.parameters.values()
    ]
    return str(inspect.Signature(bare))
