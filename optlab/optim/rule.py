"""Torch optimizers for the first-order rules of the catalogue.

A rule is a pure function on ``theta [R, P]``; with R = 1, every parameter of the module is a
separate ``theta``, viewed as ``[1, numel]``. The interface of torch (groups, state dicts, closures)
is the same for all rules and is implemented by this class.

A rule may evaluate its gradient at a point ahead of the iterate. Without a closure, the parameters
cannot be moved there just before ``loss.backward()``, so they stay there between steps;
``state[p]["ahead"]`` is the difference point − iterate, and is missing if the parameter is at its
iterate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self

import torch
from torch.optim.optimizer import ParamsT

from optlab.catalogue.optimizers.base import Optimizer as Rule
from optlab.catalogue.optimizers.base import State
from optlab.core.hyperparameters import Hyperparameters
from optlab.numerics.compiled.compiler import NotCompiled
from optlab.optim.arguments import (
    arguments,
    check,
    defaults,
    documentation,
    hyperparameters,
    in_words,
    signature,
)
from optlab.optim.flat.fusible import check_fused
from optlab.optim.flat.steps import FlatSteps
from optlab.optim.gradients import gradient_of, refuse_sparse
from optlab.optim.groups import group_of
from optlab.optim.layouts import flat_values, layout_of, shaped_values
from optlab.optim.list_steps import AHEAD, OWN, lists_of, update_list
from optlab.optim.loading import MARK, STEP, Shapes, own_state
from optlab.optim.tensor_lists import understood


class RuleOptimizer(torch.optim.Optimizer):
    """Base of the first-order optimizers; :meth:`of` creates the class of a rule.

    The state of a parameter consists of ``step`` (int64, on the CPU), the tensors of the rule in
    the shape of the parameter, and ``ahead`` while the parameter is at the point of its next
    gradient. Parameters without a gradient are not changed; complex ones are treated as pairs of
    real numbers.

    Args:
        params: parameters to optimize, or parameter groups.
        args: arguments of the rule; see the class of the rule.
        kwargs: arguments of the rule by name.

    Raises:
        TypeError: an argument does not exist.
        ValueError: a value is not allowed.
    """

    rule: ClassVar[type[Rule]]
    """Component whose ``start``, ``point`` and ``update`` are used."""
    _flat_steps: FlatSteps | None = None

    @classmethod
    def of(cls, rule: type[Rule], module: str) -> type[RuleOptimizer]:
        """Create the optimizer class of a rule in ``module``, documented by the rule's page."""
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
                f"{self.rule.__name__}: {error}; its signature is"
                f" {self.rule.__name__}{in_words(accepted)}."
            ) from None
        bound.apply_defaults()
        values = dict(bound.arguments)
        super().__init__(values.pop("params"), values)

    # --- parameter groups and state ---------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a parameter group.

        Args:
            param_group: ``{"params": …}`` and values of arguments; missing ones take the values
                passed to the constructor.

        Raises:
            ValueError: a value is not allowed, or a parameter is already in a group.
            RuntimeError: it asks for fused steps, and there is no compiler.
        """
        if isinstance(param_group, dict):
            values = {**self.defaults, **param_group}
            check(self.rule, values)
            for argument in arguments(self.rule):
                if argument.bundled:
                    param_group[argument.name] = tuple(values[argument.name])
        super().add_param_group(param_group)
        self.param_groups[-1] = group_of(self.rule, self.param_groups[-1])
        try:
            check_fused(self.rule, self.param_groups[-1])
        except (NotCompiled, ValueError):
            del self.param_groups[-1]
            raise

    @property
    def fused_groups(self) -> tuple[bool, ...]:
        """Whether a compiled loop has taken the last step of each parameter group.

        The steps of a group with ``fused=None`` are ordinary ones until the loop is compiled, and
        stay ordinary where it cannot be; the log says why.
        """
        flat = self._flat_steps
        return tuple(
            flat is not None and flat.fused(number) for number in range(len(self.param_groups))
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state, as torch does, and ``optimizer``, the name of this class.

        Later steps do not change its tensors.
        """
        if self._flat_steps is not None:
            self._flat_steps.forget()
        return {**super().state_dict(), MARK: self.rule.__name__}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of this class, or that of the optimizer of torch with the same rule.

        The values of the groups are loaded, too. After the state of a torch optimizer the next
        steps are torch's: where the rule has a field ``form``, its value is then ``"torch"``.

        Raises:
            ValueError: it is the state of another optimizer, or it does not fit the parameters.
                Nothing is changed then.
        """
        super().load_state_dict(
            own_state(
                self.rule,
                state_dict,
                self.param_groups,
                defaults(signature(self.rule)),
                lambda group: check(self.rule, group),
                self._expected,
            )
        )

    def _expected(
        self, group: Mapping[str, Any], index: int, parameter: torch.Tensor
    ) -> tuple[Shapes, Shapes]:
        flat = flat_values(parameter)
        fresh, _ = self._fresh(group, parameter)
        return {
            name: tuple(parameter.shape if value.shape == flat.shape else value.shape)
            for name, value in fresh.items()
        }, {AHEAD: tuple(parameter.shape)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.param_groups = [group_of(self.rule, group) for group in self.param_groups]
        # States saved before an argument was introduced take its default.
        for group in self.param_groups:
            for name, argument in signature(self.rule).parameters.items():
                if name != "params":
                    group.setdefault(name, argument.default)

    # --- stepping ---------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward()`` and returns the
                loss. It is evaluated exactly once, at the point of the gradient. Without a closure,
                the current gradients of the parameters are used.

        Returns:
            The result of the closure, or None without one.

        Raises:
            RuntimeError: a gradient is sparse, or it was evaluated at the wrong point. The
                parameters are then unchanged.
        """
        if understood(self.rule):
            return self._step_in_lists(closure)
        with torch.no_grad():
            if closure is None:
                gradients = self._gradients()
                self._check_points(gradients)
                for parameter in gradients:
                    self._return(parameter)
                loss = None
            else:
                loss, gradients = self._evaluate(closure)
            self._update_all(gradients)
            if closure is None:
                for group, parameter in self._parameters():
                    if parameter in gradients:
                        self._advance(group, parameter)
        return loss

    def _update_all(self, gradients: Mapping[torch.Tensor, torch.Tensor]) -> None:
        """Apply the rule to all parameters that have a gradient."""
        if self.rule.applied_to == "group":
            for group in self.param_groups:
                self._update_together(group, gradients)
            return
        for group, parameter in self._parameters():
            if parameter in gradients:
                self._update(group, parameter, gradients[parameter])

    def _step_in_lists(self, closure: Callable[[], Any] | None) -> Any:
        """Take one step of a rule that looks at no point ahead, for many parameters at once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        flat = self._flat_steps
        if flat is None:
            flat = self._flat_steps = FlatSteps(self.rule, self._begun)
        with torch.no_grad():
            steps = []
            for number, group in enumerate(self.param_groups):
                ready = flat.ready(number, group, self.state)
                rest = ready.others if ready is not None else group["params"]
                for parameter in rest:
                    refuse_sparse(self.rule, parameter.grad)
                steps.append((number, group, ready))
            for number, group, ready in steps:
                its = ready or flat.begun(number, group, self.state)
                if its is not None:
                    its.step()
                rest = its.others if its is not None else group["params"]
                if rest:
                    self._update_lists(group, [p for p in rest if p.grad is not None])
            flat.note(self.state)
        return loss

    def _update_lists(self, group: dict[str, Any], parameters: list[torch.Tensor]) -> None:
        h = hyperparameters(self.rule, group)
        for step, some, states in lists_of(self.state, group, h, parameters):
            if step == 0:
                for parameter in some:
                    self._update(group, parameter, gradient_of(self.rule, group, parameter))
            else:
                h.step = step
                update_list(self.rule, group, some, states, h)

    def _begun(self, group: Mapping[str, Any], parameter: torch.Tensor) -> dict[str, Any]:
        """Give a parameter its state before the first step, and return it."""
        fresh, _ = self._fresh(group, parameter)
        stored: dict[str, Any] = self.state[parameter]
        stored[STEP] = torch.zeros((), dtype=torch.int64)
        shape = (1, parameter.numel())
        stored.update(
            (name, shaped_values(value, parameter) if value.shape == shape else value)
            for name, value in fresh.items()
        )
        return stored

    @contextlib.contextmanager
    def at_iterate(self) -> Iterator[Self]:
        """Move the parameters to the iterates θ within a context, to evaluate or save them.

        It matters for rules that look ahead and are stepped without a closure, and does nothing for
        all others. On exit, parameters that were only read are restored exactly. Save the module
        and the optimizer either both inside or both outside of the context.

        Example:
            >>> with optimizer.at_iterate():
            ...     torch.save(model.state_dict(), path)
        """
        before: dict[torch.Tensor, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}
        with torch.no_grad():
            for _, parameter in self._parameters():
                if AHEAD in self.state.get(parameter, {}):
                    point, ahead = parameter.clone(), self.state[parameter][AHEAD]
                    self._return(parameter)
                    before[parameter] = (point, ahead, parameter.clone())
        try:
            yield self
        finally:
            with torch.no_grad():
                for group, parameter in self._parameters():
                    if parameter not in before or AHEAD in self.state[parameter]:
                        continue
                    point, ahead, iterate = before[parameter]
                    if torch.equal(parameter, iterate):
                        parameter.copy_(point)
                        self.state[parameter][AHEAD] = ahead
                    else:
                        self._advance(group, parameter)

    def look_ahead(self) -> None:
        """Move the parameters from their iterates to the points of the next gradient.

        Call it when you change from steps with a closure to steps without one.
        """
        with torch.no_grad():
            for group, parameter in self._parameters():
                state = self.state.get(parameter)
                if state and AHEAD not in state:
                    self._advance(group, parameter)

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, dict[torch.Tensor, torch.Tensor]]:
        """Return the loss of the closure and the gradients ``[1, n]`` at the points.

        Afterwards every parameter is at its iterate.
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
        """Return the gradients ``[1, n]`` of the parameters, with sign and weight decay."""
        return {
            parameter: gradient_of(self.rule, group, parameter)
            for group, parameter in self._parameters()
            if parameter.grad is not None
        }

    def _update(self, group: dict[str, Any], parameter: torch.Tensor, g: torch.Tensor) -> None:
        state, h = self._state(group, parameter)
        after, fresh = self.rule.update(flat_values(parameter), g, state, h)
        self._store(parameter, after, fresh)

    def _update_together(
        self, group: dict[str, Any], gradients: Mapping[torch.Tensor, torch.Tensor]
    ) -> None:
        """Take the step of a rule that needs all parameters of a group at once."""
        parameters = [parameter for parameter in group["params"] if parameter in gradients]
        if not parameters:
            return
        if len({(parameter.dtype, parameter.device) for parameter in parameters}) > 1:
            raise RuntimeError(
                f"{self.rule.__name__} uses all parameters of a group together, so they must be of"
                " one type and on one device; put the others into a group of their own."
            )
        states = [self._state(group, parameter) for parameter in parameters]
        h = states[0][1]
        h.layout = layout_of(parameters)
        thetas = [flat_values(parameter) for parameter in parameters]
        sizes = [theta.shape[1] for theta in thetas]
        theta = torch.cat(thetas, dim=1)
        # Everything else in the state is one value of the whole group, which each parameter keeps.
        split = {
            name for name, value in self.rule.begin(theta, h).items() if value.shape == theta.shape
        }
        state = {
            name: torch.cat([one[name] for one, _ in states], dim=1) if name in split else value
            for name, value in states[0][0].items()
        }
        g = torch.cat([gradients[parameter] for parameter in parameters], dim=1)
        after, fresh = self.rule.update(theta, g, state, h)
        parts = {name: value.split(sizes, dim=1) for name, value in fresh.items() if name in split}
        for index, (parameter, own) in enumerate(
            zip(parameters, after.split(sizes, dim=1), strict=True)
        ):
            self._store(
                parameter,
                own,
                {
                    name: parts[name][index] if name in split else value
                    for name, value in fresh.items()
                },
            )

    def _store(self, parameter: torch.Tensor, after: torch.Tensor, fresh: State) -> None:
        """Write the new values ``[1, n]`` and the new state of a parameter."""
        stored = self.state[parameter]
        stored.setdefault(STEP, torch.zeros((), dtype=torch.int64))
        stored[STEP] = stored[STEP] + 1
        mutable = {_address(parameter), _address(parameter.grad)}
        for name, value in fresh.items():
            # A tensor that the rule returns unchanged may share memory with the parameter or the
            # gradient, which others modify.
            own = value.clone() if _address(value) in mutable else value
            stored[name] = shaped_values(own, parameter) if own.shape == after.shape else own
        parameter.copy_(shaped_values(after, parameter))

    def _state(
        self, group: dict[str, Any], parameter: torch.Tensor
    ) -> tuple[State, Hyperparameters]:
        """Return the state of a parameter with a run axis, and its next hyperparameters."""
        stored = self.state.get(parameter, {})
        if STEP not in stored:
            return self._fresh(group, parameter)
        h = self._hyperparameters(group, parameter)
        h.step = int(stored[STEP]) + 1
        return {
            name: flat_values(value) if value.shape == parameter.shape else value
            for name, value in stored.items()
            if name not in OWN
        }, h

    def _fresh(
        self, group: Mapping[str, Any], parameter: torch.Tensor
    ) -> tuple[State, Hyperparameters]:
        """Return the state of a parameter before its first step, and the hyperparameters of it."""
        h = self._hyperparameters(group, parameter)
        h.step = 1
        return self.rule.begin(flat_values(parameter), h), h

    def _hyperparameters(
        self, group: Mapping[str, Any], parameter: torch.Tensor
    ) -> Hyperparameters:
        h = hyperparameters(self.rule, group)
        if not self.rule.elementwise:
            h.layout = layout_of([parameter])
        return h

    # --- points ahead of the iterates -------------------------------------------------------------

    def _point(self, group: dict[str, Any], parameter: torch.Tensor) -> torch.Tensor | None:
        """Return the point of the next gradient of a parameter that is at its iterate.

        Return None if it is the iterate itself.
        """
        if self.rule.point is Rule.point:
            return None
        state, h = self._state(group, parameter)
        theta = flat_values(parameter)
        point = self.rule.point(theta, state, h)
        return None if point is theta else shaped_values(point, parameter)

    def _advance(self, group: dict[str, Any], parameter: torch.Tensor) -> None:
        """Move a parameter from its iterate to the point of its next gradient."""
        point = self._point(group, parameter)
        if point is not None:
            # The difference of the stored values, so that subtracting it restores the iterate
            # without rounding error.
            self.state[parameter][AHEAD] = point - parameter
            parameter.copy_(point)

    def _return(self, parameter: torch.Tensor) -> None:
        """Move a parameter from the point of its gradient to its iterate."""
        ahead = self.state.get(parameter, {}).get(AHEAD)
        if ahead is not None:
            parameter.sub_(ahead)
            del self.state[parameter][AHEAD]

    def _check_points(self, gradients: dict[torch.Tensor, torch.Tensor]) -> None:
        """Raise an error if gradients were evaluated at an iterate instead of ahead of it."""
        for group, parameter in self._parameters():
            if parameter not in gradients or AHEAD in self.state.get(parameter, {}):
                continue
            point = self._point(group, parameter)
            if point is not None and not torch.equal(point, parameter):
                raise RuntimeError(
                    f"{self.rule.__name__}: this step has no closure, so the gradient must be"
                    " evaluated at the interim point, but the parameters are at the iterate (the"
                    " last step had a closure, or this is within at_iterate()); call look_ahead()"
                    " before computing the gradient, or pass a closure."
                )

    def _parameters(self) -> Iterator[tuple[dict[str, Any], torch.Tensor]]:
        for group in self.param_groups:
            for parameter in group["params"]:
                yield group, parameter


def _address(tensor: torch.Tensor | None) -> int:
    return tensor.untyped_storage().data_ptr() if tensor is not None else 0
