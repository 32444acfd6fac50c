"""Tuning: which setting of each arm decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from optlab.studies.comparison.grid import Value
from optlab.studies.comparison.study import Study


@dataclass(frozen=True)
class TriedSetting:
    """One setting of an arm.

    Attributes:
        setting: path → value. value: mean over the tuning seeds of the measure that tunes;
            infinite where a run diverged or has no value. chosen: whether it decides.
    """

    setting: Mapping[str, Value]
    value: float
    chosen: bool = False


def choose(
    study: Study, values: Mapping[tuple[str, tuple[tuple[str, Value], ...]], Sequence[float]]
) -> dict[str, list[TriedSetting]]:
    """Return the settings that were tried for each arm, one of them chosen.

    Of equal settings the first one is chosen. Where no setting of an arm has a value, its first
    one is chosen, too: the arm then loses by what it does with it.

    Args:
        values: arm and setting (sorted items) → the values of its runs; NaN where a run has none.
    """
    assert study.tuning is not None, "there is nothing to choose"
    sign = 1.0 if study.tuning.goal == "lowest" else -1.0
    tried: dict[str, list[TriedSetting]] = {}
    for arm in study.arms:
        means = []
        for setting in arm.settings():
            its_values = values.get((arm.name, tuple(sorted(setting.items()))), ())
            whole = len(its_values) > 0 and all(math.isfinite(value) for value in its_values)
            means.append(sum(its_values) / len(its_values) if whole else sign * math.inf)
        best = min(range(len(means)), key=lambda index: sign * means[index])
        tried[arm.name] = [
            TriedSetting(setting, means[index], index == best)
            for index, setting in enumerate(arm.settings())
        ]
    return tried
