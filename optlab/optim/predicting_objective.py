"""A closure that returns the loss and the outputs, for rules that need the model's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from optlab.catalogue.losses.base import Loss
from optlab.numerics.conjugate_gradients import Product
from optlab.numerics.kronecker import LayerFactors
from optlab.objective.second_derivatives import double_backward
from optlab.optim.closure_objective import Closure, ClosureObjective
from optlab.optim.layer_calls import LayerCalls


class PredictingObjective(ClosureObjective):
    """The objective of a closure that returns ``(loss, outputs)``, with its Fisher matrix.

    Args:
        name: name of the optimizer, for messages.
        parameters: parameters of the module, P values in total.
        closure: returns the loss and the outputs ``[m, outputs]`` for m examples.
        group: parameter group with ``seed``, ``weight_decay`` and ``maximize``.
        likelihood: loss that defines the predicted distribution; the closure's loss is its mean
            over the m examples.
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

    @property
    def examples(self) -> int:
        """Number of examples of the last evaluation."""
        assert self._outputs is not None, "nothing was evaluated yet"
        return len(self._outputs)

    def sampled_gradient(self, theta: torch.Tensor, purpose: str) -> torch.Tensor:
        """Return the gradient ``[1, P]`` of the likelihood for targets drawn from the predictions.

        Args:
            theta: ``[1, P]``. purpose: part of the seed of the draws.
        """
        self._count[0] += 1
        self.set_parameters(theta)
        with torch.enable_grad():
            self._value()
            assert self._outputs is not None
            total = self._sampled_losses(self._outputs, purpose).mean()
        return self._row(torch.autograd.grad(total, self._parameters, materialize_grads=True))

    def layer_factors(self, theta: torch.Tensor, purpose: str) -> list[LayerFactors]:
        """Return the Kronecker factors of the layers, for targets drawn from the predictions.

        The layers are the calls of ``linear`` and ``conv2d`` of ``torch.nn.functional`` in the
        closure, with parameters of the optimizer; those that are called twice are left out.

        Args:
            theta: ``[1, P]``. purpose: part of the seed of the draws.
        """
        self._count[0] += 1
        self.set_parameters(theta)
        calls = LayerCalls(self._parameters)
        with torch.enable_grad():
            with calls:
                self._value()
            assert self._outputs is not None
            total = self._sampled_losses(self._outputs, purpose).sum()
            return calls.factors(total, len(self._outputs))

    def _sampled_losses(self, outputs: torch.Tensor, purpose: str) -> torch.Tensor:
        """Return the loss ``[m]`` of each example for a target drawn from its prediction."""
        uniforms = torch.rand(
            outputs.shape, generator=self.generator(0, purpose), dtype=torch.float64
        )
        outputs = outputs.unsqueeze(0)
        drawn = self._likelihood.draw(outputs.detach(), uniforms.unsqueeze(0))
        return self._likelihood.per_example(outputs, drawn)[0]

    def fisher_product(self, theta: torch.Tensor) -> Product:
        """Return the function ``v [1, P] → F v [1, P]``.

        ``F = mean Jᵀ S J``, with J the Jacobian of the outputs and S the Fisher matrix of the
        predicted distribution with respect to them.
        """
        at = theta.detach().clone()
        outputs, probe, pulled, built_at = self._pull_back(at)

        def product(v: torch.Tensor) -> torch.Tensor:
            nonlocal outputs, probe, pulled, built_at
            if self._current is not built_at:
                outputs, probe, pulled, built_at = self._pull_back(at)
            self._count[0] += 2
            # Jᵀu is linear in u, so its derivative with respect to u along v is Jv. Tensors on
            # which the outputs do not depend contribute nothing.
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

    def gauss_newton_product(self, theta: torch.Tensor) -> Product:
        """Return the function ``v [1, P] → G v [1, P]``.

        G is the Fisher matrix plus the Hessian of what the closure adds to the loss of the outputs,
        such as weight decay.
        """
        fisher = self.fisher_product(theta)
        at = theta.detach().clone()
        added, built_at = self._added(at)
        if added is None:
            return fisher

        def product(v: torch.Tensor) -> torch.Tensor:
            nonlocal added, built_at
            if self._current is not built_at:
                added, built_at = self._added(at)
            assert added is not None
            along = torch.autograd.grad(
                added,
                self._parameters,
                self._parts(v),
                retain_graph=True,
                materialize_grads=True,
            )
            return self._row(along) + fisher(v)

        return product

    def _added(self, theta: torch.Tensor) -> tuple[tuple[torch.Tensor, ...] | None, torch.Tensor]:
        """Return the gradient of what depends on the parameters other than through the outputs.

        It has its graph, and is None where there is no such term; with it the parameters to which
        the graph belongs.
        """
        self.set_parameters(theta)
        with torch.enable_grad(), double_backward():
            value = self._value()
            outputs = self._outputs
            assert outputs is not None
            if not _reaches(value, self._parameters, outputs):
                return None, self._current
            total = torch.autograd.grad(
                value, self._parameters, create_graph=True, materialize_grads=True
            )
            (by_outputs,) = torch.autograd.grad(
                value, outputs, create_graph=True, allow_unused=True
            )
            if by_outputs is None:
                raise RuntimeError(
                    f"{self._name}: the loss that the closure returned was not computed from the"
                    " outputs that it returned with it, so its curvature by them is not known;"
                    " compute the outputs once, and the loss from them."
                )
            through = torch.autograd.grad(
                outputs, self._parameters, by_outputs, create_graph=True, materialize_grads=True
            )
            added = tuple(
                # A term that does not depend on a tensor at all has no graph there.
                (whole - part) + 0.0 * parameter
                for whole, part, parameter in zip(total, through, self._parameters, strict=True)
            )
        return added, self._current

    def _pull_back(
        self, theta: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
        """Return outputs, a probe u, ``Jᵀu`` as a function of u, and the graph's parameters."""
        self.set_parameters(theta)
        with double_backward():
            self._value()
        outputs = self._outputs
        assert outputs is not None
        with torch.enable_grad():
            probe = torch.zeros_like(outputs, requires_grad=True)
            pulled = torch.autograd.grad(
                outputs, self._parameters, probe, create_graph=True, materialize_grads=True
            )
        return outputs, probe, pulled, self._current

    def _loss(self, result: Any) -> Any:
        if not isinstance(result, tuple) or len(result) != 2:
            raise RuntimeError(
                f"{self._name}: the closure must return the loss and the outputs of the model,"
                f" (loss, outputs), but it returned {type(result).__name__}."
            )
        loss, outputs = result
        if not isinstance(outputs, torch.Tensor) or outputs.dim() != 2 or not outputs.requires_grad:
            raise RuntimeError(
                f"{self._name}: the outputs that the closure returns must be a tensor"
                " [examples, outputs] with its graph."
            )
        self._outputs = outputs
        return loss


def _reaches(value: torch.Tensor, parameters: Sequence[torch.Tensor], around: torch.Tensor) -> bool:
    """Return whether a value depends on parameters other than through the tensor ``around``."""
    wanted = {id(parameter) for parameter in parameters}
    barrier = around.grad_fn
    seen, waiting = {barrier}, [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if id(getattr(node, "variable", None)) in wanted:
            return True
        waiting += [following for following, _ in node.next_functions]
    return False
