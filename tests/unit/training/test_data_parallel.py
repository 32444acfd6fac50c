"""What ranks agree on, with ranks that are made up: equality of whole runs is tested end to end."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput, RunFailed
from optlab.experiment import Experiment
from optlab.objective.ranks import ALONE, Ranks
from optlab.runners.jobs import TrainJob
from optlab.runners.ranks.job import packed, unpacked
from optlab.training.control import SetValue, Stop, SwitchInstrument
from optlab.training.data_parallel import (
    check_same_data,
    check_shareable,
    compare_parameters,
    shared_objective,
)
from optlab.training.snapshot import Snapshot
from optlab.training.trainer import Trainer


class _Disagreeing(Ranks):
    """Three ranks of which one has another digest, the first time or later."""

    size = 3

    def __init__(self, at: int = 0) -> None:
        self.asked: list[bytes] = []
        self._at = at

    @property
    def together(self) -> bool:
        return True

    def different(self, digest: bytes) -> list[int]:
        self.asked.append(digest)
        return [2] if len(self.asked) > self._at else []


def _experiment(**changes: object) -> Experiment:
    return Experiment.from_dict({"dataset": {"name": "iris"}, "model": {"name": "mlp"}, **changes})


@pytest.mark.parametrize("examples", [0, 1, 2, 5, 128, 1001])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_that_ranks_divide_a_batch_into_shares_that_differ_by_one_at_most(examples, size):
    shares = []
    for rank in range(size):
        ranks = Ranks()
        ranks.rank, ranks.size = rank, size
        shares.append(ranks.rows(examples))
    rows = [row for share in shares for row in range(share.start, share.stop)]
    assert rows == list(range(examples))
    sizes = [share.stop - share.start for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_that_files_that_differ_between_machines_are_refused_by_name(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c\n" + "".join(f"{n},{n * 2},{n % 2}\n" for n in range(40)))
    experiment = _experiment(dataset={"name": "csv_file", "path": str(path)})
    data = experiment.dataset.load()
    with pytest.raises(InvalidInput, match=r"table\.csv: rank 2 reads something else there"):
        check_same_data(_Disagreeing(), experiment, data)
    ranks = _Disagreeing(at=2)
    check_same_data(ranks, experiment, data)
    before = ranks.asked[0]
    path.write_text(path.read_text().replace("5,10", "5,11"))
    ranks = _Disagreeing(at=2)
    check_same_data(ranks, experiment, data)
    assert ranks.asked[0] != before


def test_that_examples_that_differ_between_machines_are_refused():
    experiment = _experiment()
    data = experiment.dataset.load()
    with pytest.raises(InvalidInput, match="'iris' on rank 2 are not those on rank 0"):
        check_same_data(_Disagreeing(at=1), experiment, data)
    one, other = _Disagreeing(at=2), _Disagreeing(at=2)
    check_same_data(one, experiment, data)
    x = data.test.x.copy()
    x[-1, -1] = np.nextafter(x[-1, -1], 1.0)
    changed = dataclasses.replace(data, test=dataclasses.replace(data.test, x=x))
    check_same_data(other, experiment, changed)
    assert one.asked[0] == other.asked[0] and one.asked[1] != other.asked[1]


def test_that_parameters_are_compared_now_and_then_and_at_the_end():
    theta = torch.zeros(1, 4)
    ranks = _Disagreeing(at=9)
    for step in range(1, 251):
        compare_parameters(ranks, theta, step, 250)
    assert len(ranks.asked) == 3
    with pytest.raises(RunFailed, match="After step 100 the parameters of rank 2 are not those"):
        compare_parameters(_Disagreeing(), theta, 100, 250)
    compare_parameters(_Disagreeing(), theta, 99, 250)


def test_that_parameters_that_drift_apart_end_a_run():
    experiment = _experiment(budget={"steps": 150}, precision="float64")
    ranks = _Disagreeing(at=2)
    trainer = Trainer([experiment], ranks=ranks)
    with pytest.raises(RunFailed, match="After step 100"):
        for _ in range(150):
            trainer.advance()


def test_that_one_rank_alone_shares_nothing():
    experiment = _experiment()
    trainer = Trainer([experiment])
    data = experiment.dataset.load()
    assert shared_objective(trainer.objective, data.shape, ALONE) is trainer.objective
    assert ALONE.agreed(True) and not ALONE.agreed(False)


@pytest.mark.parametrize("rule", ["newton", "lbfgs", "natural_gradient", "cma_es"])
def test_that_a_rule_that_evaluates_the_objective_does_not_share_moments(rule):
    model = {"name": "mlp", "batch_norm": True}
    experiment = _experiment(model=model, optimizer={"name": rule})
    with pytest.raises(InvalidInput, match=f"'{rule}'.*normalizes over the batch") as refused:
        check_shareable(experiment, experiment.dataset.load())
    assert refused.value.field == "optimizer.name"
    for sound in (_experiment(model=model), _experiment(optimizer={"name": rule})):
        check_shareable(sound, sound.dataset.load())


def test_that_a_job_comes_out_of_its_bytes_as_it_went_in():
    state = {"velocity": np.arange(6.0).reshape(2, 3).T, "count": np.array(7), "seen": np.array([True])}  # fmt: skip
    snapshot = Snapshot(
        step=12,
        seconds=0.1,
        theta=np.float32([1.5, -0.0, np.nan]),
        state=state,
        values={"optimizer.lr": 0.1 + 0.2},
        memory={"best": math.inf, "schedule.x": 1e-310},
        reason="stopped",
    )
    log = ((3, SetValue("optimizer.lr", 0.1)), (5, SwitchInstrument("margins", {"every": 2})), (9, Stop()))  # fmt: skip
    job = TrainJob(("a = 1\n", "ü"), (snapshot, snapshot), log)
    again = unpacked(packed(job))
    assert again.experiments == job.experiments and again.log == job.log
    assert again.snapshots is not None
    for one in again.snapshots:
        assert one.theta.tobytes() == snapshot.theta.tobytes()
        assert one.state.keys() == state.keys()
        for name, value in state.items():
            np.testing.assert_array_equal(one.state[name], value)
            assert (one.state[name].dtype, one.state[name].shape) == (value.dtype, value.shape)
        fields = ("step", "seconds", "values", "memory", "reason")
        assert all(getattr(one, name) == getattr(snapshot, name) for name in fields)
    assert unpacked(packed(TrainJob(("a = 1\n",)))) == TrainJob(("a = 1\n",))
