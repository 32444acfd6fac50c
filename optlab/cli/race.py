"""``optlab race``.

The same start and the same batches for several optimizers or values, as one population.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from optlab.cli.assignments import assignment
from optlab.cli.follow import Outcome, follow
from optlab.cli.options import Json, set_option
from optlab.cli.output import say, say_json, say_table
from optlab.cli.progress import view
from optlab.cli.run import RUNNERS, fits_loss, runner_named, sound
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, FieldSet
from optlab.core.printable import printable
from optlab.experiment import Experiment
from optlab.experiment.named import load
from optlab.experiment.sections import PLAIN_SECTIONS, SECTIONS, General
from optlab.runners import JobHandle, train
from optlab.store import Store
from optlab.training.events import Event
from optlab.training.population import check_compatible

MAX_RUNS = 256
"""Runs of one race."""
_LISTS = ("sizes", "numbers", "names", "text")
"""Kinds of fields in which a comma belongs to the value."""

ORDER = 20
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "race",
        help=_HELP,
        short_help="Race optimizers or values from one start on the same batches.",
    )(race)


_HELP = (
    "Race several optimizers, or several values of a field, from one start on the same batches, "
    "and store each as a run of its own.\n\n"
    "Try: optlab race digits-mlp --optimizers sgd,momentum,adam, or optlab race digits-mlp --set "
    "optimizer.lr=0.1,0.01,0.001 --steps 500. Values "
    "separated by commas are tried in all combinations. An optimizer other than the experiment's "
    "own has its default fields. Runs of a race share data set, model, batch size and what is "
    "measured; other seeds mean other starts, other data seeds other data.\n\n"
    "Each run gives the numbers that it would give alone. Exit codes: 0 at least one run "
    "finished, 1 all failed or diverged, or one was "
    "not recorded to its end, 2 bad input (then nothing was "
    "stored), 130 stopped by Ctrl-C."
)


def race(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PRESET", help="An experiment file (TOML), or the name of a preset."
        ),
    ],
    optimizers: Annotated[
        str,
        typer.Option(
            metavar="A,B,…", help="Optimizers that race; the same as --set optimizer.name=A,B,…."
        ),
    ] = "",
    changes: Annotated[
        list[str] | None,
        set_option(
            help="Change a field, or race its values: optimizer.lr=0.1,0.01",
            metavar="PATH=VALUE[,VALUE…]",
        ),
    ] = None,
    steps: Annotated[
        str, typer.Option(metavar="N", help="Number of updates; the same as --set budget.steps=N.")
    ] = "",
    seed: Annotated[
        str,
        typer.Option(
            metavar="N[,N…]", help="Seed of the start and the batches; the same as --set seed=N."
        ),
    ] = "",
    device: Annotated[
        str,
        typer.Option(
            metavar="auto|cpu|cuda|mps", help="Where to compute; the same as --set device=NAME."
        ),
    ] = "",
    runner: Annotated[
        str,
        typer.Option(metavar="|".join(RUNNERS), help="Train in this process or in one of its own."),
    ] = "auto",
    no_store: Annotated[bool, typer.Option("--no-store", help="Do not store the runs.")] = False,
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    chosen = runner_named(runner)
    if json:
        # Libraries warn on standard error, which belongs to the failures.
        warnings.simplefilter("ignore")
    given = [
        f"{path}={text}"
        for path, text in (
            ("budget.steps", steps),
            ("device", device),
            ("seed", seed),
            ("optimizer.name", optimizers),
        )
        if text
    ]
    asked = [*given, *(changes or [])]

    def runs_asked_for(*, check: bool) -> list[Experiment]:
        started = [
            entry.experiment for entry in entered(load(source, check=check), asked, check=check)
        ]
        check_compatible(started)
        return started

    experiments = sound(runs_asked_for, chosen, fit_loss=fits_loss(asked))
    base = load(source, check=False)
    entries = [
        Entry(experiment, entry.differs)
        for experiment, entry in zip(experiments, entered(base, asked, check=False), strict=True)
    ]
    title = _common_title(base, entries)

    def begin() -> JobHandle:
        if no_store:
            return train(experiments, runner=chosen)
        with Store.open() as store:
            return train(experiments, runner=chosen, store=store)

    longest = max(experiments, key=lambda experiment: experiment.budget.steps)
    field = follow(begin, Race(entries), view(longest, silent=json))
    if json:
        say_json(field.document(title))
    else:
        _say(title, field)
    if field.asked_to_stop:
        return 128 + field.asked_to_stop
    broken = all(outcome.status in ("diverged", "failed") for outcome in field.outcomes)
    return int(broken or any(outcome.recorded is False for outcome in field.outcomes))


@dataclass(frozen=True)
class Entry:
    """One run of a race; ``differs``: path → text of the values that are not the same for all."""

    experiment: Experiment
    differs: dict[str, str]

    @property
    def words(self) -> str:
        """What it is called in the table."""
        return ", ".join(
            text if path == "optimizer.name" else f"{path.removeprefix('optimizer.')} {text}"
            for path, text in self.differs.items()
        )


@dataclass(frozen=True)
class _Draft:
    """What one run changes: path → text, and those of them in which runs differ."""

    changes: dict[str, str]
    differs: dict[str, str]


def entered(base: Experiment, changes: Sequence[str], *, check: bool = True) -> list[Entry]:
    """Return all combinations of the values in ``path=value,value,…`` texts.

    Those of one run are applied together.

    Args:
        base: to change.
        changes: the texts.
        check: see :meth:`optlab.experiment.Experiment.from_dict`.

    Raises:
        InvalidInput: a text is not of that form, names no field, a value is not allowed, or fewer
            than two runs come of it, or too many.
    """
    drafts = [_Draft({}, {})]
    # Components first: which fields there are, and so where a comma belongs to a value, depends on
    # them.
    for path, text in sorted(
        (assignment(change) for change in changes), key=lambda pair: not pair[0].endswith(".name")
    ):
        drafts = [after for draft in drafts for after in _branched(base, draft, path, text)]
        if len(drafts) > MAX_RUNS:
            raise InvalidInput(
                f"This race would have more than {MAX_RUNS} runs; give fewer values."
            )
    if len(drafts) < 2:
        raise InvalidInput(
            "A race needs two runs or more; give several optimizers (--optimizers sgd,adam) or "
            "values (--set optimizer.lr=0.1,0.01)."
        )
    return [
        _titled(Entry(base.with_values(draft.changes, check=check), draft.differs), check=check)
        for draft in drafts
    ]


def _branched(base: Experiment, draft: _Draft, path: str, text: str) -> list[_Draft]:
    field = _field(base, draft, path)
    several = path.endswith(".name") or (field is not None and field.kind not in _LISTS)
    values = (
        [value.strip() for value in text.split(",") if value.strip()]
        if several and "," in text
        else []
    )
    if len(values) < 2:
        return [_Draft({**draft.changes, path: values[0] if values else text}, draft.differs)]
    # The experiment's own optimizer races with the fields that the experiment gives it.
    own = base.optimizer.name if path == "optimizer.name" else None
    return [
        _Draft(
            draft.changes if value == own else {**draft.changes, path: value},
            {**draft.differs, path: value},
        )
        for value in dict.fromkeys(values)
    ]


def _field(base: Experiment, draft: _Draft, path: str) -> Field | None:
    section, _, key = path.rpartition(".")
    owner: type[FieldSet] | None = PLAIN_SECTIONS.get(section) if section else General
    if section in SECTIONS:
        owner = registry.get(
            section, draft.changes.get(f"{section}.name", getattr(base, section).name)
        )
    return (
        next((field for field in owner.fields() if field.name == key), None)
        if owner is not None
        else None
    )


def _titled(entry: Entry, *, check: bool) -> Entry:
    """Return the entry with a title that tells its run from the others in lists and legends."""
    title = entry.experiment.title()
    if entry.experiment.general.title or set(entry.differs) != {"optimizer.name"}:
        title = f"{title} · {entry.words}"
    return Entry(entry.experiment.with_values({"title": title[:200]}, check=check), entry.differs)


def _common_title(base: Experiment, entries: Sequence[Entry]) -> str:
    """Return the title of a race.

    The experiment's own, or data and model where its title does not hold for all runs.
    """
    if all(entry.experiment.title().startswith(base.title()) for entry in entries):
        return base.title()
    first = entries[0].experiment
    return f"{first.dataset.short_name()} · {first.model.name}"


class Race:
    """Return what is known of each run, in the requested order."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = list(entries)
        self.outcomes = [
            Outcome(entry.experiment.title(), number=number) for number, entry in enumerate(entries)
        ]
        self.asked_to_stop = 0

    def on_event(self, event: Event) -> None:
        """Take notice of an event."""
        for outcome in self.outcomes:
            outcome.on_event(event)

    def on_end(self, run_ids: Sequence[str], runner: str) -> None:
        """Nothing follows."""
        for outcome in self.outcomes:
            outcome.asked_to_stop = self.asked_to_stop
            outcome.on_end(run_ids, runner)

    def ranked(self) -> list[tuple[Entry, Outcome]]:
        """By training loss, runs that broke last."""

        def rank(pair: tuple[Entry, Outcome]) -> tuple[bool, float]:
            loss = pair[1].final.get("train_loss")
            known = loss if loss is not None and math.isfinite(loss) else math.inf
            return pair[1].status in ("diverged", "failed"), known

        return sorted(zip(self.entries, self.outcomes, strict=True), key=rank)

    def document(self, title: str) -> dict[str, Any]:
        """Return the document that ``race --json`` prints.

        Each run as ``run --json`` has it, and what it differs in.
        """
        first = self.outcomes[0]
        return {
            "title": title,
            "device": first.device or None,
            "runner": first.runner or None,
            "parameters": first.parameters,
            "seconds": max(outcome.seconds for outcome in self.outcomes),
            "runs": [
                {"differs": entry.differs, **outcome.document()} for entry, outcome in self.ranked()
            ],
        }


def _say(title: str, field: Race) -> None:
    ranked = field.ranked()
    failed = next(
        (
            outcome.reason
            for outcome in field.outcomes
            if outcome.status in ("failed", "interrupted") and outcome.reason
        ),
        "",
    )
    if failed:
        print(printable(" ".join(failed.splitlines())), file=sys.stderr)
    say(f"{printable(title)}: {len(ranked)} runs from one start, by training loss\n")
    headers = (
        "Run",
        "Status",
        "Steps",
        "Training loss",
        "Validation loss",
        "Validation error",
        "Full gradient norm",
        "Stored as",
    )
    say_table(headers, [_row(entry, outcome) for entry, outcome in ranked], headed=True)


def _row(entry: Entry, outcome: Outcome) -> tuple[str, ...]:
    final = outcome.final

    def number(name: str, form: str = ".4g") -> str:
        value = final.get(name)
        return f"{value:{form}}" if value is not None else "–"

    numbers = (
        number("train_loss"),
        number("validation_loss"),
        number("validation_error", ".2%"),
        number("gradient_norm"),
    )
    return (
        entry.words,
        outcome.status,
        f"{outcome.steps:,}",
        *numbers,
        outcome.run + (" (only in part)" if outcome.recorded is False else "") or "–",
    )
