"""A torch optimizer around a rule that asks the objective itself: Newton's method, line searches,
populations.

Such a rule evaluates the objective where and as often as it likes, so ``step`` needs a closure that
computes the loss of the module as it stands and returns it *without* calling ``backward()``: what
to differentiate, and how often, is the rule's to say. All parameters together are one ``theta [1,
P]``; the closure becomes an objective by writing a ``theta`` into the module and asking.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, cast

import torch
from torch.optim.optimizer import ParamsT

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.optimizers.base import ObjectiveOptimizer as Rule
from optlab.catalogue.optimizers.base import State
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.hyperparameters import Hyperparameters
from optlab.core.layout import Layout, Parameter
from optlab.optim.arguments import arguments, check, documentation, hyperparameters, signature
from optlab.optim.closure_objective import ClosureObjective, PredictingObjective

_STEP = "step"
"""Entry of the state that is not the rule's."""

_CLOSURE = """Closure:
    step(closure) takes a function that computes the loss and returns it, without calling backward() and without
    clearing gradients. It is called as often as the rule wants, with the parameters where the rule wants them, and
    has to be deterministic (same batch, no dropout) within one step. The parameters' grad is left alone.
    All parameters are one vector, so there is one parameter group. What the rule draws at random follows from seed."""
_PREDICTING = """Predictions:
    The rule needs the distribution that the model predicts, so the closure returns (loss, outputs), outputs of shape
    [examples, outputs]; likelihood names the loss that it is the mean of: {likelihoods}."""
_EXAMPLE = """Example:
    optimizer = {module}.{name}(model.parameters())
    loss = optimizer.step({closure})"""
_ASKED = "lambda: loss_function(model(x), y)"
_ASKED_BOTH = "lambda: (loss_function(outputs := model(x), y), outputs)"


class ObjectiveRuleOptimizer(torch.optim.Optimizer):
    """Base of the optimizers here whose rule asks the objective; the classes themselves are made by
    :meth:`of`.

    All parameters are in one group, of one type and on one device. The state (``step``, and the
    rule's own tensors with a leading axis of one run) is kept under the first of them.

    Attributes:
        note: why the last step was not what the method promises, in words; "" where it was.
    """

    rule: ClassVar[type[Rule]]
    """The component whose ``begin`` and ``step`` are used."""

    @classmethod
    def of(cls, rule: type[Rule], module: str) -> type[ObjectiveRuleOptimizer]:
        """The optimizer class of a rule, documented from the rule's page, as if written in
        ``module``.
        """
        before, _, _ = documentation(rule, module).partition("Example:")
        described = _signature(rule)
        parts = [_CLOSURE]
        if rule.needs_predictions:
            parts.append(_PREDICTING.format(likelihoods=", ".join(_likelihoods())))
        parts.append(
            _EXAMPLE.format(
                module=module,
                name=rule.__name__,
                closure=_ASKED_BOTH if rule.needs_predictions else _ASKED,
            )
        )
        body = {
            "rule": rule,
            "__module__": module,
            "__qualname__": rule.__name__,
            "__doc__": before + "\n\n".join(parts),
            "__signature__": described,
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

    # --- parameter groups and state ------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add the group of parameters; there can be one only, because the rule sees all parameters
        as one vector.

        Raises:
            ValueError: there is one already, a value is not allowed, or the parameters are not real
                numbers of one type on one device.
        """
        name = self.rule.__name__
        if self.param_groups:
            raise ValueError(
                f"{name}: all parameters are one vector to this rule, so there can be one parameter group only."
            )
        if isinstance(param_group, dict):
            values = {**self.defaults, **param_group}
            check(self.rule, values)
            if self.rule.needs_predictions and values["likelihood"] not in _likelihoods():
                raise ValueError(
                    f"{name}: likelihood is {values['likelihood']!r}, but it must be one of: {', '.join(_likelihoods())}."
                )
            for argument in arguments(self.rule):
                if argument.bundled:
                    param_group[argument.name] = tuple(values[argument.name])
        super().add_param_group(param_group)
        kinds = {
            (parameter.dtype, parameter.device) for parameter in self.param_groups[0]["params"]
        }
        if len(kinds) > 1 or not all(dtype.is_floating_point for dtype, _ in kinds):
            self.param_groups.clear()
            raise ValueError(
                f"{name}: the parameters have to be real numbers of one type on one device, because they are one vector to this rule."
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("note", "")
        # A state saved before an argument existed takes its default.
        for name, argument in _signature(self.rule).parameters.items():
            if name != "params":
                for group in self.param_groups:
                    group.setdefault(name, argument.default)

    # --- stepping ------------------------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step.

        Args:
            closure: returns the loss of the module as it stands, without calling ``backward()``.

        Returns:
            the loss at its first evaluation, which for most rules is at the parameters before the
                step; detached.

        Raises:
            RuntimeError: there is no closure, it called ``backward()``, or the loss is no
                differentiable number. No parameter has been changed then.
        """
        name = self.rule.__name__
        if closure is None:
            raise RuntimeError(
                f"{name}: step() needs a closure that returns the loss without calling backward(), because the rule asks for it itself."
            )
        (group,) = self.param_groups
        parameters = [parameter for parameter in group["params"] if parameter.requires_grad]
        if not parameters:
            return None
        objective = self._objective(parameters, closure)
        theta = objective.theta
        done = theta
        try:
            with torch.no_grad():
                state, h = self._state(group, theta, _layout(parameters))
                objective.number = h.step - 1
                outcome = self.rule.step(theta, objective, state, h)
            done = outcome.theta
        except InvalidInput as error:
            raise RuntimeError(f"{name}: {error}") from None
        finally:
            objective.place(done)
        kept = self.state[group["params"][0]]
        kept[_STEP] = torch.tensor(h.step)
        kept.update(outcome.state)
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
        """The rule's state and the hyperparameters of its next step."""
        kept = self.state.get(group["params"][0], {})
        h = hyperparameters(self.rule, group)
        h.step = int(kept[_STEP]) + 1 if _STEP in kept else 1
        h.layout = layout
        fresh = self.rule.begin(theta, h)
        if _STEP not in kept:
            return fresh, h
        if any(key not in kept or kept[key].shape != value.shape for key, value in fresh.items()):
            raise RuntimeError(
                f"{self.rule.__name__}: the state does not fit the {theta.shape[1]:,} parameters that require a gradient now, or an argument that shapes it "
                "has changed; make a new optimizer."
            )
        # Loading a state dict turns every tensor into the parameters' type, counters as well.
        return {key: kept[key].to(value.dtype) for key, value in fresh.items()}, h


def _signature(rule: type[Rule]) -> inspect.Signature:
    """The rule's signature, the seed of what it draws, and what the model predicts where the rule
    has to know.
    """
    accepted = signature(rule)
    more = [inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)]
    if rule.needs_predictions:
        more.append(
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
            *(one for one in more if one.name not in accepted.parameters),
        ]
    )


def _likelihoods() -> list[str]:
    """Names of the losses that are negative log-likelihoods."""
    return [
        loss.name for loss in registry.components("loss") if cast(type[Loss], loss).likelihood()
    ]


def _likelihood(name: str) -> Loss:
    return registry.build(Loss, {"name": name})


def _layout(parameters: Sequence[torch.Tensor]) -> Layout:
    """How ``theta`` divides into the module's tensors."""
    return Layout(
        tuple(
            Parameter(f"parameters.{place}", tuple(p.shape), "weight", 1, 1)
            for place, p in enumerate(parameters)
        )
    )
