"""Comparing runs that are stored already: those that differ in nothing but seeds are one arm."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.toml import parse
from optlab.experiment import Experiment
from optlab.experiment.settings import OF_A_SEED, flat
from optlab.store.records import RunRecord
from optlab.store.store import Store
from optlab.studies.comparison import outcomes
from optlab.studies.comparison.deciding import measure_words
from optlab.studies.comparison.fields import Decision, Measured
from optlab.studies.comparison.results import ArmResult, StudyResult
from optlab.studies.comparison.rule import Relation, Rule
from optlab.studies.comparison.statistics import compare, overall, summary
from optlab.studies.comparison.trial_records import (
    DONE,
    recorded_outcome,
    sample_of,
    steps_per_epoch,
)


def compare_stored(
    store: Store, records: Sequence[RunRecord], measured: Measured, decision: Decision
) -> StudyResult:
    """Return how stored runs compare, every two arms with each other.

    Where all arms have the same seeds, they are compared seed by seed.

    Args:
        records: different runs that have ended. decision: its statement is not used.

    Raises:
        InvalidInput: a run has not ended, there are no two arms, or a value does not allow the
            effect.
        StoreError: stored data are damaged.
    """
    for record in records:
        if record.status not in DONE:
            raise InvalidInput(
                f"Run {record.id} is {record.status}, so its values are not those of a whole run; "
                "leave it out, or resume it first."
            )
    tables = {record.id: dict(flat(parse(record.experiment))) for record in records}
    arms = _arms(records, tables)
    if len(arms) < 2:
        raise InvalidInput(
            "These runs differ in nothing but their seeds, so there is nothing to compare; give "
            "runs of two experiments."
        )
    seeds = {name: [_seed(tables[one.id]) for one in members] for name, members in arms.items()}
    paired = _are_paired(list(seeds.values()))
    if paired:
        arms = {
            name: sorted(members, key=lambda one: _seed(tables[one.id]))
            for name, members in arms.items()
        }
    found = _outcomes(store, [one for members in arms.values() for one in members], measured)
    results = {
        name: _arm_result(members, [found[one.id] for one in members], decision.level)
        for name, members in arms.items()
    }
    rule = Rule(decision.effect, decision.margin, decision.level, paired, decision.method)
    samples = {name: sample_of(arm.outcomes) for name, arm in results.items()}
    pairs: list[tuple[str, Relation, str]] = [
        (a, "!=", b) for a, b in itertools.combinations(results, 2)
    ]
    comparisons = compare(samples, pairs, rule)
    return StudyResult(
        question="",
        statement="every two arms differ",
        unit=measure_words(measured),
        verdict=overall(comparisons),
        seeds=min(len(members) for members in arms.values()),
        effort=1,
        arms=results,
        comparisons=comparisons,
        seconds=sum(record.seconds for record in records),
    )


def _arms(
    records: Sequence[RunRecord], tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[RunRecord]]:
    """Return the arms by name, in the order of their first run."""
    by_content: dict[str, list[RunRecord]] = {}
    for record in records:
        content = {path: v for path, v in tables[record.id].items() if path not in OF_A_SEED}
        by_content.setdefault(repr(sorted(content.items())), []).append(record)
    firsts = [tables[members[0].id] for members in by_content.values()]
    paths = [
        path
        for path in dict.fromkeys(itertools.chain.from_iterable(firsts))
        if path not in OF_A_SEED and len({repr(table.get(path)) for table in firsts}) > 1
    ]
    names = [_name(table, paths) for table in firsts]
    return {
        name if names.count(name) == 1 else f"{name} ({number + 1})": members
        for number, (name, members) in enumerate(zip(names, by_content.values(), strict=True))
    }


def _name(table: Mapping[str, Any], paths: Sequence[str]) -> str:
    """Return a name made of what distinguishes an arm: components, or else the first few fields."""
    components = [path for path in paths if path.endswith(".name")]
    if components:
        own = [f"{table[path]}" for path in components if path in table]
        sections = {path.rpartition(".")[0] for path in components}
        paths = [path for path in paths if path.rpartition(".")[0] not in sections]
        return ", ".join([*own, *_values(table, paths)])[:120]
    return ", ".join(_values(table, paths))[:120]


def _values(table: Mapping[str, Any], paths: Sequence[str]) -> list[str]:
    return [f"{path.rpartition('.')[2]} {table[path]}" for path in paths if path in table][:4]


def _seed(table: Mapping[str, Any]) -> tuple[int, int]:
    return table["seed"], table["dataset.seed"]


def _are_paired(seeds: Sequence[Sequence[tuple[int, int]]]) -> bool:
    """Return whether all arms have the same seeds, each once."""
    return all(len(set(one)) == len(one) and sorted(one) == sorted(seeds[0]) for one in seeds)


def _outcomes(
    store: Store, records: Sequence[RunRecord], measured: Measured
) -> dict[str, outcomes.Outcome]:
    series = store.series_of([one.id for one in records], outcomes.series_of(measured))
    found = [
        recorded_outcome(
            measured, record, series.get(record.id, {}), partial(_steps_per_epoch, record)
        )
        for record in records
    ]
    return dict(zip([one.id for one in records], outcomes.bounded(found), strict=True))


def _steps_per_epoch(record: RunRecord) -> int:
    return steps_per_epoch(Experiment.from_toml(record.experiment))


def _arm_result(
    members: Sequence[RunRecord], found: Sequence[outcomes.Outcome], level: float
) -> ArmResult:
    return ArmResult(
        tuple(one.id for one in members),
        tuple(found),
        summary(sample_of(found), level),
        sum(one.status == "diverged" for one in members),
    )
