"""Hessians of batches by recordings of their operations, where there is one.

An instrument that reads an eigenvalue at each step takes half a dozen Hessian products, of which
each is a dozen small operations. Those of a written-out Hessian are always the same ones. Once
Hessians of one shape have been requested often enough, one is recorded and from then on repeated
on the memory of the recording, as :mod:`optlab.training.capturing.captured_steps` does with steps;
the first ones are computed both ways and compared bit by bit.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

from optlab.core.lazy import torch
from optlab.numerics.traced_number import NotRepeatable
from optlab.objective.hessian import Hessian, WrittenOutHessian, batch_hessian
from optlab.objective.objective import Objective
from optlab.training.capturing.repeated_calls import copy_of, refill, repeated_calls
from optlab.training.capturing.trace import recorded

_LOG = logging.getLogger(__name__)

FIRST = 8
"""Hessians of a shape before one is recorded, which takes the time of some twenty."""
CHECKED = 2
"""Hessians of which each kind of result is computed both ways before a recording gives it."""
_RECORDINGS = 4
"""Shapes that are recorded, at most, and recordings that are made anew."""
_VALUES = 2_000_000
"""Values of parameters and inputs of all runs, at most: the time of more is arithmetic."""

Shape = tuple[Any, ...]
Kind = Literal["product", "along"]
"""What is requested of a Hessian."""


class RecordedHessians:
    """Gives the Hessians of one objective on batches."""

    def __init__(self) -> None:
        self._seen: dict[Shape, int] = {}
        self._recordings: dict[Shape, _Recording] = {}
        self._refused = False
        self._made = 0

    def at(
        self, objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> Hessian:
        """Return the Hessians of the objective on a batch at ``theta`` ``[R, P]``.

        Args:
            x, y: ``[R, m, …]``.
        """
        if self._refused or theta.device.type != "cpu" or theta.numel() + x.numel() > _VALUES:
            return batch_hessian(objective, theta, x, y)
        shape = (theta.shape, theta.dtype, x.shape, x.stride(), y.shape, y.stride())
        found = self._recordings.get(shape)
        if found is not None and not found.agrees:
            self._refused = True
        elif found is not None and found.fits(objective):
            return RepeatedHessian(found, objective, theta, x, y)
        hessian = batch_hessian(objective, theta, x, y)
        seen = self._seen[shape] = self._seen.get(shape, 0) + 1
        if seen > FIRST:
            self._record(shape, objective, hessian, (theta, x, y))
        return hessian

    def _record(
        self,
        shape: Shape,
        objective: Objective,
        hessian: Hessian,
        point: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
    ) -> None:
        """Record a Hessian, and keep the recording if it repeats itself."""
        self._seen[shape] = 0
        self._made += 1
        if not isinstance(hessian, WrittenOutHessian) or self._made > _RECORDINGS:
            self._refused = True
            return
        try:
            self._recordings[shape] = _Recording(objective, *point)
        except (NotRepeatable, RuntimeError, TypeError) as reason:
            # Torch has operations of many kinds; what cannot be repeated is computed as usual.
            _LOG.info("Hessians are not recorded: %s", reason)
            self._refused = True


class _Recording:
    """The operations of a Hessian and of its products, on memory that stays.

    Args:
        theta: ``[R, P]``. x, y: ``[R, m, …]``.

    Attributes:
        point: the Hessian whose memory holds the results.
        checks: of how many more Hessians a kind of result is computed both ways. agrees: whether
            those that were have the same bits.
    """

    def __init__(
        self, objective: Objective, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor
    ) -> None:
        self._loss = objective.loss
        self._objective = objective
        self._inputs = copy_of(theta.detach()), copy_of(x), copy_of(y)
        self._v = torch.ones_like(self._inputs[0])
        with recorded() as first:
            point = batch_hessian(objective, *self._inputs)
            if not isinstance(point, WrittenOutHessian):
                raise NotRepeatable("the Hessian is not written out")
            point.differentiate()
        with recorded() as then:
            self._result = point.product_of_loss(self._v)
        given = [*self._inputs, self._v]
        self._at_point = repeated_calls(first, given)
        given += [tensor for call in first for tensor in call.results]
        self._of_product = repeated_calls(then, given)
        self.point = point
        self.checks: dict[Kind, int] = {"product": CHECKED, "along": CHECKED}
        self.agrees = True
        self._of: RepeatedHessian | None = None

    def fits(self, objective: Objective) -> bool:
        """Return whether it is that of this objective as it is now."""
        return objective is self._objective and objective.loss is self._loss

    def compare(self, repeated: torch.Tensor, usual: torch.Tensor) -> None:
        """Note whether results of any shape have the same bits in both ways."""
        if self.agrees and not torch.allclose(repeated, usual, rtol=0.0, atol=0.0, equal_nan=True):
            self.agrees = False
            _LOG.info("Hessians are not recorded: a repeated one has other values")

    def move(
        self, hessian: RepeatedHessian, point: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    ) -> None:
        """Compute what products of a Hessian need, unless that is what was computed last.

        Args:
            point: theta ``[R, P]``, x and y ``[R, m, …]``.
        """
        if hessian is self._of:
            return
        self._of = None
        for mine, its in zip(self._inputs, point, strict=True):
            refill(mine, its)
        for call in self._at_point:
            call()
        self._of = hessian

    def product(self, v: torch.Tensor) -> torch.Tensor:
        """Return the Hessian of the loss times ``v``, ``[R, P]``; the next product overwrites it."""
        self._v.copy_(v)
        for call in self._of_product:
            call()
        return self._result


class RepeatedHessian(Hessian):
    """The Hessian at one point, by a recording.

    Args:
        recording: of Hessians of these shapes. theta: ``[R, P]``. x, y: ``[R, m, …]``.
    """

    def __init__(
        self,
        recording: _Recording,
        objective: Objective,
        theta: torch.Tensor,
        x: torch.Tensor,
        y: torch.Tensor,
    ) -> None:
        super().__init__(theta)
        self._recording, self._objective = recording, objective
        self._x, self._y = x, y
        self._both_ways: dict[Kind, bool] = {}
        self._usual: Hessian | None = None

    def _product(self, v: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            if not self._compares("product"):
                return self._repeated(v)
            usual = self.usual.product(v)
            self._recording.compare(self._repeated(v), usual)
            return usual

    def _compares(self, kind: Kind) -> bool:
        """Return whether results of a kind are computed both ways."""
        both = self._both_ways.get(kind)
        if both is None:
            checks = self._recording.checks
            both = self._both_ways[kind] = checks[kind] > 0
            checks[kind] -= both
        return both

    def _repeated(self, v: torch.Tensor) -> torch.Tensor:
        result = self._at_point().product(v)
        decay = self._objective.decay_product(v)
        return result.clone() if decay is None else result + decay

    def _at_point(self) -> _Recording:
        self._recording.move(self, (self.theta, self._x, self._y))
        return self._recording

    @property
    def usual(self) -> Hessian:
        """The same Hessian as it is computed without a recording."""
        if self._usual is None:
            self._usual = batch_hessian(self._objective, self.theta, self._x, self._y)
        return self._usual

    def along(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``vᵀHv`` ``[R]``, by a second-order forward pass."""
        self.products += 1
        if not self._compares("along"):
            return self._at_point().point.along(v)
        usual = self.usual.along(v)
        self._recording.compare(self._at_point().point.along(v), usual)
        return usual

    def _several(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.usual.several(vectors)
