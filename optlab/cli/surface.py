"""``optlab surface``.

Methods race on a function of one or two variables; its critical points and their basins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import numpy as np
import typer

from optlab.catalogue.clipping.base import Clipping
from optlab.catalogue.optimizers.base import Optimizer
from optlab.catalogue.schedules.base import Schedule
from optlab.catalogue.surfaces.base import Point, Start, Surface
from optlab.cli.options import json_option, set_option
from optlab.cli.output import say, say_json, say_table
from optlab.core import registry
from optlab.core.component import Component
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.studies.surfaces.descent import Contender, Race, place, race
from optlab.studies.surfaces.stationary import (
    ELSEWHERE,
    LOST,
    Basins,
    CriticalPoints,
    Local,
    basins,
    critical_points,
)

MAX_STEPS = 1_000_000
MAX_STARTS = 501
"""Starts along each variable in a picture of basins: a quarter of a million runs for two."""
_SECTIONS = ("surface", "optimizer", "schedule", "clipping")

ORDER = 170
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "surface", help=_HELP, short_help="Let methods race on a function of one or two variables."
    )(surface)


_HELP = (
    "Let methods race on a surface NAME (optlab list surfaces), and say where each ends.\n\n"
    "Try: optlab surface cliff --clip 1, or optlab surface saddle --optimizer "
    "sgd,newton,saddle_free_newton, or "
    'optlab surface formula --set "surface.expression=x^4 - x^2 + y^2" --critical.\n\n'
    "Without --optimizer gradient descent goes at the rate that suits the surface. With "
    "--critical alone nothing races."
)


def surface(
    name: Annotated[str, typer.Argument(help="A surface, as saddle; optlab list surfaces.")],
    optimizer: Annotated[str, typer.Option(metavar="A,B,…", help="Optimizers to race.")] = "",
    lr: Annotated[
        str,
        typer.Option(
            metavar="A,B,…",
            help="Learning rate of all, or one each; an empty one keeps the default.",
        ),
    ] = "",
    start: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y|WORDS",
            help='A start, or what the surface calls one ("from below", "all"); may be repeated.',
        ),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps that each takes.")] = 200,
    noise: Annotated[
        float,
        typer.Option(
            metavar="σ", help="Noise on each component of the gradient, the same for all."
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the noise.")] = 0,
    clip: Annotated[
        str,
        typer.Option(
            metavar="C",
            help="Clip gradients by this norm; the same as --set clipping.name=norm with its "
            "threshold.",
        ),
    ] = "",
    changes: Annotated[
        list[str] | None,
        set_option(
            help="Change a field of the surface, of the optimizers that have it, of schedule or clipping"
        ),
    ] = None,
    critical: Annotated[
        bool,
        typer.Option(
            "--critical", help="Find all points where the gradient is zero, with their eigenvalues."
        ),
    ] = False,
    basin: Annotated[
        bool,
        typer.Option(
            "--basins", help="Run the method from a grid of starts and count where they end."
        ),
    ] = False,
    grid: Annotated[
        int, typer.Option(metavar="N", help="Starts along each variable for --basins.")
    ] = 41,
    json: Annotated[bool, json_option("every path")] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    for label, value, least, most in (
        ("steps", steps, 1, MAX_STEPS),
        ("grid", grid, 2, MAX_STARTS),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if not least <= value <= most:
            raise InvalidInput(
                f"--{label} is {value}, but it must be a whole number from {least} to {most}.",
                label,
            )
    if not 0.0 <= noise < float("inf"):
        raise InvalidInput(f"--noise is {noise:g}, but it must be a number at least 0.", "noise")
    tables = _tables(changes or [])
    ground = cast(Surface, _build("surface", name, tables["surface"]))
    if clip:
        tables["clipping"] = {"name": "norm", "threshold": clip, **tables["clipping"]}
    methods = _methods(ground, optimizer, lr, tables["optimizer"])
    schedule = cast(
        Schedule, _build("schedule", tables["schedule"].pop("name", "constant"), tables["schedule"])
    )
    clipping = cast(
        Clipping, _build("clipping", tables["clipping"].pop("name", "none"), tables["clipping"])
    )
    document: dict[str, Any] = {
        "surface": {"name": ground.name, **ground.values(), "domain": ground.domain()}
    }
    if critical:
        found = critical_points(ground)
        document["critical"] = {
            "complete": found.complete,
            "points": [_point_document(point) for point in found.points],
        }
        if not json:
            _say_critical(found)
    if basin:
        document["basins"] = []
        for method in methods:
            reached = basins(ground, method, schedule, clipping, steps=steps, count=grid)
            document["basins"].append(_basins_document(method, reached))
            if not json:
                _say_basins(method, reached)
    if not (critical or basin) or optimizer or start:
        starts = [found for words in start or [""] for found in _starts(ground, words)]
        contenders = [
            Contender(
                method,
                where.point,
                schedule,
                clipping,
                f"{method.name} {where.label}".strip(),
                seed,
            )
            for where in starts
            for method in methods
        ]
        ran = race(ground, contenders, steps, noise)
        document["runs"] = [_run_document(ran, run) for run in range(len(contenders))]
        if not json:
            _say_race(ran)
    if json:
        say_json(document)


def _tables(changes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return section → field → text, for every ``--set``."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for change in changes:
        path, equals, text = change.partition("=")
        section, dot, field = path.strip().partition(".")
        if not equals or not dot or section not in _SECTIONS:
            raise InvalidInput(
                f"--set is {shown(change)}, but it must be PATH=VALUE with a path in "
                f"{', '.join(_SECTIONS)}, such as surface.condition=20.",
                path,
            )
        found[section][field] = text.strip()
    return found


def _build(kind: str, name: str, texts: Mapping[str, str]) -> Component:
    """A component with values as they were typed."""
    component = registry.get(kind, name)
    known = {field.name: field for field in component.fields()}
    values: dict[str, Any] = {}
    for key, text in texts.items():
        try:
            values[key] = known[key].parse(text) if key in known else text
        except (ValueError, KeyError):
            raise InvalidInput(
                f"{kind}.{key} is {shown(text)}, but it must be {known[key].allowed}.",
                f"{kind}.{key}",
            ) from None
    return component.build(values, kind)


def _methods(ground: Surface, names: str, rates: str, fields: Mapping[str, str]) -> list[Optimizer]:
    """Return the requested optimizers, with their rates and fields."""
    if "name" in fields:
        raise InvalidInput(
            "optimizer.name cannot be set by --set; name the optimizers by --optimizer.",
            "optimizer.name",
        )
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    given = [rate.strip() for rate in rates.split(",")]
    count = len(wanted) or 1
    if len(given) not in (1, count):
        raise InvalidInput(
            f"--lr gives {len(given)} rates for {count} optimizers; give one for all, or one each.",
            "lr",
        )
    each = given * count if len(given) == 1 else given
    classes = [registry.get("optimizer", name) for name in wanted or ["sgd"]]
    known = {field.name for component in classes for field in component.fields()}
    for key in fields:
        if key not in known:
            raise InvalidInput(
                f"optimizer.{key} is no field of "
                f"{', '.join(wanted or ['sgd'])}{did_you_mean(key, known)}.",
                f"optimizer.{key}",
            )
    built: list[Optimizer] = []
    for component, rate in zip(classes, each, strict=True):
        own = {field.name for field in component.fields()}
        texts = {key: text for key, text in fields.items() if key in own}
        if rate and "lr" in own:
            texts["lr"] = rate
        elif not wanted and "lr" not in texts:
            texts["lr"] = repr(ground.lr)
        built.append(cast(Optimizer, _build("optimizer", component.name, texts)))
    return built


def _starts(ground: Surface, words: str) -> tuple[Start, ...]:
    """The starts that a word or a point means."""
    own = ground.starts()
    if not words:
        return own[:1]
    if words == "all":
        return own
    named = [start for start in own if start.label == words.strip().lower()]
    if named:
        return tuple(named)
    try:
        point: Point = tuple(float(part) for part in words.strip("() ").split(","))
    except ValueError:
        labels = [start.label for start in own]
        raise InvalidInput(
            f"--start is {shown(words)}, but it must be coordinates, such as "
            f"{','.join(f'{x:g}' for x in own[0].point)}, or one of: all, {', '.join(labels)}.",
            "start",
        ) from None
    return (Start(place(point), point),)


def _say_race(ran: Race) -> None:
    rows = []
    for run, contender in enumerate(ran.contenders):
        end = ran.path(run)[-1]
        rows.append(
            (
                contender.optimizer.name,
                place(contender.start),
                f"{ran.endings[run]} after {ran.lengths[run]}",
                place(end.tolist()),
                f"{ran.values[ran.lengths[run], run]:.6g}",
                f"{np.linalg.norm(ran.gradients[ran.lengths[run], run]):.3g}",
                f"{ran.path_length(run):.4g}",
                f"{ran.distance(run):.4g}",
                "{1:.4g} at {0}".format(*ran.largest_step(run)),
            )
        )
    say_table(
        (
            "Optimizer",
            "Start",
            "Steps",
            "End",
            "Value",
            "Slope",
            "Path",
            "Distance",
            "Largest step",
        ),
        rows,
    )
    for contender, ending, reason in zip(ran.contenders, ran.endings, ran.reasons, strict=True):
        if reason:
            say(f"{contender.optimizer.name} {ending}: {reason}.")
    for contender, notes in zip(ran.contenders, ran.notes, strict=True):
        if notes:
            step, note = next(iter(notes.items()))
            say(
                f"{contender.optimizer.name}, step {step + 1}"
                + (f" and {len(notes) - 1} more" if len(notes) > 1 else "")
                + f": {note}."
            )


def _say_critical(found: CriticalPoints) -> None:
    if not found.points:
        say("No critical points in the part shown.")
    say_table(
        ("Point", "Value", "What it is"),
        [
            (place(point.point.tolist()), f"{point.value:.6g}", point.sentence)
            for point in found.points
        ],
    )
    if not found.complete:
        say("There are more; they may fill a line.")


def _say_basins(method: Optimizer, reached: Basins) -> None:
    total = reached.owner.size
    rows = []
    for index, target in enumerate(reached.targets):
        here = reached.owner == index
        words = f"{method.name} to {target.kind} {place(target.point.tolist())}"
        rows.append(
            (words, f"{here.sum() / total:.1%}", f"{np.median(reached.steps[here]):.0f} steps")
        )
    for index, words in ((ELSEWHERE, "at no critical point"), (LOST, "diverged")):
        if (reached.owner == index).any():
            rows.append(
                (f"{method.name} {words}", f"{(reached.owner == index).sum() / total:.1%}", "")
            )
    say_table(("Ends", "Share of starts", "Median"), rows)


def _run_document(ran: Race, run: int) -> dict[str, Any]:
    contender, length = ran.contenders[run], int(ran.lengths[run])
    return {
        "optimizer": {"name": contender.optimizer.name, **contender.optimizer.values()},
        "start": contender.start,
        "status": ran.endings[run],
        "reason": ran.reasons[run] or None,
        "steps": length,
        "end": ran.path(run)[-1].tolist(),
        "value": float(ran.values[length, run]),
        "gradient_norm": float(np.linalg.norm(ran.gradients[length, run])),
        "path_length": ran.path_length(run),
        "distance": ran.distance(run),
        "largest_step": dict(zip(("step", "length"), ran.largest_step(run), strict=True)),
        "path": ran.path(run).tolist(),
        "values": ran.values[: length + 1, run].tolist(),
        "notes": [{"step": step + 1, "note": note} for step, note in ran.notes[run].items()],
    }


def _point_document(point: Local) -> dict[str, Any]:
    return {
        "point": point.point.tolist(),
        "value": point.value,
        "kind": point.kind,
        "index": point.index,
        "eigenvalues": point.eigenvalues.tolist(),
        "eigenvectors": point.eigenvectors.T.tolist(),
        "sentence": point.sentence,
    }


def _basins_document(method: Optimizer, reached: Basins) -> dict[str, Any]:
    return {
        "optimizer": {"name": method.name, **method.values()},
        "axes": [along.tolist() for along in reached.axes],
        "targets": [_point_document(target) for target in reached.targets],
        "owner": reached.owner.tolist(),
        "steps": reached.steps.tolist(),
    }
