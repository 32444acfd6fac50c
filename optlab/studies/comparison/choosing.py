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
            infinite where a run diverged or has no value. chosen: whether it decides; where every
            seed has a setting of its own, whether most seeds have this one. seeds: indices of the
            seeds that have it; () where all seeds have the chosen one.
    """

    setting: Mapping[str, Value]
    value: float
    chosen: bool = False
    seeds: tuple[int, ...] = ()


def setting_of(tried: Sequence[TriedSetting], seed: int) -> Mapping[str, Value]:
    """Return the setting that a seed of an arm is trained with; {} where nothing was tried."""
    own = (one.setting for one in tried if seed in one.seeds)
    return next(own, next((one.setting for one in tried if one.chosen), {}))


def choose(
    study: Study, values: Mapping[tuple[str, tuple[tuple[str, Value], ...]], Sequence[float]]
) -> dict[str, list[TriedSetting]]:
    """Return the settings that were tried for each arm, one of them chosen.

    Of equal settings the first one is chosen. Where no setting of an arm has a value, its first
    one is chosen, too: the arm then loses by what it does with it.

    Args:
        values: arm and setting (sorted items) → the values of its runs, in the order of their
            seeds; NaN where a run has none.
    """
    assert study.tuning is not None, "there is nothing to choose"
    sign = 1.0 if study.tuning.goal == "lowest" else -1.0
    tried: dict[str, list[TriedSetting]] = {}
    for arm in study.arms:
        settings = arm.settings()
        found = [values.get((arm.name, tuple(sorted(one.items()))), ()) for one in settings]
        worst = sign * math.inf
        means = [_mean(its_values, worst) for its_values in found]
        seeds: list[tuple[int, ...]] = [()] * len(settings)
        if study.tuning.each:
            size = study.tuning.seeds
            groups = max(map(len, found)) // size
            winners = [
                _best([_mean(one[size * seed : size * (seed + 1)], worst) for one in found], sign)
                for seed in range(groups)
            ]
            seeds = [
                tuple(seed for seed, winner in enumerate(winners) if winner == index)
                for index in range(len(settings))
            ]
            best = max(range(len(settings)), key=lambda index: len(seeds[index]))
        else:
            best = _best(means, sign)
        tried[arm.name] = [
            TriedSetting(setting, means[index], index == best, seeds[index])
            for index, setting in enumerate(settings)
        ]
    return tried


def _mean(values: Sequence[float], worst: float) -> float:
    """Return the mean of finite values, ``worst`` where there are none or others."""
    whole = len(values) > 0 and all(math.isfinite(value) for value in values)
    return sum(values) / len(values) if whole else worst


def _best(means: Sequence[float], sign: float) -> int:
    """Return the place of the first best one. ``sign``: −1 where the highest is the best."""
    return min(range(len(means)), key=lambda index: sign * means[index])
