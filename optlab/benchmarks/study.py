"""Trials a second of a study against a loop over trials in as many processes, start-up included.

Both start their workers anew at each turn, as commands do. The opponent trains a share of the
trials only, and the time of the others is reckoned from theirs.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ClassVar

from optlab.benchmarks.benchmark import Benchmark, Timing
from optlab.benchmarks.own_loop import Digits, OwnLoop
from optlab.core.lazy import torch
from optlab.core.spawning import end_templates, usable_cores
from optlab.experiment import Experiment
from optlab.runners.study import LocalLauncher
from optlab.store import Store
from optlab.studies.comparison import reading
from optlab.studies.comparison.conduct import StudyEnded, conduct
from optlab.studies.comparison.study import Study as StudyFile
from optlab.training.control import Inbox

_CASE = Digits((32,), 32, 1500)
_SHARE = 8
"""Of so many trials the opponent trains one."""


_LONG = Digits((32,), 32, 16_000, compiled=True)


def _trials(document: str, rates: list[float]) -> tuple[float, list[float]]:
    """Train one rate after the other; return the seconds a trial and the final losses.

    Args:
        document: an experiment of the study, as TOML, with the start and the batches of all.
    """
    torch.set_num_threads(1)
    experiment = Experiment.from_toml(document)
    loop = OwnLoop(_LONG if experiment.general.compiled else _CASE, experiment)
    begun = time.perf_counter()
    losses = [loop.run(rate, stores=False).results[0] for rate in rates]
    return (time.perf_counter() - begun) / len(rates), losses


class Study(Benchmark):
    """64 learning rates of a small network, decided."""

    name = "study"
    case: ClassVar[Digits] = _CASE
    work = (
        f"trials a second of a study: 64 rates of a network 64-32-10, {_CASE.steps} steps each, "
        "all cores"
    )
    opponent = "one's own loop over the rates, one process a core"
    target = 15.0
    tolerance: ClassVar[float] = 1e-2
    warms_up: ClassVar[bool] = False
    # Stable rates only: beyond them rounding grows step by step, in any two programs.
    rates: ClassVar[list[float]] = [float(f"{10 ** (-3 + 1.5 * i / 63):.6g}") for i in range(64)]

    def ours(self) -> Timing:
        end_templates()
        with tempfile.TemporaryDirectory() as folder:
            begun = time.perf_counter()
            study = self._study(Path(folder))
            with Store.open(Path(folder) / "home") as store:
                launcher = LocalLauncher(store, "process", study)
                try:
                    (ended,) = (
                        event
                        for event in conduct(study, store, launcher, Inbox())
                        if isinstance(event, StudyEnded)
                    )
                finally:
                    launcher.close()
            elapsed = time.perf_counter() - begun
        assert ended.result is not None, ended.reason
        found = ended.result.document()["arms"]
        losses = tuple(found[f"r{i}"]["low"][0] for i in range(0, len(self.rates), _SHARE))
        return Timing(len(self.rates) / elapsed, losses)

    def _study(self, folder: Path) -> StudyFile:
        base = folder / "base.toml"
        base.write_text(self.case.experiment().to_toml(), encoding="utf-8")
        arms = {f"r{i}": {"optimizer": {"lr": rate}} for i, rate in enumerate(self.rates)}
        return reading.from_dict(
            {
                "base": str(base),
                "arms": arms,
                "seeds": {"count": 1},
                "measure": {"of": "train_loss"},
                "decide": {"statement": "r0 != r1"},
            },
            folder,
        )

    def theirs(self) -> Timing:
        cores = usable_cores()
        some = self.rates[::_SHARE]
        shares = [some[core::cores] for core in range(min(cores, len(some)))]
        with tempfile.TemporaryDirectory() as folder:
            document = self._study(Path(folder)).experiment("r0", 0, {}).to_toml()
        begun = time.perf_counter()
        with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
            parts = list(pool.map(_trials, [document] * len(shares), shares))
        elapsed = time.perf_counter() - begun
        missing = len(self.rates) / cores - len(shares[0])
        elapsed += missing * max(seconds for seconds, _ in parts)
        losses = {
            rate: loss
            for share, (_, found) in zip(shares, parts, strict=True)
            for rate, loss in zip(share, found, strict=True)
        }
        return Timing(len(self.rates) / elapsed, tuple(losses[rate] for rate in some))


class CompiledStudy(Study):
    """The same with longer trials and compiled steps; the time of the compiler counts."""

    name = "study-compiled"
    case = _LONG
    work = (
        f"trials a second of a study: 64 rates of a network 64-32-10, {_LONG.steps} steps each, "
        "compiled, all cores"
    )
    target = 30.0
