"""Conducting a study: its runs are trained and recorded, and the statement is decided.

Where the populations are trained is not known here: a :class:`Launcher` starts them. Everything
that has been trained is in the store, so that a study that was interrupted goes on where it stood.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from optlab.core.errors import OptLabError, RunFailed
from optlab.experiment import Experiment
from optlab.store.records import StudyRun
from optlab.store.store import Store
from optlab.store.study_writer import StudyWriter
from optlab.studies.comparison.choosing import TriedSetting, choose
from optlab.studies.comparison.deciding import decide, is_decided
from optlab.studies.comparison.plan import (
    Trial,
    deciding_trials,
    populations,
    rounds,
    tuning_trials,
)
from optlab.studies.comparison.results import ArmResult, StudyResult
from optlab.studies.comparison.study import Study
from optlab.studies.comparison.trial_records import TrialRecords, bounded_arms, computed_arm
from optlab.training.control import Controls, Message, Stop
from optlab.training.events import Event, SeriesBlock, SessionFailed, SessionStarted, TaskProgress

MAX_ATTEMPTS = 3
"""Times that a population is started before its failure ends the study."""
_POLL_SECONDS = 0.05
_PROGRESS_SECONDS = 0.1
_STOP_SECONDS = 30.0
"""Seconds after which a population that does not stop is cancelled."""


class Job(Protocol):
    """A population that is being trained and recorded."""

    run_ids: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Whether it is in progress."""

    def drain(self) -> list[Event]:
        """Return all waiting events, without blocking."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there are events or the job has ended."""

    def send(self, message: Message) -> None:
        """Send a message to the session."""

    def cancel(self) -> None:
        """Stop the job, even where it does not respond."""

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end of the job."""


class Launcher(Protocol):
    """Starts populations.

    Attributes:
        slots: populations that it trains at the same time.
    """

    slots: int

    def start(self, experiments: Sequence[Experiment]) -> Job:
        """Train experiments as one population of new runs.

        Raises:
            OptLabError: it cannot be started.
        """

    def resume(self, run_ids: Sequence[str]) -> Job:
        """Resume stored runs of one population.

        Raises:
            OptLabError: they cannot be resumed.
        """


@dataclass(frozen=True)
class StudyBegun:
    """The study is in the store. ``id``: its own."""

    id: str
    trials: int


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is.

    Attributes:
        done: share of the present stage, from 0 to 1. words: what it does. run_ids: runs in
            progress. trials: how many of the study are complete. populations: what is trained at
            present, a phrase for each population.
    """

    done: float
    words: str
    run_ids: tuple[str, ...] = ()
    trials: int = 0
    populations: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyNotice:
    """An event of one of the populations that the user may have to know."""

    event: Event


@dataclass(frozen=True)
class StudyEnded:
    """The last event of a study.

    Attributes:
        status: ``finished``, ``stopped`` or ``failed``. result: None where nothing is decided.
        reason: why it ended without a result, one sentence.
    """

    status: str
    result: StudyResult | None
    reason: str = ""


StudyEvent = StudyBegun | StudyProgress | StudyNotice | StudyEnded


def conduct(
    study: Study,
    store: Store,
    launcher: Launcher,
    controls: Controls,
    *,
    name: str = "",
    resume: str = "",
) -> Generator[StudyEvent, None, None]:
    """Train what is missing of a study and decide it.

    A Stop ends the runs between two steps; what they reached is kept. The events must be consumed
    to the end; a generator that is closed early stops its populations.

    Args:
        store: open for writing. name: of the study in lists. resume: id of a stored study that goes
            on; by default a new one is begun.

    Raises:
        OptLabError: the study cannot be begun or resumed.
    """
    writer = (
        store.resume_study(resume)
        if resume
        else store.begin_study(study.to_toml(), study.question, name)
    )
    conductor = _Conductor(study, store, launcher, controls, writer)
    try:
        yield from conductor.events()
    except OptLabError as error:
        conductor.stop_all()
        writer.finish("failed", {}, str(error))
        yield StudyEnded("failed", None, str(error))
    finally:
        conductor.stop_all()
        writer.close()


class _Stopped(Exception):
    """The user stopped the study."""


@dataclass
class _Population:
    """One population of the present stage."""

    members: list[tuple[Trial, Experiment]]
    run_ids: tuple[str, ...] = ()
    attempts: int = 0
    job: Job | None = None
    step: int = 0
    problem: str = ""
    begun_steps: int = 0

    @property
    def steps(self) -> int:
        """Steps that it takes, as far as they are known."""
        return self.begun_steps or max(one.budget.steps for _, one in self.members)

    @property
    def words(self) -> str:
        """What it trains, and how far it is."""
        arms = ", ".join(dict.fromkeys(trial.arm for trial, _ in self.members))
        runs = f"{len(self.members)} run{'s' if len(self.members) > 1 else ''}"
        return f"{runs} of {arms}, step {self.step:,} of {self.steps:,}"


class _Conductor:
    def __init__(
        self,
        study: Study,
        store: Store,
        launcher: Launcher,
        controls: Controls,
        writer: StudyWriter,
    ) -> None:
        self._study = study
        self._store = store
        self._launcher = launcher
        self._controls = controls
        self._writer = writer
        self._records = TrialRecords(study, store, writer.id)
        self._began = time.monotonic()
        self._before = writer.seconds
        self._active: list[_Population] = []
        self._progress_at = 0.0
        self._runs = len(store.study_runs(writer.id))
        self._complete = 0

    def events(self) -> Iterator[StudyEvent]:
        study = self._study
        tuning = tuning_trials(study)
        yield StudyBegun(self._writer.id, len(tuning) + len(study.names) * study.seeds.count)
        try:
            tried: dict[str, list[TriedSetting]] = {}
            trials: list[Trial] = []
            result: StudyResult | None = None
            for begin, end in rounds(study):
                if tuning:
                    tuning = tuning_trials(study, end)
                    self._complete = len(trials)
                    yield from self._train(tuning, "tuning")
                    self._complete = len(tuning)
                    tried = choose(study, self._records.tuning_values(tuning))
                trials += deciding_trials(study, tried, begin, end)
                yield from self._train(trials, f"seeds 1 to {end}")
                yield from self._compute(end)
                arms = {**self._records.arms(trials, tried), **self._computed(end)}
                arms = bounded_arms(arms, study.decision.level)
                result = decide(study, arms, end, self._seconds())
                if is_decided(result):
                    break
            assert result is not None
        except _Stopped:
            reason = "stopped by the user"
            self._writer.seconds = self._seconds()
            self._writer.finish("stopped", {}, reason)
            yield StudyEnded("stopped", None, reason)
            return
        self._writer.seconds = result.seconds
        self._writer.finish("finished", result.document())
        yield StudyEnded("finished", result)

    def stop_all(self) -> None:
        """Stop the populations in progress and wait for them."""
        for population in self._active:
            if population.job is not None:
                population.job.cancel()
        for population in self._active:
            if population.job is not None:
                while population.job.alive:
                    population.job.drain()
                    population.job.join(_POLL_SECONDS)
        self._active = []

    def _seconds(self) -> float:
        return self._before + time.monotonic() - self._began

    # --- computing --------------------------------------------------------------------------------

    def _compute(self, end: int) -> Iterator[StudyEvent]:
        """Compute those values of the probes for the seeds up to ``end`` that are not stored."""
        missing = [
            (arm, seed)
            for arm in self._study.probes
            for seed in range(end)
            if str(seed) not in self._writer.measured.get(arm.name, {})
        ]
        for number, (arm, seed) in enumerate(missing):
            steps = arm.probe.measure(self._study.seed(seed, arm.name))
            try:
                while True:
                    done = next(steps)
                    if self._asked_to_stop():
                        raise _Stopped
                    self._writer.note_progress(self._seconds())
                    yield StudyProgress(
                        (number + done) / len(missing),
                        f"computing {arm.name}",
                        trials=self._complete + len(self._study.arms) * end + number,
                    )
            except StopIteration as stop:
                self._writer.note_measured(arm.name, seed, stop.value)
            finally:
                steps.close()

    def _computed(self, end: int) -> dict[str, ArmResult]:
        return {
            arm.name: computed_arm(
                [self._writer.measured_value(arm.name, seed) for seed in range(end)]
            )
            for arm in self._study.probes
        }

    # --- training ---------------------------------------------------------------------------------

    def _train(self, trials: Sequence[Trial], words: str) -> Iterator[StudyEvent]:
        """Train those of the trials that the store does not have."""
        waiting = self._pending(trials)
        everything = list(waiting)
        done = 0
        while waiting or self._active:
            if self._asked_to_stop():
                yield from self._stop()
                raise _Stopped
            while waiting and len(self._active) < self._launcher.slots:
                self._start(waiting.pop(0))
            for population in list(self._active):
                yield from self._drained(population)
                if population.job is not None and not population.job.alive:
                    yield from self._drained(population)
                    self._active.remove(population)
                    if self._ended(population):
                        done += population.steps * len(population.members)
                    else:
                        waiting.append(population)
            going = sum(one.step * len(one.members) for one in self._active)
            now = time.monotonic()
            if now >= self._progress_at:
                self._progress_at = now + _PROGRESS_SECONDS
                total = sum(one.steps * len(one.members) for one in everything)
                share = (done + going) / total if total else 1.0
                ids = tuple(run for one in self._active for run in one.run_ids)
                self._writer.note_progress(self._seconds())
                left = sum(len(one.members) for one in (*waiting, *self._active))
                yield StudyProgress(
                    min(1.0, share),
                    words,
                    ids,
                    self._complete + len(trials) - left,
                    tuple(one.words for one in self._active),
                )
            if self._active:
                job = self._active[0].job
                assert job is not None
                job.wait(_POLL_SECONDS)

    def _pending(self, trials: Sequence[Trial]) -> list[_Population]:
        """Return the populations that are left to train, those that had begun first."""
        missing, begun = self._records.missing(trials)
        resumed = [
            _Population([(trial, trial.experiment(self._study)) for trial in members], run_ids)
            for members, run_ids in begun
        ]
        return resumed + [
            _Population(members)
            for members in populations(self._study, missing, self._launcher.slots)
        ]

    def _start(self, population: _Population) -> None:
        population.attempts += 1
        population.problem = ""
        if population.run_ids:
            population.job = self._launcher.resume(population.run_ids)
        else:
            population.job = self._launcher.start([one for _, one in population.members])
            population.run_ids = population.job.run_ids
            self._writer.add_runs(
                [
                    StudyRun(
                        study=self._writer.id,
                        run=run,
                        arm=trial.arm,
                        role=trial.role,
                        seed=trial.seed,
                        setting=dict(trial.setting),
                        number=self._number(),
                    )
                    for run, (trial, _) in zip(population.run_ids, population.members, strict=True)
                ]
            )
        self._active.append(population)

    def _number(self) -> int:
        """Return the place of the next run in the order of the study."""
        self._runs += 1
        return self._runs - 1

    def _drained(self, population: _Population) -> Iterator[StudyEvent]:
        assert population.job is not None
        for event in population.job.drain():
            match event:
                case SessionStarted():
                    population.begun_steps = event.steps
                case SeriesBlock():
                    population.step = event.step
                case SessionFailed():
                    population.problem = event.message
                case TaskProgress():
                    yield StudyNotice(event)
                case _:
                    pass

    def _ended(self, population: _Population) -> bool:
        """Return whether a population is complete; what is left of it otherwise is started again.

        Raises:
            RunFailed: it failed too often.
        """
        left = self._records.unfinished(population.run_ids)
        if not left:
            return True
        if population.attempts >= MAX_ATTEMPTS:
            raise RunFailed(
                f"{len(left)} of {len(population.members)} runs of the arms "
                f"{', '.join(dict.fromkeys(trial.arm for trial, _ in population.members))} failed "
                f"{MAX_ATTEMPTS} times: "
                f"{population.problem or self._records.reason(left[0])}"
            )
        members = dict(zip(population.run_ids, population.members, strict=True))
        population.members = [members[run] for run in left]
        population.run_ids = tuple(left)
        population.step, population.job = 0, None
        return False

    def _asked_to_stop(self) -> bool:
        return any(isinstance(message, Stop) for message in self._controls.receive(0))

    def _stop(self) -> Iterator[StudyEvent]:
        """Stop the populations between two steps.

        It goes on yielding, so that a caller who will not wait for them can close the generator.
        """
        for population in self._active:
            if population.job is not None:
                population.job.send(Stop())
        deadline = time.monotonic() + _STOP_SECONDS
        for population in self._active:
            while population.job is not None and population.job.alive:
                population.job.drain()
                population.job.join(_POLL_SECONDS)
                if time.monotonic() > deadline:
                    population.job.cancel()
                yield StudyProgress(0.0, "stopping", population.run_ids)
        self._active = []
