"""What the window shows of studies: how one stands while it goes and afterwards, and the lists."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from optlab.cli.app import main
from optlab.core import paths
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.runners.conducting import (
    CheckDraftTask,
    CheckedDraft,
    ConductClaimTask,
    ConductStudyTask,
)
from optlab.store import Store
from optlab.studies.comparison import found as found_studies
from optlab.studies.comparison import reading
from optlab.studies.comparison.conduct import StudyBegun, StudyEnded, StudyProgress
from optlab.tasks import study_files
from optlab.tasks.claims import BookTask
from optlab.tasks.run_comparison import Asked, CompareRunsTask
from optlab.tasks.studies import StudyEntry, StudyListTask, StudyPageTask
from optlab.tasks.study_draft import (
    Draft,
    DraftArm,
    DraftTuning,
    changes_text,
    read_changes,
)
from optlab.tasks.study_news import StudyNews, StudyNewsTask
from optlab.training.control import Inbox, Stop

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


def written(folder: Path, text: str = RATES) -> Path:
    path = folder / "rates.toml"
    path.write_text(text)
    return path


def conducted(path: Path) -> tuple[list[Any], str]:
    events = list(ConductStudyTask(str(path), runner="thread").run(Inbox()))
    return events, next(one.id for one in events if isinstance(one, StudyBegun))


def news_of(study: str) -> StudyNews:
    return next(StudyNewsTask(study).run(Inbox()))


def listed() -> dict[tuple[str, str], StudyEntry]:
    return {(one.kind, one.key): one for one in next(StudyListTask().run(Inbox())).entries}


def test_that_a_conducted_study_is_the_one_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)
    events, _ = conducted(path)
    ended = events[-1]
    assert isinstance(ended, StudyEnded) and ended.status == "finished" and ended.result
    assert main(["study", str(path), "--runner", "thread", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    mine = ended.result.document()
    for document in (alone, mine):
        for arm in document["arms"].values():
            del arm["runs"]
    kept = mine.keys() - {"seconds"}
    assert {key: alone[key] for key in kept} == {key: mine[key] for key in kept}
    progress = [one for one in events if isinstance(one, StudyProgress)]
    assert progress[0].trials == 0 and any(one.populations for one in progress)
    assert "of slow, fast, step" in next(one.populations[0] for one in progress if one.populations)


def test_that_the_leader_leads_and_each_arm_has_its_own_band(tmp_path: Path) -> None:
    _, study = conducted(written(tmp_path))
    news = news_of(study)
    assert [arm.name for arm in news.arms] == ["slow", "fast"]
    assert [arm.name for arm in news.leading()] == ["fast", "slow"]
    assert [(arm.done, arm.total) for arm in news.arms] == [(5, 5), (5, 5)]
    assert (news.series, news.better, news.effect) == ("train_loss", "lower", "difference")
    with Store.open_readonly() as store:
        result = store.study(study).result["arms"]
        for arm in news.arms:
            assert arm.mean == result[arm.name]["mean"]
            series = store.series_of(result[arm.name]["runs"], ["train_loss"])
            rows = np.array([series[run]["train_loss"].values for run in result[arm.name]["runs"]])
            assert arm.band is not None and arm.band.runs.tolist() == [5] * rows.shape[1]
            np.testing.assert_allclose(arm.band.mean, rows.mean(axis=0), rtol=1e-12)
            low, high = stats.t.interval(
                0.95, 4, loc=rows.mean(axis=0), scale=stats.sem(rows, axis=0)
            )
            np.testing.assert_allclose(arm.band.low, low, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(arm.band.high, high, rtol=1e-9, atol=1e-12)
            assert arm.now == pytest.approx(rows[:, -1].mean(), rel=1e-12)


def test_that_higher_values_lead_where_they_are_better(tmp_path: Path) -> None:
    text = RATES.replace('of = "train_loss"', 'of = "train_loss"\nreached = "above"')
    _, study = conducted(written(tmp_path, text))
    assert [arm.name for arm in news_of(study).leading()] == ["slow", "fast"]


class _StopsEarly(Inbox):
    """Asks to stop when it is looked into for the third time."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def receive(self, timeout: float | None) -> Any:
        self.looks += 1
        if self.looks == 3:
            self.put(Stop())
        return super().receive(timeout)


def test_that_a_stopped_study_is_kept_and_goes_on_to_the_same_verdict(tmp_path: Path) -> None:
    path = written(tmp_path, RATES.replace("steps = 30", "steps = 800"))
    events = list(ConductStudyTask(str(path), runner="thread").run(_StopsEarly()))
    study = events[0].id
    assert events[-1] == StudyEnded("stopped", None, "stopped by the user")
    before = news_of(study)
    assert before.record.status == "stopped" and not before.record.result
    assert any(run.status == "stopped" for run in before.runs)
    assert listed()["stored", study].status == "stopped"
    ended = list(ConductStudyTask("", resume=study, runner="thread").run(Inbox()))[-1]
    assert ended.status == "finished" and ended.result.verdict == "supported"
    assert {run.run for run in before.runs} == {run.run for run in news_of(study).runs}


def test_that_the_list_has_all_kinds_with_their_verdicts(tmp_path: Path) -> None:
    path = written(tmp_path)
    study_files.remember(path)
    _, study = conducted(path)
    entries = listed()
    assert entries["stored", study].verdict == "supported"
    assert entries["file", str(path)].title == "Does a larger rate lead to a lower loss?"
    assert entries["shipped", "nesterov-vs-momentum"].note
    claims = [one for one in entries.values() if one.kind == "claim"]
    assert {"K1", "K44", "P1"} <= {one.key for one in claims}
    assert {one.verdict for one in claims} >= {"supported", "contradicted"}


def pages() -> Iterator[Any]:
    for kind, key in (("shipped", "nesterov-vs-momentum"), ("claim", "K1")):
        yield next(StudyPageTask(kind, key).run(Inbox()))  # type: ignore[arg-type]


def test_that_a_page_says_what_is_decided_and_how() -> None:
    with Store.open():
        pass
    study, claim = pages()
    assert study.sentence == (
        "It decides whether ‘steps to validation_error ≤ 0.05’ is lower for nesterov than for "
        "momentum, by a factor of at least 1.05, at a level of 95%, from 16 seeds per arm (the same "
        "seeds for all)."
    )
    assert ("optimizer.name", "momentum", "nesterov") in study.differs
    assert study.command == "optlab study nesterov-vs-momentum"
    parts = dict(claim.parts)
    assert parts["Negative control"].startswith("The loss is compared with itself")
    assert claim.found["verdict"] == "supported" and "supported" in parts["Found here"].lower()
    assert (
        "is higher for run than for unrelated, and whether it is lower for run than for whole"
        in (claim.sentence)
    )


def draft(**changes: Any) -> Draft:
    values: dict[str, Any] = {
        "question": "Does a larger rate lead to a lower loss?",
        "base": "iris-softmax",
        "arms": [
            DraftArm("slow", {"optimizer.lr": 0.001}),
            DraftArm("fast", {"optimizer.lr": 0.1}),
        ],
        "seeds": {"count": 5, "data": True},
        "measure": {"of": "train_loss"},
        "decide": {"statement": "fast < slow", "margin": 0.0},
    }
    return Draft(**{**values, **changes})


def checked(asked: Draft) -> CheckedDraft:
    return next(CheckDraftTask(asked).run(Inbox()))


def test_that_a_draft_becomes_a_file_and_one_that_is_no_study_is_refused_with_its_field() -> None:
    fine = checked(draft())
    assert fine.problem == "" and fine.runs == 10
    study = reading.from_toml(fine.document)
    assert study.names == ("slow", "fast") and study.seeds.data
    assert study.arm("fast").experiment.optimizer.values()["lr"] == 0.1
    bad = checked(draft(decide={"statement": "fast < quick"}))
    assert bad.field == "decide.statement" and "quick" in bad.problem and bad.sentence == ""
    assert checked(draft(arms=[DraftArm("a"), DraftArm("a")])).field == "arms.1"


def test_that_arms_have_bases_of_their_own_and_tune(tmp_path: Path) -> None:
    whole = Experiment.load(paths.presets() / "digits-mlp.toml")
    other = whole.with_value("optimizer.lr", 0.0123).to_dict()
    arms = [
        DraftArm("as base", {"optimizer.momentum": 0.5}),
        DraftArm("own", {"budget.steps": 7}, other),
        DraftArm("preset", {}, "iris-softmax"),
    ]
    tuning = DraftTuning("optimizer.lr", 0.01, 1.0, 3, seeds=2)
    anew = dataclasses.replace(tuning, each=True)
    parts = {"base": whole.to_dict(), "arms": arms, "decide": {"statement": "own < preset"}}
    assert checked(draft(**parts, tuning=anew)).runs == 3 * (5 + 3 * 2 * 5)
    found = checked(draft(**parts, tuning=tuning))
    assert found.problem == "", found.problem
    assert 'base = "digits-mlp"' in found.document and found.runs == 3 * (5 + 3 * 2)
    study = reading.from_toml(found.document)
    assert study.arm("as base").experiment == whole.with_value("optimizer.momentum", 0.5)
    assert study.arm("own").experiment.optimizer.values()["lr"] == 0.0123
    assert study.arm("own").experiment.budget.steps == 7
    assert [axis.values for axis in study.arm("preset").axes] == [(0.01, 0.1, 1.0)]
    assert "optimizer.lr from 0.01 to 1: 3 settings per arm" in found.tuning


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (
            "optimizer.name = adam, optimizer.lr = 1e-3",
            {"optimizer.name": "adam", "optimizer.lr": 1e-3},
        ),
        ("model.hidden = [8, 4]", {"model.hidden": [8, 4]}),
        ('title = "a, b", seed = 3', {"title": "a, b", "seed": 3}),
        ("dataset.standardize = true", {"dataset.standardize": True}),
        ("", {}),
    ],
)
def test_that_changes_are_read_as_they_are_typed(text: str, changes: dict[str, Any]) -> None:
    assert read_changes(text) == changes
    assert read_changes(changes_text(changes)) == changes


@pytest.mark.parametrize("text", ["optimizer.lr", "= 3", "a b = 3", "x = [1", "x = 1 2"])
def test_that_what_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_changes(text)
    assert refused.value.field == "changes"


def test_that_runs_side_by_side_are_those_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, study = conducted(written(tmp_path))
    runs = [run.run for run in news_of(study).runs]
    asked = Asked({"what": "final", "of": "train_loss"})
    side = next(CompareRunsTask(tuple(runs), asked).run(Inbox()))
    assert main(["compare", *runs, "--of", "train_loss", "--json"]) == 0
    assert side.result == json.loads(capsys.readouterr().out)
    assert side.result is not None and len(side.result["arms"]) == 2
    rates = next(row for row in side.differs if row[0] == "optimizer.lr")
    assert sorted(set(rates[1:])) == ["0.001", "0.1"]
    assert len(side.curves) == len(runs)
    last = next(row for row in side.finals if row[0] == "train_loss")
    with Store.open_readonly() as store:
        for record, shown in zip(side.records, last[1:], strict=True):
            assert shown == f"{store.run(record.id).final['train_loss']:.4g}"
    same = next(CompareRunsTask((runs[0], runs[1]), asked).run(Inbox()))
    assert (same.result is None) == bool(same.problem)


def test_that_the_book_draws_the_curves_of_runs_that_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "claims"
    folder.mkdir()
    text = (
        RATES.replace("[", "[study.")
        .replace("\nbase", "\n[study]\nbase")
        .replace("count = 5", "count = 2")
    )
    texts = ("statement", "chapter", "notes", "protocol", "margin", "negative", "next")
    head = 'id = "K1"\n' + "".join(f'{name} = "{name}"\n' for name in texts)
    tail = "[control.arms.fast]\noptimizer.lr = 0.001\n"
    (folder / "K01-rates.toml").write_text(head + text.split("\n", 2)[2] + tail)
    monkeypatch.setattr(paths, "claims", lambda: folder)
    assert list(ConductClaimTask("K1", "thread").run(Inbox()))[-1].outcome is not None
    pages = []
    for only in ("", "K1"):
        path = next(BookTask(tmp_path / f"book{only}.html", only).run(Inbox()))
        pages.append(path.read_text(encoding="utf-8"))
    for page in pages:
        assert "train_loss over the steps" in page and page.count("<svg") == 2
        assert page.index("train_loss over the steps") < page.index("optlab claim K1")


def test_that_what_was_found_of_a_study_that_ships_is_shown() -> None:
    with Store.open():
        pass
    (listed,) = StudyListTask().run(Inbox())  # type: ignore[arg-type]
    before = found_studies.found()
    assert before
    for name, document in before.items():
        entry = next(one for one in listed.entries if (one.kind, one.key) == ("shipped", name))
        assert entry.verdict == document["verdict"]
        (page,) = StudyPageTask("shipped", name).run(Inbox())  # type: ignore[arg-type]
        assert page.found == document
        assert any("Found on" in text for _heading, text in page.parts)
    # One that nobody has conducted.
    (page,) = StudyPageTask("shipped", "nesterov-vs-momentum").run(Inbox())  # type: ignore[arg-type]
    assert page.found is None


def test_that_what_was_found_with_another_protocol_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Store.open():
        pass
    name, document = next(iter(found_studies.found().items()))
    changed = {name: {**document, "protocol": "another"}}
    monkeypatch.setattr(found_studies, "found", lambda: changed)
    (page,) = StudyPageTask("shipped", name).run(Inbox())  # type: ignore[arg-type]
    assert page.found is None
