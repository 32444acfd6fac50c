"""A study: a question over many runs.

It has *arms*, each an experiment, seeds, what is measured of each run, and how the statement is
decided. :mod:`~optlab.studies.comparison.reading` reads one from its TOML file.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomli_w

from optlab.core.errors import InvalidInput
from optlab.core.wording import in_sentence
from optlab.experiment import Experiment
from optlab.experiment.own_code import own_code_of
from optlab.experiment.settings import flat
from optlab.objective.seeding import derived
from optlab.studies.comparison import claim as claims
from optlab.studies.comparison.claim import Claim
from optlab.studies.comparison.fields import Decision, Measured, Seeds
from optlab.studies.comparison.grid import Axis, Value, combinations
from optlab.studies.probes.base import Probe

FORMAT = 1
"""Version of the file format; files of a newer version are rejected."""
_SEED_RANGE = 10**9


@dataclass(frozen=True)
class Arm:
    """One side of a comparison.

    Attributes:
        name: of the arm. experiment: what it trains, before seed and setting are applied.
        axes: the fields that are tuned, with their values; () without tuning.
        measured: what is measured of it, where that is not what is measured of the others.
    """

    name: str
    experiment: Experiment
    axes: tuple[Axis, ...] = ()
    measured: Measured | None = None

    @property
    def own_code(self) -> bool:
        """Whether it executes code of the user's, which is left to workers."""
        return bool(own_code_of(self.experiment.to_dict()))

    def settings(self) -> list[dict[str, Value]]:
        """Return the settings that tuning tries."""
        return combinations(self.axes)


@dataclass(frozen=True)
class ProbeArm:
    """One side of a comparison that is computed, not trained: ``name``, and the probe of it."""

    name: str
    probe: Probe


@dataclass(frozen=True)
class Tuning:
    """How the setting of each arm is chosen.

    Attributes:
        by: series whose final mean decides. seeds: runs of each setting, on seeds of their own.
        goal: whether the lowest or the highest value is the best. each: whether every seed that
            decides has a setting of its own, tuned on other seeds than those of the next one; the
            intervals then contain what tuning leaves to chance.
    """

    by: str
    seeds: int = 1
    goal: str = "lowest"
    each: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the section of a file; ``each`` only where it is true."""
        table = dataclasses.asdict(self)
        if not self.each:
            del table["each"]
        return table


@dataclass(frozen=True)
class Study:
    """A validated study.

    Attributes:
        question: for people. about: further text. arms: those that are trained, in the order of
            the file. probes: those that are computed.
        seeds, measured, decision: sections of the file. tuning: None where nothing is tuned.
        claim: what the statement claims.
    """

    question: str
    arms: tuple[Arm, ...]
    seeds: Seeds
    measured: Measured
    decision: Decision
    tuning: Tuning | None = None
    about: str = ""
    probes: tuple[ProbeArm, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all arms, those that are trained first."""
        return (*(arm.name for arm in self.arms), *(arm.name for arm in self.probes))

    def to_dict(self) -> dict[str, Any]:
        """Return all tables; each arm has its entire experiment, so that no other file is needed."""
        arms: dict[str, Any] = {}
        for arm in self.arms:
            arms[arm.name] = {"base": arm.experiment.to_dict()}
            if arm.axes:
                arms[arm.name]["tune"] = {axis.path: axis.written() for axis in arm.axes}
            if arm.measured is not None:
                arms[arm.name]["measure"] = arm.measured.values()
        for computed in self.probes:
            probe = computed.probe
            arms[computed.name] = {"probe": {"name": probe.name, **probe.values()}}
        tables: dict[str, Any] = {"format": FORMAT, "question": self.question, "about": self.about}
        tables["arms"] = arms
        tables["seeds"] = self.seeds.values()
        if self.tuning is not None:
            tables["tune"] = self.tuning.to_dict()
        tables["measure"] = self.measured.values()
        tables["decide"] = self.decision.values()
        return tables

    def to_toml(self) -> str:
        """Return the text of a file, from which an equal study is read."""
        return tomli_w.dumps(self.to_dict())

    def with_seeds(
        self, count: int | None = None, first: int | None = None, *, alone: bool | None = None
    ) -> Study:
        """Return a copy with other seeds: their number, the master seed, or runs one at a time.

        Looks beyond the number of seeds are left out, and the last one is at all of them.

        Raises:
            InvalidInput: a number is not allowed.
        """
        values = self.seeds.values()
        values |= {} if count is None else {"count": count}
        values |= {} if first is None else {"first": first}
        values |= {} if alone is None else {"alone": alone}
        seeds = Seeds.build(values, "seeds")
        looks = self.decision.looks
        if looks:
            looks = (*(look for look in looks if look < seeds.count), seeds.count)
        decision = Decision.build({**self.decision.values(), "looks": list(looks)}, "decide")
        return dataclasses.replace(self, seeds=seeds, decision=decision)

    @property
    def claim(self) -> Claim:
        """What the statement claims of the arms."""
        return claims.parse(self.decision.statement, self.names)

    @property
    def effort(self) -> int:
        """Number of settings that are tried for each arm."""
        return max((len(arm.settings()) for arm in self.arms), default=1)

    @property
    def tuning_runs(self) -> int:
        """Number of runs of each arm that tune."""
        if self.tuning is None:
            return 0
        return self.effort * self.tuning.seeds * (self.seeds.count if self.tuning.each else 1)

    @property
    def is_timed(self) -> bool:
        """Whether seconds are compared or shown, so that runs need the machine for themselves."""
        return self.seeds.alone or any(
            self.measured_of(arm.name).what == "seconds_to" for arm in self.arms
        )

    def measured_of(self, name: str) -> Measured:
        """Return what is measured of an arm that is trained."""
        return self.arm(name).measured or self.measured

    def arm(self, name: str) -> Arm:
        """Return the arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)

    def axis_value(self, name: str) -> float:
        """Return the number of an arm on the horizontal axis of a trend.

        Raises:
            InvalidInput: the arms do not differ in one number.
        """
        return _at(self.tables()[name], self.along)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return arm → path → value of everything that it is made of."""
        tables = {arm.name: dict(flat(arm.experiment.to_dict())) for arm in self.arms}
        for arm in self.probes:
            tables[arm.name] = {f"probe.{key}": value for key, value in arm.probe.values().items()}
        return tables

    @property
    def along(self) -> str:
        """The path of the field whose value is the horizontal axis of a trend.

        Raises:
            InvalidInput: the study names none, and the arms do not differ in one number only.
        """
        if self.decision.along:
            return self.decision.along
        numbers = [path for path in _differing(list(self.tables().values())) if path != "title"]
        if len(numbers) == 1:
            return numbers[0]
        raise InvalidInput(
            "decide.along is missing: the arms differ in "
            f"{', '.join(numbers) if numbers else 'nothing'}; name the field whose value is the "
            "horizontal axis.",
            "decide.along",
        )

    def seed(self, index: int, arm: str, role: str = "decides") -> int:
        """Return the seed of a run.

        Args:
            index: 0, 1, …. arm: its name; matters where arms draw their own. role: tuning has seeds
                of its own.
        """
        whose = "" if self.seeds.paired else f"/{arm}"
        return derived(self.seeds.first, f"study/{role}{whose}/{index}") % _SEED_RANGE

    def experiment(
        self, arm: str, index: int, setting: Mapping[str, Value], role: str = "decides"
    ) -> Experiment:
        """Return the experiment of one run.

        Raises:
            InvalidInput: the setting does not fit the arm.
        """
        seed = self.seed(index, arm, role)
        one = self.arm(arm)
        base = one.experiment
        changes: dict[str, Any] = {**setting, "seed": seed}
        if self.seeds.data:
            changes["dataset.seed"] = seed
        words = "".join(f" · {path.rpartition('.')[2]} {value}" for path, value in setting.items())
        about = f"{base.dataset.short_name()} · {in_sentence(base.model.short_label())} · {arm}"
        changes["title"] = f"{about}{words} · seed {index + 1}"[:200]
        return base.with_values(changes, check=not one.own_code)


def _differing(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the paths of the numbers in which arms differ."""
    paths = list(dict.fromkeys(itertools.chain.from_iterable(tables)))
    return [
        path
        for path in paths
        if len({repr(values.get(path)) for values in tables}) > 1
        and all(_is_number(values.get(path)) for values in tables)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(table: Mapping[str, Any], path: str) -> float:
    value = table.get(path)
    if not _is_number(value):
        raise InvalidInput(
            f"decide.along is {path!r}, which is no number of every arm; name such a field.",
            "decide.along",
        )
    assert isinstance(value, int | float)
    return float(value)
