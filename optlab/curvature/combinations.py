"""The losses at many points ``origin + c₁d₁ + c₂d₂ + …`` with one origin and few directions.

Such points have structure. Where a network is a stack of affine maps
(:meth:`optlab.catalogue.models.base.Model.stack`), the first layer's pre-activations are themselves
``z₀ + c₁z₁ + c₂z₂ + …``: a matrix product for each direction, once, and a sum for each point. Only
the layers above need each point's own weights, and those are built for a few points at a time, so
that all their values stay in the CPU's cache. The points ``[K, P]`` are never formed.
"""

from __future__ import annotations

from collections.abc import Iterator

from optlab.catalogue.models.base import EVALUATION, ForwardContext
from optlab.catalogue.models.capabilities import Stack
from optlab.core.lazy import torch
from optlab.objective.objective import Objective

_CHUNK_VALUES = 300_000
"""Values that the widest layer may hold at once, over points and examples.

It is about a CPU's cache; more values wait for memory.
"""


class Combinations:
    """The losses of an objective at ``origin + coefficients · directions``.

    Args:
        origin: ``[P]``. directions: ``[D, P]``. x, y: examples that all points share, ``[n, …]``; x
            has the precision in which the losses are computed.
    """

    def __init__(
        self,
        objective: Objective,
        origin: torch.Tensor,
        directions: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
    ) -> None:
        self._objective, self._x, self._y = objective, x, y
        self._origin, self._directions = origin, directions
        self._widest = max(
            [objective.shape.width, *(spec.shape[0] for spec in objective.layout.parameters)]
        )

    def losses(self, coefficients: torch.Tensor) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        """Yield the losses ``[k, m]`` of some points on some examples, with the slices of both.

        In the end all points have been evaluated on all examples.

        Args:
            coefficients: ``[K, D]``.
        """
        with torch.no_grad():
            stack = self._objective.model.stack()
            yield from (
                self._through_the_model(coefficients)
                if stack is None
                else self._through_the_layers(stack, coefficients)
            )

    def means(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Return the mean losses ``[K]``, without weight decay, for coefficients ``[K, D]``."""
        total = self._x.new_zeros(len(coefficients))
        for points, _, losses in self.losses(coefficients):
            total[points] += losses.sum(dim=1)
        return total.div_(len(self._x))

    def penalized(self, losses: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
        """Return mean losses ``[K]`` plus weight decay at the points of coefficients ``[K, D]``."""
        penalties = self._penalties(coefficients)
        return losses if penalties is None else losses + penalties

    def _penalties(self, coefficients: torch.Tensor) -> torch.Tensor | None:
        """Return the weight-decay terms ``[K]``; None where there are none."""
        if not self._objective.decay.has_l1:
            # A quadratic form of the coefficients.
            basis = torch.cat([self._origin.unsqueeze(0), self._directions])
            decay = self._objective.decay_product(basis)
            if decay is None:
                return None
            with_one = torch.cat(
                [coefficients.new_ones(len(coefficients), 1), coefficients], dim=1
            ).to(basis)
            return 0.5 * (with_one @ (basis @ decay.T) * with_one).sum(dim=1)
        rows = max(1, _CHUNK_VALUES // len(self._origin))
        penalties = [
            self._objective.penalty(self._points(some)) for some in coefficients.split(rows)
        ]
        return torch.cat([part for part in penalties if part is not None])

    def _through_the_layers(
        self, stack: Stack, coefficients: torch.Tensor
    ) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        objective = self._objective
        basis = torch.cat([self._origin.unsqueeze(0), self._directions]).to(self._x)
        tensors = objective.layout.split(basis)
        layers = [
            (tensors[weight], tensors[bias]) for weight, bias in (*stack.layers, stack.output)
        ]
        coefficients = coefficients.to(basis)
        for examples, x, y in self._examples(1):
            # Units before examples: so the products need no transposed copies, and a softmax goes
            # along the examples.
            inputs = x.flatten(1).T.expand(len(basis), -1, -1)
            first = torch.baddbmm(layers[0][1].unsqueeze(2), layers[0][0], inputs)
            # The inputs are shared: what a point adds are its units, and its weights above the
            # first layer, which are written and read.
            units, weights = (
                max(weight.shape[1] for weight, _ in layers),
                max((weight[0].numel() for weight, _ in layers[1:]), default=0),
            )
            for points in _slices(
                len(coefficients), max(1, _CHUNK_VALUES // (units * len(x) + 2 * weights))
            ):
                some = coefficients[points]
                z = _combined(first, some)
                for weight, bias in layers[1:]:
                    z = torch.baddbmm(
                        _combined(bias, some).unsqueeze(2),
                        _combined(weight, some),
                        stack.activate(z),
                    )
                yield points, examples, self._losses_of(z.transpose(1, 2), x, y)

    def _through_the_model(
        self, coefficients: torch.Tensor
    ) -> Iterator[tuple[slice, slice, torch.Tensor]]:
        objective = self._objective
        normalizes = objective.model.normalizes()
        chunk = max(
            1,
            _CHUNK_VALUES
            // (objective.layout.total + min(len(self._x), self._rows()) * self._widest),
        )
        for points in _slices(len(coefficients), chunk):
            theta = self._points(coefficients[points]).to(self._x)
            context = (
                ForwardContext(training=False, statistics=objective.statistics(theta))
                if normalizes
                else EVALUATION
            )
            for examples, x, y in self._examples(len(theta)):
                inputs, targets = x.expand(len(theta), *x.shape), y.expand(len(theta), *y.shape)
                yield points, examples, objective.per_example(theta, inputs, targets, context)

    def _losses_of(self, outputs: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        count = len(outputs)
        targets = self._objective.model.targets(
            x.expand(count, *x.shape), y.expand(count, *y.shape)
        )
        return self._objective.loss.per_example(outputs, targets)

    def _points(self, coefficients: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self._origin, coefficients.to(self._directions), self._directions)

    def _rows(self) -> int:
        """Return the number of examples whose values at one point fill the cache."""
        return max(1, _CHUNK_VALUES // self._widest)

    def _examples(self, points: int) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        for examples in _slices(len(self._x), max(1, self._rows() // points)):
            yield examples, self._x[examples], self._y[examples]


def _combined(basis: torch.Tensor, coefficients: torch.Tensor) -> torch.Tensor:
    """Return ``basis[0] + coefficients · basis[1:]``, ``[k, …]``.

    Args:
        basis: ``[1 + D, …]``. coefficients: ``[k, D]``.
    """
    columns = coefficients.view(*coefficients.shape, *(1 for _ in basis.shape[1:]))
    # One pass over the result for each direction: a matrix product over so short a sum is much
    # slower.
    total = torch.addcmul(basis[0], columns[:, 0], basis[1])
    for index in range(2, len(basis)):
        total.addcmul_(columns[:, index - 1], basis[index])
    return total


def _slices(count: int, size: int) -> Iterator[slice]:
    for begin in range(0, count, size):
        yield slice(begin, min(count, begin + size))
