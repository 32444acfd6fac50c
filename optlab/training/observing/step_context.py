"""What instruments read: a step just taken, or the current parameters, with derived values.

Values that several instruments need are computed once. Nothing here writes to what training reads.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from optlab.catalogue.instruments.base import Ends, PartName, Stability
from optlab.catalogue.models.base import EVALUATION, TRAINING, ForwardContext
from optlab.core.layout import Layout
from optlab.core.lazy import torch
from optlab.core.limits import CHUNK_VALUES
from optlab.curvature.extremes import extremes
from optlab.curvature.landscape import ObjectiveLandscape
from optlab.curvature.spectrum import density_of, trace_of
from optlab.objective.hessian import Hessian
from optlab.objective.objective import Objective
from optlab.objective.run_examples import RunExamples
from optlab.training.capturing.recorded_hessians import RecordedHessians
from optlab.training.measured_steps import Measured
from optlab.training.observing.example_gradients import example_gradients

Examples = tuple["torch.Tensor", "torch.Tensor"]
_STATE = re.compile(r"state\.(\d+)")


@dataclass(frozen=True)
class Surroundings:
    """What stays the same between readings: the objective, and the parts of the data.

    Attributes:
        follows: whether training follows the gradient of the objective itself, not of a surrogate
            or of a blurred objective.
        expected_orders: of each run, the order in which the excess error falls with rates
            proportional to 1/k, by its sampling order; None where there is none.
        objectives: of each run, a number that it shares with the runs of the same data and loss.
        stability: returns that of the rules after the last step; None where it is not known.
        hessians: compute those of batches.
    """

    objective: Objective
    training: RunExamples
    validation: RunExamples | None
    follows: bool = True
    expected_orders: tuple[float | None, ...] = ()
    objectives: tuple[int, ...] = ()
    stability: Callable[[], Stability | None] = lambda: None
    hessians: RecordedHessians = field(default_factory=RecordedHessians)

    def part(self, name: PartName) -> RunExamples | None:
        """Return the examples of a part; None where it is empty."""
        return self.training if name == "training" else self.validation

    def of_run(self, run: int) -> Surroundings:
        """Return those of one run alone."""
        return Surroundings(
            self.objective.selected([run]),
            self.training.selected([run]),
            None if self.validation is None else self.validation.selected([run]),
            self.follows,
            self.expected_orders[run : run + 1],
            self.objectives[run : run + 1],
        )


class TrainingStepContext:
    """See :class:`optlab.catalogue.instruments.base.StepContext`.

    Args:
        step: number of steps taken. theta: where the gradient is evaluated, ``[R, P]``.
        batch: ``[R, m, …]``. before, after: parameters ``[R, P]`` around the step. rate: ``[R]``.
        stepped: whether a step was just taken.
        loss, gradient: of the batch at ``theta``, as the step computed them; None where they are
            still to be computed, or where the step followed another gradient than that of the
            objective.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        step: int,
        theta: torch.Tensor,
        batch: Examples,
        *,
        before: torch.Tensor,
        after: torch.Tensor,
        rate: torch.Tensor,
        stepped: bool,
        loss: torch.Tensor | None = None,
        gradient: torch.Tensor | None = None,
    ) -> None:
        self.step = step
        self.stepped = stepped
        self.theta, self.before, self.after, self.rate = theta, before, after, rate
        self._surroundings = surroundings
        self._x, self._y = batch
        self._loss, self._gradient = loss, gradient
        self._hessians: dict[int, Hessian] = {}

    @property
    def expected_orders(self) -> tuple[float | None, ...]:
        """See :class:`optlab.catalogue.instruments.base.StepContext`."""
        return self._surroundings.expected_orders

    @property
    def objectives(self) -> tuple[int, ...]:
        """See :class:`optlab.catalogue.instruments.base.StepContext`."""
        return self._surroundings.objectives

    @functools.cached_property
    def stability(self) -> Stability | None:
        """See :class:`optlab.catalogue.instruments.base.StepContext`."""
        return self._surroundings.stability()

    @classmethod
    def after_step(
        cls,
        surroundings: Surroundings,
        number: int,
        measured: Measured,
        x: torch.Tensor,
        y: torch.Tensor,
    ) -> TrainingStepContext:
        """Return the context of a step just taken on the batch ``x``, ``y`` ``[R, m, …]``.

        Args:
            number: of the step (1, 2, …).
        """
        proposed = measured.proposed
        if measured.layers is not None:
            surroundings.objective.kept = proposed.point, measured.layers
        return cls(
            surroundings,
            number,
            proposed.point,
            (x, y),
            before=measured.before,
            after=proposed.after,
            rate=measured.rate,
            stepped=True,
            loss=proposed.loss if surroundings.follows else None,
            gradient=proposed.gradient if surroundings.follows else None,
        )

    @classmethod
    def at_rest(
        cls,
        surroundings: Surroundings,
        step: int,
        before: torch.Tensor,
        theta: torch.Tensor,
        rates: Sequence[float],
        batch: Examples,
    ) -> TrainingStepContext:
        """Return the context of the current parameters ``[R, P]``.

        Rates and batch are those of the next step.
        """
        rate: torch.Tensor = torch.tensor(rates, dtype=theta.dtype, device=theta.device)
        return cls(
            surroundings, step, theta, batch, before=before, after=theta, rate=rate, stepped=False
        )

    @property
    def layout(self) -> Layout:
        return self._surroundings.objective.layout

    @functools.cached_property
    def activation(self) -> str:
        return str(getattr(self._surroundings.objective.model, "activation", ""))

    # --- values and gradients ---------------------------------------------------------------------

    @property
    def gradient(self) -> torch.Tensor:
        if self._gradient is None:
            self._loss, self._gradient = self._surroundings.objective.value_and_gradient(
                self.theta, self._x, self._y
            )
        return self._gradient

    @functools.cached_property
    def batch_value(self) -> torch.Tensor:
        if self._loss is None:
            return self.value(self.theta)
        return self._surroundings.objective.total(self.theta, self._x, self._y, self._loss)

    def value(self, theta: torch.Tensor) -> torch.Tensor:
        # In one piece, as in the step itself.
        with torch.no_grad():
            return self._surroundings.objective.total(theta, self._x, self._y)

    def objective(self) -> torch.Tensor:
        return self._full_objective

    @functools.cached_property
    def _full_objective(self) -> torch.Tensor:
        objective = self._surroundings.objective
        losses = objective.evaluate(self.after, *self._surroundings.training).losses.mean(dim=1)
        return objective.penalized(losses, self.after)

    def examples_of_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._examples_of_gradient

    @functools.cached_property
    def _examples_of_gradient(self) -> tuple[torch.Tensor, torch.Tensor]:
        return example_gradients(
            self._surroundings.objective, self.theta, self._x, self._y, self.gradient
        )

    # --- curvature --------------------------------------------------------------------------------

    @functools.cached_property
    def _on_batch(self) -> ObjectiveLandscape:
        return self._landscape(self._x, self._y)

    def _landscape(
        self, x: torch.Tensor, y: torch.Tensor, of: torch.Tensor | None = None
    ) -> ObjectiveLandscape:
        surroundings = self._surroundings
        return ObjectiveLandscape(surroundings.objective, x, y, of, surroundings.hessians.at)

    def _hessian(self, examples: int) -> Hessian:
        if examples not in self._hessians:
            if examples == 0:
                landscape = self._on_batch
            else:
                landscape = self._landscape(*self._surroundings.training.first(examples))
            self._hessians[examples] = landscape.hessian(self.theta)
        return self._hessians[examples]

    def along(self, v: torch.Tensor) -> torch.Tensor:
        return self._hessian(0).along(v)

    def ends(
        self,
        top: int,
        bottom: int,
        *,
        start: torch.Tensor | None,
        tolerance: float,
        most: int,
        examples: int,
        preconditioner: torch.Tensor | None = None,
    ) -> Ends:
        hessian = self._hessian(examples)
        product = hessian.product
        if preconditioner is not None:
            root = preconditioner.rsqrt()
            product = lambda v: root * hessian.product(root * v)  # noqa: E731 - as short as it is
        ends = extremes(
            product,
            hessian.theta,
            top=top,
            bottom=bottom,
            start=start,
            tolerance=tolerance,
            settle="value",
            max_products=most,
        )
        return Ends(
            ends.top,
            ends.bottom,
            torch.cat([ends.top_vectors, ends.bottom_vectors], dim=1),
            ends.products,
            ends.converged,
        )

    def eigenvalues(self, examples: int) -> torch.Tensor:
        matrix = self._hessian(examples).dense()
        # A library may refuse to decompose what is not finite; a run that has diverged has no
        # eigenvalues.
        sound = torch.isfinite(matrix).all(dim=(1, 2))
        values = torch.linalg.eigvalsh(torch.where(sound[:, None, None], matrix, 0.0))
        return torch.where(sound.unsqueeze(1), values, float("nan"))

    def trace(self, probes: int, examples: int) -> tuple[torch.Tensor, torch.Tensor]:
        trace = trace_of(self._hessian(examples), probes=probes, seed=self.step)
        return trace.mean, trace.standard_error

    def density(
        self, probes: int, steps: int, examples: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        hessian = self._hessian(examples)
        if not bool(torch.isfinite(hessian.along(torch.ones_like(self.theta))).all()):
            return self._of_finite_runs(probes, steps, examples)
        density = density_of(
            hessian, probes=probes, steps=min(steps, self.layout.total), seed=self.step, moments=3
        )
        return density.grid, density.density, density.moments

    def _of_finite_runs(
        self, probes: int, steps: int, examples: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the densities of the finite runs, one run at a time, and NaN for others."""
        parts: list[tuple[torch.Tensor, ...] | None] = []
        for run in range(len(self.theta)):
            alone = self._only(run)
            fine = bool(
                torch.isfinite(alone._hessian(examples).along(torch.ones_like(alone.theta))).all()
            )
            parts.append(alone.density(probes, steps, examples) if fine else None)
        known = next((part for part in parts if part is not None), None)
        shapes = [part.shape for part in known] if known is not None else [(1, 2), (1, 2), (1, 3)]
        nothing = tuple(self.theta.new_full(tuple(shape), float("nan")) for shape in shapes)
        columns = list(zip(*(nothing if part is None else part for part in parts), strict=True))
        return torch.cat(columns[0]), torch.cat(columns[1]), torch.cat(columns[2])

    def _only(self, run: int) -> TrainingStepContext:
        row = slice(run, run + 1)
        return TrainingStepContext(
            self._surroundings.of_run(run),
            self.step,
            self.theta[row],
            (self._x[row], self._y[row]),
            before=self.before[row],
            after=self.after[row],
            rate=self.rate[row],
            stepped=self.stepped,
        )

    # --- inside of the model ----------------------------------------------------------------------

    def traced(self) -> list[tuple[str, torch.Tensor]]:
        return self._traced

    @functools.cached_property
    def _traced(self) -> list[tuple[str, torch.Tensor]]:
        values: list[tuple[str, torch.Tensor]] = []
        with torch.no_grad():
            self._surroundings.objective.outputs(
                self.theta,
                self._x,
                ForwardContext(
                    training=True, trace=lambda name, value: values.append((name, value))
                ),
            )
        return values

    def by_time(self) -> tuple[torch.Tensor, str]:
        return self._by_time

    @functools.cached_property
    def _by_time(self) -> tuple[torch.Tensor, str]:
        objective = self._surroundings.objective
        states: dict[int, torch.Tensor] = {}

        def keep(name: str, value: torch.Tensor) -> None:
            match = _STATE.fullmatch(name)
            if match:
                states[int(match[1])] = value

        with torch.enable_grad():
            # The parameters need a graph, too: a state that depends on them alone would have none.
            theta, x = (
                self.theta.detach().requires_grad_(),
                self._x.detach().clone().requires_grad_(),
            )
            if objective.model.has_own_loss():
                losses = objective.per_example(theta, x, self._y, TRAINING)
            else:
                losses = objective.loss.per_example(
                    objective.outputs(theta, x, ForwardContext(training=True, trace=keep)),
                    objective.model.targets(x, self._y),
                )
            length = x.shape[2]
            by, wanted = (
                ("state", [states[t] for t in range(length)])
                if len(states) == length
                else ("input", [x])
            )
            results = torch.autograd.grad(losses.sum(), wanted, allow_unused=True)
        gradients = [
            torch.zeros_like(value) if one is None else one
            for one, value in zip(results, wanted, strict=True)
        ]
        each = torch.stack(gradients, dim=2) if by == "state" else gradients[0]
        norms: torch.Tensor = torch.linalg.vector_norm(
            each.flatten(3) if each.dim() > 3 else each.unsqueeze(3), dim=3
        ).mean(dim=1)
        return norms, by

    # --- predictions ------------------------------------------------------------------------------

    def probabilities(self, part: PartName) -> tuple[torch.Tensor, torch.Tensor] | None:
        examples = self._surroundings.part(part)
        if examples is None:
            return None
        objective = self._surroundings.objective
        runs = len(self.after)
        rows = max(1, CHUNK_VALUES // (runs * max(1, objective.shape.width)))
        parts: list[torch.Tensor] = []
        context = (
            ForwardContext(training=False, statistics=objective.statistics(self.after))
            if objective.model.normalizes()
            else EVALUATION
        )
        with torch.no_grad():
            for some, _ in examples.chunks(runs, rows):
                predicted = objective.loss.probabilities(
                    objective.outputs(self.after, some, context)
                )
                if predicted is None:
                    return None
                parts.append(predicted)
        y = examples.y if examples.of is None else examples.y[examples.of]
        return torch.cat(parts, dim=1), y

    def margins(self, part: PartName) -> torch.Tensor | None:
        examples = self._surroundings.part(part)
        return (
            None
            if examples is None
            else self._surroundings.objective.evaluate(self.after, *examples).margins
        )
