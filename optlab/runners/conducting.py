"""Studies and claims as tasks: a thread conducts them while their populations train elsewhere.

The command line conducts a study in its own thread (``cli/study_conduct.py``); the window gives these
tasks to a bridge, which delivers their events.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.outside.own_models import deferral
from optlab.runners.answer import answer
from optlab.runners.study import LocalLauncher
from optlab.runners.train import RunnerChoice
from optlab.store import Store
from optlab.store.records import StudyRecord
from optlab.studies.claims import shipped
from optlab.studies.claims.conducting import ClaimEvent, conduct_claims
from optlab.studies.comparison import reading
from optlab.studies.comparison.checks import check
from optlab.studies.comparison.conduct import Launcher, StudyEvent, conduct
from optlab.studies.comparison.study import Study
from optlab.studies.comparison.words import question_words, tuning_words
from optlab.tasks.study_check import StudyCheckTask, StudyTextCheckTask
from optlab.tasks.study_draft import Draft, text_of
from optlab.tasks.task import Task
from optlab.training.control import Controls


def checked(source: str, on_output: Callable[[str], object] = lambda _text: None) -> Study:
    """Return the study of a file or the shipped one of a name, checked.

    Where that executes code of the user's, a worker does it.

    Args:
        on_output: is called with what that code prints.

    Raises:
        InvalidInput: there is none, or it is not valid.
        RunFailed: the worker failed.
    """
    try:
        with deferral.left_to_worker():
            return reading.named(source)
    except deferral.ForWorker:
        return reading.from_toml(answer(StudyCheckTask(source), on_output), check=False)


def checked_text(document: str, folder: Path | None = None) -> Study:
    """Return the study of a TOML document, checked as :func:`checked` does.

    Args:
        folder: that paths in it are relative to.

    Raises:
        InvalidInput: it is not valid.
        RunFailed: the worker failed.
    """
    try:
        with deferral.left_to_worker():
            return reading.from_toml(document, folder)
    except deferral.ForWorker:
        task = StudyTextCheckTask(document, folder)
        return reading.from_toml(answer(task, lambda _text: None), check=False)


def of_record(record: StudyRecord) -> Study:
    """Return a stored study; where it executes code of the user's, workers check it."""
    try:
        with deferral.left_to_worker():
            return reading.from_toml(record.document)
    except deferral.ForWorker:
        return reading.from_toml(record.document, check=False)


@dataclass(frozen=True)
class ConductStudyTask(Task):
    """Conduct a study; the results are its events, the last one a ``StudyEnded``.

    Attributes:
        source: path of a file or name of a shipped study; with ``document`` the name of the new one;
            "" with ``resume``.
        resume: id of a stored study that goes on. document: text of the study, in place of a file.
        runner: where its populations train.
        seeds, first: in place of those of the file; None for those.
    """

    source: str
    resume: str = ""
    document: str = ""
    runner: RunnerChoice = "process"
    seeds: int | None = None
    first: int | None = None

    def run(self, controls: Controls) -> Iterator[StudyEvent]:
        """Conduct it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: a Stop ends the runs between two steps, and what they reached is kept.

        Raises:
            InvalidInput: there is no such study, it is not valid, or it is finished.
            StoreError: the store cannot be opened.
        """
        with Store.open() as store:
            if self.resume:
                record = store.study(self.resume)
                if record.status == "finished":
                    raise InvalidInput(f"Study {record.id} is finished; run it again as a new one.")
                study, name = of_record(record), record.name
            else:
                study = checked_text(self.document) if self.document else checked(self.source)
                name = self.source
                if self.seeds is not None or self.first is not None:
                    study = study.with_seeds(self.seeds, self.first)
                    check(study)
            with launched(store, self.runner, study) as launcher:
                yield from conduct(study, store, launcher, controls, name=name, resume=self.resume)


@dataclass(frozen=True)
class ConductClaimTask(Task):
    """Conduct the study and the control of a claim; the results are the events.

    What is stored of it already is not trained again.

    Attributes:
        claim: its id. runner: where its populations train.
    """

    claim: str
    runner: RunnerChoice = "process"

    def run(self, controls: Controls) -> Iterator[ClaimEvent]:
        """Conduct it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: a Stop ends the runs between two steps, and what they reached is kept.

        Raises:
            InvalidInput: there is no such claim.
            StoreError: the store cannot be opened.
        """
        claim = shipped.claim(self.claim)
        with Store.open() as store:
            yield from conduct_claims(
                [claim], store, lambda study: launched(store, self.runner, study), controls
            )


@contextlib.contextmanager
def launched(store: Store, runner: RunnerChoice, study: Study) -> Iterator[Launcher]:
    """Give what trains the populations of a study on this machine; it is closed at the end."""
    launcher = LocalLauncher(store, runner, study)
    try:
        yield launcher
    finally:
        launcher.close()


@dataclass(frozen=True)
class CheckedDraft:
    """What is to be said of a study file that is being written.

    Attributes:
        document: the checked text. sentence: what it decides. tuning: how settings are chosen, or
            "". runs: how many it trains. problem: why it is no study, one sentence, or "".
        field: what the problem is about.
    """

    document: str
    sentence: str = ""
    tuning: str = ""
    runs: int = 0
    problem: str = ""
    field: str = ""


@dataclass(frozen=True)
class CheckDraftTask(Task):
    """Write the text of a draft and check it; the result is a :class:`CheckedDraft`.

    Attributes:
        draft: what a form says.
    """

    draft: Draft

    def run(self, controls: Controls) -> Iterator[CheckedDraft]:
        """Check it; see :class:`~optlab.tasks.task.Task`.

        Args:
            controls: not used.
        """
        document = ""
        try:
            document = text_of(self.draft)
            study = checked_text(document)
        except InvalidInput as error:
            yield CheckedDraft(document, problem=str(error), field=error.field)
            return
        tuned = study.tuning_runs
        yield CheckedDraft(
            document,
            question_words(study),
            tuning_words(study),
            len(study.arms) * (study.seeds.count + tuned),
        )
