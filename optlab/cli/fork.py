"""``optlab fork``: begin a new run at a step of a stored one, with its state and with changes."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from optlab.cli.assignments import assignment
from optlab.cli.follow import Outcome, follow
from optlab.cli.options import json_option, set_option
from optlab.cli.output import say, say_json
from optlab.cli.progress import view
from optlab.cli.run import (
    RUNNERS,
    ChangedData,
    SnapshotBudget,
    runner_named,
    say_result,
    snapshot_bytes,
)
from optlab.core.errors import InvalidInput
from optlab.experiment import Experiment
from optlab.history.plan import Plan
from optlab.outside.own_models import deferral
from optlab.runners import JobHandle, train
from optlab.runners.train import RunnerChoice
from optlab.store import Store
from optlab.tasks.history import ForkTask, PreparedFork
from optlab.training.control import Inbox
from optlab.training.events import Event, StateTakenOver

ORDER = 12
"""Rank in the list of commands."""

LAST = "last"
"""What ``--at`` calls the last step that is known to be good."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "fork", help=_HELP, short_help="Begin a new run at a step of a stored one, with changes."
    )(fork)


_HELP = (
    "Begin a new run at a step of a stored RUN: with its weights, its optimizer state and its place "
    "among the batches.\n\n"
    "Without changes it gives the numbers of RUN bit for bit, live changes that follow included. "
    "With another optimizer it takes over the state that both rules have and begins the rest anew, "
    "and says which. What would change the shape of the weights is refused. Try: optlab run "
    "digits-mlp, then optlab fork with the id that it prints, --at 1000 --set optimizer.name=adam."
    "\n\nOf a run that diverged, the last step is the last one that was finite. Exit codes: as for "
    "optlab run."
)


@dataclass
class ForkOutcome(Outcome):
    """What came of a fork; see :class:`~optlab.cli.follow.Outcome`.

    Attributes:
        parent: id of the run that it begins in. at: the step.
        state: names of the entries of the state that it took over, and of those that began anew.
        repeated: messages that the parent received later, which it repeats.
        exact: whether the steps up to there, where they were taken again, gave what was recorded.
        notes: sentences about what is not as it should be.
    """

    parent: str = ""
    at: int = 0
    state: dict[str, list[str]] = field(default_factory=lambda: {"carried": [], "fresh": []})
    repeated: int = 0
    exact: bool | None = None
    notes: tuple[str, ...] = ()

    def on_event(self, event: Event) -> None:
        """See :meth:`Outcome.on_event`."""
        if isinstance(event, StateTakenOver):
            self.state = {"carried": list(event.carried), "fresh": list(event.fresh)}
        super().on_event(event)

    def document(self) -> dict[str, Any]:
        """Return the document that ``fork --json`` prints."""
        return {
            **super().document(),
            "parent": self.parent,
            "at": self.at,
            "state": self.state,
            "repeated": self.repeated,
            "exact": self.exact,
            "notes": list(self.notes),
        }


def fork(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="Id of the run to fork, or its beginning.")
    ],
    at: Annotated[
        str,
        typer.Option(
            metavar="STEP",
            help="Number of completed steps at which it begins; by default the last.",
        ),
    ] = LAST,
    changes: Annotated[list[str] | None, set_option("optimizer.name=adam")] = None,
    fresh_state: Annotated[
        bool, typer.Option("--fresh-state", help="Begin the optimizer's state anew.")
    ] = False,
    steps: Annotated[
        str,
        typer.Option(
            metavar="N",
            help="Step at which it ends, those of RUN included; the same as --set budget.steps=N.",
        ),
    ] = "",
    runner: Annotated[
        str,
        typer.Option(metavar="|".join(RUNNERS), help="Train in this process or in one of its own."),
    ] = "auto",
    changed_data: ChangedData = False,
    snapshots: SnapshotBudget = "",
    json: Annotated[bool, json_option("that of optlab run, with parent, at and state")] = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
        StoreError: the run cannot be read.
    """
    where, kept = runner_named(runner), snapshot_bytes(snapshots)
    if json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    given = [*(changes or []), *([f"budget.steps={steps}"] if steps else [])]
    task = ForkTask(
        run,
        step_named(at),
        changed_data=changed_data,
        changes=dict(assignment(change) for change in given),
        fresh_state=fresh_state,
    )
    prepared = _prepared(task, where, silent=json)
    made = prepared.fork
    experiment = Experiment.from_toml(made.experiment, check=False)

    def begin() -> JobHandle:
        with Store.open() as store:
            store.snapshot_bytes = kept
            return train([experiment], runner=where, store=store, fork=made)

    outcome = ForkOutcome(
        prepared.title,
        parent=made.parent,
        at=made.at,
        repeated=made.repeated,
        exact=prepared.exact,
        notes=prepared.words,
    )
    follow(begin, outcome, view(experiment, silent=json))
    if json:
        say_json(outcome.document())
    else:
        _say(outcome)
        say_result(outcome, experiment)
    if outcome.asked_to_stop and outcome.status in ("stopped", "interrupted"):
        return 128 + outcome.asked_to_stop
    return int(outcome.status in ("diverged", "failed") or outcome.recorded is False)


def step_named(text: str) -> int | None:
    """Return the step that ``--at`` names; None for the last.

    Raises:
        InvalidInput: the text is not a step.
    """
    if text.strip() == LAST:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(
            f"--at is '{text}', but it must be a number of steps, or {LAST}.", "at"
        ) from None


def _prepared(task: ForkTask, runner: RunnerChoice, *, silent: bool) -> PreparedFork:
    """Execute the task; in a worker where that executes code of the user's."""
    if runner == "thread":
        return _here(task, silent=silent)
    try:
        with deferral.left_to_worker():
            return _here(task, silent=silent)
    except deferral.ForWorker:
        # Imported here: most runs do not need it.
        from optlab.runners.answer import answer

        result: PreparedFork = answer(task, lambda text: print(text, end="", file=sys.stderr))
        return result


def _here(task: ForkTask, *, silent: bool) -> PreparedFork:
    result: Any = None
    for result in task.run(Inbox()):
        if isinstance(result, Plan) and result.announcement and not silent:
            print(f"{result.announcement} Ctrl-C cancels.", file=sys.stderr, flush=True)
    assert isinstance(result, PreparedFork)
    return result


def _say(outcome: ForkOutcome) -> None:
    say(f"A fork of run {outcome.parent} at step {outcome.at:,}")
    for word, label in (("carried", "took over"), ("fresh", "began anew")):
        names = outcome.state[word]
        if names:
            say(f"  {label:<18} {', '.join(names)}")
    if outcome.repeated:
        say(f"  repeated           {outcome.repeated} later changes of the run")
    for note in outcome.notes:
        say(f"  {note}")
