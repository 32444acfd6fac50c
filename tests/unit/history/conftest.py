"""Small runs in a store of their own, trained in this process, and what a fork came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optlab.experiment import Experiment
from optlab.history.forking import Fork, changed, to
from optlab.history.plan import plan
from optlab.history.recomputation import Moment, moment, reach
from optlab.runners.jobs import TrainJob, perform
from optlab.store import RunRecord, Store
from optlab.store.records import Origin
from optlab.training.control import Inbox, Message, Replay, Stop
from optlab.training.events import SECONDS, SessionFailed, StateTakenOver

SMALL: Mapping[str, Any] = {
    "dataset": {"name": "moons", "size": 100, "validation": 0.2, "test": 0.0},
    "model": {"name": "mlp", "hidden": [6]},
    "optimizer": {"name": "momentum"},
    "batches": {"name": "shuffled", "size": 16},
    "budget": {"steps": 120},
    "device": "cpu",
}
Log = Sequence[tuple[int, Message]]


class Lab:
    """A store, and runs in it."""

    def __init__(self, home: Path) -> None:
        self.store = Store.open(home)
        self.taken: dict[str, StateTakenOver] = {}

    def experiment(self, **sections: Any) -> Experiment:
        return Experiment.from_dict({**SMALL, **sections})

    def train(self, experiment: Experiment, log: Log = (), fork: Fork | None = None) -> str:
        """Train, store, and return the id of the run."""
        origin = None if fork is None else Origin(fork.parent, fork.at)
        writer = self.store.begin([experiment], "thread", origin=origin)
        snapshots = None if fork is None else (fork.snapshot,)
        job = TrainJob((experiment.to_toml(),), snapshots, tuple(log))
        for event in perform(job, Replay(())):
            assert not isinstance(event, SessionFailed), event
            if isinstance(event, StateTakenOver):
                self.taken[writer.run_ids[0]] = event
            writer.record(event)
        writer.close()
        return writer.run_ids[0]

    def record(self, run: str) -> RunRecord:
        return self.store.run(run)

    def moment(self, run: str, step: int | None, *, whole: bool = True) -> Moment:
        if whole:
            return reach(self.store, run, step)
        found = plan(self.store, run, step)
        given = Experiment.from_toml(found.record.experiment)
        *_, last = moment(found, given, self.store, Inbox(), whole=whole)
        assert isinstance(last, Moment)
        return last

    def fork(
        self,
        run: str,
        step: int | None,
        *,
        fresh_state: bool = False,
        stop: int | None = None,
        **changes: Any,
    ) -> str:
        """Fork, with ``optimizer__lr=0.1`` for ``optimizer.lr``, and return the id."""
        at = self.moment(run, step)
        examples = len(at.experiment.dataset.load().training)
        values = {path.replace("__", "."): value for path, value in changes.items()}
        wanted = changed(at, values, examples=examples)
        made = to(at, wanted, fresh_state=fresh_state, examples=examples)
        log = made.log if stop is None else (*made.log, (stop, Stop()))
        return self.train(Experiment.from_toml(made.experiment), log, made)

    def resume(self, run: str) -> None:
        """Let a run go on that was stopped."""
        writer = self.store.resume([run])
        job = TrainJob(writer.experiments, writer.snapshots, writer.log)
        for event in perform(job, Replay(())):
            writer.record(event)
        writer.close()

    def damage(self, run: str, steps: Callable[[int], bool]) -> None:
        """Flip a bit in the snapshots of a run at these steps."""
        for record in self.store.snapshots(run):
            if steps(record.step):
                path = self.store.home / "snapshots" / run / record.file
                data = bytearray(path.read_bytes())
                data[-3] ^= 4
                path.write_bytes(data)

    def assert_same_course(self, run: str, other: str, after: int) -> None:
        """Both have the same end, and the same series after a step."""
        one, two = self.record(run), self.record(other)
        assert one.theta_sha256 == two.theta_sha256 != ""
        assert (one.status, one.steps, one.final) == (two.status, two.steps, two.final)
        first, second = self.store.series(run), self.store.series(other)
        for name, series in first.items():
            kept = series.steps > after
            if kept.any():
                np.testing.assert_array_equal(series.steps[kept], second[name].steps, name)
                values = series.values[kept]
                if series.columns:
                    # Weights that were followed before only are no columns of the other.
                    present = [series.columns.index(column) for column in second[name].columns]
                    assert np.isnan(np.delete(values, present, axis=1)).all()
                    values = values[:, present]
                if name != SECONDS:
                    np.testing.assert_array_equal(values, second[name].values, name)
        assert all((series.steps > after).all() for series in second.values())


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    # On a busy machine a small run may take seconds; only the snapshots asked for are kept.
    monkeypatch.setattr("optlab.training.session.CHECKPOINT_SECONDS", 1e9)
    made = Lab(tmp_path / "history-home")
    yield made
    made.store.close()
