"""``optlab study``: train the runs of a study and decide its statement."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from optlab.cli.follow import Signals
from optlab.cli.output import say, say_json
from optlab.cli.run import RUNNERS, runner_named
from optlab.cli.study_text import say_study
from optlab.cli.study_view import StudyView, study_view
from optlab.core.errors import InvalidInput
from optlab.outside.own_models import deferral
from optlab.runners.study import ClusterLauncher, LocalLauncher
from optlab.runners.train import RunnerChoice
from optlab.store import Store
from optlab.store.records import StudyRecord
from optlab.studies.comparison import reading
from optlab.studies.comparison.checks import check
from optlab.studies.comparison.conduct import Launcher, StudyBegun, StudyEnded, conduct
from optlab.studies.comparison.study import Study
from optlab.tasks.study_check import StudyCheckTask
from optlab.training.control import Inbox, Stop

ORDER = 22
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("study", help=_HELP, short_help="Decide a question by comparing many runs.")(study)


_HELP = (
    "Train the runs of a study, compare its arms, and say whether its statement is supported, "
    "contradicted or undecided here. The runs are stored like any others.\n\n"
    "Try: optlab study nesterov-vs-momentum, then the same with --seeds 32. Studies that ship with "
    "OptLab: optlab list studies. Stored ones: optlab studies.\n\n"
    "Ctrl-C stops the study between two steps; --resume goes on with it. Exit codes: 0 the study "
    "is finished, whatever its verdict, 1 it failed, 2 bad input (then nothing was stored), 130 "
    "stopped by Ctrl-C."
)


def study(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|NAME", help="A study file (TOML), or the name of a shipped study."
        ),
    ] = "",
    seeds: Annotated[
        str,
        typer.Option(metavar="N", help="Runs of each arm, in place of the number in the file."),
    ] = "",
    first: Annotated[
        str,
        typer.Option(
            metavar="N", help="Master seed; another one repeats the study on fresh seeds."
        ),
    ] = "",
    runner: Annotated[
        str,
        typer.Option(
            metavar="|".join(RUNNERS),
            help="Train in worker processes, one a core, or in this process.",
        ),
    ] = "auto",
    cluster: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Train on a cluster by Dask: local:N, tls://HOST:PORT, tcp://127.0.0.1:PORT, or a "
            "FILE.yaml with scheduler and certificates; needs: pip install 'optlab[cluster]'.",
        ),
    ] = "",
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="With --cluster: reach another machine without encryption."
        ),
    ] = False,
    resume: Annotated[
        str,
        typer.Option(metavar="STUDY", help="Go on with a stored study, in place of FILE."),
    ] = "",
    json: Annotated[
        bool,
        typer.Option("--json", help="One JSON document on standard output, and nothing else."),
    ] = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
        RunFailed: the study failed.
    """
    asked = runner_named(runner)
    if json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    record = _stored(resume, source, seeds, first)
    if record is not None:
        asked_study = _of_record(record)
    else:
        asked_study = _asked(source, seeds, first)
    if cluster and asked != "auto":
        raise InvalidInput("--cluster takes the place of --runner; give one of them.", "cluster")
    if insecure and not cluster:
        raise InvalidInput("--insecure goes with --cluster only.", "insecure")
    with Store.open() as store, _launched(store, asked, asked_study, cluster, insecure) as launcher:
        ending, identity, stopped = _follow(
            asked_study,
            store,
            launcher,
            study_view(silent=json),
            source if record is None else record.name,
            resume=record.id if record is not None else "",
        )
        document = _document(asked_study, ending, identity)
        if json:
            say_json(document)
        elif ending.result is not None:
            say_study(document)
        else:
            print(f"The study {ending.status}: {ending.reason}", file=sys.stderr)
            say(f"Go on with it by: optlab study --resume {identity}")
    if stopped:
        return 128 + stopped
    return int(ending.status == "failed")


def _stored(resume: str, source: str, seeds: str, first: str) -> StudyRecord | None:
    if not resume:
        return None
    if source or seeds or first:
        raise InvalidInput(
            "--resume goes on with a stored study as it was begun, so "
            f"'{source or seeds or first}' cannot be given with it."
        )
    with Store.open_readonly() as store:
        record = store.study(resume)
    if record.status == "finished":
        raise InvalidInput(
            f"Study {record.id} is finished; optlab studies {record.id} shows its result."
        )
    return record


def _asked(source: str, seeds: str, first: str) -> Study:
    if not source:
        raise InvalidInput(
            "What is to be studied is missing; give a study file or a shipped study (optlab list "
            "studies), or --resume with a stored one."
        )
    asked = _checked(source)
    if seeds or first:
        asked = asked.with_seeds(
            _whole(seeds, "--seeds") if seeds else None, _whole(first, "--first") if first else None
        )
        check(asked)
    return asked


def _checked(source: str) -> Study:
    """Return a study that is checked; in a worker where that executes code of the user's."""
    try:
        with deferral.left_to_worker():
            return reading.named(source)
    except deferral.ForWorker:
        # Imported here: most studies do not need it.
        from optlab.runners.answer import answer

        text = answer(StudyCheckTask(source), lambda text: print(text, end="", file=sys.stderr))
        return reading.from_toml(text, check=False)


def _of_record(record: StudyRecord) -> Study:
    """Return a stored study; where it executes code of the user's, workers check it."""
    try:
        with deferral.left_to_worker():
            return reading.from_toml(record.document)
    except deferral.ForWorker:
        return reading.from_toml(record.document, check=False)


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(
            f"{option} is '{text[:60]}', but it must be a whole number.", option
        ) from None


@contextlib.contextmanager
def _launched(
    store: Store, runner: RunnerChoice, asked: Study, cluster: str, insecure: bool
) -> Iterator[Launcher]:
    if cluster:
        # Imported here: most studies need no cluster.
        from optlab.runners.cluster.connection import connect

        with connect(cluster, insecure=insecure) as connection:
            for note in connection.notes:
                print(note, file=sys.stderr)
            yield ClusterLauncher(store, connection, asked)
        return
    launcher = LocalLauncher(store, runner, asked)
    try:
        yield launcher
    finally:
        launcher.close()


def _follow(
    asked: Study, store: Store, launcher: Launcher, view: StudyView, name: str, resume: str
) -> tuple[StudyEnded, str, int]:
    """Conduct a study, showing what it does.

    The first Ctrl-C stops it between two steps, the second ends its populations at once.

    Returns:
        How it ended, its id, and the signal that stopped it or 0.
    """
    signals, inbox, identity = Signals(), Inbox(), resume
    ending: StudyEnded | None = None
    events = conduct(asked, store, launcher, inbox, name=name, resume=resume)
    try:
        acted = 0
        for event in events:
            view.show(event)
            if isinstance(event, StudyBegun):
                identity = event.id
            elif isinstance(event, StudyEnded):
                ending = event
            if len(signals.asked) > acted:
                acted += 1
                inbox.put(Stop())
            if acted > 1 and ending is None:
                ending = StudyEnded("interrupted", None, "ended by the user at once")
                break
    finally:
        events.close()
        view.close()
        signals.restore()
    assert ending is not None, "a study ends with an event that says how"
    return ending, identity, signals.asked[0] if signals.asked else 0


def _document(asked: Study, ending: StudyEnded, identity: str) -> dict[str, Any]:
    """Return the document that ``study --json`` prints."""
    result = ending.result.document() if ending.result is not None else {}
    return {
        "study": identity or None,
        "question": asked.question,
        "status": ending.status,
        "reason": ending.reason or None,
        "seeds": asked.seeds.count,
        "effort": asked.effort,
        "arms": {},
        "comparisons": [],
        "verdict": None,
        "margin": asked.decision.margin,
        "seconds": None,
        **result,
    }
