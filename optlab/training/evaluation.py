"""Evaluations of a population: losses, errors, risk, test performance and the full gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optlab.catalogue.measures.base import Evaluation, EvaluationMeasure
from optlab.core.data import Data
from optlab.core.lazy import torch
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.training.fresh import FreshExamples, tensors
from optlab.training.full_gradient import FullGradient
from optlab.training.held_out import HeldOutPerformance, held_out_performance


class Evaluator:
    """Evaluates parameters ``[R, P]`` on the parts of a data set.

    Args:
        experiments: one a run. measures: what :meth:`evaluate` computes.

    Attributes:
        training, validation: inputs and targets ``[n, …]`` on the device; validation is None where
            the part is empty.
        fresh: draws new examples of an endless data set; None for any other.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        objective: Objective,
        data: Data,
        measures: Sequence[EvaluationMeasure],
        device: str,
        dtype: torch.dtype,
    ) -> None:
        first = experiments[0]
        self._objective = objective
        self._measures = list(measures)
        self._device, self._dtype = device, dtype
        self._data_seed = first.dataset.seed
        self._fresh_examples = first.measures.fresh
        self.training = tensors(data.training, device, dtype)
        self.validation = tensors(data.validation, device, dtype) if len(data.validation) else None
        self._test = data.test
        self.fresh = (
            FreshExamples(first.dataset, data, device, dtype) if first.dataset.endless else None
        )
        self._full_gradient = FullGradient(
            objective, self.training, [e.batches.streams for e in experiments], self._held_out
        )

    def evaluate(
        self,
        theta: torch.Tensor,
        step: int,
        averaged: torch.Tensor | None = None,
        *,
        gradient: bool = False,
    ) -> dict[str, torch.Tensor]:
        """Return the evaluation measures: series name → values ``[R]``.

        Args:
            theta: ``[R, P]``, the parameters after ``step`` steps. averaged: averaged parameters
                ``[R, P]``, where there are any.
            gradient: whether the full gradient is computed, which costs two to three times what
                the rest does.
        """
        evaluation = self._on_parts(theta)
        if gradient:
            evaluation.full_gradient_norm = self.full_gradient_norm(theta)
        evaluation.fresh_loss, evaluation.fresh_error = self._risk(theta, step)
        if averaged is not None:
            evaluation = replace(evaluation, averaged=self._on_parts(averaged))
        values = {measure.name: measure.compute(evaluation) for measure in self._measures}
        return {name: value for name, value in values.items() if value is not None}

    def full_gradient_norm(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the norms ``[R]`` of the full gradient at ``theta`` ``[R, P]``.

        See :class:`~optlab.training.full_gradient.FullGradient`.
        """
        return self._full_gradient.norms(theta)

    def test_performance(self, theta: torch.Tensor) -> HeldOutPerformance | None:
        """Return the performance on the test part at ``theta`` ``[R, P]``; None where it is empty.

        Nothing that chooses may ask for it.
        """
        if not len(self._test):
            return None
        return held_out_performance(
            self._objective, theta, *tensors(self._test, self._device, self._dtype)
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

    def _held_out(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw examples that no run is trained on, the same for all runs, by the data's seed."""
        assert self.fresh is not None, "only an endless data set can be streamed"
        return self.fresh.draw(self._data_seed, "full gradient", number)

    def _risk(
        self, theta: torch.Tensor, step: int
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return mean loss and 0-1 error ``[R]`` on fresh examples.

        Both are None where none are drawn, and the error for regression. All runs see the same
        draws, by the data's seed and the step: alone or together, whatever their own seeds.
        """
        number = self._fresh_examples
        if self.fresh is None or number == 0:
            return None, None
        loss = torch.zeros_like(theta[:, 0])
        error: torch.Tensor | None = None
        for x, y in self.fresh.pieces(self._data_seed, f"risk/{step}", number):
            losses, errors, _ = self._objective.evaluate(theta, x, y)
            loss += losses.sum(dim=1) / number
            if errors is not None:
                share = errors.sum(dim=1) / number
                error = share if error is None else error + share
        return loss, error
