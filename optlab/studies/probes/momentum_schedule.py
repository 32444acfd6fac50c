"""The end of a training whose momentum or rate changes over time, at the best of several rates."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any, ClassVar, Literal

import numpy as np

from optlab.core.errors import InvalidInput
from optlab.core.fields import choice, integer, number, text
from optlab.experiment import Experiment
from optlab.objective.seeding import derived
from optlab.studies.comparison.readings import SeriesValues, order
from optlab.studies.probes._tables import table
from optlab.studies.probes._training import trained
from optlab.studies.probes.base import Probe
from optlab.training.trainer import Trainer

_SEEDS = 10**9
_LOOKS = 40
_STEPS_BETWEEN_CHANGES = 10


class MomentumSchedule(Probe):
    """A training whose momentum follows a schedule, which no section of an experiment offers.

    The rate is the best of several by the validation loss, on a seed of its own, so that schedules
    are compared at equal effort. With one rate nothing is tuned.
    """

    name: ClassVar[str] = "momentum_schedule"
    label: ClassVar[str] = "Training with a momentum schedule"
    source: ClassVar[str] = (
        "Notes, sections on momentum; Y. Nesterov (1983); I. Sutskever et al. (2013)."
    )

    experiment: str = text(
        "", "Experiment", longest=2000, help="All sections of an experiment, as an inline table."
    )
    momentum: Literal["kept", "linear", "nesterov"] = choice(
        "kept",
        "Momentum",
        help="Kept as the experiment has it; raised along a line to the value below; or "
        "k/(k + 3) in step k, which gives Nesterov's rate on convex problems.",
    )
    raised_to: float = number(
        0.99, "Raised to", ge=0.0, lt=1.0, help="With linear: the momentum of the last step."
    )
    rates: str = text(
        "[0.1]", "Rates", longest=500, help="Learning rates to choose from, as [0.01, 0.1]."
    )
    of: Literal["train_loss", "excess_order"] = choice(
        "train_loss",
        "Of",
        help="The training loss at the end; or the order in which the excess training loss falls, "
        "the slope of its logarithm against that of the step.",
    )
    minimum: float = number(
        0.0, "Minimum", help="With excess_order: the smallest training loss that is possible."
    )
    since: int = integer(
        10, "Since", ge=1, help="With excess_order: the step from which on values count."
    )
    steps: int = integer(500, "Steps", ge=2, le=1_000_000, help="Number of steps.")

    def measure(self, seed: int) -> Generator[float, None, float]:
        rates = self._rates()
        best, parts = rates[0], len(rates) + 1
        if len(rates) > 1:
            tuning = derived(seed, "probe/tunes") % _SEEDS
            found = []
            for place, rate in enumerate(rates):
                found.append(
                    (yield from _scaled(self._run(tuning, rate), place / parts, 1 / parts))
                )
            best = rates[min(range(len(rates)), key=lambda place: found[place][1])]
        value, _ = yield from _scaled(self._run(seed, best), 1.0 - 1.0 / parts, 1.0 / parts)
        return value

    def words(self) -> str:
        if self.of == "train_loss":
            return f"training loss after {self.steps:,} steps"
        return f"order of the excess training loss from step {self.since:,} to {self.steps:,}"

    def _rates(self) -> list[float]:
        rates = table(f"{{ rates = {self.rates} }}", "probe.rates")["rates"]
        if (
            not isinstance(rates, list)
            or not rates
            or not all(isinstance(rate, int | float) and rate > 0.0 for rate in rates)
        ):
            raise InvalidInput(
                f"probe.rates is {self.rates}, but it must be a list of rates, as [0.01, 0.1].",
                "probe.rates",
            )
        return [float(rate) for rate in rates]

    def _run(self, seed: int, rate: float) -> Generator[float, None, tuple[float, float]]:
        """Train once; return what was asked for, and the validation loss."""
        sections: dict[str, Any] = table(self.experiment, "probe.experiment")
        sections |= {"seed": seed, "device": "cpu", "budget": {"steps": self.steps}}
        sections["measures"] = {"weights": 0}
        experiment = Experiment.from_dict(sections).with_values({"optimizer.lr": rate})
        losses: dict[int, float] = {}

        def look(trainer: Trainer) -> None:
            if trainer.step in looks:
                losses[trainer.step] = float(trainer.evaluate()["train_loss"][0])

        looks = self._looks()
        trainer = yield from trained(experiment, self.steps, self._change, look)
        if not trainer.alive:
            return math.inf, math.inf
        values = trainer.evaluate()
        validation = float(values["validation_loss"][0]) if "validation_loss" in values else 0.0
        if self.of == "train_loss":
            return float(values["train_loss"][0]), validation
        excess = np.array(list(losses.values())) - self.minimum
        return order(SeriesValues(np.array(list(losses)), excess)), validation

    def _looks(self) -> set[int]:
        """Return the steps at which the loss is read, evenly spaced on a logarithmic axis."""
        if self.of == "train_loss":
            return set()
        return set(np.geomspace(self.since, self.steps, _LOOKS).astype(int).tolist())

    def _change(self, step: int, trainer: Trainer) -> None:
        """Set the momentum of the step that comes after ``step`` steps."""
        if self.momentum == "nesterov":
            trainer.set_value("optimizer.momentum", step / (step + 3.0))
        elif self.momentum == "linear" and step % _STEPS_BETWEEN_CHANGES == 0:
            begin = float(getattr(trainer.requested[0].optimizer, "momentum", 0.0))
            share = step / self.steps
            trainer.set_value("optimizer.momentum", begin + share * (self.raised_to - begin))


def _scaled(
    work: Generator[float, None, tuple[float, float]], begin: float, share: float
) -> Generator[float, None, tuple[float, float]]:
    """Do a part of the work: its progress becomes that of the whole."""
    while True:
        try:
            done = next(work)
        except StopIteration as stop:
            result: tuple[float, float] = stop.value
            return result
        yield begin + share * done
