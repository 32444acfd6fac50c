"""A figure of a demonstration."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, number, shown, text
from optlab.studies import demonstrations
from optlab.studies.demonstrations.base import DemonstrationResult
from optlab.studies.probes._tables import table
from optlab.studies.probes.base import Probe


class DemonstrationFigure(Probe):
    """A figure of a demonstration's final result.

    The demonstration runs once for each seed, so that its sentence about one seed becomes a
    statement about many.
    """

    name: ClassVar[str] = "demonstration"
    label: ClassVar[str] = "Figure of a demonstration"
    source: ClassVar[str] = "That of the demonstration."

    demonstration: str = text("", "Demonstration", help="Its name, see optlab list demonstrations.")
    figure: str = text(
        "", "Figure", help="Name of the number, as optlab explore NAME --json has it."
    )
    times: float = number(1.0, "Times", help="The figure is multiplied by this.")
    plus: float = number(0.0, "Plus", help="What is added to it afterwards.")
    settings: str = text(
        "",
        "Settings",
        longest=2000,
        help="Values of its fields, as { starts = 100 }; not the seed.",
    )

    def measure(self, seed: int) -> Generator[float, None, float]:
        values = {**table(self.settings, "probe.settings"), "seed": seed}
        built = demonstrations.build(self.demonstration, values)
        last: DemonstrationResult | None = None
        for last in built.run():
            yield last.done
        figures = last.numbers if last is not None else {}
        if self.figure not in figures:
            raise InvalidInput(
                f"probe.figure is {shown(self.figure)}, which {self.demonstration} does not have"
                f"{did_you_mean(self.figure, figures)}; it has: {', '.join(figures) or 'none'}.",
                "probe.figure",
            )
        return self.times * float(figures[self.figure]) + self.plus

    def words(self) -> str:
        scale = "" if self.times == 1.0 else f"{self.times:g} × "
        shift = "" if self.plus == 0.0 else f" {'+' if self.plus > 0 else '−'} {abs(self.plus):g}"
        return f"{scale}{self.figure} of {self.demonstration}{shift}"
