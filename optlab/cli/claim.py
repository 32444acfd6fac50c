"""``optlab claim``: put statements of the notes to the test."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from optlab.cli.claim_text import say_outcome, say_outcomes
from optlab.cli.follow import Signals
from optlab.cli.options import Json
from optlab.cli.output import say, say_json
from optlab.cli.run import RUNNERS, runner_named
from optlab.cli.study_view import StudyView, study_view
from optlab.core.errors import InvalidInput
from optlab.runners.study import LocalLauncher
from optlab.runners.train import RunnerChoice
from optlab.store import Store
from optlab.studies.claims import shipped
from optlab.studies.claims.claim import Claim
from optlab.studies.claims.conducting import ClaimBegun, ClaimEnded, ClaimEvent, conduct_claims
from optlab.studies.comparison.conduct import Launcher
from optlab.studies.comparison.study import Study
from optlab.tasks.claims import write_book
from optlab.training.control import Inbox, Stop

ORDER = 23
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("claim", help=_HELP, short_help="Put statements of the notes to the test.")(claim)


_HELP = (
    "Put statements of the notes to the test: each claim is a study with a margin, and a negative "
    "control that must not come out the same way. Verdicts hold here: at this size, with these "
    "data and this budget.\n\n"
    "Try: optlab claim K9. Claims: optlab list claims; the page of one: optlab show K9.\n\n"
    "What is stored already is not trained again, so a command that was stopped goes on where it "
    "stood. Exit codes: 0 all claims have a verdict, 1 one of them failed, 2 bad input, 130 "
    "stopped by Ctrl-C."
)


def claim(
    claims: Annotated[
        list[str] | None, typer.Argument(metavar="[K9|P1]…", help="Ids of claims.")
    ] = None,
    all_claims: Annotated[
        bool, typer.Option("--all", help="All claims: about an hour on two cores.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Those that take less than about a minute each.")
    ] = False,
    seeds: Annotated[
        str, typer.Option(metavar="N", help="Seeds, in place of the number in each file.")
    ] = "",
    first: Annotated[
        str,
        typer.Option(
            metavar="N", help="Master seed; another one repeats the claims on fresh seeds."
        ),
    ] = "",
    runner: Annotated[
        str,
        typer.Option(
            metavar="|".join(RUNNERS),
            help="Train in worker processes, one per core, or in this process.",
        ),
    ] = "auto",
    book: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Write the book of all claims, one HTML page with what was found. Alone, it "
            "conducts nothing.",
        ),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="With --book: replace the file if it exists.")
    ] = False,
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
        StoreError: the store cannot be read or written.
    """
    asked_runner = runner_named(runner)
    if json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    asked = _asked(claims or [], all_claims, quick, bool(book))
    if seeds or first:
        asked = [
            one.with_seeds(_whole(seeds, "--seeds"), _whole(first, "--first")) for one in asked
        ]
    documents: list[dict[str, Any]] = []
    failed, stopped = False, 0
    if asked:
        with Store.open() as store:
            documents, failed, stopped = _conduct(asked, store, asked_runner, silent=json)
    if book and not stopped:
        with Store.open_readonly() as opened:
            written = write_book(opened, Path(book), force=force)
        if not json:
            say(f"The book of {written} claims is in {book}.")
    if json:
        say_json(documents)
    elif len(documents) > 1:
        say_outcomes(documents)
    return 128 + stopped if stopped else int(failed)


def _asked(ids: Sequence[str], all_claims: bool, quick: bool, book: bool) -> list[Claim]:
    if ids and (all_claims or quick):
        raise InvalidInput(
            f"'{ids[0]}' cannot be given with --{'all' if all_claims else 'quick'}; name claims or "
            "take all."
        )
    if all_claims or quick:
        return [one for one in shipped.claims() if all_claims or one.quick]
    if not ids and not book:
        raise InvalidInput(
            "Which claims are to be tested is missing; give ids such as K9 (optlab list claims), "
            "--quick or --all."
        )
    return shipped.claims(dict.fromkeys(ids)) if ids else []


def _whole(text: str, option: str) -> int | None:
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise InvalidInput(
            f"{option} is '{text[:60]}', but it must be a whole number.", option
        ) from None


def _conduct(
    asked: Sequence[Claim], store: Store, runner: RunnerChoice, *, silent: bool
) -> tuple[list[dict[str, Any]], bool, int]:
    """Conduct claims, showing what they do.

    The first Ctrl-C stops the study in progress between two steps, the second at once.

    Returns:
        The documents of those that ended, whether one failed, and the signal that stopped them.
    """

    @contextlib.contextmanager
    def launch(study: Study) -> Iterator[Launcher]:
        launcher = LocalLauncher(store, runner, study)
        try:
            yield launcher
        finally:
            launcher.close()

    signals, inbox = Signals(), Inbox()
    shown = _Shown(study_view(silent=silent), silent, alone=len(asked) == 1)
    events = conduct_claims(asked, store, launch, inbox)
    acted = 0
    try:
        for event in events:
            shown.show(event, stopping=bool(signals.asked))
            if len(signals.asked) > acted:
                acted += 1
                inbox.put(Stop())
            if acted > 1:
                break
    finally:
        events.close()
        shown.view.close()
        signals.restore()
    return shown.documents, shown.failed, signals.asked[0] if signals.asked else 0


@dataclass
class _Shown:
    """Shows the events of claims, and collects the documents of those that ended.

    Attributes:
        silent: whether only failures are shown. alone: whether it is one claim, shown in full.
    """

    view: StudyView
    silent: bool
    alone: bool
    documents: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False

    def show(self, event: ClaimEvent, *, stopping: bool) -> None:
        """Show an event. ``stopping``: whether the user has stopped the claims."""
        if isinstance(event, ClaimBegun):
            if not self.silent and not self.alone:
                statement = event.claim.text.statement
                place = f"{event.number + 1} of {event.count}"
                print(f"{event.claim.id} ({place}): {statement}", file=sys.stderr, flush=True)
        elif not isinstance(event, ClaimEnded):
            self.view.show(event)
        elif event.outcome is not None:
            self.documents.append(event.outcome.document())
            if not self.silent and self.alone:
                self.view.close()
                say_outcome(self.documents[-1], event.claim)
        elif not stopping:
            self.failed = True
            self.documents.append(_without_verdict(event))
            print(event.reason, file=sys.stderr)


def _without_verdict(event: ClaimEnded) -> dict[str, Any]:
    """Return the document of a claim that failed."""
    asked = event.claim
    return {
        "claim": asked.id,
        "statement": asked.text.statement,
        "verdict": None,
        "effect": None,
        "interval": None,
        "margin": asked.study.decision.margin,
        "seeds": asked.study.seeds.count,
        "control": None,
        "seconds": None,
        "reason": event.reason,
    }
