"""All benchmarks, in the order in which they are measured."""

from __future__ import annotations

from collections.abc import Sequence

from optlab.benchmarks.benchmark import Benchmark
from optlab.benchmarks.costs import (
    EigenvalueCost,
    EigenvalueSearchCost,
    FixedEigenvalueCost,
    GradientNoiseCost,
    SmallEigenvalueCost,
    WatchCost,
)
from optlab.benchmarks.optimizers import (
    AdamStep,
    DeepAdamStep,
    DeepMomentumStep,
    FusedAdamStep,
    FusedMomentumStep,
    MomentumStep,
    OrdinaryAdamStep,
    OrdinaryMomentumStep,
    SmallAdamStep,
    SmallMomentumStep,
)
from optlab.benchmarks.study import CompiledStudy, Study
from optlab.benchmarks.training import (
    CompiledManyRuns,
    CompiledMediumNetwork,
    CompiledSmallNetwork,
    ManyRuns,
    MediumNetwork,
    SmallNetwork,
)
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean

BENCHMARKS: tuple[type[Benchmark], ...] = (
    SmallNetwork,
    CompiledSmallNetwork,
    MediumNetwork,
    CompiledMediumNetwork,
    ManyRuns,
    CompiledManyRuns,
    MomentumStep,
    AdamStep,
    SmallMomentumStep,
    SmallAdamStep,
    DeepMomentumStep,
    DeepAdamStep,
    OrdinaryMomentumStep,
    OrdinaryAdamStep,
    FusedMomentumStep,
    FusedAdamStep,
    GradientNoiseCost,
    EigenvalueCost,
    FixedEigenvalueCost,
    SmallEigenvalueCost,
    EigenvalueSearchCost,
    WatchCost,
    Study,
    CompiledStudy,
)


def named(names: Sequence[str]) -> list[type[Benchmark]]:
    """Return the benchmarks of these names, or all.

    Raises:
        InvalidInput: there is no benchmark of a name.
    """
    known = {benchmark.name: benchmark for benchmark in BENCHMARKS}
    for name in names:
        if name not in known:
            raise InvalidInput(
                f"There is no benchmark '{name}'{did_you_mean(name, known)}; there are: "
                f"{', '.join(known)}.",
                "name",
            )
    return [known[name] for name in names] or list(BENCHMARKS)
