"""A study as one page: question, protocol, charts, table and verdict, in a single HTML file.

The page has no script and refers to nothing outside of it, so that it can be sent, archived and
printed. Everything that people have written is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from optlab.store.records import StudyRecord
from optlab.studies.comparison import words
from optlab.studies.comparison.fields import TO_TARGET
from optlab.studies.comparison.readings import Values
from optlab.studies.comparison.study import Study
from optlab.studies.comparison.words import setting_share
from optlab.studies.figures.charts import (
    ArmCurves,
    ArmValues,
    EffectRow,
    arms,
    curves,
    effects,
    joined,
)
from optlab.studies.figures.markup import PAGE, STYLE, figure, table, text

MAX_POINTS = 600
"""Steps of a curve that are drawn: more than a page is wide."""
Curves = Mapping[str, Sequence[Values]]
"""Arm → the series of each of its runs."""


def page(record: StudyRecord, study: Study, series: Curves) -> str:
    """Return the page of a finished study as HTML.

    Args:
        record: with its result. study: what it was asked. series: of the measure, for the curves;
            an arm without any is left out of them.

    Raises:
        InvalidInput: matplotlib is not installed.
    """
    result = record.result
    tuned = ("Setting",) if study.tuning is not None else ()
    sections = [
        f"<h1>{text(study.question or record.name or record.id)}</h1>",
        _verdict(result),
        "<h2>Effect</h2>",
        figure(_effects_chart(study, result), "Effects with their intervals; the margin is gray."),
        table(
            ("Claim", "Effect", "Interval", "Level", "Adjusted p", "Verdict", "Method"),
            [_comparison_row(one) for one in result["comparisons"]],
        ),
        "<h2>Arms</h2>",
        figure(
            _arms_chart(study, result),
            f"{result['measure']}: every run, mean and interval. An arrow is a run whose value is "
            "only known to lie beyond its point.",
        ),
        table(
            ("Arm", "Mean", "Interval", "Median", "Runs", "Diverged", "Censored", *tuned),
            [_arm_row(name, arm)[: 7 + len(tuned)] for name, arm in result["arms"].items()],
        ),
        *_counted_section(result),
        *_curves_section(study, series),
        *_tuning_section(study, result),
        "<h2>Protocol</h2>",
        table(("What", "How"), words.protocol(study, result)),
        *_differences(study),
        "<h2>Record</h2>",
        table(("What", "Value"), _record_rows(record)),
        "<h2>Study file</h2>",
        f"<details><summary>The study as a file</summary><pre>{text(study.to_toml())}</pre>"
        "</details>",
    ]
    title = text(study.question or record.name or record.id)
    return PAGE.format(title=title, style=STYLE, body="\n".join(sections))


def _verdict(result: Mapping[str, Any]) -> str:
    verdict = result["verdict"]
    return (
        f'<p class="verdict {text(verdict)}"><strong>{text(result["statement"])}</strong>: '
        f"{text(verdict)} here</p>"
    )


def _effects_chart(study: Study, result: Mapping[str, Any]) -> str:
    ratio = study.decision.effect == "ratio"
    margin = study.decision.margin
    rows = [
        EffectRow(
            _claim(one),
            _number(one["effect"], math.nan),
            _number(one["interval"][0], -math.inf),
            _number(one["interval"][1], math.inf),
        )
        for one in result["comparisons"]
    ]
    return effects(
        rows,
        (1.0 / margin, margin) if ratio else (-margin, margin),
        f"{study.decision.effect} of {result['measure']}",
        log=ratio,
    )


def _arms_chart(study: Study, result: Mapping[str, Any]) -> str:
    rows = [
        ArmValues(
            name,
            np.array([_number(value, -math.inf) for value in arm["low"]]),
            np.array([_number(value, math.inf) for value in arm["high"]]),
            arm["mean"],
            _ends(arm["interval"]),
        )
        for name, arm in result["arms"].items()
    ]
    return arms(rows, result["measure"], log=study.decision.effect in ("ratio", "log-ratio"))


def _ends(interval: Sequence[float | None] | None) -> tuple[float, float] | None:
    if interval is None:
        return None
    low, high = interval
    return _number(low, -math.inf), _number(high, math.inf)


def _curves_section(study: Study, series: Curves) -> Iterable[str]:
    drawn = curves_figure(study, series)
    if drawn:
        yield "<h2>Curves</h2>"
        yield drawn


def curves_figure(study: Study, series: Curves) -> str:
    """Return the figure of a measure over the steps as HTML, "" where there is nothing to draw.

    Args:
        study: whose arms they are. series: of the measure; of each at most :data:`MAX_POINTS` steps
            are drawn.

    Raises:
        InvalidInput: matplotlib is not installed.
    """
    found = []
    for name, runs in series.items():
        steps, values = joined([(run.steps, run.values) for run in runs])
        if len(steps):
            places = np.unique(np.linspace(0, len(steps) - 1, MAX_POINTS).astype(np.int64))
            found.append(ArmCurves(name, steps[places], values[places]))
    if not found:
        return ""
    measured = study.measured
    target = measured.target if measured.what in TO_TARGET else None
    return figure(
        curves(found, measured.of, target=target),
        f"{measured.of} over the steps: mean of the runs that are still going, and the range of the "
        "middle half.",
    )


def _tuning_section(study: Study, result: Mapping[str, Any]) -> Iterable[str]:
    if study.tuning is None:
        return
    yield "<h2>Tuning</h2>"
    yield (
        f"<p>Every {'seed of every arm' if study.tuning.each else 'arm'} was given "
        f"{result['effort']} settings, each run on "
        f"{study.tuning.seeds} seeds of its own; the one with the {study.tuning.goal} final "
        f"{text(study.tuning.by)} decides.</p>"
    )
    yield table(
        ("Arm", "Setting", study.tuning.by, ""),
        [
            (
                name,
                _setting(one["setting"]),
                _shown(one["value"]) if one["value"] is not None else "no value",
                _chosen_words(arm, one),
            )
            for name, arm in result["arms"].items()
            for one in arm["tried"]
        ],
    )


def _chosen_words(arm: Mapping[str, Any], tried: Mapping[str, Any]) -> str:
    if seeds := tried.get("seeds"):
        return f"chosen for {len(seeds)} of {len(arm['low'])} seeds"
    return "chosen" if tried["chosen"] and not setting_share(arm) else ""


def _differences(study: Study) -> Iterable[str]:
    """Yield the table of the fields in which the arms differ."""
    tables = study.tables()
    rows = words.differences(tables)
    if rows:
        yield "<h2>What differs between the arms</h2>"
        yield table(("Field", *tables), rows)


def _record_rows(record: StudyRecord) -> list[tuple[str, str]]:
    return [
        ("Study", record.id),
        ("Begun", record.created),
        ("Ended", record.ended),
        ("Seconds", f"{record.seconds:,.1f}"),
        *((f"Version of {name}", version) for name, version in record.versions.items()),
    ]


def _claim(comparison: Mapping[str, Any]) -> str:
    if not comparison["against"]:
        return str(comparison["relation"])
    return f"{comparison['arm']} {comparison['relation']} {comparison['against']}"


def _comparison_row(one: Mapping[str, Any]) -> tuple[str, ...]:
    needed = one["seeds_needed"]
    more = f" (about {needed:,} seeds would decide)" if needed else ""
    return (
        _claim(one),
        _shown(one["effect"]),
        _interval(one["interval"]),
        f"{100.0 * one['level']:.4g}%",
        _shown(one["p_adjusted"]),
        f"{one['verdict']}{more}",
        str(one["method"]),
    )


def _counted_section(result: Mapping[str, Any]) -> Iterable[str]:
    headings, rows = words.counted_table(result["arms"])
    if rows:
        yield "<h2>What the target took</h2>"
        yield table(headings, rows)


def _arm_row(name: str, arm: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        _shown(arm["mean"]),
        _interval(arm["interval"]),
        _shown(arm["median"]),
        str(len(arm["low"])),
        str(arm["diverged"]),
        str(arm["censored"]),
        _setting(arm["setting"]),
    )


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {_shown(value)}" for path, value in setting.items())


def _interval(ends: Sequence[float | None] | None) -> str:
    if ends is None:
        return "–"
    low, high = ends
    return f"[{'−∞' if low is None else _shown(low)}, {'∞' if high is None else _shown(high)}]"


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _number(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)
