"""What ``optlab study`` does once its workers start: it trains the runs and decides."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from optlab.cli.follow import Signals
from optlab.cli.output import say, say_json
from optlab.cli.run import runner_named
from optlab.cli.study_text import say_study
from optlab.cli.study_view import StudyView, study_view
from optlab.core.errors import InvalidInput
from optlab.core.spawning import Spawned
from optlab.runners.conducting import checked, of_record
from optlab.runners.study import ClusterLauncher, LocalLauncher
from optlab.store import Store
from optlab.store.records import StudyRecord
from optlab.studies.comparison.checks import check
from optlab.studies.comparison.conduct import Launcher, StudyBegun, StudyEnded, conduct
from optlab.studies.comparison.study import Study
from optlab.training.control import Inbox, Stop


@dataclass(frozen=True)
class Request:
    """What the command was asked for, as it was typed."""

    source: str
    seeds: str
    first: str
    runner: str
    cluster: str
    insecure: bool
    resume: str
    alone: bool
    json: bool


def conduct_study(request: Request, spawned: Sequence[Spawned]) -> int:
    """Conduct a study and print what it found; return the exit code.

    Args:
        spawned: processes of workers for it.

    Raises:
        InvalidInput: an argument or an option is not allowed.
        RunFailed: the study failed.
    """
    asked = runner_named(request.runner)
    if request.json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    record = _stored(request)
    if record is not None:
        asked_study = of_record(record)
    else:
        asked_study = _asked(request)
    if request.cluster and asked != "auto":
        raise InvalidInput("--cluster takes the place of --runner; give one of them.", "cluster")
    if request.insecure and not request.cluster:
        raise InvalidInput("--insecure goes with --cluster only.", "insecure")
    with Store.open() as store, _launched(store, request, asked_study, spawned) as launcher:
        ending, identity, stopped = _follow(
            asked_study,
            store,
            launcher,
            study_view(silent=request.json),
            request.source if record is None else record.name,
            resume=record.id if record is not None else "",
        )
        document = _document(asked_study, ending, identity)
        if request.json:
            say_json(document)
        elif ending.result is not None:
            say_study(document)
        else:
            print(f"The study {ending.status}: {ending.reason}", file=sys.stderr)
            say(f"Go on with it by: optlab study --resume {identity}")
    if stopped:
        return 128 + stopped
    return int(ending.status == "failed")


def _stored(request: Request) -> StudyRecord | None:
    if not request.resume:
        return None
    other = request.source or request.seeds or request.first
    if other or request.alone:
        raise InvalidInput(
            "--resume goes on with a stored study as it was begun, so "
            f"'{other or '--alone'}' cannot be given with it."
        )
    with Store.open_readonly() as store:
        record = store.study(request.resume)
    if record.status == "finished":
        raise InvalidInput(
            f"Study {record.id} is finished; optlab studies {record.id} shows its result."
        )
    return record


def _asked(request: Request) -> Study:
    seeds, first, alone = request.seeds, request.first, request.alone
    if not request.source:
        raise InvalidInput(
            "What is to be studied is missing; give a study file or a shipped study (optlab list "
            "studies), or --resume with a stored one."
        )
    asked = checked(request.source, lambda text: print(text, end="", file=sys.stderr))
    if seeds or first or alone:
        asked = asked.with_seeds(
            _whole(seeds, "--seeds") if seeds else None,
            _whole(first, "--first") if first else None,
            alone=alone or None,
        )
        check(asked)
    return asked


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(
            f"{option} is '{text[:60]}', but it must be a whole number.", option
        ) from None


@contextlib.contextmanager
def _launched(
    store: Store, request: Request, asked: Study, spawned: Sequence[Spawned]
) -> Iterator[Launcher]:
    if request.cluster:
        # Imported here: most studies need no cluster.
        from optlab.runners.cluster.connection import connect

        with connect(request.cluster, insecure=request.insecure) as connection:
            for note in connection.notes:
                print(note, file=sys.stderr)
            yield ClusterLauncher(store, connection, asked)
        return
    launcher = LocalLauncher(store, runner_named(request.runner), asked, spawned)
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
