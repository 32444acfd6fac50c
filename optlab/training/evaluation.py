"""Evaluations of a population: losses, errors, risk, test performance and the full gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optlab.catalogue.losses.base import Loss
from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.objective.run_examples import RunExamples
from optlab.training.full_gradient import FullGradient
from optlab.training.held_out import HeldOutPerformance, held_out_performance
from optlab.training.run_data import PARTS, RunData


class Evaluator:
    """Evaluates parameters ``[R, P]`` on the parts of a data set.

    Args:
        experiments: one a run. data: theirs. measures: what :meth:`evaluate` computes.

    Attributes:
        training, validation: examples on the device; validation is None where the part is empty.
        fresh: draw new examples of each data set where they are endless; empty for any other.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        objective: Objective,
        data: RunData,
        measures: Sequence[EvaluationMeasure],
        device: str,
        dtype: torch.dtype,
    ) -> None:
        first = experiments[0]
        self._objective = objective
        self._measures = list(measures)
        self._device, self._dtype = device, dtype
        self._assignment = data.assignment
        self._fresh_examples = first.measures.fresh
        parts = {name: data.parts(name) for name in PARTS}
        self.training = data.assignment.part(parts["training"], device, dtype)
        self.validation = (
            data.assignment.part(parts["validation"], device, dtype)
            if len(data.first.validation)
            else None
        )
        self._test = parts["test"]
        self._losses = [experiment.loss.without_decay() for experiment in experiments]
        # Not so for a model that reconstructs its inputs, or has a loss of its own.
        self._predicts_targets = (
            objective.shape == data.first.shape and not objective.model.has_own_loss()
        )
        self.fresh = data.fresh(device, dtype)
        self._full_gradient = FullGradient(
            objective, self.training, [e.batches.streams for e in experiments], self._held_out
        )

    def evaluate(
        self,
        theta: torch.Tensor,
        step: int,
        averaged: torch.Tensor | None = None,
        point: torch.Tensor | None = None,
        *,
        gradient: bool = False,
    ) -> dict[str, torch.Tensor]:
        """Return the evaluation measures: series name → values ``[R]``.

        Args:
            theta: ``[R, P]``, the parameters after ``step`` steps. averaged: averaged parameters
                ``[R, P]``, where there are any. point: where the next gradients are evaluated
                ``[R, P]``, where a rule shows it.
            gradient: whether the full gradient is computed, which costs two to three times what
                the rest does.
        """
        evaluation = self._on_parts(theta)
        if gradient:
            evaluation.full_gradient_norm = self.full_gradient_norm(theta)
        self._add_risk(evaluation, theta, step)
        if averaged is not None:
            evaluation = replace(evaluation, averaged=self._on_parts(averaged))
        if point is not None:
            evaluation = replace(evaluation, at_point=self._on_parts(point))
        values = {measure.name: measure.compute(evaluation) for measure in self._measures}
        return {name: value for name, value in values.items() if value is not None}

    def full_gradient_norm(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the norms ``[R]`` of the full gradient at ``theta`` ``[R, P]``.

        See :class:`~optlab.training.full_gradient.FullGradient`.
        """
        return self._full_gradient.norms(theta)

    def full_gradient(self, theta: torch.Tensor, runs: Sequence[int]) -> tuple[torch.Tensor, int]:
        """Return the full gradients of some runs at ``theta`` ``[R, P]``, and of how many examples.

        See :class:`~optlab.training.full_gradient.FullGradient`.
        """
        return self._full_gradient.gradients(theta, runs)

    def test_performance(self, theta: torch.Tensor) -> HeldOutPerformance | None:
        """Return the performance on the test part at ``theta`` ``[R, P]``; None where it is empty.

        Nothing that chooses may ask for it.
        """
        if not len(self._test[0]):
            return None
        return held_out_performance(
            self._objective, theta, *self._assignment.part(self._test, self._device, self._dtype)
        )

    def _on_parts(self, theta: torch.Tensor) -> Evaluation:
        losses, errors, margins = self._objective.evaluate(theta, *self.training)
        evaluation = Evaluation(losses, errors, None, None, training_margin=margins)
        if self.validation is not None:
            (
                evaluation.validation_loss,
                evaluation.validation_error,
                evaluation.validation_margin,
            ) = self._objective.evaluate(theta, *self.validation)
        evaluation.penalty = self._objective.penalty(theta)
        evaluation.weight_norm = self._objective.weight_norm(theta)
        return evaluation

    def _held_out(self, number: int) -> RunExamples:
        """Draw examples that no run is trained on, by the seed of the data of each run."""
        assert self.fresh, "only an endless data set can be streamed"
        return self._assignment.examples(
            [
                fresh.draw(seed, "full gradient", number)
                for fresh, seed in zip(self.fresh, self._assignment.seeds, strict=True)
            ]
        )

    def _add_risk(self, evaluation: Evaluation, theta: torch.Tensor, step: int) -> None:
        """Add mean loss, excess loss and 0-1 error ``[R]`` on fresh examples.

        All stay None where none are drawn. Runs with the same data see the same draws, by the
        data's seed and the step: alone or together, whatever their own seeds.
        """
        number = self._fresh_examples
        if not self.fresh or number == 0:
            return
        loss, best = torch.zeros_like(theta[:, 0]), torch.zeros_like(theta[:, 0])
        error: torch.Tensor | None = None
        known = True
        pieces = [
            fresh.pieces(seed, f"risk/{step}", number)
            for fresh, seed in zip(self.fresh, self._assignment.seeds, strict=True)
        ]
        for piece in zip(*pieces, strict=True):
            losses, errors, _ = self._objective.evaluate(theta, *self._assignment.examples(piece))
            loss += losses.sum(dim=1) / number
            least = self._least(piece) if known else None
            known = least is not None
            if least is not None:
                best += least / number
            if errors is not None:
                share = errors.sum(dim=1) / number
                error = share if error is None else error + share
        evaluation.fresh_loss, evaluation.fresh_error = loss, error
        # On the same draws: near the minimum the noise of both is the same, and cancels.
        evaluation.fresh_excess = loss - best if known else None

    def _least(self, piece: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor | None:
        """Return the summed loss ``[R]`` of the best possible predictions of a draw.

        Args:
            piece: examples of each data set.

        Returns:
            None where they are not known for every run.
        """
        if not self._predicts_targets:
            return None
        sums: dict[tuple[int, Loss], torch.Tensor] = {}
        pairs = list(zip(self._assignment.of, self._losses, strict=True))
        for number, loss in dict.fromkeys(pairs):
            x, y = piece[number]
            expected = self.fresh[number].expected(x)
            best = None if expected is None else loss.best_outputs(expected.unsqueeze(0))
            if best is None:
                return None
            sums[number, loss] = loss.per_example(best, y.unsqueeze(0)).sum()
        return torch.stack([sums[pair] for pair in pairs])
