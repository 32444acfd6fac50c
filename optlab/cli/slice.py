"""``optlab slice``: the loss on a line or a plane through the weights."""

from __future__ import annotations

from typing import Annotated, Any, cast

import typer

from optlab.cli.options import Changes, json_option
from optlab.cli.output import say, say_json, say_table
from optlab.cli.run import ChangedData
from optlab.cli.subject import subject
from optlab.core.errors import InvalidInput
from optlab.core.limits import MAX_TRIVIAL_POINTS
from optlab.core.printable import printable
from optlab.tasks import slicing
from optlab.tasks.slicing import Along as PlaneAlong
from optlab.tasks.slicing import LineSlice, PlaneSlice, cut_line, cut_plane
from optlab.tasks.subject import Subject

ALONG = (*slicing.ALONG, "line")
_STEPS = 11
"""Rows and columns of the table for people; the JSON document has every value."""

ORDER = 160
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "slice", help=_HELP, short_help="The loss on a line or a plane through the weights."
    )(slice_)


_HELP = (
    "The objective on a plane through the weights of a stored RUN, or of an experiment FILE or "
    "PRESET trained for --steps first.\n\n"
    "--along random: two filter-normalized random directions. path: the first two principal "
    "components of the way there. gradient: the gradient and the "
    "top eigenvector of the Hessian. runs: from one to another (--to), and a random direction "
    "across. line: a line alone, with error bars over batches: to "
    "--to, or along a random direction. The share of the path's variance that a plane holds is "
    "shown, and the number of points that it was computed from: the snapshots of a stored run, or "
    "where there are few, its training once more. Try: optlab slice digits-mlp --steps 200 --along path."
)


def slice_(
    source: Annotated[str, typer.Argument(metavar="FILE|PRESET|RUN", help="Whose weights.")],
    along: Annotated[str, typer.Option(metavar="|".join(ALONG), help="Which slice.")] = "random",
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE|PRESET|RUN",
            help="The other end, for runs and line; of the same model and data.",
        ),
    ] = "",
    changes: Changes = None,
    steps: Annotated[
        int, typer.Option(metavar="N", help="Train an experiment for N updates first.")
    ] = 0,
    points: Annotated[int, typer.Option(metavar="N", help="Points in each direction.")] = 25,
    reach: Annotated[
        float,
        typer.Option(
            metavar="LENGTH",
            help="How far to go to either side; by default 1, or a margin around the path.",
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random directions.")] = 0,
    examples: Annotated[
        int, typer.Option(metavar="N", help="Use the first N training examples only; 0 for all.")
    ] = 0,
    batch: Annotated[
        int, typer.Option(metavar="M", help="Examples of a batch, for the error bars of a line.")
    ] = 32,
    changed_data: ChangedData = False,
    json: Annotated[bool, json_option("every value")] = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if along not in ALONG:
        raise InvalidInput(f"--along is '{along}', but it must be one of {', '.join(ALONG)}.")
    if not 2 <= points <= 1001 or reach < 0.0 or batch < 1:
        raise InvalidInput(
            "--points must be from 2 to 1001, --reach positive and --batch 1 or more."
        )
    if bool(to) != (along == "runs") and along != "line":
        raise InvalidInput(
            "--along runs needs the other end: --to RUN."
            if along == "runs"
            else f"--to cannot be combined with --along {along}."
        )
    here = subject(
        source,
        changes or [],
        steps,
        examples,
        path=along != "line",
        changed_data=changed_data,
    )
    other = _other_end(to, steps, changed_data) if to else None
    document: dict[str, Any] = {
        "source": source,
        "title": here.title,
        "step": here.step,
        "parameters": here.theta.shape[1],
        "along": along,
        "to": to or None,
    }
    if along == "line":
        document |= _line(cut_line(here, other, points=points, reach=reach, seed=seed, batch=batch))
    else:
        document |= _grid(
            cut_plane(here, cast(PlaneAlong, along), other, points=points, reach=reach, seed=seed)
        )
    if json:
        say_json(document)
    else:
        _say(document)
    return 0


def _other_end(to: str, steps: int, changed_data: bool) -> Subject:
    """Another run's weights, or those of an experiment trained as long."""
    try:
        return subject(to, [], steps, changed_data=changed_data)
    except InvalidInput:
        if not steps:
            raise
        return subject(to, [], 0, changed_data=changed_data)


def _grid(found: PlaneSlice) -> dict[str, Any]:
    return {
        "labels": list(found.labels),
        "a": found.a.tolist(),
        "b": found.b.tolist(),
        "loss": found.loss.tolist(),
        "path": {
            "points": len(found.steps),
            "steps": list(found.steps),
            "coordinates": found.path.tolist(),
            "off_plane": found.off_plane.tolist(),
            "explained": found.explained,
        },
    }


def _line(found: LineSlice) -> dict[str, Any]:
    return {
        "labels": [found.label],
        "a": found.at.tolist(),
        "loss": found.loss.tolist(),
        "standard_error": found.standard_error.tolist(),
        "spread": found.spread.tolist(),
        "batches": found.batches,
    }


def _say(document: dict[str, Any]) -> None:
    say(
        f"{printable(document['title'])}, step {document['step']:,}: the objective along "
        f"{' and '.join(document['labels'])}"
    )
    a = document["a"]
    rows = range(0, len(a), max(1, len(a) // _STEPS))
    if document["along"] == "line":
        found = [
            (f"{a[i]:.3g}", f"{document['loss'][i]:.5g}", f"{document['standard_error'][i]:.2g}")
            for i in rows
        ]
        say_table(("Position", "Objective", "± standard error"), found)
        return
    b = document["b"]
    columns = range(0, len(b), max(1, len(b) // _STEPS))
    say_table(
        ("a \\ b", *(f"{b[j]:.3g}" for j in columns)),
        [(f"{a[i]:.3g}", *(f"{document['loss'][i][j]:.4g}" for j in columns)) for i in rows],
    )
    path = document["path"]
    farthest = max(path["off_plane"])
    if document["along"] == "path":
        first, last = path["steps"][0], path["steps"][-1]
        say(
            f"  the plane rests on {path['points']} points of the path, from step {first:,} to "
            f"{last:,}"
        )
    if path["explained"] is not None:
        say(
            f"  the plane holds {path['explained']:.1%} of the path's variance; "
            f"{path['points']} points of the path are up to {farthest:.3g} off it"
        )
    elif path["points"] <= MAX_TRIVIAL_POINTS:
        say(
            f"  {path['points']} points do not tell how much of the path's variance the plane "
            "holds: so few points always lie in a plane"
        )
