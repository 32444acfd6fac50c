"""A torch optimizer around a rule that asks the objective itself: Newton's method, line searches, populations.

Such a rule evaluates the objective where and as often as it likes, so ``step`` needs a closure that computes the loss of the module as it stands and returns
it *without* calling ``backward()``: what to differentiate, and how often, is the rule's to say. All parameters together are one ``theta [1, P]``; the closure
becomes an objective by writing a ``theta`` into the module and asking.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn, Self

import torch
from torch.optim.optimizer import ParamsT

from optlab.engine.seeding import generator
from optlab.errors import InvalidInput
from optlab.hyperparameters import Hyperparameters
from optlab.layout import Layout, Parameter
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.symmetric import dense
from optlab.optim.arguments import arguments, check, documentation, hyperparameters, signature
from optlab.optimizers.base import ObjectiveOptimizer as Rule
from optlab.optimizers.base import State

_STEP = "step"
"""Entry of the state that is not the rule's."""

Closure = Callable[[], torch.Tensor]

_CLOSURE = """Closure:
    step(closure) takes a function that computes the loss and returns it, without calling backward() and without
    clearing gradients. It is called as often as the rule wants, with the parameters where the rule wants them, and
    has to be deterministic (same batch, no dropout) within one step. The parameters' grad is left alone.
    All parameters are one vector, so there is one parameter group. What the rule draws at random follows from seed."""
_EXAMPLE = """Example:
    optimizer = {module}.{name}(model.parameters())
    loss = optimizer.step(lambda: loss_function(model(x), y))"""


class ObjectiveRuleOptimizer(torch.optim.Optimizer):
    """Base of the optimizers here whose rule asks the objective; the classes themselves are made by :meth:`of`.

    All parameters are in one group, of one type and on one device. The state (``step``, and the rule's own tensors with a leading axis of one
    run) is kept under the first of them.

    Attributes:
        note: why the last step was not what the method promises, in words; "" where it was.
    """

    rule: ClassVar[type[Rule]]
    """The component whose ``begin`` and ``step`` are used."""

    @classmethod
    def of(cls, rule: type[Rule], module: str) -> type[ObjectiveRuleOptimizer]:
        """The optimizer class of a rule, documented from the rule's page, as if written in ``module``."""
        before, _, _ = documentation(rule, module).partition("Example:")
        described = _signature(rule)
        body = {
            "rule": rule,
            "__module__": module,
            "__qualname__": rule.__name__,
            "__doc__": f"{before}{_CLOSURE}\n\n{_EXAMPLE.format(module=module, name=rule.__name__)}",
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
        """Add the group of parameters; there can be one only, because the rule sees all parameters as one vector.

        Raises:
            ValueError: there is one already, a value is not allowed, or the parameters are not real numbers of one type on one device.
        """
        name = self.rule.__name__
        if self.param_groups:
            raise ValueError(f"{name}: all parameters are one vector to this rule, so there can be one parameter group only.")
        if isinstance(param_group, dict):
            values = {**self.defaults, **param_group}
            check(self.rule, values)
            for argument in arguments(self.rule):
                if argument.bundled:
                    param_group[argument.name] = tuple(values[argument.name])
        super().add_param_group(param_group)
        kinds = {(parameter.dtype, parameter.device) for parameter in self.param_groups[0]["params"]}
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
            the loss at its first evaluation, which for most rules is at the parameters before the step; detached.

        Raises:
            RuntimeError: there is no closure, it called ``backward()``, or the loss is no differentiable number. No parameter has been changed then.
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
        objective = ClosureObjective(name, parameters, closure, group)
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

    def _state(self, group: dict[str, Any], theta: torch.Tensor, layout: Layout) -> tuple[State, Hyperparameters]:
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


class ClosureObjective:
    """A closure over a module's parameters as an objective of one run, ``theta`` ``[1, P]``.

    The weight decay and the sign of ``maximize`` are part of it. A graph is valid only while the parameters stand where it was made; a product that is asked
    for after they have moved makes its graph again.

    Attributes:
        theta: the parameters when it was made. number: number of this step (0, 1, …), for draws. first: the closure's first loss.
    """

    def __init__(self, name: str, parameters: list[torch.Tensor], closure: Closure, group: dict[str, Any]) -> None:
        self._name = name
        self._parameters = parameters
        self._closure = closure
        self._decay = float(group.get("weight_decay", 0.0))
        self._sign = -1.0 if group.get("maximize", False) else 1.0
        self._seed = int(group["seed"])
        self._sizes = [parameter.numel() for parameter in parameters]
        self._count = [0]
        self.theta = self._here = self._row(parameters)
        self.number = 0
        self.first: torch.Tensor | None = None

    @property
    def gradients(self) -> Sequence[int]:
        """Evaluations of the gradient so far; a product counts as two."""
        return self._count

    def only(self, run: int) -> Self:
        """Itself: there is one run."""
        return self

    def generator(self, run: int, purpose: str) -> torch.Generator:
        """The generator that a run of the laboratory with this seed has in this step."""
        return generator(self._seed, f"{purpose}/{self.number}")

    def place(self, theta: torch.Tensor) -> None:
        """Write ``theta`` ``[1, P]`` into the module."""
        if theta is self._here or torch.equal(theta, self._here):
            return
        with torch.no_grad():
            for parameter, part in zip(self._parameters, theta[0].split(self._sizes), strict=True):
                parameter.copy_(part.view_as(parameter))
        self._here = theta.detach().clone()

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        """The objective ``[1]``."""
        self.place(theta)
        return self._value(graph=False).detach().reshape(1)

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The objective ``[1]`` and its gradient ``[1, P]``."""
        self._count[0] += 1
        self.place(theta)
        value = self._value()
        found = torch.autograd.grad(value, self._parameters, materialize_grads=True)
        return value.detach().reshape(1), self._row(found)

    def hessian_product(self, theta: torch.Tensor) -> Product:
        """``v [1, P]`` → ``H v``, exactly."""
        at = theta.detach().clone()
        gradient, made_at = self._differentiable(at)

        def product(v: torch.Tensor) -> torch.Tensor:
            nonlocal gradient, made_at
            if self._here is not made_at:
                gradient, made_at = self._differentiable(at)
            self._count[0] += 2
            parts = [part.view_as(parameter) for part, parameter in zip(v[0].split(self._sizes), self._parameters, strict=True)]
            # A part of the gradient that is constant has no graph, and nothing to give.
            pairs = [(g, part) for g, part in zip(gradient, parts, strict=True) if g.requires_grad]
            if not pairs:
                return torch.zeros_like(v)
            found = torch.autograd.grad(
                [g for g, _ in pairs], self._parameters, [part for _, part in pairs], retain_graph=True, materialize_grads=True
            )
            return self._row(found)

        return product

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        """The Hessian ``[1, P, P]``; for small P."""
        matrix = dense(self.hessian_product(theta), theta)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """A closure's loss does not tell the predictions.

        Raises:
            RuntimeError: always.
        """
        self._no_predictions()

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        """As :meth:`fisher_product`."""
        self._no_predictions()

    def _no_predictions(self) -> NoReturn:
        raise RuntimeError(
            f"{self._name}: the Fisher matrix is of the model's predictions, and a closure that returns the loss does not tell them."
        )

    def _differentiable(self, theta: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """The gradient with its graph, and the placement that the graph belongs to."""
        self._count[0] += 1
        self.place(theta)
        with torch.enable_grad():
            found = torch.autograd.grad(self._value(), self._parameters, create_graph=True, materialize_grads=True)
        return found, self._here

    def _value(self, *, graph: bool = True) -> torch.Tensor:
        """The objective where the parameters stand."""
        kept = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        try:
            with torch.enable_grad():
                loss = self._closure()
            if any(parameter.grad is not None for parameter in self._parameters):
                raise RuntimeError(
                    f"{self._name}: the closure called backward(); it has to return the loss without, because the rule differentiates itself."
                )
        finally:
            for parameter, gradient in zip(self._parameters, kept, strict=True):
                parameter.grad = gradient
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise RuntimeError(f"{self._name}: the closure has to return the loss, a tensor of one number, and not {_shown(loss)}.")
        if graph and not loss.requires_grad:
            raise RuntimeError(
                f"{self._name}: the loss that the closure returned has no graph, so it cannot be differentiated; compute it from the parameters, without "
                "no_grad(), detach() or item()."
            )
        if self.first is None:
            self.first = loss.detach().clone()
        with torch.enable_grad():
            value = self._sign * loss.reshape(())
            if self._decay:
                value = value + 0.5 * self._decay * sum(parameter.square().sum() for parameter in self._parameters)
        return value

    @staticmethod
    def _row(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """``[1, P]``: a copy of the values of these tensors."""
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).unsqueeze(0)


def _signature(rule: type[Rule]) -> inspect.Signature:
    """The rule's signature, and the seed of what it draws."""
    accepted = signature(rule)
    seed = inspect.Parameter("seed", inspect.Parameter.KEYWORD_ONLY, default=0, annotation=int)
    return accepted if "seed" in accepted.parameters else accepted.replace(parameters=[*accepted.parameters.values(), seed])


def _layout(parameters: Sequence[torch.Tensor]) -> Layout:
    """How ``theta`` divides into the module's tensors."""
    return Layout(tuple(Parameter(f"parameters.{place}", tuple(p.shape), "weight", 1, 1) for place, p in enumerate(parameters)))


def _shown(value: object) -> str:
    return f"a tensor of shape {list(value.shape)}" if isinstance(value, torch.Tensor) else f"{type(value).__name__}"
