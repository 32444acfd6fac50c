"""The gradient of the objective on the full training set, which minibatch gradients estimate.

The gradient-norm test uses it: a minibatch gradient keeps the norm of its noise at a minimum, the
full gradient vanishes there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.objective.objective import SAMPLE, Objective
from optlab.objective.seeding import random_units

Examples = tuple["torch.Tensor", "torch.Tensor"]

HELD = 10_000
"""Fresh examples that replace the training set where training streams and has none."""
_RUNS_OF_A_DRAW = 64
"""Number of runs that determines the chunks where the model draws random numbers."""


class FullGradient:
    """Norms of full gradients of the objective that training follows.

    That is loss, weight decay and auxiliary heads; for a model with a surrogate, the surrogate.

    A run that streams has no training set. Its gradient is that on :data:`HELD` examples that it
    does not train on, the same at every evaluation: an estimate of the gradient of the risk, with
    an error of the order of σ/√HELD.

    A model that normalizes over the batch gets its examples as one batch, because the moments of
    chunks differ; these are the first :data:`~optlab.objective.objective.SAMPLE` examples, from
    which evaluations compute the moments, too.

    Args:
        objective: the objective. training: all training examples ``[n, …]``.
        streams: of each run, whether it trains on fresh examples.
        held: draws that many examples; needed where a run streams.
    """

    def __init__(
        self,
        objective: Objective,
        training: Examples,
        streams: Sequence[bool],
        held: Callable[[int], Examples] | None = None,
    ) -> None:
        self._objective = objective
        self._training = training
        self._streams = tuple(streams)
        self._draw = held
        self._held: Examples | None = None
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def norms(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the norms ``[R]`` at ``theta`` ``[R, P]``; they are cached for the last tensor."""
        if self._last is None or self._last[0] is not theta:
            # Instruments read what the step's own gradient left behind at the same parameters.
            keeping, self._objective.keeping = self._objective.keeping, False
            kept = self._objective.kept
            self._last = (theta, self._computed(theta))
            self._objective.keeping, self._objective.kept = keeping, kept
        return self._last[1]

    def _computed(self, theta: torch.Tensor) -> torch.Tensor:
        if not any(self._streams):
            return self._norms_on(theta, *self._training)
        if self._held is None:
            assert self._draw is not None
            self._held = self._draw(HELD)
        if all(self._streams):
            return self._norms_on(theta, *self._held)
        norms = torch.empty_like(theta[:, 0])
        for streams, examples in ((False, self._training), (True, self._held)):
            rows = [row for row, its in enumerate(self._streams) if its == streams]
            norms[rows] = self._norms_on(theta[rows], *examples)
        return norms

    def _norms_on(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        one_batch = self._objective.model.normalizes()
        gradient = (
            self._on_one_batch(theta, x[:SAMPLE], y[:SAMPLE])
            if one_batch
            else self._by_chunks(theta, x, y)
        )
        norms: torch.Tensor = torch.linalg.vector_norm(gradient, dim=1)
        return norms

    def _by_chunks(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        runs, draws = theta.shape[0], self._objective.uses_surrogate_gradient
        # What a model draws must not depend on how many runs there are, so neither must its chunks.
        rows = max(1, CHUNK_VALUES // ((_RUNS_OF_A_DRAW if draws else runs) * max(1, x[0].numel())))
        total = torch.zeros_like(theta)
        for part_x, part_y in zip(x.split(rows), y.split(rows), strict=True):
            batch = (part_x.expand(runs, *part_x.shape), part_y.expand(runs, *part_y.shape))
            uniforms = random_units([0], "surrogate", batch[0]) if draws else None
            # Weight decay is part of every chunk's gradient, and the chunks' shares add up to one.
            total += self._objective.value_and_gradient(theta, *batch, uniforms)[1] * (
                len(part_x) / len(x)
            )
        return total

    def _on_one_batch(self, theta: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the gradients, one run at a time, to bound the memory."""
        return torch.cat(
            [
                self._objective.value_and_gradient(
                    one.unsqueeze(0), x.unsqueeze(0), y.unsqueeze(0)
                )[1]
                for one in theta
            ]
        )
