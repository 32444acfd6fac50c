"""Studies and their results in words: what the command line, the window and the page all say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optlab.studies.comparison.claim import TrendClaim
from optlab.studies.comparison.deciding import described, unit_words
from optlab.studies.comparison.grid import Axis
from optlab.studies.comparison.outcomes import Unit
from optlab.studies.comparison.study import Study

_RELATIONS = {
    "<": "is lower for {arm} than for {against}",
    ">": "is higher for {arm} than for {against}",
    "~": "is the same for {arm} and {against}",
    "!=": "differs between {arm} and {against}",
}


def number(value: float | None) -> str:
    """Return a number with four digits; "–" where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    text = f"{value:.4g}"
    return f"−{text[1:]}" if text.startswith("-") else text


def interval(ends: Sequence[float | None] | None) -> str:
    """Return an interval as text; an end that is not finite is open."""
    if ends is None:
        return "–"
    low, high = ends
    return f"[{_end(low, '−∞')}, {_end(high, '∞')}]"


def _end(value: float | None, open_end: str) -> str:
    return open_end if value is None or not math.isfinite(value) else number(value)


def seeds_words(document: Mapping[str, Any]) -> str:
    """Return how many seeds and settings the arms had."""
    seeds, effort = document["seeds"], document["effort"]
    words = f"{seeds} seed{'s' if seeds != 1 else ''} per arm"
    return f"{words}, tuned over {effort} settings each" if effort > 1 else words


def setting_of_seed(arm: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Return path → value of the tuned fields of one run.

    Args:
        arm: as ``study --json`` has it. seed: index of the run's seed.
    """
    own = (one["setting"] for one in arm.get("tried", ()) if seed in one.get("seeds", ()))
    found: Mapping[str, Any] = next(own, arm["setting"])
    return found


def setting_share(arm: Mapping[str, Any]) -> str:
    """Return for how many seeds per arm was given its setting, "" where it is that of all seeds.

    Args:
        arm: as ``study --json`` has it.
    """
    own = next((len(one.get("seeds", ())) for one in arm.get("tried", ()) if one["chosen"]), 0)
    return f"{own} of {len(arm['low'])} seeds" if own else ""


def remarks(arm: Mapping[str, Any], share: str = "") -> list[str]:
    """Return what is to be said of an arm beside its numbers.

    Args:
        arm: as ``study --json`` has it. share: for how many seeds it has its setting, where the arm
            does not say it.
    """
    found = [f"{path} {value}" for path, value in arm["setting"].items()]
    if found and (share := setting_share(arm) or share):
        found[-1] += f" ({share})"
    if arm["diverged"]:
        found.append(f"{arm['diverged']} diverged")
    if arm["censored"] - arm["diverged"] > 0:
        found.append(f"{arm['censored'] - arm['diverged']} did not reach the target")
    return found


def counted_table(
    arms: Mapping[str, Mapping[str, Any]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return headings and rows of what the target took in each unit; no rows where nothing says it.

    Args:
        arms: name → arm, as ``study --json`` has it, or with the number of ``seeds``.
    """
    units = list(dict.fromkeys(unit for arm in arms.values() for unit in arm.get("counted", {})))
    rows = []
    for name, arm in arms.items():
        seeds = int(arm["seeds"]) if "seeds" in arm else len(arm["low"])
        if arm.get("counted"):
            taken = [_counted(arm["counted"].get(unit), seeds) for unit in units]
            rows.append((name, *taken, f"{seeds - arm['censored']} of {seeds}"))
    return ("Arm", *(Unit[unit].capitalize() for unit in units), "Reached"), rows


def _counted(one: Mapping[str, Any] | None, seeds: int) -> str:
    if one is None or one["mean"] is None:
        return "–"
    if one["censored"] == seeds:
        return f"more than {number(one['mean'])}"
    ends = one["interval"]
    if ends is not None and ends[0] is not None:
        # A t interval does not know that counts and seconds are not negative.
        ends = [max(ends[0], 0.0), ends[1]]
    return f"{number(one['mean'])} {interval(ends)}"


def comparison_subject(comparison: Mapping[str, Any]) -> str:
    """Return what a comparison is about: ``a < b``, or the relation of a trend."""
    arm, against = comparison["arm"], comparison["against"]
    return f"{arm} {comparison['relation']} {against}" if against else str(comparison["relation"])


def needed_words(comparison: Mapping[str, Any]) -> str:
    """Return how many seeds would decide, "" where it is decided or that is not known."""
    needed = comparison["seeds_needed"]
    return f"about {needed:,} seeds would decide" if needed else ""


def comparison_sentence(comparison: Mapping[str, Any]) -> str:
    """Return a comparison as a sentence."""
    more = "".join(f"; {words}" for words in (needed_words(comparison),) if words)
    return (
        f"{comparison_subject(comparison)}: effect {number(comparison['effect'])}, "
        f"{100.0 * comparison['level']:.4g}% interval {interval(comparison['interval'])} "
        f"({comparison['method']}), adjusted p {number(comparison['p_adjusted'])}: "
        f"{comparison['verdict']}{more}."
    )


# --- what will be decided -------------------------------------------------------------------------


def question_words(study: Study) -> str:
    """Return one sentence that says what a study decides, and how."""
    seeds, decision, claim = study.seeds, study.decision, study.claim
    measured = unit_words(study)
    if isinstance(claim, TrendClaim):
        along = f" along {study.along}"
        stated = f"‘{described(study)}’ holds of ‘{measured}’{along}"
    else:
        stated = f"‘{measured}’ " + ", and whether it ".join(
            _RELATIONS[pair.relation].format(arm=pair.arm, against=pair.against) for pair in claim
        )
    shared = "the same seeds for all" if seeds.paired else "each with seeds of its own"
    return (
        f"It decides whether {stated}, {margin_words(study)}, at a level of "
        f"{100.0 * decision.level:.4g}%, from {seeds.count:,} "
        f"seed{'' if seeds.count == 1 else 's'} per arm ({shared})."
    )


def margin_words(study: Study) -> str:
    """Return how large an effect has to be, or may be, as a part of a sentence."""
    decision, claim = study.decision, study.claim
    least = 1.0 if decision.effect == "ratio" else 0.0
    same = not isinstance(claim, TrendClaim) and all(pair.relation == "~" for pair in claim)
    kind = "factor" if decision.effect == "ratio" else decision.effect
    if same:
        return f"within a {kind} of {decision.margin:g}"
    return (
        f"by any {kind}"
        if decision.margin == least
        else f"by a {kind} of at least {decision.margin:g}"
    )


def protocol(study: Study, result: Mapping[str, Any] | None = None) -> list[tuple[str, str]]:
    """Return how a study decides, as pairs of what and how.

    Args:
        result: as ``study --json`` has it; None before there is one.
    """
    seeds, decision = study.seeds, study.decision
    varied = "start, batches, split and draw of the data" if seeds.data else "start and batches"
    pairing = "the arms share them seed by seed" if seeds.paired else "each arm draws its own"
    count = seeds.count if result is None else result["seeds"]
    rows = [
        ("Measured", unit_words(study) if result is None else result["measure"]),
        ("Statement", described(study) if result is None else result["statement"]),
        ("Seeds", f"{count} per arm, from master seed {seeds.first}; {pairing}"),
        ("What a seed decides", varied),
        ("Effect", f"{decision.effect}, margin {decision.margin:g}"),
        ("Level", f"{decision.level:g}, kept over all comparisons (Holm) and looks"),
    ]
    if decision.looks:
        looks = ", ".join(map(str, decision.looks))
        rows.append(("Looks", f"after {looks} seeds"))
    return rows


def tuning_words(study: Study) -> str:
    """Return how the settings of the arms are chosen, "" where nothing is tuned."""
    tuning = study.tuning
    if tuning is None:
        return ""
    own = list(dict.fromkeys(arm.axes for arm in study.arms if arm.axes))
    fields = _axes_words(own[0]) if len(own) == 1 else "fields or ranges of its own for each arm"
    return (
        f"{fields}: {study.effort} settings per arm, the one with the {tuning.goal} final "
        f"{tuning.by} on {tuning.seeds} seed{'s' if tuning.seeds > 1 else ''} of its own"
        f"{', again for each seed that decides' if tuning.each else ''}"
    )


def _axes_words(axes: Sequence[Axis]) -> str:
    return ", ".join(
        f"{axis.path} from {_value(axis.values[0])} to {_value(axis.values[-1])}"
        if len(axis.values) > 1
        else axis.path
        for axis in axes
    )


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def differences(tables: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return the fields in which arms or runs differ: path, and the value of each, "–" for none.

    Args:
        tables: name → path → value.
    """
    paths = [
        path
        for path in dict.fromkeys(path for one in tables.values() for path in one)
        if path != "title" and len({repr(one.get(path)) for one in tables.values()}) > 1
    ]
    return [
        (path, *(_shown(one[path]) if path in one else "–" for one in tables.values()))
        for path in paths
    ]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
