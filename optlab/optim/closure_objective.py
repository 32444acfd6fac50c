"""A closure over the parameters of a module as the objective of a closure-based optimizer.

The module holds the parameters; ``theta`` is written into it before the closure is called.
Rules that need the predictions of the model use
:class:`optlab.optim.predicting_objective.PredictingObjective`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch

from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.kronecker import LayerFactors
from optlab.numerics.symmetric import dense
from optlab.objective.second_derivatives import double_backward
from optlab.objective.seeding import generator

Closure = Callable[[], Any]


class ClosureObjective:
    """A closure over the parameters of a module as the objective of one run.

    ``theta`` is ``[1, P]`` throughout. The objective includes the weight decay and the sign of
    ``maximize``. A graph is valid only for the parameters for which it was built; a product that is
    used after the parameters have changed rebuilds its graph.

    Args:
        name: name of the optimizer, for messages.
        parameters: parameters of the module, P values in total.
        closure: returns the loss.
        group: parameter group with ``seed``, ``weight_decay`` and ``maximize``.

    Attributes:
        theta: parameters ``[1, P]`` at construction.
        number: number of this step (0, 1, …), which seeds random draws.
        first: first loss that the closure returned.
        whole: returns the loss on all training examples; None where it was not given.
    """

    whole: Closure | None = None

    def __init__(
        self, name: str, parameters: list[torch.Tensor], closure: Closure, group: dict[str, Any]
    ) -> None:
        self._name = name
        self._parameters = parameters
        self._closure = closure
        self._decay = float(group.get("weight_decay", 0.0))
        self._sign = -1.0 if group.get("maximize", False) else 1.0
        self._seed = int(group["seed"])
        self._sizes = [parameter.numel() for parameter in parameters]
        self._count = [0]
        self.theta = self._current = self._row(parameters)
        self.number = 0
        self.first: torch.Tensor | None = None

    @property
    def gradients(self) -> Sequence[int]:
        """Number of gradient evaluations so far; a matrix-vector product counts as two."""
        return self._count

    def only(self, run: int) -> Self:
        """Return the objective itself, because there is only one run."""
        return self

    def generator(self, run: int, purpose: str) -> torch.Generator:
        """Return the generator that a run with this seed uses in this step."""
        return generator(self._seed, f"{purpose}/{self.number}")

    def set_parameters(self, theta: torch.Tensor) -> None:
        """Write ``theta`` ``[1, P]`` into the module."""
        if theta is self._current or torch.equal(theta, self._current):
            return
        with torch.no_grad():
            for parameter, part in zip(self._parameters, theta[0].split(self._sizes), strict=True):
                parameter.copy_(part.view_as(parameter))
        self._current = theta.detach().clone()

    def loss(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the objective ``[1]``."""
        self.set_parameters(theta)
        return self._value(graph=False).detach().reshape(1)

    def gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the objective ``[1]`` and its gradient ``[1, P]``."""
        self._count[0] += 1
        self.set_parameters(theta)
        value = self._value()
        gradients = torch.autograd.grad(value, self._parameters, materialize_grads=True)
        return value.detach().reshape(1), self._row(gradients)

    def full_gradient(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the gradient ``[1, P]`` of the objective on all training examples.

        Raises:
            RuntimeError: there is no closure for it.
        """
        if self.whole is None:
            raise RuntimeError(
                f"{self._name}: this step needs the loss on the entire training set; pass a second"
                " closure that returns it: step(closure, whole)."
            )
        first, batch = self.first, self._closure
        self._closure = self.whole
        try:
            return self.gradient(theta)[1]
        finally:
            self._closure, self.first = batch, first

    def hessian_product(self, theta: torch.Tensor) -> Product:
        """Return the function ``v [1, P] → H v [1, P]``, which is exact."""
        at = theta.detach().clone()
        gradient, built_at = self._differentiable(at)

        def product(v: torch.Tensor) -> torch.Tensor:
            nonlocal gradient, built_at
            if self._current is not built_at:
                gradient, built_at = self._differentiable(at)
            self._count[0] += 2
            parts = self._parts(v)
            # Constant parts of the gradient have no graph and contribute nothing.
            pairs = [(g, part) for g, part in zip(gradient, parts, strict=True) if g.requires_grad]
            if not pairs:
                return torch.zeros_like(v)
            products = torch.autograd.grad(
                [g for g, _ in pairs],
                self._parameters,
                [part for _, part in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
            return self._row(products)

        return product

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Hessian ``[1, P, P]``, for small P."""
        matrix = dense(self.hessian_product(theta), theta)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """Raise an error: without outputs of the model there is no Fisher matrix ``[1, P, P]``.

        :class:`~optlab.optim.predicting_objective.PredictingObjective` overrides this method.

        Raises:
            RuntimeError: always.
        """
        raise self._without_outputs("the Fisher matrix")

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Fisher matrix ``[1, P, P]``, for small P."""
        matrix = dense(self.fisher_product(theta), theta)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    def _without_outputs(self, what: str) -> RuntimeError:
        return RuntimeError(
            f"{self._name}: {what} cannot be had without the outputs of the model, so the closure"
            " must return them together with the loss."
        )

    @property
    def examples(self) -> int:
        """Number of examples of the batch; unknown without outputs of the model.

        Raises:
            RuntimeError: always; :class:`~optlab.optim.predicting_objective.PredictingObjective` knows it.
        """
        raise self._without_outputs("the number of examples")

    def sampled_gradient(self, theta: torch.Tensor, purpose: str) -> torch.Tensor:
        """Raise an error: without outputs of the model there are no predictions ``[1, P]``.

        :class:`~optlab.optim.predicting_objective.PredictingObjective` overrides this method.

        Raises:
            RuntimeError: always.
        """
        raise self._without_outputs("predictions")

    def layer_factors(self, theta: torch.Tensor, purpose: str) -> list[LayerFactors]:
        """Raise an error: without outputs of the model there are no predictions ``[1, P]``.

        :class:`~optlab.optim.predicting_objective.PredictingObjective` overrides this method.

        Raises:
            RuntimeError: always.
        """
        raise self._without_outputs("predictions")

    def gauss_newton_product(self, theta: torch.Tensor) -> Product:
        """Raise an error: without outputs of the model there is no such matrix ``[1, P, P]``.

        :class:`~optlab.optim.predicting_objective.PredictingObjective` overrides this method.

        Raises:
            RuntimeError: always.
        """
        return self.fisher_product(theta)

    def gauss_newton(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the Gauss–Newton matrix ``[1, P, P]``, for small P."""
        matrix = dense(self.gauss_newton_product(theta), theta)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    def _differentiable(self, theta: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """Return the gradient with its graph, and the parameters to which the graph belongs."""
        self._count[0] += 1
        self.set_parameters(theta)
        with torch.enable_grad(), double_backward():
            gradient = torch.autograd.grad(
                self._value(), self._parameters, create_graph=True, materialize_grads=True
            )
        return gradient, self._current

    def _value(self, *, graph: bool = True) -> torch.Tensor:
        """Return the objective at the current parameters."""
        saved = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        try:
            with torch.enable_grad():
                loss = self._loss(self._closure())
            if any(parameter.grad is not None for parameter in self._parameters):
                raise RuntimeError(
                    f"{self._name}: the closure called backward(); it must return the loss without"
                    " calling backward(), because the optimizer differentiates it."
                )
        finally:
            for parameter, gradient in zip(self._parameters, saved, strict=True):
                parameter.grad = gradient
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise RuntimeError(
                f"{self._name}: the closure must return the loss, a tensor with one element, but it"
                f" returned {_type_of(loss)}."
            )
        if graph and not loss.requires_grad:
            raise RuntimeError(
                f"{self._name}: the loss that the closure returned has no graph and cannot be"
                " differentiated; compute it from the parameters, without no_grad(), detach() or"
                " item()."
            )
        if self.first is None:
            self.first = loss.detach().clone()
        with torch.enable_grad():
            value = self._sign * loss.reshape(())
            if self._decay:
                value = value + 0.5 * self._decay * sum(
                    parameter.square().sum() for parameter in self._parameters
                )
        return value

    def _parts(self, v: torch.Tensor) -> list[torch.Tensor]:
        """Return ``v [1, P]`` split into the shapes of the parameters."""
        return [
            part.view_as(parameter)
            for part, parameter in zip(v[0].split(self._sizes), self._parameters, strict=True)
        ]

    def _loss(self, result: Any) -> Any:
        """Return the loss in the result of the closure."""
        return result

    @staticmethod
    def _row(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return a copy of the values of tensors as a row ``[1, P]``."""
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).unsqueeze(0)


def _type_of(value: object) -> str:
    return (
        f"a tensor of shape {list(value.shape)}"
        if isinstance(value, torch.Tensor)
        else f"{type(value).__name__}"
    )
