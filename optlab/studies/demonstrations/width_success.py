"""Success rate of training against the width of the network."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from optlab.core.fields import Sizes, choice, integer, number, sizes
from optlab.experiment import Experiment
from optlab.objective.seeding import derived
from optlab.studies.demonstrations._fits import share_interval
from optlab.studies.demonstrations.base import (
    NO_PROGRESS,
    Array,
    Axis,
    Cell,
    Curve,
    Demonstration,
    DemonstrationResult,
    Plot,
    Progress,
    Scatter,
    counted,
    numbers,
    stream,
    table,
)
from optlab.training.trainer import Trainer

_CHUNK = 50


class WidthSuccess(Demonstration):
    """The share of starts from which narrow and wide networks learn the same task.

    The narrowest network that can represent the solution seldom finds it. All starts of a width are
    trained as one population of R runs, from R draws of the initializer on the same full batch. A
    start succeeds if its final training error is at or below the goal.
    """

    name: ClassVar[str] = "width_success"
    label: ClassVar[str] = "Success rate against width"
    row: ClassVar[str] = "C18"
    sort_order: ClassVar[int] = 180
    source: ClassVar[str] = (
        "Notes, section on theoretical limits of optimization; Deep Learning, section 8.2.8."
    )
    note: ClassVar[str] = (
        "Narrow networks fail from most starts; a few times that width makes the same task easy."
    )

    dataset: Literal["circles", "moons", "spirals", "teacher"] = choice(
        "circles", "Data", help="Two classes that no straight line separates; teacher has three."
    )
    widths: Sizes = sizes(
        (1, 2, 3, 4, 8, 16),
        "Widths",
        unit="units",
        help="Numbers of hidden units; each width is a population of its own.",
    )
    starts: int = integer(
        32,
        "Starts",
        symbol="R",
        ge=2,
        le=2000,
        log=True,
        slider=(8, 200),
        help="Number of starts of each width.",
    )
    steps: int = integer(
        500,
        "Steps",
        ge=1,
        le=1_000_000,
        log=True,
        slider=(100, 10_000),
        help="Training steps of each start.",
    )
    rate: float = number(
        0.1,
        "Learning rate",
        symbol="ε",
        gt=0.0,
        log=True,
        slider=(1e-3, 1.0),
        help="Rate of gradient descent with momentum 0.9.",
    )
    goal: float = number(
        0.01,
        "Goal",
        ge=0.0,
        le=1.0,
        slider=(0.0, 0.2),
        help="Training 0-1 error at or below which a start has succeeded.",
    )
    activation: Literal["relu", "tanh"] = choice(
        "relu", "Activation", help="Function applied to the hidden units."
    )
    examples: int = integer(
        200, "Examples", ge=20, le=20_000, log=True, slider=(50, 2000), help="Training examples."
    )

    def run(self, progress: Progress = NO_PROGRESS) -> Iterator[DemonstrationResult]:
        widths = sorted(set(self.widths))
        work = numbers([width + 20.0 for width in widths])
        rows: list[tuple[Cell, ...]] = []
        errors: list[Array] = []
        for index, width in enumerate(widths):
            trainer = Trainer(self._population(width))
            before = float(work[:index].sum() / work.sum())
            for step in range(1, self.steps + 1):
                trainer.advance()
                if step % _CHUNK == 0:
                    progress.report(before + step / self.steps * float(work[index] / work.sum()))
                if not progress.should_continue():
                    return
            trainer.sync_divergence()
            values = {name: numbers(value) for name, value in trainer.evaluate().items()}
            error, loss = values["train_error"], values["train_loss"]
            # A diverged start keeps its last finite parameters; it has not succeeded.
            failed = np.isin(np.arange(len(error)), list(trainer.endings))
            hits = int(((error <= self.goal) & ~failed).sum())
            low, high = share_interval(hits, len(error))
            rows.append(
                (
                    width,
                    trainer.layout.total,
                    len(error),
                    hits,
                    hits / len(error),
                    low,
                    high,
                    float(np.median(error)),
                    float(np.median(loss)),
                )
            )
            errors.append(error)
            yield self._result(rows, errors, float(work[: index + 1].sum() / work.sum()))

    def _population(self, width: int) -> list[Experiment]:
        first = Experiment.from_dict(
            {
                "seed": 0,
                "device": "cpu",
                "dataset": {
                    "name": self.dataset,
                    "size": self.examples,
                    "validation": 0.0,
                    "test": 0.0,
                },
                "model": {"name": "mlp", "hidden": [width], "activation": self.activation},
                "loss": {"name": "cross_entropy"},
                "initializer": {"name": "he" if self.activation == "relu" else "normalized"},
                "optimizer": {"name": "momentum", "lr": self.rate, "momentum": 0.9},
                "batches": {"name": "never_shuffled", "size": self.examples},
                "measures": {"weights": 0},
            }
        )
        # All widths share the seeds, as methods in a race do.
        seeds = [derived(self.seed, stream(f"width_success/{run}")) for run in range(self.starts)]
        return [
            dataclasses.replace(
                first, general=first.general.build({**first.general.values(), "seed": seed}, "")
            )
            for seed in seeds
        ]

    def _result(
        self, rows: list[tuple[Cell, ...]], errors: list[Array], done: float
    ) -> DemonstrationResult:
        width, share, low, high = (numbers([row[i] for row in rows]) for i in (0, 4, 5, 6))
        curve = Curve(
            "succeeded", width, share, error=np.maximum(np.stack([share - low, high - share]), 0.0)
        )
        dots = Scatter(
            "starts", np.repeat(width, [len(error) for error in errors]), np.concatenate(errors)
        )
        plots = (
            Plot(
                "Success rate",
                Axis("hidden units", log=True),
                Axis("share of starts that succeed"),
                (curve,),
            ),
            Plot(
                "Final errors",
                Axis("hidden units", log=True),
                Axis("training error"),
                scatters=(dots,),
            ),
        )
        failing, succeeding = width[share < 0.5], width[share >= 0.9]
        shares = ", ".join(f"{w:g}: {s:.0%}" for w, s in zip(width, share, strict=True))
        sentence = (
            f"Share of {counted(len(errors[0]), 'start')} that reach a training error of at most "
            f"{self.goal:g}, by width: {shares}."
        )
        if len(failing):
            # Only these widths were tried, and the rate need not rise with the width.
            sentence += (
                f" With {', '.join(f'{w:g}' for w in failing)} hidden units training fails from "
                "most starts"
            )
            sentence += (
                f"; with {', '.join(f'{w:g}' for w in succeeding)} it succeeds from at least nine "
                "in ten."
                if len(succeeding)
                else "."
            )
        figures = {
            "widest_failing": float(failing.max()) if len(failing) else 0.0,
            "narrowest_succeeding": float(succeeding.min()) if len(succeeding) else 0.0,
        }
        headings = (
            "width",
            "parameters",
            "starts",
            "succeeded",
            "share",
            "low",
            "high",
            "median error",
            "median loss",
        )
        return DemonstrationResult(table(headings, rows), plots, sentence, figures, done)
