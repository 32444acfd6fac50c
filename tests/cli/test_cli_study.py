"""``optlab study``, ``studies`` and ``compare`` from the file to the verdict."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import optlab
from optlab.cli.app import main
from optlab.store import Store
from optlab.studies.comparison import reading
from optlab.studies.comparison.found import fingerprint, found_document, table
from tests.workers import workers_of

RATES = """
question = "Does a larger rate lead to a lower loss?"
base = "iris-softmax"
[arms.slow]
optimizer.lr = 0.001
[arms.fast]
optimizer.lr = 0.1
[set.budget]
steps = 30
[seeds]
count = 5
data = true
[measure]
of = "train_loss"
[decide]
statement = "fast < slow"
"""
KEYS = {
    "study",
    "question",
    "status",
    "reason",
    "seeds",
    "effort",
    "arms",
    "comparisons",
    "verdict",
    "margin",
    "seconds",
    "statement",
    "measure",
}


def written(folder: Path, text: str = RATES) -> str:
    file = folder / "study.toml"
    file.write_text(text)
    return str(file)


def document(
    arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0
) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == code
    output = capsys.readouterr()
    assert output.err == ""
    assert "NaN" not in output.out and "Infinity" not in output.out
    found: dict[str, Any] = json.loads(output.out)
    return found


def comparable(found: dict[str, Any]) -> dict[str, Any]:
    """What must be the same wherever a study ran."""
    arms = {
        name: {key: value for key, value in arm.items() if key not in ("runs", "tuning_runs")}
        for name, arm in found["arms"].items()
    }
    return {**{k: v for k, v in found.items() if k not in ("study", "seconds")}, "arms": arms}


def test_that_a_study_is_decided_and_reported_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(["study", written(tmp_path)], capsys)
    assert set(found) == KEYS
    assert found["status"] == "finished" and found["seeds"] == 5 and found["effort"] == 1
    assert found["verdict"] == "supported"
    (comparison,) = found["comparisons"]
    assert (comparison["arm"], comparison["against"]) == ("fast", "slow")
    slow, fast = (found["arms"][name] for name in ("slow", "fast"))
    # The values are those of the stored runs, and the interval is that of a paired t test.
    with Store.open_readonly() as store:
        for arm in (slow, fast):
            finals = [store.run(run).final["train_loss"] for run in arm["runs"]]
            assert arm["low"] == arm["high"] == finals
    expected = stats.ttest_rel(fast["low"], slow["low"]).confidence_interval(0.95)
    assert comparison["interval"] == pytest.approx([expected.low, expected.high], rel=1e-9)
    assert comparison["effect"] < 0.0 < slow["mean"] - fast["mean"]


def test_that_swapped_arms_are_contradicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("fast < slow", "slow < fast")
    assert document(["study", written(tmp_path, text)], capsys)["verdict"] == "contradicted"


def test_that_an_arm_is_no_better_than_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("lr = 0.001", "lr = 0.1")
    found = document(["study", written(tmp_path, text)], capsys)
    assert found["verdict"] == "undecided"
    assert found["comparisons"][0]["effect"] == 0.0
    apart = text.replace("data = true", "data = true\npaired = false")
    assert document(["study", written(tmp_path, apart)], capsys)["verdict"] == "undecided"


@pytest.mark.slow
def test_that_thread_and_processes_give_the_same_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path)
    thread = document(["study", file, "--runner", "thread"], capsys)
    process = document(["study", file, "--runner", "process"], capsys)
    assert comparable(thread) == comparable(process)


def test_that_each_run_of_a_study_equals_the_same_run_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(["study", written(tmp_path)], capsys)
    with Store.open_readonly() as store:
        record = store.run(found["arms"]["fast"]["runs"][3])
    alone = tmp_path / "alone.toml"
    alone.write_text(record.experiment)
    repeated = document(["run", str(alone)], capsys)
    assert repeated["final"]["train_loss"] == pytest.approx(record.final["train_loss"], rel=1e-5)


def test_that_tuning_chooses_by_another_measure_on_other_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("optimizer.lr = 0.001", "optimizer.name = 'momentum'").replace(
        "optimizer.lr = 0.1", "optimizer.name = 'sgd'"
    )
    text = text.replace("fast < slow", "")
    text += '[tune]\n"optimizer.lr" = [1e-6, 0.05, 1e-5]\nby = "validation_loss"\nseeds = 2\n'
    found = document(["study", written(tmp_path, text)], capsys)
    assert found["effort"] == 3
    for arm in found["arms"].values():
        assert arm["setting"] == {"optimizer.lr": 0.05}
        assert len(arm["tried"]) == 3 and len(arm["tuning_runs"]) == 6
        assert not set(arm["tuning_runs"]) & set(arm["runs"])
        best = min(arm["tried"], key=lambda one: one["value"])
        assert [one["chosen"] for one in arm["tried"]] == [one is best for one in arm["tried"]]
    with Store.open_readonly() as store:
        arm = found["arms"]["fast"]
        seeds = {
            role: {
                store.run(run).experiment.split("seed = ")[1].split("\n")[0] for run in arm[role]
            }
            for role in ("runs", "tuning_runs")
        }
    assert not seeds["runs"] & seeds["tuning_runs"]


def test_that_every_seed_can_have_a_setting_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("count = 5", "count = 4")
    text += '[tune]\n"optimizer.lr" = [0.02, 0.05, 0.1]\nby = "validation_error"\neach = true\n'
    found = document(["study", written(tmp_path, text)], capsys)
    identity = found["study"]
    with Store.open_readonly() as store:
        runs = {one.run: one for one in store.study_runs(identity)}
        for arm in found["arms"].values():
            assert len(arm["tuning_runs"]) == 3 * 4
            assert sorted(seed for one in arm["tried"] for seed in one["seeds"]) == [0, 1, 2, 3]
            for seed, run in enumerate(arm["runs"]):
                # By the smallest final error of the tuning run with this number, the first of equals.
                errors = [
                    (store.run(one).final["validation_error"], runs[one].setting["optimizer.lr"])
                    for one in arm["tuning_runs"]
                    if runs[one].seed == seed
                ]
                assert len(errors) == 3
                assert runs[run].setting["optimizer.lr"] == min(errors)[1]
    target = tmp_path / "values.csv"
    assert main(["export", identity, "--format", "csv", "--to", str(target)]) == 0
    rows = list(csv.DictReader(target.read_text().splitlines()))
    assert {row["run"]: float(row["optimizer.lr"]) for row in rows} == {
        one.run: one.setting["optimizer.lr"] for one in runs.values() if one.role == "decides"
    }


def test_that_runs_that_miss_the_target_are_censored_and_not_dropped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace('of = "train_loss"', 'what = "steps_to"\nof = "train_loss"\ntarget = 0.6')
    text = text.replace("lr = 0.1", "lr = 0.5")
    text = (
        text.replace("count = 5", "count = 8")
        .replace("[set.budget]\n", "[set]\n")
        .replace("steps = 30", "budget.steps = 30\nmeasures.evaluate_every = 1")
    )
    found = document(["study", written(tmp_path, text)], capsys)
    slow = found["arms"]["slow"]
    assert slow["censored"] == 8 and slow["high"] == [None] * 8 and slow["low"] == [30.0] * 8
    assert found["arms"]["fast"]["censored"] == 0
    assert found["verdict"] == "supported"


METHODS = """
question = "Does Newton's method need fewer gradients than descent?"
base = "iris-softmax"
[arms.descent]
optimizer.name = "sgd"
tune."optimizer.lr" = [0.1, 0.2]
[arms.newton]
optimizer.name = "newton"
optimizer.solver = "products"
tune."optimizer.damping" = [1e-4, 1e-2]
[set]
stopping = { name = "evaluations", gradients = 60 }
measures.evaluate_every = 1
[seeds]
count = 2
[tune]
by = "batch_loss"
[measure]
what = "evaluations_to"
of = "train_loss"
target = 0.5
[decide]
statement = "newton < descent"
effect = "ratio"
"""

WRITTEN = {"descent": {"optimizer.lr": 0.1}, "newton": {"optimizer.damping": 1e-4}}
"""The values that the arms have without tuning."""


def test_that_methods_are_compared_by_gradients_and_told_in_steps_and_seconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(["study", written(tmp_path, METHODS), "--alone"], capsys)
    with Store.open_readonly() as store:
        for arm in found["arms"].values():
            assert arm["censored"] == 0 and not arm["diverged"]
            for seed, run in enumerate(arm["runs"]):
                loss = store.series(run, ["train_loss"])["train_loss"]
                step = int(loss.steps[np.flatnonzero(loss.values <= 0.5)[0]])
                expected = {"steps_to": step, "evaluations_to": step}
                for unit, series in (
                    ("evaluations_to", "gradient_evaluations"),
                    ("seconds_to", "seconds"),
                ):
                    kept = store.series(run, [series]).get(series)
                    if kept is not None:
                        expected[unit] = kept.values[list(kept.steps).index(step)]
                assert set(expected) == {"steps_to", "evaluations_to", "seconds_to"}
                assert {unit: one["low"][seed] for unit, one in arm["counted"].items()} == expected
            own = arm["counted"]["evaluations_to"]
            assert (own["mean"], own["low"], own["high"]) == (arm["mean"], arm["low"], arm["high"])
    assert (
        found["arms"]["newton"]["counted"]["evaluations_to"]["mean"]
        > (found["arms"]["newton"]["counted"]["steps_to"]["mean"])
    )
    with Store.open_readonly() as store:
        asked = reading.from_toml(METHODS)
        kept = found_document("methods", asked, store.study(found["study"]))
    assert kept["protocol"] == fingerprint(asked) == fingerprint(asked.with_seeds(alone=True))
    assert kept["protocol"] != fingerprint(asked.with_seeds(3))
    for name, arm in kept["arms"].items():
        (own,) = (one for one in found["arms"][name]["tried"] if one["setting"] == WRITTEN[name])
        assert arm["untuned"] == {"value": own["value"], "diverged": False}
        assert arm["seeds"] == 2
    headings, rows = table(kept)
    assert headings[1:5] == ("Steps", "Gradient evaluations", "Seconds", "Reached")
    means = [kept["arms"][row[0]]["mean"] for row in rows]
    assert means == sorted(means) and {row[4] for row in rows} == {"2 of 2"}
    # The same with the labels swapped decides the opposite.
    verdicts = {found["comparisons"][0]["effect"] < 1.0}
    swapped = METHODS.replace("newton <", "x <").replace("< descent", "< newton")
    swapped = swapped.replace("x <", "descent <")
    other = document(["study", written(tmp_path, swapped)], capsys)
    verdicts.add(other["comparisons"][0]["effect"] < 1.0)
    assert verdicts == {True, False}
    assert other["comparisons"][0]["effect"] == pytest.approx(
        1.0 / found["comparisons"][0]["effect"], rel=1e-9
    )
    assert set(other["arms"]["newton"]["counted"]) == {"steps_to", "evaluations_to"}, "not timed"


def test_that_a_run_that_diverges_counts_as_no_better_than_the_worst(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("lr = 0.001", "lr = 1e39").replace("count = 5", "count = 8")
    found = document(["study", written(tmp_path, text)], capsys)
    assert found["arms"]["slow"]["diverged"] == 8
    worst = max(found["arms"]["fast"]["low"])
    assert set(found["arms"]["slow"]["low"]) == {worst}
    # The seed with the worst known value differs by 0 at the least, which n = 8 cannot leave out.
    assert found["comparisons"][0]["interval"] == [None, 0.0]
    assert found["verdict"] == "undecided"


def test_that_a_decided_study_ends_at_its_look(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("count = 5", "count = 40") + "looks = [5, 40]\n"
    found = document(["study", written(tmp_path, text)], capsys)
    assert found["verdict"] == "supported" and found["seeds"] == 5
    assert len(found["arms"]["fast"]["runs"]) == 5


def test_that_a_trend_over_arms_is_decided(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("[set.budget]", "[arms.middle]\noptimizer.lr = 0.01\n[set.budget]")
    text = text.replace("fast < slow", "falls") + 'effect = "slope"\naxes = "log-x"\n'
    found = document(["study", written(tmp_path, text)], capsys)
    assert found["verdict"] == "supported"
    assert found["comparisons"][0]["effect"] < 0.0
    rises = document(["study", written(tmp_path, text.replace("falls", "rises"))], capsys)
    assert rises["verdict"] == "contradicted"


def test_that_seeds_and_master_seed_can_be_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path)
    three = document(["study", file, "--seeds", "3"], capsys)
    five = document(["study", file], capsys)
    other = document(["study", file, "--first", "7"], capsys)
    assert three["arms"]["fast"]["low"] == five["arms"]["fast"]["low"][:3]
    assert not set(other["arms"]["fast"]["low"]) & set(five["arms"]["fast"]["low"])


def test_that_a_stored_study_is_listed_and_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", written(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "fast < slow: supported here." in printed
    assert main(["studies"]) == 0
    line = capsys.readouterr().out
    assert "supported" in line and "Does a larger rate lead to a lower loss?" in line
    identity = line.split()[0]
    assert main(["studies", identity[:-2]]) == 0
    shown = capsys.readouterr().out
    assert shown == printed
    assert document(["studies", identity], capsys)["comparisons"][0]["verdict"] == "supported"


def test_that_a_finished_study_is_not_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    identity = document(["study", written(tmp_path)], capsys)["study"]
    assert main(["study", "--resume", identity]) == 2
    assert "is finished; optlab studies" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], "What is to be studied is missing"),
        (["nesterov-vs-momentun"], "did you mean nesterov-vs-momentum"),
        (["nesterov-vs-momentum", "--seeds", "many"], "--seeds is 'many'"),
        (["nesterov-vs-momentum", "--seeds", "0"], "seeds.count is 0"),
        (["nesterov-vs-momentum", "--runner", "gpu"], "--runner is 'gpu'"),
        (["nesterov-vs-momentum", "--resume", "x"], "cannot be given with it"),
        (["nesterov-vs-momentum", "--insecure"], "--insecure goes with --cluster only"),
        (
            ["nesterov-vs-momentum", "--cluster", "local:2", "--runner", "thread"],
            "--cluster takes the place of --runner",
        ),
        (["nesterov-vs-momentum", "--cluster", "tcp://10.0.0.1:8786"], "--insecure"),
        (["--resume", "x"], "There is no study whose id begins with 'x'"),
    ],
)
def test_that_wrong_arguments_are_refused_and_nothing_is_stored(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", *arguments]) == 2
    assert words in capsys.readouterr().err
    with Store.open_readonly() as store:
        assert store.studies() == [] and store.runs() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, verdict",
    [("momentum-vs-descent", "supported"), ("batch-size-wants-rate", "supported")],
)
def test_that_a_shipped_study_comes_to_its_result(
    name: str, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others take longer: ``make soak``."""
    found = document(["study", name, "--runner", "thread"], capsys)
    assert found["verdict"] == verdict
    if name == "momentum-vs-descent":
        assert found["arms"]["descent"]["censored"] == 7


@pytest.mark.slow
def test_that_a_model_of_the_users_is_executed_in_workers_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module, log = tmp_path / "net.py", tmp_path / "processes"
    module.write_text(
        "import os\nimport torch\n"
        f"with open({str(log)!r}, 'a') as file:\n    print(os.getpid(), file=file)\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self, inputs: int, outputs: int):\n"
        "        super().__init__()\n"
        "        self.layer = torch.nn.Linear(inputs, outputs)\n"
        "    def forward(self, x):\n"
        "        return self.layer(x)\n"
    )
    assert main(["model", "register", str(module), "--yes"]) == 0
    capsys.readouterr()
    text = RATES.replace("[set.budget]", '[arms.own]\nmodel.name = "own.net"\n[set.budget]')
    text = text.replace("count = 5", "count = 2").replace("fast < slow", "own != slow")
    found = document(["study", written(tmp_path, text)], capsys)
    assert found["status"] == "finished" and len(found["arms"]["own"]["runs"]) == 2
    processes = set(log.read_text().split())
    assert processes and str(os.getpid()) not in processes


@pytest.mark.soak
@pytest.mark.slow
def test_that_a_cluster_gives_the_same_numbers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a process of its own: Dask leaves threads behind."""
    file = written(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "optlab", "study", file, "--cluster", "local:2", "--json"],
        cwd=Path(optlab.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert main(["study", file, "--runner", "thread", "--json"]) == 0
    here = json.loads(capfd.readouterr().out)
    assert comparable(json.loads(done.stdout)) == comparable(here)


# --- export ---------------------------------------------------------------------------------------


def test_that_a_study_is_exported_as_one_page_without_scripts_or_references(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RATES.replace("Does a larger rate", "Does <script>alert(1)</script> a larger rate")
    text = text.replace("[arms.slow]", '[arms."<b>slow</b>"]').replace(
        "fast < slow", "fast < <b>slow</b>"
    )
    # The first "<" of the statement is the relation, so the arm's name may hold others.
    found = document(["study", written(tmp_path, text)], capsys)
    page = tmp_path / "page.html"
    assert main(["export", found["study"], "--format", "html", "--to", str(page)]) == 0
    html = page.read_text()
    parsed = _Page()
    parsed.feed(html)
    assert not parsed.tags & {"script", "link", "img", "iframe", "object", "b"}
    assert not [value for value in parsed.references if not value.startswith("#")]
    assert "&lt;script&gt;" in html and "&lt;b&gt;slow&lt;/b&gt;" in html
    assert parsed.tags >= {"svg", "table", "h1", "figure"}
    words = " ".join(parsed.words)
    for expected in ("supported here", "train_loss", "paired", "optlab"):
        assert expected in words
    (comparison,) = found["comparisons"]
    assert f"{comparison['effect']:.4g}" in words
    # It stays as it is without --force.
    assert main(["export", found["study"], "--format", "html", "--to", str(page)]) == 2
    assert "already exists" in capsys.readouterr().err


def test_that_the_values_of_a_study_are_exported_as_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(["study", written(tmp_path)], capsys)
    table = tmp_path / "values.csv"
    assert main(["export", found["study"], "--format", "csv", "--to", str(table)]) == 0
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    for name, arm in found["arms"].items():
        mine = [row for row in rows if row["arm"] == name]
        assert [float(row["low"]) for row in mine] == arm["low"]
        assert [row["run"] for row in mine] == arm["runs"]
        assert [int(row["seed"]) for row in mine] == list(range(5))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["study-1", "--format", "html"], "There is no study whose id begins with 'study-1'"),
        (["study-1", "study-2", "--format", "html"], "One study goes into one file"),
        (["study-1", "--format", "parquet"], "it must be one of html, csv"),
    ],
)
def test_that_an_export_that_cannot_be_is_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "file"
    assert main(["export", *arguments, "--to", str(target)]) == 2
    assert words in capsys.readouterr().err
    assert not target.exists()


class _Page(HTMLParser):
    """Tags, references and words of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.references: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.references += [
            value or "" for name, value in attrs if name in ("src", "href", "xlink:href")
        ]

    def handle_data(self, data: str) -> None:
        self.words += data.split()


# --- interruptions --------------------------------------------------------------------------------

_LONG = RATES.replace(
    "[set.budget]\nsteps = 30", "[set]\nbudget.steps = 2000\nmeasures.evaluate_every = 200"
)
_LONG = _LONG.replace("count = 5", "count = 3")


def _command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "optlab", *arguments],
        cwd=Path(optlab.__file__).parents[1],
        env=os.environ.copy(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_steps(least: int) -> str:
    """Wait until a run of the study has that many stored steps; return the study's id."""
    deadline = time.monotonic() + 180.0  # of a machine that does much else
    while time.monotonic() < deadline:
        with Store.open_readonly() as store:
            if any(record.steps >= least for record in store.runs()):
                return store.studies()[0].id
        time.sleep(0.02)
    raise AssertionError("the study did not start")


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGINT, marks=pytest.mark.soak), signal.SIGKILL],
    ids=["stopped", "killed"],
)
def test_that_an_interrupted_study_goes_on_where_it_stood(
    how: signal.Signals, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, _LONG)
    command = _command("study", file, "--runner", "thread")
    identity = _wait_for_steps(50)
    command.send_signal(how)
    output = command.communicate(timeout=60)
    if how is signal.SIGINT:
        assert command.returncode == 130
        assert f"optlab study --resume {identity}" in output[0]
    with Store.open() as store:
        record = store.study(identity)
        before = {run.id: run for run in store.runs()}
    assert record.status == ("stopped" if how is signal.SIGINT else "interrupted")
    resumed = document(["study", "--resume", identity, "--runner", "thread"], capsys)
    assert resumed["study"] == identity and resumed["status"] == "finished"
    with Store.open_readonly() as store:
        assert set(before) <= {run.id for run in store.runs()}
    whole = document(["study", file, "--runner", "thread"], capsys)
    assert comparable(resumed) == comparable(whole)


@pytest.mark.soak
def test_that_a_killed_worker_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, _LONG)
    command = _command("study", file, "--runner", "process", "--json")
    _wait_for_steps(50)
    workers = workers_of(command.pid)
    assert workers
    busiest = max(workers, key=lambda child: child.cpu_times().user)
    busiest.kill()
    out, err = command.communicate(timeout=90)
    assert command.returncode == 0, err
    whole = document(["study", file, "--runner", "thread"], capsys)
    assert comparable(json.loads(out)) == comparable(whole)


# --- compare --------------------------------------------------------------------------------------


def test_that_stored_runs_are_compared_seed_by_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    race = ["race", "iris-softmax", "--steps", "30", "--set", "optimizer.lr=0.001,0.1"]
    assert main([*race, "--seed", "1,2,3,4"]) == 0
    capsys.readouterr()
    with Store.open_readonly() as store:
        runs = [record.id for record in store.runs()]
    found = document(["compare", *runs, "--of", "train_loss"], capsys)
    assert set(found["arms"]) == {"lr 0.001", "lr 0.1"}
    assert found["seeds"] == 4
    (comparison,) = found["comparisons"]
    first, second = (found["arms"][comparison[side]]["low"] for side in ("arm", "against"))
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert comparison["interval"] == pytest.approx([expected.low, expected.high], rel=1e-9)
    assert comparison["verdict"] == "supported"
    # The order in which the runs are named changes nothing but the order of the arms.
    turned = document(["compare", *runs[::-1], "--of", "train_loss"], capsys)
    (other,) = turned["comparisons"]
    sign = 1.0 if other["arm"] == comparison["arm"] else -1.0
    assert other["effect"] == pytest.approx(sign * comparison["effect"], rel=1e-12)


def test_that_one_run_an_arm_decides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["race", "iris-softmax", "--steps", "5", "--optimizers", "sgd,adam"]) == 0
    with Store.open_readonly() as store:
        runs = [record.id for record in store.runs()]
    capsys.readouterr()
    assert main(["compare", *runs]) == 0
    printed = capsys.readouterr().out
    assert "undecided" in printed and "One run per arm decides nothing" in printed
    assert main(["compare", runs[0]]) == 2
    assert "nothing to compare" in capsys.readouterr().err
    assert main(["compare", *runs, "--of", "train_los"]) == 2
    assert "did you mean train_loss" in capsys.readouterr().err
