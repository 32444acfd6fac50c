"""One run trained by several processes: the numbers of one process, one stop for all, and a rank
that dies ends the run in words and leaves nothing running.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from optlab.catalogue.optimizers.base import ObjectiveOptimizer
from optlab.core import registry
from optlab.core.errors import InvalidInput, StoreError
from optlab.experiment import Experiment
from optlab.runners import resume, train
from optlab.runners.ranks.runner import RanksRunner
from optlab.store import Store
from optlab.training.control import Pause, Resume, SetValue, Stop
from optlab.training.events import ActivityChanged, RunEnded, SeriesBlock, SessionFailed

pytestmark = pytest.mark.timeout(300)  # a shared run imports torch four times

_PROGRAM = Path(__file__).with_name("train_on_ranks.py")
_DIGITS = {
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [32]},
    "optimizer": {"name": "momentum", "lr": 0.05},
    "loss": {"name": "cross_entropy", "l2": 0.001},
    "clipping": {"name": "norm", "threshold": 0.5},
    "batches": {"name": "shuffled", "size": 65},
    "measures": {"evaluate_every": 250},
}


def _environment(home: Path) -> dict[str, str]:
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "OPTLAB_HOME": str(home)}


def _optlab(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "optlab", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=_environment(home), timeout=100, check=False
    )


def _file(folder: Path, **changes: object) -> Path:
    path = folder / "experiment.toml"
    path.write_text(Experiment.from_dict({**_DIGITS, **changes}).to_toml(), encoding="utf-8")
    return path


def _end(job) -> RunEnded | SessionFailed:
    received = []
    while job.wait(60) and (events := job.drain()):
        received += events
    assert job.join(60)
    return next(event for event in received if isinstance(event, RunEnded | SessionFailed))


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    assert first.shape == second.shape
    return float(np.linalg.norm(first - second) / np.linalg.norm(second))


# --- the numbers of one process -------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("float64", 1e-12), pytest.param("float32", 1e-6, marks=pytest.mark.soak)],
    ids=["float64", "float32"],
)
def test_that_two_ranks_give_what_one_process_gives_for_500_steps(tmp_path, precision, tolerance):
    path = _file(tmp_path, precision=precision, budget={"steps": 500})
    done = _optlab(tmp_path / "home", "run", str(path), "--ranks", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    shared = json.loads(done.stdout)
    assert (shared["status"], shared["steps"], shared["ranks"]) == ("finished", 500, 2)
    alone = train([Experiment.load(path)], store=tmp_path / "home", runner="thread")
    expected = _end(alone)
    with Store.open(tmp_path / "home") as store:
        ids = (shared["run"], alone.run_ids[0])
        one, two = (store.series(run) for run in ids)
        ends = [store.latest_snapshot(run).theta for run in ids]
        assert store.run(shared["run"]).device_name.startswith("2 ranks, each on CPU")
    assert _distance(*ends) < tolerance
    assert one.keys() == two.keys()
    for name in ("batch_loss", "gradient_norm", "clipped_share"):
        np.testing.assert_array_equal(one[name].steps, two[name].steps)
        assert _distance(one[name].values, two[name].values) < tolerance, name
    assert np.isin(two["clipped_share"].values, (0.0, 1.0)).all()
    assert 0.0 < two["clipped_share"].values.mean() < 1.0
    for name, value in expected.final.items():
        assert shared["final"][name] == pytest.approx(value, rel=100 * tolerance, abs=1e-9), name
    assert shared["confusion"] == [list(row) for row in expected.confusion]


def _cases(tmp_path: Path, ranks: int, cases: dict[str, dict]) -> dict[str, dict]:
    """What came of experiments, trained by so many ranks that torchrun starts."""
    given, found = tmp_path / "cases.json", tmp_path / "found.json"
    given.write_text(json.dumps(cases), encoding="utf-8")
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    done = subprocess.run(
        [sys.executable, *launcher, str(_PROGRAM), str(given), str(found)],
        capture_output=True,
        text=True,
        env={**_environment(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(found.read_text(encoding="utf-8"))
    assert results.keys() == cases.keys()
    return results


def _check(results: dict[str, dict], tolerance: float = 1e-12) -> None:
    for name, result in results.items():
        assert "theta" in result, (name, result)
        assert result["shared"] == result["alone"], name
        assert result["steps"][0] == result["steps"][1], name
        assert result["names"], name
        assert result["theta"] < tolerance, name
        assert result["series"]["batch_loss"] < tolerance, name


def _small(**changes: object) -> dict:
    experiment = {
        "dataset": {"name": "iris"},
        "model": {"name": "mlp", "hidden": [5, 4]},
        "optimizer": {"name": "momentum"},
        "batches": {"name": "shuffled", "size": 25},
        "budget": {"steps": 20},
        "precision": "float64",
        "measures": {"weights": 4},
    }
    return {**experiment, **changes}


@pytest.mark.soak
def test_that_three_ranks_share_whatever_the_batch_and_the_model(tmp_path):
    """Batches that do not divide, that are smaller than the number of ranks, that are drawn;
    moments, random numbers and penalties of the batch; rules that evaluate the objective.
    """
    sizes = {
        f"size {size}": _small(batches={"name": "shuffled", "size": size}) for size in (1, 2, 7)
    }
    normalizing = {"name": "mlp", "hidden": [5, 4], "batch_norm": True, "auxiliary": 0.3}
    decay = {"name": "cross_entropy", "l1": 0.001, "l2": 0.01}
    cases = {
        **sizes,
        "normalizing": _small(model=normalizing, loss=decay),
        "normalizing, one example": _small(
            model=normalizing, batches={"name": "shuffled", "size": 1}
        ),
        "random numbers": _small(
            dataset={"name": "digits", "unit_range": True}, model={"name": "rbm", "hidden": 8}
        ),
        "continuation": _small(continuation={"name": "blur"}),
        "streaming": _small(
            dataset={"name": "moons"}, batches={"name": "streaming", "size": 25}
        ),
        "curriculum": _small(batches={"name": "curriculum", "size": 25}),
        "delay": _small(delay={"name": "random"}, averaging={"name": "polyak"}),
        "clipping": _small(clipping={"name": "norm", "threshold": 0.3}, loss=decay),
        "diverging": _small(
            dataset={"name": "diabetes"},
            model={"name": "linear"},
            loss={"name": "squared_error"},
            optimizer={"name": "sgd", "lr": 1e30},
        ),
        "early": _small(stopping={"name": "early", "patience": 1}, budget={"steps": 200}),
        "instruments": _small(instruments={"gradient_noise": {"every": 5}}),
        "evolution": _small(optimizer={"name": "cma_es"}),
        "search along lines": _small(
            optimizer={"name": "lbfgs"}, loss=decay, batches={"name": "shuffled", "size": 2},
            budget={"steps": 5},
        ),
    }  # fmt: skip
    spent = _small(budget={"steps": 10**6, "seconds": 0.5})
    results = _cases(tmp_path, 3, {**cases, "seconds": spent})
    seconds = results.pop("seconds")
    assert seconds["shared"] == "finished" and seconds["steps"][0] < 10**6
    _check(results)
    noise = results["instruments"]["series"]["gradient_noise.noise_scale"]
    assert noise < 1e-9
    assert results["diverging"]["shared"] == "diverged"
    assert results["early"]["steps"][0] < 200


# --- one stop for all -----------------------------------------------------------------------------


@pytest.mark.soak
def test_that_messages_reach_all_ranks_before_the_same_step(tmp_path):
    """Sent while the run goes; what one process gives with the same messages at the same steps."""
    experiment = Experiment.from_dict(
        {**_DIGITS, "budget": {"steps": 10**6}, "precision": "float64"}
    )
    job = train([experiment], store=tmp_path, runner=RanksRunner(2))
    received: list[object] = []

    def until(condition) -> None:
        while not any(condition(event) for event in received):
            assert job.wait(60) and job.alive
            received.extend(job.drain())

    until(lambda event: isinstance(event, SeriesBlock) and event.step > 20)
    job.send(Pause())
    until(lambda event: isinstance(event, ActivityChanged) and event.activity == "paused")
    paused = max(event.step for event in received if isinstance(event, ActivityChanged))
    time.sleep(0.5)
    job.send(SetValue("optimizer.lr", 0.01))
    job.send(Resume())
    until(lambda event: isinstance(event, ActivityChanged) and event.activity == "running")
    job.send(SetValue("optimizer.momentum", 0.5))
    until(lambda event: isinstance(event, SeriesBlock) and event.step > paused + 20)
    job.send(Stop())
    shared = _end(job)
    assert (shared.status, job.runner) == ("stopped", "process")
    with Store.open(tmp_path) as store:
        log = store.controls(job.run_ids[0])
    assert (paused, SetValue("optimizer.lr", 0.01)) in log
    assert log[-1] == (shared.steps, Stop())
    alone = _end(train([experiment], runner="thread", log=log))
    assert alone.steps == shared.steps
    assert shared.final["train_loss"] == pytest.approx(alone.final["train_loss"], rel=1e-11)


@contextmanager
def _training(home: Path, path: Path) -> Iterator[tuple[psutil.Process, list[psutil.Process], str]]:
    """A shared run in progress: the command, its launcher and ranks, and the run's name."""
    command = [sys.executable, "-m", "optlab", "run", str(path), "--ranks", "2", "--json"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(home),
    ) as process:
        parent = psutil.Process(process.pid)
        family: list[psutil.Process] = []
        try:
            deadline = time.monotonic() + 90
            run = None
            while run is None:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.1)
                if (home / "optlab.sqlite").exists():
                    run = _in_progress(home)
            family = parent.children(recursive=True)
            yield process, family, run
        finally:
            if process.poll() is None:
                process.kill()
        assert not psutil.wait_procs(family, timeout=20)[1]


def _in_progress(home: Path) -> str | None:
    try:
        with Store.open_readonly(home) as store:
            return next((one.id for one in store.runs() if one.steps > 150), None)
    except StoreError:  # it is being created
        return None


def _ranks(family: list[psutil.Process]) -> list[psutil.Process]:
    """The workers that have started no other ones, in their order."""
    workers = [one for one in family if "spawn_main" in " ".join(one.cmdline())]
    parents = {one.ppid() for one in workers}
    return sorted((one for one in workers if one.pid not in parents), key=lambda one: one.pid)


@pytest.mark.soak
def test_that_ctrl_c_stops_all_ranks_and_that_nothing_listened_but_on_this_machine(tmp_path):
    home = tmp_path / "home"
    with _training(home, _file(tmp_path, budget={"steps": 10**6})) as (process, family, _):
        listening = [
            connection.laddr.ip
            for one in (psutil.Process(process.pid), *family)
            for connection in one.net_connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len(_ranks(family)) == 2
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors == ""
    assert json.loads(output)["status"] == "stopped"
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_that_a_killed_rank_ends_the_run_in_words_and_that_it_goes_on_bit_for_bit(tmp_path):
    home = tmp_path / "home"
    path = _file(tmp_path, budget={"steps": 800})
    with _training(home, path) as (process, family, run):
        ranks = _ranks(family)
        ranks[1].kill()
        killed_at = time.monotonic()
        output, errors = process.communicate(timeout=60)
        seconds = time.monotonic() - killed_at
    assert process.returncode == 1
    assert errors == ""
    reported = json.loads(output)
    assert (reported["status"], reported["run"]) == ("failed", run)
    assert reported["reason"].startswith(
        f"Rank 1 of 2 (process {ranks[1].pid}) was killed by signal 9, SIGKILL"
    )
    assert seconds < 15
    with Store.open(home) as store:
        record = store.run(run)
        assert record.status == "failed" and record.resumable and record.steps > 150
    again = _end(resume([run], store=home, runner=RanksRunner(2)))
    whole = _end(train([Experiment.load(path)], runner=RanksRunner(2)))
    assert again.theta_sha256 == whole.theta_sha256
    assert again.final == whole.final


@pytest.mark.soak
def test_that_no_rank_outlives_the_command(tmp_path):
    path = _file(tmp_path, budget={"steps": 10**6})
    with _training(tmp_path / "home", path) as (process, family, _):
        process.kill()
        assert not psutil.wait_procs(family, timeout=20)[1]


@pytest.mark.soak
def test_that_no_rank_outlives_the_launcher(tmp_path):
    path = _file(tmp_path, budget={"steps": 10**6})
    with _training(tmp_path / "home", path) as (process, family, _):
        launcher = psutil.Process(_ranks(family)[0].ppid())
        launcher.kill()
        output, errors = process.communicate(timeout=60)
        assert not psutil.wait_procs(family, timeout=20)[1]
    assert errors == ""
    assert "The launcher of the ranks was ended" in json.loads(output)["reason"]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ranks", "0"), "whole number from 1 to 64"),
        (("--ranks", "two"), "whole number from 1 to 64"),
        (("--ranks", "2", "--runner", "process"), "each rank is a process of its own"),
        (
            ("--ranks", "2", "--set", "model.batch_norm=true", "--set", "optimizer.name=lbfgs"),
            "normalizes over the batch",
        ),
    ],
)
def test_that_what_cannot_be_shared_is_refused_before_anything_is_stored(
    tmp_path, arguments, words
):
    home = tmp_path / "home"
    done = _optlab(home, "run", "digits-mlp", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    if home.exists():
        with Store.open(home) as store:
            assert store.runs() == []


def test_that_one_rank_is_an_ordinary_run(tmp_path):
    done = _optlab(
        tmp_path / "home", "run", "iris-softmax", "--steps", "5", "--ranks", "1", "--json"
    )
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout)
    assert (reported["ranks"], reported["runner"], reported["steps"]) == (1, "thread", 5)


# --- the user's own data and models ----------------------------------------------------------------

_MODULE = """
import torch

class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.first = torch.nn.Linear(inputs, 6)
        self.last = torch.nn.Linear(6, outputs)

    def forward(self, x):
        print("a pass")
        h = torch.tanh(self.first(x))
        return self.last({hidden})
"""


def _own(tmp_path: Path, hidden: str) -> tuple[Path, Path]:
    """A home with a registered module, and an experiment of it on a table."""
    home = tmp_path / "optlab-home"  # that of the test's own process
    net, table = tmp_path / "net.py", tmp_path / "table.csv"
    net.write_text(_MODULE.format(hidden=hidden), encoding="utf-8")
    done = _optlab(home, "model", "register", str(net), "--name", "net", "--yes")
    assert done.returncode == 0, done.stderr
    source = np.random.default_rng(0)
    rows = [
        f"{a:.6f},{b:.6f},{'yes' if a * b > 0 else 'no'}" for a, b in source.normal(size=(97, 2))
    ]
    table.write_text("\n".join(["a,b,sign", *rows]) + "\n", encoding="utf-8")
    path = tmp_path / "own.toml"
    path.write_text(
        f'precision = "float64"\ndataset = {{ name = "csv_file", path = "{table}" }}\n'
        'model.name = "own.net"\noptimizer.name = "adam"\nbatches.size = 16\nbudget.steps = 60\n',
        encoding="utf-8",
    )
    return home, path


@pytest.mark.soak
def test_that_ranks_share_own_data_and_an_own_model(tmp_path):
    home, path = _own(tmp_path, "h")
    done = _optlab(home, "run", str(path), "--ranks", "2", "--json")
    assert done.returncode == 0, done.stderr
    # The check prints, and the first rank.
    assert done.stderr.count("a pass\n") <= 40
    reported = json.loads(done.stdout)
    assert reported["ranks"] == 2
    alone = _end(train([Experiment.load(path)], runner="process"))
    for name, value in alone.final.items():
        assert reported["final"][name] == pytest.approx(value, rel=1e-11, abs=1e-12), name


@pytest.mark.soak
def test_that_an_own_model_that_mixes_a_batch_in_training_is_refused(tmp_path):
    home, path = _own(tmp_path, "h - h.mean(0) if self.training else h")
    done = _optlab(home, "run", str(path), "--ranks", "2", "--json")
    assert done.returncode == 2
    assert "'own.net'" in done.stderr and "not the mean of those on parts" in done.stderr
    with Store.open(home) as store:
        assert store.runs() == []


# --- ranks that torchrun has started -------------------------------------------------------------


@pytest.mark.soak
def test_that_torchrun_starts_ranks_of_one_run(tmp_path):
    path = _file(tmp_path, budget={"steps": 60}, precision="float64")
    home = tmp_path / "home"
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "optlab"]
    done = subprocess.run(
        [sys.executable, *command, "run", str(path), "--json"],
        capture_output=True,
        text=True,
        env={**_environment(home), "OMP_NUM_THREADS": "1"},
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reported = json.loads(done.stdout)
    assert (reported["status"], reported["ranks"], reported["steps"]) == ("finished", 2, 60)
    with Store.open(home) as store:
        assert [record.id for record in store.runs()] == [reported["run"]]
    alone = _end(train([Experiment.load(path)], runner="thread"))
    assert reported["final"]["train_loss"] == pytest.approx(alone.final["train_loss"], rel=1e-12)


# --- the catalogue --------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)], ids=["float64", "float32"]
)
def test_that_every_rule_that_uses_gradients_gives_the_same_for_500_steps(
    tmp_path, precision, tolerance
):
    digits = {
        **_DIGITS,
        "model": {"name": "mlp", "hidden": [16]},
        "precision": precision,
        "budget": {"steps": 500},
    }
    cases = {
        rule.name: {**digits, "optimizer": {"name": rule.name}}
        for rule in registry.components("optimizer")
        if rule.elementwise
    }
    _check(_cases(tmp_path, 2, cases), tolerance)


@pytest.mark.soak
def test_that_every_component_can_be_shared(tmp_path):
    cases = {}
    for kind in ("batches", "clipping", "continuation", "delay", "averaging", "schedule"):
        for component in registry.components(kind):
            table = {"name": component.name} | ({"size": 25} if kind == "batches" else {})
            data = {"name": "moons" if component.name == "streaming" else "iris"}
            cases[f"{kind} {component.name}"] = _small(**{kind: table, "dataset": data})
    for component in registry.components("model"):
        for data in ("iris", "digits", "diabetes", "adding_problem", "copy_task"):
            dataset = {"name": data} | ({"unit_range": True} if component.name == "rbm" else {})
            case = _small(model={"name": component.name}, dataset=dataset)
            with contextlib.suppress(InvalidInput):  # not every model takes all data
                Experiment.from_dict(case)
                cases[f"{component.name} on {data}"] = case
    assert len(cases) > 50
    _check(_cases(tmp_path, 3, cases))


@pytest.mark.soak
def test_that_rules_that_evaluate_the_objective_see_the_same_one(tmp_path):
    """What such a rule asks for is shared exactly; it may magnify the last bits, by solving nearly
    singular systems and by searching along lines. So few steps are compared, and convex ones.
    """
    base = _small(model={"name": "linear"}, loss={"name": "cross_entropy", "l2": 0.1})
    cases = {
        f"{rule.name} {size}": {
            **base,
            "optimizer": {"name": rule.name},
            "batches": {"name": "shuffled", "size": size},
            "budget": {"steps": 5},
        }
        for rule in registry.components("optimizer")
        if issubclass(rule, ObjectiveOptimizer)
        for size in (1, 2, 25, 105)
    }
    assert len(cases) >= 40
    results = _cases(tmp_path, 3, cases)
    refused = {name for name, result in results.items() if "refused" in result}
    assert refused == {name for name in cases if name.startswith("saga ")}
    assert all("of every training example" in results[name]["refused"] for name in refused)
    _check({name: results[name] for name in cases.keys() - refused}, 1e-10)
