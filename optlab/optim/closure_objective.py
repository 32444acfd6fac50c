"""A closure over a module's parameters as an objective that a rule can ask, for one run.

The module holds the parameters; a ``theta`` is written into it before the closure is asked. A rule
that needs the model's predictions (natural gradients) gets them from a closure that returns them
beside the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch

from optlab.catalogue.losses.base import Loss
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.symmetric import dense
from optlab.objective.seeding import generator

Closure = Callable[[], Any]


class ClosureObjective:
    """A closure over a module's parameters as an objective of one run, ``theta`` ``[1, P]``.

    The weight decay and the sign of ``maximize`` are part of it. A graph is valid only while the
    parameters stand where it was made; a product that is asked for after they have moved makes its
    graph again.

    Attributes:
        theta: the parameters when it was made. number: number of this step (0, 1, …), for draws.
            first: the closure's first loss.
    """

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
            parts = self._parts(v)
            # A part of the gradient that is constant has no graph, and nothing to give.
            pairs = [(g, part) for g, part in zip(gradient, parts, strict=True) if g.requires_grad]
            if not pairs:
                return torch.zeros_like(v)
            found = torch.autograd.grad(
                [g for g, _ in pairs],
                self._parameters,
                [part for _, part in pairs],
                retain_graph=True,
                materialize_grads=True,
            )
            return self._row(found)

        return product

    def hessian(self, theta: torch.Tensor) -> torch.Tensor:
        """The Hessian ``[1, P, P]``; for small P."""
        matrix = dense(self.hessian_product(theta), theta)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """A closure's loss alone does not tell the predictions: :class:`PredictingObjective` has
        them.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError(
            f"{self._name}: the Fisher matrix is of the model's predictions, and a closure that returns the loss alone does not tell them."
        )

    def fisher(self, theta: torch.Tensor) -> torch.Tensor:
        """The matrix ``[1, P, P]`` of :meth:`fisher_product`; for small P."""
        matrix = dense(self.fisher_product(theta), theta)
        return 0.5 * (matrix + matrix.transpose(1, 2))

    def _differentiable(self, theta: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """The gradient with its graph, and the placement that the graph belongs to."""
        self._count[0] += 1
        self.place(theta)
        with torch.enable_grad():
            found = torch.autograd.grad(
                self._value(), self._parameters, create_graph=True, materialize_grads=True
            )
        return found, self._here

    def _value(self, *, graph: bool = True) -> torch.Tensor:
        """The objective where the parameters stand."""
        kept = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        try:
            with torch.enable_grad():
                loss = self._loss(self._closure())
            if any(parameter.grad is not None for parameter in self._parameters):
                raise RuntimeError(
                    f"{self._name}: the closure called backward(); it has to return the loss without, because the rule differentiates itself."
                )
        finally:
            for parameter, gradient in zip(self._parameters, kept, strict=True):
                parameter.grad = gradient
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            raise RuntimeError(
                f"{self._name}: the closure has to return the loss, a tensor of one number, and not {_shown(loss)}."
            )
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
                value = value + 0.5 * self._decay * sum(
                    parameter.square().sum() for parameter in self._parameters
                )
        return value

    def _parts(self, v: torch.Tensor) -> list[torch.Tensor]:
        """``v [1, P]`` in the shapes of the parameters."""
        return [
            part.view_as(parameter)
            for part, parameter in zip(v[0].split(self._sizes), self._parameters, strict=True)
        ]

    def _loss(self, answer: Any) -> Any:
        """The loss in what the closure returned."""
        return answer

    @staticmethod
    def _row(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
        """``[1, P]``: a copy of the values of these tensors."""
        return torch.cat([tensor.detach().reshape(-1) for tensor in tensors]).unsqueeze(0)


class PredictingObjective(ClosureObjective):
    """The same for a closure that returns ``(loss, outputs)``, and with it the Fisher matrix of
    what the outputs predict.

    Args:
        likelihood: the loss whose distribution the outputs ``[m, outputs]`` predict, as a mean over
            the m examples of the closure.
    """

    def __init__(
        self,
        name: str,
        parameters: list[torch.Tensor],
        closure: Closure,
        group: dict[str, Any],
        likelihood: Loss,
    ) -> None:
        super().__init__(name, parameters, closure, group)
        self._likelihood = likelihood
        self._outputs: torch.Tensor | None = None

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """``v [1, P]`` → ``F v``, ``F = mean Jᵀ S J`` with J the Jacobian of the outputs and S the
        Fisher matrix of the predicted distribution.
        """
        at = theta.detach().clone()
        outputs, probe, pulled, made_at = self._pulled(at)

        def product(v: torch.Tensor) -> torch.Tensor:
            nonlocal outputs, probe, pulled, made_at
            if self._here is not made_at:
                outputs, probe, pulled, made_at = self._pulled(at)
            self._count[0] += 2
            # Jᵀu is linear in u, so its derivative by u along v is Jv. Tensors that the outputs do
            # not depend on have no part in it.
            pairs = [
                (part, along)
                for part, along in zip(pulled, self._parts(v), strict=True)
                if part.requires_grad
            ]
            (pushed,) = torch.autograd.grad(
                [part for part, _ in pairs], probe, [along for _, along in pairs], retain_graph=True
            )
            weighted = self._likelihood.fisher_product(
                outputs.detach().unsqueeze(0), pushed.unsqueeze(0)
            )[0] / len(outputs)
            return self._row(
                torch.autograd.grad(
                    outputs, self._parameters, weighted, retain_graph=True, materialize_grads=True
                )
            )

        return product

    def _pulled(
        self, theta: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
        """Outputs, a probe u of their shape, ``Jᵀu`` as a function of u, and the placement that the
        graph belongs to.
        """
        self.place(theta)
        self._value()
        outputs = self._outputs
        assert outputs is not None
        with torch.enable_grad():
            probe = torch.zeros_like(outputs, requires_grad=True)
            pulled = torch.autograd.grad(
                outputs, self._parameters, probe, create_graph=True, materialize_grads=True
            )
        return outputs, probe, pulled, self._here

    def _loss(self, answer: Any) -> Any:
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise RuntimeError(
                f"{self._name}: the closure has to return the loss and the model's outputs, (loss, outputs), and not {type(answer).__name__}."
            )
        loss, outputs = answer
        if not isinstance(outputs, torch.Tensor) or outputs.dim() != 2 or not outputs.requires_grad:
            raise RuntimeError(
                f"{self._name}: the outputs that the closure returned have to be a tensor [examples, outputs] with its graph."
            )
        self._outputs = outputs
        return loss


def _shown(value: object) -> str:
    return (
        f"a tensor of shape {list(value.shape)}"
        if isinstance(value, torch.Tensor)
        else f"{type(value).__name__}"
    )
