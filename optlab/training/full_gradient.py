"""The gradient of the objective on the full training set, which minibatch gradients estimate.

The gradient-norm test uses it: a minibatch gradient keeps the norm of its noise at a minimum, the
full gradient vanishes there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.objective.objective import SAMPLE, Objective
from optlab.objective.run_examples import RunExamples
from optlab.objective.seeding import random_units

HELD = 10_000
"""Fresh examples that replace the training set where training streams and has none."""
_RUNS_OF_A_DRAW = 64
"""Number of runs that determines the chunks where the model draws random numbers."""


class FullGradient:
    """Full gradients of the objective that training follows, and their norms.

    That is loss, weight decay and auxiliary heads; for a model with a surrogate, the surrogate.

    A run that streams has no training set. Its gradient is that on :data:`HELD` examples that it
    does not train on, the same at every evaluation: an estimate of the gradient of the risk, with
    an error of the order of σ/√HELD.

    A model that normalizes over the batch gets its examples as one batch, because the moments of
    chunks differ; these are the first :data:`~optlab.objective.objective.SAMPLE` examples, from
    which evaluations compute the moments, too.

    Args:
        objective: the objective. training: all training examples.
        streams: of each run, whether it trains on fresh examples.
        held: draws that many examples; needed where a run streams.
    """

    def __init__(
        self,
        objective: Objective,
        training: RunExamples,
        streams: Sequence[bool],
        held: Callable[[int], RunExamples] | None = None,
    ) -> None:
        self._objective = objective
        self._training = training
        self._streams = tuple(streams)
        self._draw = held
        self._held: RunExamples | None = None
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def norms(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the norms ``[R]`` at ``theta`` ``[R, P]``; they are cached for the last tensor."""
        if self._last is None or self._last[0] is not theta:
            gradients, _ = self.gradients(theta)
            self._last = (theta, torch.linalg.vector_norm(gradients, dim=1))
        return self._last[1]

    def gradients(
        self, theta: torch.Tensor, runs: Sequence[int] | None = None
    ) -> tuple[torch.Tensor, int]:
        """Return the gradients ``[R, P]`` at ``theta`` ``[R, P]``, and the number of examples.

        Args:
            theta: parameters of the runs. runs: their numbers; all by default.
        """
        # Instruments read what the step's own gradient left behind at the same parameters.
        keeping, self._objective.keeping = self._objective.keeping, False
        kept = self._objective.kept
        everyone = list(range(len(self._streams)))
        try:
            return self._computed(theta, everyone if runs is None else list(runs))
        finally:
            self._objective.keeping, self._objective.kept = keeping, kept

    def _computed(self, theta: torch.Tensor, runs: list[int]) -> tuple[torch.Tensor, int]:
        streams = [self._streams[run] for run in runs]
        if len(set(streams)) == 1:
            examples = self._examples(streams=streams[0])
            return self._gradients_on(theta, runs, examples), examples.size
        gradients = torch.empty_like(theta)
        sizes = []
        for value in (False, True):
            rows = [row for row, its in enumerate(streams) if its == value]
            examples = self._examples(streams=value)
            gradients[rows] = self._gradients_on(theta[rows], [runs[row] for row in rows], examples)
            sizes.append(examples.size)
        return gradients, max(sizes)

    def _examples(self, *, streams: bool) -> RunExamples:
        """Return the examples of runs that stream, or of those that do not."""
        if not streams:
            return self._training
        if self._held is None:
            assert self._draw is not None
            self._held = self._draw(HELD)
        return self._held

    def _gradients_on(
        self, theta: torch.Tensor, runs: list[int], examples: RunExamples
    ) -> torch.Tensor:
        objective = self._objective
        if runs != list(range(len(self._streams))):
            objective, examples = objective.selected(runs), examples.selected(runs)
        if objective.model.normalizes():
            return self._on_one_batch(objective, theta, examples.first(SAMPLE))
        return self._by_chunks(objective, theta, examples)

    def _by_chunks(
        self, objective: Objective, theta: torch.Tensor, examples: RunExamples
    ) -> torch.Tensor:
        runs, draws = theta.shape[0], objective.uses_surrogate_gradient
        # What a model draws must not depend on how many runs there are, so neither must its chunks.
        of_runs = _RUNS_OF_A_DRAW if draws else runs
        rows = max(1, CHUNK_VALUES // (of_runs * max(1, examples.width)))
        total = torch.zeros_like(theta)
        for x, y in examples.chunks(runs, rows):
            uniforms = random_units([0], "surrogate", x) if draws else None
            # Weight decay is part of every chunk's gradient, and the chunks' shares add up to one.
            total += objective.value_and_gradient(theta, x, y, uniforms)[1] * (
                x.shape[1] / examples.size
            )
        return total

    def _on_one_batch(
        self, objective: Objective, theta: torch.Tensor, examples: RunExamples
    ) -> torch.Tensor:
        """Return the gradients, one run at a time, to bound the memory."""
        gradients = []
        for run in range(len(theta)):
            ((x, y),) = examples.selected([run]).chunks(1, examples.size)
            gradients.append(
                objective.selected([run]).value_and_gradient(theta[run : run + 1], x, y)[1]
            )
        return torch.cat(gradients)
