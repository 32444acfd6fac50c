"""``optlab measure``.

What instruments find, at the weights of a stored run or while an experiment is trained for some
steps.
"""

from __future__ import annotations

import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from optlab.catalogue.instruments.base import Instrument
from optlab.cli.options import Changes, Json
from optlab.cli.output import say, say_json, say_table
from optlab.cli.run import ONLY_STORED, ChangedData, changed
from optlab.cli.test_part import say_confusion, say_gaps
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.experiment import Experiment, presets
from optlab.experiment.data_files import experiment_of
from optlab.experiment.named import load
from optlab.store import Store
from optlab.tasks.test_part import on_test_part
from optlab.training.trainer import Trainer

ORDER = 130
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "measure",
        help=_HELP,
        short_help="Take instruments: conditioning, gradient noise, eigenvalues, …",
    )(measure)


_HELP = (
    "Take instruments of an experiment FILE or PRESET while it is trained for --steps, or of a "
    "stored RUN from its latest weights on.\n\n"
    "Each is read on its schedule, and those that were not due in the last step once more at the "
    "end, at the final parameters. "
    "Without --instruments, those that the experiment names, "
    "or else the default ones. Nothing is stored, and a stored run stays as it is. Try: optlab "
    "measure digits-mlp --instruments gradient_noise,spectrum "
    "--steps 200. What there is: optlab list instruments; fields: --set instruments.spectrum.top=3.\n\n"
    "With --test: the performance on the test part, 20% of all examples unless dataset.test says otherwise."
)


def measure(
    source: Annotated[str, typer.Argument(metavar="FILE|PRESET|RUN", help="What is measured.")],
    instruments: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Instruments, as NAME or NAME:EVERY, separated by commas; all for every one.",
        ),
    ] = "",
    changes: Changes = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Updates to take.")] = 0,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Evaluate a stored RUN on its test part instead, on which no choice is based: loss, "
            "0-1 error and confusion matrix, or R² and mean absolute error.",
        ),
    ] = False,
    changed_data: ChangedData = False,
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if steps < 0:
        raise InvalidInput(f"--steps is {steps}, but it must be 0 or more.")
    if test:
        others = bool(instruments or changes or steps)
        return _test(source, json=json, others=others, changed_data=changed_data)
    trainer = _trainer(source, instruments, changes or [], changed_data)
    for _ in range(steps):
        trainer.advance()
        trainer.sync_divergence()
        if not trainer.alive:
            break
    if trainer.alive:
        trainer.instrument_runner.read_all(trainer.step)
    document = _document(source, trainer)
    if json:
        say_json(document)
    else:
        _say(document)
    failures = document["failures"]
    for reason in failures.values():
        print(reason, file=sys.stderr)
    return int(not trainer.alive or bool(failures))


def _test(source: str, *, json: bool, others: bool, changed_data: bool) -> int:
    """Evaluate a stored run on its test part.

    Raises:
        InvalidInput: it is no stored run or has no test part, or other options are given.
    """
    if others:
        raise InvalidInput(
            "--test evaluates the weights of a stored run as they are: --instruments, --set and "
            "--steps cannot be combined with it."
        )
    if Path(source).is_file() or source in {path.stem for path in presets.files()}:
        raise InvalidInput(
            f"'{source}' is an experiment, but --test needs a stored run; train it with: optlab run "
            f"{source}. Its summary has the test part already."
        )
    result = on_test_part(source, changed_data=changed_data)
    if json:
        say_json({"run": source, **asdict(result)})
        return 0
    say(
        f"{printable(result.title)}, step {result.step:,}: {result.examples:,} examples of the "
        "test part"
    )
    error = result.values.get("test_error")
    say(
        f"  test loss          {result.values['test_loss']:.6g}"
        + (f", 0-1 error {error:.2%}" if error is not None else "")
    )
    say_gaps(result.values)
    say_confusion(result.confusion, result.classes)
    return 0


def _trainer(source: str, words: str, changes: list[str], changed_data: bool) -> Trainer:
    """Of an experiment at its start, or of a stored run at its latest snapshot."""
    if Path(source).is_file() or source in {path.stem for path in presets.files()}:
        if changed_data:
            raise InvalidInput(ONLY_STORED, "changed_data")
        return Trainer([_with_instruments(changed(load(source), changes), words)])
    if Path(source).suffix:
        load(source)  # says what is wrong with it as a file
    with Store.open_readonly() as store:
        try:
            record = store.run(source)
        except InvalidInput:
            load(source)  # which names the files and presets that it may have meant
            raise
        found = store.snapshots(record.id)
        if not found:
            raise InvalidInput(f"The run {record.id} has no stored weights to look at.")
        snapshot = store.load_snapshot(found[-1])
    others = [change for change in changes if not change.strip().startswith("instruments.")]
    if others:
        raise InvalidInput(
            f"'{source}' is a stored run, which is measured as it is: only instruments can be "
            f"set, and --set {others[0]} cannot be combined with it."
        )
    experiment = experiment_of(
        record.id, record.experiment, record.identities, changed_data=changed_data
    )
    return Trainer([_with_instruments(changed(experiment, changes), words)], [snapshot])


def _with_instruments(experiment: Experiment, words: str) -> Experiment:
    """Return the experiment with the requested instruments, and no others."""
    everything = cast("list[type[Instrument]]", registry.components("instrument"))
    asked = [word.strip() for word in words.split(",") if word.strip()]
    if asked == ["all"] or not asked:
        if not asked and experiment.instruments:
            return experiment
        for one in everything:
            if (asked or one.usual) and one.name not in {
                instrument.name for instrument in experiment.instruments
            }:
                try:
                    experiment = experiment.with_instrument(one.name, {})
                except InvalidInput:
                    continue  # it does not exist for this experiment, and was not asked for by name
        return experiment
    names = [word.partition(":")[0] for word in asked]
    for instrument in experiment.instruments:
        if instrument.name not in names:
            experiment = experiment.with_instrument(instrument.name, None)
    for word in asked:
        name, colon, every = word.partition(":")
        if colon:
            experiment = experiment.with_value(f"instruments.{name}.every", every)
        elif name not in {instrument.name for instrument in experiment.instruments}:
            experiment = experiment.with_instrument(name, {})
    return experiment


def _document(source: str, trainer: Trainer) -> dict[str, Any]:
    series = {
        name: found
        for name, found in trainer.recorder.flush().items()
        if name.partition(".")[0] in trainer.instrument_runner.on
    }
    pictures = {picture.name: picture for picture in trainer.instrument_runner.drawn()}
    plain, seconds = trainer.instrument_runner.costs()
    found: dict[str, Any] = {}
    for name, slot in trainer.instrument_runner.on.items():
        labels = {quantity.name: quantity.label for quantity in slot.instrument.gives}
        found[name] = {
            "label": slot.instrument.label,
            "fields": slot.instrument.values(),
            "readings": slot.readings,
            "seconds": seconds.get(name),
            "plain_steps": seconds[name] / plain if plain > 0.0 and name in seconds else None,
            "series": {
                key: {
                    "label": labels[key],
                    "steps": one.steps.tolist(),
                    "values": one.values[:, 0].tolist(),
                    "columns": list(one.columns) or None,
                }
                for key, one in ((key, series.get(f"{name}.{key}")) for key in labels)
                if one is not None
            },
            "picture": {key: values.tolist() for key, values in pictures[name].arrays.items()}
            if name in pictures
            else None,
        }
    ending = trainer.endings.get(0)
    return {
        "source": source,
        "title": trainer.requested[0].title(),
        "step": trainer.step if ending is None else ending.step,
        "ended": None if ending is None else ending.reason,
        "parameters": trainer.layout.total,
        "plain_step_seconds": plain or None,
        "instruments": found,
        "failures": dict(trainer.instrument_runner.failures),
    }


def _say(document: dict[str, Any]) -> None:
    say(
        f"{printable(document['title'])}, step {document['step']:,}: {document['parameters']:,} parameters"
    )
    if document["ended"]:
        say(f"  {document['ended']}")
    for found in document["instruments"].values():
        cost = (
            f", {found['plain_steps']:.3g} plain steps each"
            if found["plain_steps"] is not None
            else ""
        )
        say(f"{found['label']}: {found['readings']:,} readings{cost}")
        rows: list[tuple[str, str]] = []
        for one in found["series"].values():
            last = one["values"][-1]
            if one["columns"] is None:
                rows.append((one["label"], _shown(last)))
            else:
                rows += [
                    (f"{one['label']}: {column}", _shown(value))
                    for column, value in zip(one["columns"], last, strict=True)
                ]
        say_table(("Quantity", "Last"), [(f"  {label}", value) for label, value in rows])
        if found["picture"]:
            say("  (a picture: its arrays are in --json)")


def _shown(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else "–" if math.isnan(value) else "∞"
