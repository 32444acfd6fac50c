"""Forks: equal to their parent where nothing is changed, and honest about what they take over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from optlab.core.errors import InvalidInput, StoreError
from optlab.experiment import Experiment
from optlab.history.plan import plan
from optlab.objective.batch_objective import BatchObjective
from optlab.runners.train import fork
from optlab.training.control import Follow, SetValue, SwitchInstrument, TakeSnapshot
from optlab.training.trainer import Trainer

LIVE = (
    (20, SetValue("optimizer.lr", 0.03)),
    (45, SetValue("batches.size", 6)),
    (70, SetValue("optimizer.momentum", 0.5)),
    (95, SetValue("batches.size", 11)),
)
SAME = {
    "momentum": ({}, ()),
    "live changes before and after": ({}, LIVE),
    "adam, schedule in epochs": (
        {
            "optimizer": {"name": "adam"},
            "schedule": {"name": "cosine", "tau": 15, "unit": "epochs"},
            "budget": {"steps": 20, "unit": "epochs"},
        },
        (
            (30, SetValue("schedule.tau", 12)),
            LIVE[1],
            (60, SetValue("schedule.last", 0.2)),
            (65, SetValue("schedule.tau", 17)),
        ),
    ),
    "watching and stopping": (
        {
            "schedule": {"name": "plateau", "patience": 1},
            "stopping": {"name": "early", "patience": 12},
            "averaging": {"name": "exponential"},
            "clipping": {"name": "norm"},
        },
        ((33, SetValue("clipping.threshold", 0.05)),),
    ),
    "line searches": ({"optimizer": {"name": "lbfgs"}, "budget": {"steps": 70}}, ()),
    "instruments and weights": (
        {"instruments": {"distance": {"every": 7}}},
        ((10, Follow(("layers.0.bias[0]",))), (30, SwitchInstrument("margins", {"every": 9}))),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_that_a_fork_without_changes_is_its_parent_bit_for_bit(lab, name):
    sections, log = SAME[name]
    run = lab.train(lab.experiment(**sections), log)
    child = lab.fork(run, 52)
    lab.assert_same_course(run, child, after=52)
    record = lab.record(child)
    assert (record.parent, record.at) == (run, 52) and lab.record(run).parent == ""
    assert lab.taken[child].fresh == ()
    # The time goes on from that of the very step.
    noted, times = lab.store.series(run)["seconds"], lab.store.series(child)["seconds"]
    assert plan(lab.store, run, 52).seconds == noted.values[51] < times.values[0]
    # A fork of the fork, too.
    grandchild = lab.fork(child, 61)
    lab.assert_same_course(child, grandchild, after=61)
    assert lab.record(grandchild).parent == child


def test_that_a_change_leaves_out_what_the_parent_received_later(lab):
    run = lab.train(lab.experiment(), LIVE)
    child = lab.fork(run, 52, optimizer__momentum=0.8)
    assert lab.store.controls(child) == []
    given = Experiment.from_toml(lab.record(child).experiment)
    assert (given.optimizer.lr, given.batches.size) == (0.03, 6)
    assert given.measures.evaluate_every == 5  # as before the batch size was changed
    assert lab.store.series(child)["learning_rate"].values[-1] == pytest.approx(0.03)


def test_that_a_longer_budget_is_no_other_course(lab):
    run = lab.train(lab.experiment(), LIVE)
    child = lab.fork(run, 52, budget__steps=150, title="longer")
    assert lab.record(child).steps == 150 and lab.record(child).title == "longer"
    first, second = (lab.store.series(one)["batch_loss"] for one in (run, child))
    np.testing.assert_array_equal(first.values[52:], second.values[:68])


def test_that_momentum_hands_its_velocity_to_nesterov(lab):
    run = lab.train(lab.experiment(), [(50, TakeSnapshot())])
    child = lab.fork(run, 50, optimizer__name="nesterov")
    assert (lab.taken[child].carried, lab.taken[child].fresh) == (("v",), ())
    before, after = lab.moment(run, 50).snapshot, lab.moment(child, 50).snapshot
    np.testing.assert_array_equal(before.state["v"], after.state["v"])
    assert before.theta_sha256 == after.theta_sha256 and np.abs(before.state["v"]).max() > 0.0


@pytest.mark.parametrize(
    ("parent", "child", "carried", "fresh"),
    [
        ({"name": "rmsprop"}, {"optimizer__name": "adam"}, ("r",), ("s",)),
        ({"name": "rmsprop"}, {"optimizer__form": "torch"}, ("r",), ()),
        ({"name": "adam"}, {"optimizer__name": "adamw"}, ("s", "r"), ()),
        ({"name": "adam"}, {"optimizer__lr": 0.01}, ("s", "r"), ()),
        # The sum of squares is no average; a velocity in other units is no velocity.
        ({"name": "adagrad"}, {"optimizer__name": "rmsprop"}, (), ("r",)),
        ({"name": "momentum"}, {"optimizer__form": "torch"}, (), ("v",)),
        ({"name": "momentum"}, {"optimizer__name": "adam"}, (), ("s", "r")),
        ({"name": "momentum"}, {"optimizer__name": "sgd"}, (), ()),
    ],
)
def test_which_state_another_rule_takes_over(lab, parent, child, carried, fresh):
    run = lab.train(lab.experiment(optimizer=parent, budget={"steps": 30}))
    made = lab.fork(run, 20, **child)
    assert lab.taken[made].carried == carried and lab.taken[made].fresh == fresh


def test_that_adam_in_a_fork_begins_as_torch_does_at_its_first_step(lab):
    run = lab.train(lab.experiment(precision="float64"), [(50, TakeSnapshot())])
    child = lab.fork(run, 50, optimizer__name="adam", optimizer__lr=0.02)
    _against_torch(lab, run, lab.moment(child, 60).snapshot.theta)


def test_that_a_fresh_state_begins_anew_in_the_same_rule(lab):
    adam = lab.experiment(optimizer={"name": "adam", "lr": 0.02}, precision="float64")
    run = lab.train(adam, [(50, TakeSnapshot())])
    child = lab.fork(run, 50, fresh_state=True)
    assert lab.taken[child].fresh == ("s", "r")
    _against_torch(lab, run, lab.moment(child, 60).snapshot.theta)
    # What began there goes on when the fork is forked, and when it is taken up again.
    lab.assert_same_course(child, lab.fork(child, 57), after=57)


def _against_torch(lab, run, expected):
    """Take steps 51 to 60 with torch.optim.Adam, new at step 51, on the batches of the run."""
    start = lab.moment(run, 50).snapshot
    experiment = Experiment.from_toml(lab.record(run).experiment)
    trainer = Trainer([experiment])
    theta = torch.nn.Parameter(torch.from_numpy(start.theta.copy()).unsqueeze(0))
    theirs = torch.optim.Adam([theta], lr=0.02)
    for step in range(50, 60):
        batch = BatchObjective(trainer.objective, *trainer.batch_of(step), [0], step)
        theta.grad = batch.gradient(theta.detach())[1]
        theirs.step()
    np.testing.assert_allclose(theta.detach()[0].numpy(), expected, rtol=1e-10, atol=1e-12)


def test_that_an_average_that_begins_in_a_fork_averages_its_own_steps(lab):
    run = lab.train(lab.experiment(precision="float64"))
    child = lab.fork(run, 80, averaging__name="polyak")
    thetas = [lab.moment(child, step).snapshot.theta for step in range(81, 121)]
    average = lab.moment(child, 120).snapshot.state["averaging.average"]
    np.testing.assert_allclose(average, np.mean(thetas, axis=0), rtol=1e-12)


def test_that_another_batch_size_goes_on_where_the_batches_were(lab):
    # 80 examples, batches of 16: step 52 has seen 2 of 5 batches of epoch 10.
    run = lab.train(lab.experiment(precision="float64"), [(52, TakeSnapshot())])
    child = lab.fork(run, 52, batches__size=8)
    memory = lab.moment(child, 52).snapshot.memory
    place = {name: value for name, value in memory.items() if name.startswith("batches.")}
    assert place == {"batches.step": 52, "batches.epoch": 10, "batches.offset": 32}
    parent, forked = (
        Trainer([Experiment.from_toml(lab.record(one).experiment)], [lab.moment(one, 52).snapshot])
        for one in (run, child)
    )
    wide = torch.cat([parent.batch_of(step)[0] for step in range(52, 60)], dim=1)
    narrow = torch.cat([forked.batch_of(step)[0] for step in range(52, 68)], dim=1)
    assert torch.equal(wide, narrow)


def test_that_a_run_that_diverged_is_forked_from_its_last_good_step(lab):
    run = lab.train(
        lab.experiment(
            dataset={"name": "diabetes"},
            model={"name": "linear"},
            optimizer={"name": "sgd", "lr": 3.0},
            budget={"steps": 400},
        )
    )
    record = lab.record(run)
    assert record.status == "diverged" and 0 < record.steps < 400
    child = lab.fork(run, None, optimizer__lr=0.01)
    forked = lab.record(child)
    assert (forked.status, forked.at, forked.steps) == ("finished", record.steps, 400)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model__hidden": (7,)}, r"\[model\] gives the model other tensors \(32 and 37 param"),
        ({"dataset__name": "iris"}, r"\[dataset\] gives the model other tensors"),
        ({"initializer__bias": 0.1}, r"\[initializer\] acts before the first step"),
        (
            {"budget__steps": 40},
            r"budget of 40 steps is spent at step 50; give the fork a budget of",
        ),
        ({"optimizer__lr": -1.0}, r"optimizer.lr is -1.0, but it must be"),
    ],
)
def test_that_what_does_not_fit_is_refused_in_one_sentence(lab, changes, says):
    run = lab.train(lab.experiment(budget={"steps": 60}))
    with pytest.raises(InvalidInput, match=says):
        lab.fork(run, 50, **changes)
    assert len(lab.store.runs()) == 1


def test_that_a_fork_whose_snapshots_are_damaged_says_where_to_fork_again(lab):
    run = lab.train(lab.experiment())
    child = lab.fork(run, 52)
    with pytest.raises(InvalidInput, match=rf"steps 52 to 120; those before are in run {run}"):
        lab.moment(child, 51)
    lab.damage(child, lambda step: True)
    with pytest.raises(StoreError, match=rf"optlab fork {run} --at 52"):
        lab.moment(child, 80)


def test_that_a_fork_that_was_interrupted_goes_on_as_it_began(lab):
    run = lab.train(lab.experiment(optimizer={"name": "adam"}))
    child = lab.fork(run, 52, fresh_state=True)
    stopped = lab.fork(run, 52, fresh_state=True, stop=80)
    assert (lab.record(stopped).status, lab.record(stopped).steps) == ("stopped", 80)
    lab.resume(stopped)
    one, two = lab.record(child), lab.record(stopped)
    assert (one.status, one.theta_sha256) == ("finished", two.theta_sha256)


def test_that_one_call_forks_from_python(lab):
    run = lab.train(lab.experiment())
    job = fork(run, 60, {"optimizer.lr": 0.02}, store=lab.store.home, runner="thread")
    assert job.join(60.0)
    record = lab.record(job.run_ids[0])
    assert (record.parent, record.at, record.steps, record.status) == (run, 60, 120, "finished")
    assert Experiment.from_toml(record.experiment).optimizer.lr == 0.02
