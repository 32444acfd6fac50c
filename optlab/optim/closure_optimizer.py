"""Torch optimizers for closure-based rules: Newton's method, line searches, populations.

Such a rule chooses where and how often the objective is evaluated, so ``step`` needs a closure that
computes the loss of the module at its current parameters and returns it *without* calling
``backward()``; the rule decides what to differentiate. All parameters together are one
``theta [1, P]``; the objective writes a ``theta`` into the module and calls the closure.
"""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import torch
from torch.optim.optimizer import ParamsT

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.optimizers.base import ObjectiveOptimizer as Rule
from optlab.catalogue.optimizers.base import State
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout
from optlab.optim.arguments import (
    arguments,
    check,
    defaults,
    documentation,
    hyperparameters,
    signature,
)
from optlab.optim.closure_objective import ClosureObjective
from optlab.optim.groups import group_of
from optlab.optim.layouts import layout_of
from optlab.optim.loading import MARK, Shapes, own_state
from optlab.optim.loading import STEP as _STEP
from optlab.optim.predicting_objective import PredictingObjective

_CLOSURE = """Closure:
    step(closure) takes a function that computes and returns the loss, without calling backward()
    and without clearing gradients. The rule calls it as often as necessary, at parameters of its
    choice, so it must be deterministic within a step (same batch, no dropout). The grad attributes
    of the parameters are not changed. All parameters form one vector, so there is only one
    parameter group."""
_PREDICTING = """Predictions:
    The rule needs the distribution that the model predicts, so the closure must return
    (loss, outputs), with outputs of shape [examples, outputs]. likelihood is the name of the loss,
    whose mean over the examples the closure returns. It is one of: {likelihoods}."""
_WHOLE = """Entire training set:
    step(closure, whole) takes a second closure, which returns the loss on all training examples. It
    is called in the steps that need its gradient only."""
_EXAMPLE = """Example:
    >>> optimizer = {module}.{name}(model.parameters())
    >>> loss = optimizer.step({closure}{whole})"""
_LOSS_CLOSURE = "lambda: loss_function(model(x), y)"
_WHOLE_CLOSURE = ", lambda: loss_function(model(all_x), all_y)"
_PREDICTING_CLOSURE = "lambda: (loss_function(outputs := model(x), y), outputs)"
_SEED = """    seed (int, optional): seed of all random draws of the rule. Default: 0."""
_LIKELIHOOD = """    likelihood (str, optional): loss that defines the predicted distribution.
        Default: {!r}."""


class ClosureOptimizer(torch.optim.Optimizer):
    """Base of the closure-based optimizers; :meth:`of` creates the class of a rule.

    All parameters are in one group, of one type and on one device. The state (``step``, and the
    tensors of the rule with a leading run axis of length 1) is stored for the first parameter.

    Args:
        params: parameters to optimize.
        args: arguments of the rule; see the class of the rule.
        kwargs: arguments of the rule by name.

    Attributes:
        note: why the last step was not the regular step of the method, or "".

    Raises:
        TypeError: an argument does not exist.
        ValueError: a value is not allowed.
    """

    rule: ClassVar[type[Rule]]
    """Component whose ``begin`` and ``step`` are used."""

    @classmethod
    def of(cls, rule: type[Rule], module: str) -> type[ClosureOptimizer]:
        """Create the optimizer class of a rule in ``module``, documented by the rule's page."""
        before, _, _ = documentation(rule, module).partition("Example:")
        seed = _SEED
        if rule.needs_predictions:
            seed += "\n" + _LIKELIHOOD.format(_likelihoods()[0])
        before = before.replace("\n\nRaises:", f"\n{seed}\n\nRaises:", 1)
        parts = [_CLOSURE]
        if rule.needs_predictions:
            parts.append(_PREDICTING.format(likelihoods=", ".join(_likelihoods())))
        if rule.needs_full_gradient:
            parts.append(_WHOLE)
        parts.append(
            _EXAMPLE.format(
                module=module,
                name=rule.__name__,
                closure=_PREDICTING_CLOSURE if rule.needs_predictions else _LOSS_CLOSURE,
                whole=_WHOLE_CLOSURE if rule.needs_full_gradient else "",
            )
        )
        body = {
            "rule": rule,
            "__module__": module,
            "__qualname__": rule.__name__,
            "__doc__": before + "\n\n".join(parts),
            "__signature__": _signature(rule),
        }
        return type(rule.__name__, (cls,), body)

    def __init__(self, params: ParamsT, *args: Any, **kwargs: Any) -> None:
        """See the class for the arguments."""
        try:
            bound = _signature(self.rule).bind(params, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.rule.__name__}: {error}.") from None
        bound.apply_defaults()
        values = dict(bound.arguments)
        self.note = ""
        super().__init__(values.pop("params"), values)

    # --- parameter groups and state ---------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add the parameter group.

        There is only one group, because all parameters form one vector.

        Args:
            param_group: ``{"params": …}`` and values of arguments; missing ones take the values
                passed to the constructor.

        Raises:
            ValueError: there is a group already, a value is not allowed, or the parameters are not
                floating-point numbers of one type on one device.
        """
        name = self.rule.__name__
        if self.param_groups:
            raise ValueError(
                f"{name}: all parameters form one vector, so there can be one parameter group only."
            )
        if isinstance(param_group, dict):
            values = {**self.defaults, **param_group}
            self._check(values)
            for argument in arguments(self.rule):
                if argument.bundled:
                    param_group[argument.name] = tuple(values[argument.name])
        super().add_param_group(param_group)
        self.param_groups[-1] = group_of(self.rule, self.param_groups[-1])
        kinds = {
            (parameter.dtype, parameter.device) for parameter in self.param_groups[0]["params"]
        }
        if len(kinds) > 1 or not all(dtype.is_floating_point for dtype, _ in kinds):
            self.param_groups.clear()
            raise ValueError(
                f"{name}: all parameters form one vector, so they must be floating-point numbers of"
                " one type on one device."
            )

    def _check(self, values: Mapping[str, Any]) -> None:
        """Raise an error if a value of a parameter group is not allowed."""
        name = self.rule.__name__
        check(self.rule, values)
        seed = values["seed"]
        if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or seed < 0:
            raise ValueError(f"{name}: seed is {seed!r}, but it must be a whole number at least 0.")
        if self.rule.needs_predictions and values["likelihood"] not in _likelihoods():
            raise ValueError(
                f"{name}: likelihood is {values['likelihood']!r}, but it must be one of:"
                f" {', '.join(_likelihoods())}."
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the state, as torch does, and ``optimizer``, the name of this class."""
        return {**super().state_dict(), MARK: self.rule.__name__}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state of this class, with the values of the group.

        Raises:
            ValueError: it is the state of another optimizer, or it does not fit the parameters.
                Nothing is changed then.
        """
        super().load_state_dict(
            own_state(
                self.rule,
                state_dict,
                self.param_groups,
                defaults(_signature(self.rule)),
                self._check,
                self._expected,
            )
        )

    def _expected(
        self, group: Mapping[str, Any], index: int, parameter: torch.Tensor
    ) -> tuple[Shapes, Shapes] | None:
        parameters = [one for one in self.param_groups[0]["params"] if one.requires_grad]
        if index > 0 or not parameters:
            return None
        h = hyperparameters(self.rule, group)
        h.step, h.layout = 1, layout_of(parameters)
        theta = torch.cat([one.detach().reshape(-1) for one in parameters]).unsqueeze(0)
        fresh = self.rule.begin(theta, h)
        return {name: tuple(value.shape) for name, value in fresh.items()}, {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("note", "")
        self.param_groups = [group_of(self.rule, group) for group in self.param_groups]
        # States saved before an argument was introduced take its default.
        for name, argument in _signature(self.rule).parameters.items():
            if name != "params":
                for group in self.param_groups:
                    group.setdefault(name, argument.default)

    # --- stepping ---------------------------------------------------------------------------------

    def step(
        self,
        closure: Callable[[], Any] | None = None,
        whole: Callable[[], Any] | None = None,
    ) -> Any:
        """Take one step.

        Args:
            closure: returns the loss at the current parameters of the module, without calling
                ``backward()``; some rules need ``(loss, outputs)``.
            whole: returns the loss on all training examples, for rules that need its gradient now
                and then.

        Returns:
            The loss of the first evaluation, detached; for most rules it is the loss at the
            parameters before the step.

        Raises:
            RuntimeError: there is no closure, it called ``backward()``, or the loss is not a
                differentiable number. The parameters are then unchanged.
        """
        name = self.rule.__name__
        if closure is None:
            raise RuntimeError(
                f"{name}: step() needs a closure that returns the loss without calling backward(),"
                " because the optimizer evaluates the loss itself."
            )
        (group,) = self.param_groups
        parameters = [parameter for parameter in group["params"] if parameter.requires_grad]
        if not parameters:
            return None
        objective = self._objective(parameters, closure)
        objective.whole = whole
        theta = objective.theta
        after = theta
        try:
            with torch.no_grad():
                state, h = self._state(group, theta, layout_of(parameters))
                objective.number = h.step - 1
                outcome = self.rule.step(theta, objective, state, h)
            after = outcome.theta
        except InvalidInput as error:
            raise RuntimeError(f"{name}: {error}") from None
        finally:
            objective.set_parameters(after)
        stored = self.state[group["params"][0]]
        stored[_STEP] = torch.tensor(h.step)
        stored.update(outcome.state)
        self.note = "".join(outcome.notes)
        return objective.first

    def _objective(
        self, parameters: list[torch.Tensor], closure: Callable[[], Any]
    ) -> ClosureObjective:
        (group,) = self.param_groups
        if not self.rule.needs_predictions:
            return ClosureObjective(self.rule.__name__, parameters, closure, group)
        return PredictingObjective(
            self.rule.__name__, parameters, closure, group, _likelihood(group["likelihood"])
        )

    def _state(
        self, group: dict[str, Any], theta: torch.Tensor, layout: Layout
    ) -> tuple[State, Hyperparameters]:
        """Return the state of the rule and the hyperparameters of the next step."""
        stored = self.state.get(group["params"][0], {})
        h = hyperparameters(self.rule, group)
        h.step = int(stored[_STEP]) + 1 if _STEP in stored else 1
        h.layout = layout
        fresh = self.rule.begin(theta, h)
        if _STEP not in stored:
            return fresh, h
        if any(
            key not in stored or stored[key].shape != value.shape for key, value in fresh.items()
        ):
            raise RuntimeError(
                f"{self.rule.__name__}: the state does not match the {theta.shape[1]:,} parameters"
                " that"
                " require a gradient, or an argument that determines its shape has changed; create"
                " a"
                " new optimizer."
            )
        # Loading a state dict converts all tensors to the type of the parameters, even counters.
        return {key: stored[key].to(value.dtype) for key, value in fresh.items()}, h


def _signature(rule: type[Rule]) -> inspect.Signature:
    """Return the signature of the rule with ``seed`` and, if it is needed, ``likelihood``."""
    accepted = signature(rule)
    extra = [inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)]
    if rule.needs_predictions:
        extra.append(
            inspect.Parameter(
                "likelihood",
                inspect.Parameter.KEYWORD_ONLY,
                default=_likelihoods()[0],
                annotation=str,
            )
        )
    return accepted.replace(
        parameters=[
            *accepted.parameters.values(),
            *(parameter for parameter in extra if parameter.name not in accepted.parameters),
        ]
    )


def _likelihoods() -> list[str]:
    """Return the names of the losses that are negative log-likelihoods."""
    return [
        loss.name for loss in registry.components("loss") if cast(type[Loss], loss).likelihood()
    ]


def _likelihood(name: str) -> Loss:
    return registry.build(Loss, {"name": name})
