"""Schedules of numbers other than the learning rate: the section ``[schedules]``.

Each entry gives the path of a number and the pieces that it follows::

    [schedules]
    "optimizer.momentum" = "from 0.5; linear to 0.9 in 250"
    "loss.l2" = "exponential to 1% in 10 epochs"
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, did_you_mean, shown
from optlab.core.piecewise import Piecewise
from optlab.core.piecewise_text import PiecewiseProblem, parse

if TYPE_CHECKING:
    from optlab.experiment.experiment import Experiment

SCHEDULES = "schedules"
"""Key of the section."""


@dataclass(frozen=True)
class FieldSchedule:
    """The schedule of one field.

    Attributes:
        path: of the field, such as ``optimizer.momentum``.
        line: the pieces, as the file has them.
    """

    path: str
    line: str

    @property
    def section(self) -> str:
        """Section of the field."""
        return self.path.partition(".")[0]

    @property
    def name(self) -> str:
        """Name of the field in its section."""
        return self.path.partition(".")[2]

    @property
    def function(self) -> Piecewise:
        """The value as a function of the step and of the field's own value."""
        return parse(self.line)

    def in_steps(self, steps_per_epoch: int) -> FieldSchedule:
        """Return the same schedule with all epochs converted to steps."""
        function = self.function
        if not function.has_epochs:
            return self
        return replace(self, line=str(function.in_steps(steps_per_epoch)))


def read(table: Mapping[str, Any]) -> tuple[FieldSchedule, ...]:
    """Return the schedules of the section, sorted by path.

    Args:
        table: path → line; an unquoted path, which TOML reads as nested tables, is the same.

    Raises:
        InvalidInput: a line is not of the grammar.
    """
    return tuple(FieldSchedule(path, _line(path, line)) for path, line in sorted(_flat(table, "")))


def table(schedules: Iterable[FieldSchedule]) -> dict[str, str]:
    """Return the section: path → line."""
    return {schedule.path: schedule.line for schedule in schedules}


def set_in(tables: dict[str, Any], path: str, value: Any) -> None:
    """Set or, with the text ``off``, remove the schedule of a field in an experiment's tables.

    Args:
        tables: changed in place.
        path: ``schedules.`` and the path of the field.
    """
    lines = dict(_flat(tables.get(SCHEDULES, {}), ""))
    field = path.removeprefix(f"{SCHEDULES}.")
    if value == "off":
        lines.pop(field, None)
    else:
        lines[field] = value
    tables[SCHEDULES] = lines


def drop_unknown(tables: dict[str, Any], section: str, names: Collection[str]) -> None:
    """Remove the schedules of the fields of a section that are not among ``names``.

    Another component has taken the place of the one that had them.
    """
    if SCHEDULES in tables:
        tables[SCHEDULES] = {
            path: line
            for path, line in _flat(tables[SCHEDULES], "")
            if not path.startswith(f"{section}.") or path.partition(".")[2] in names
        }


def fields(experiment: Experiment) -> dict[str, Field]:
    """Return path → field of every number that can follow a schedule of its own."""
    return {
        f"{section}.{field.name}": field
        for section in ("optimizer", "clipping", "averaging", "loss")
        for field in _scheduled(getattr(experiment, section))
    }


def problems(experiment: Experiment) -> Iterator[InvalidInput]:
    """Yield what is wrong with the schedules of an experiment."""
    if not experiment.schedules:
        return
    known = fields(experiment)
    for schedule in experiment.schedules:
        path = f"{SCHEDULES}.{schedule.path}"
        if schedule.path == "optimizer.lr":
            yield InvalidInput(
                f"{path}: the learning rate has a section of its own; set "
                f'schedule.name = "pieces" and schedule.pieces = {schedule.line!r}.',
                path,
            )
        elif schedule.path not in known:
            yield InvalidInput(
                f"{path}: this experiment has no number {shown(schedule.path)} that can follow a "
                f"schedule{did_you_mean(schedule.path, known)}; those that can are "
                f"{', '.join(known) or 'none'}.",
                path,
            )
        else:
            base = getattr(getattr(experiment, schedule.section), schedule.name)
            yield from _out_of_bounds(known[schedule.path], schedule, base)


def _scheduled(component: Component) -> Sequence[Field]:
    names = component.scheduled_fields()
    return [field for field in component.fields() if field.name in names]


def _out_of_bounds(field: Field, schedule: FieldSchedule, base: float) -> Iterator[InvalidInput]:
    for value in schedule.function.range(base):
        inside = (
            (field.ge is None or value >= field.ge)
            and (field.gt is None or value > field.gt)
            and (field.le is None or value <= field.le)
            and (field.lt is None or value < field.lt)
        )
        # Nesterov's sequence approaches 1 and never reaches it.
        if not inside and not (value == field.lt and schedule.line.endswith("nesterov")):
            yield InvalidInput(
                f"{SCHEDULES}.{schedule.path} reaches {value:g}, but {schedule.path} must be "
                f"{field.allowed}.",
                f"{SCHEDULES}.{schedule.path}",
            )
            return


def _line(path: str, line: Any) -> str:
    whole = f"{SCHEDULES}.{path}"
    if not isinstance(line, str):
        raise InvalidInput(
            f"{whole} is {shown(line)}, but it must be a text such as "
            '"from 0.5; linear to 0.9 in 250".',
            whole,
        )
    if len(line) > 2000:
        raise InvalidInput(f"{whole} is longer than 2,000 characters.", whole)
    try:
        parse(line)
    except PiecewiseProblem as problem:
        raise InvalidInput(f"{whole} is {shown(line)}, but {problem}.", whole) from None
    return line


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        else:
            yield path, value
