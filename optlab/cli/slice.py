"""``optlab slice``: the loss on a line or a plane through the weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import typer

from optlab.cli.output import say, say_json, say_table
from optlab.cli.subject import Subject, subject
from optlab.curvature import slices
from optlab.curvature.extremes import extremes
from optlab.curvature.slices import Plane
from optlab.engine.seeding import generator
from optlab.errors import InvalidInput
from optlab.lazy import torch as _torch

Along = Literal["random", "path", "gradient", "runs", "line"]
ALONG: tuple[Along, ...] = get_args(Along)
_STEPS = 11
"""Rows and columns of the table for people; the JSON document has every value."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("slice", help=_HELP, short_help="The loss on a line or a plane through the weights.")(slice_)


_HELP = (
    "The objective on a plane through the weights of a stored RUN, or of an experiment FILE or PRESET trained for --steps first.\n\n"
    "--along random: two filter-normalized random directions. path: the first two principal components of the way there. gradient: the gradient and the "
    "top eigenvector of the Hessian. runs: from one to another (--to), and a random direction across. line: a line alone, with error bars over batches: to "
    "--to, or along a random direction. The share of the path's variance that a plane holds is told. Try: optlab slice digits-mlp --steps 200 --along path."
)


def slice_(
    source: Annotated[str, typer.Argument(metavar="FILE|PRESET|RUN", help="Whose weights.")],
    along: Annotated[str, typer.Option(metavar="|".join(ALONG), help="Which slice.")] = "random",
    to: Annotated[str, typer.Option("--to", metavar="FILE|PRESET|RUN", help="The other end, for runs and line; of the same model and data.")] = "",
    changes: Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a field of an experiment; may be repeated.")] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Train an experiment for N updates first.")] = 0,
    points: Annotated[int, typer.Option(metavar="N", help="Points in each direction.")] = 25,
    reach: Annotated[float, typer.Option(metavar="LENGTH", help="How far to go to either side; by default 1, or a margin around the path.")] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random directions.")] = 0,
    examples: Annotated[int, typer.Option(metavar="N", help="Use the first N training examples only; 0 for all.")] = 0,
    batch: Annotated[int, typer.Option(metavar="M", help="Examples of a batch, for the error bars of a line.")] = 32,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output, with every value.")] = False,
) -> int:
    """See the module."""
    if along not in ALONG:
        raise InvalidInput(f"--along is '{along}', but it must be one of {', '.join(ALONG)}.")
    if not 2 <= points <= 1001 or reach < 0.0 or batch < 1:
        raise InvalidInput("--points must be from 2 to 1001, --reach positive and --batch 1 or more.")
    if bool(to) != (along == "runs") and along != "line":
        raise InvalidInput("--along runs needs the other end, as --to RUN." if along == "runs" else f"--to does not go with --along {along}.")
    here = subject(source, changes or [], steps, examples)
    other = _other_end(here, to, steps) if to else None
    document: dict[str, Any] = {"source": source, "title": here.title, "step": here.step, "parameters": here.theta.shape[1], "along": along, "to": to or None}
    if along == "line":
        document |= _line(here, other, points, reach, seed, batch)
    else:
        document |= _grid(here, _plane(here, along, other, seed), points, reach)
    if json:
        say_json(document)
    else:
        _say(document)
    return 0


def _other_end(here: Subject, to: str, steps: int) -> Subject:
    """Another run's weights, in the same space.

    Raises:
        InvalidInput: its model has other parameters.
    """
    try:
        other = subject(to, [], steps)
    except InvalidInput:
        if not steps:
            raise
        other = subject(to, [], 0)
    if other.objective.layout != here.objective.layout:
        raise InvalidInput(f"--to is '{to}', whose model has other parameters than {here.source}: no line leads from one to the other.")
    return other


def _plane(here: Subject, along: str, other: Subject | None, seed: int) -> Plane:
    theta = here.theta[0]
    if along == "path":
        return slices.path_plane(here.path)
    if along == "gradient":
        gradient = here.landscape.value_and_gradient(here.theta)[1]
        found = extremes(here.landscape.hessian(here.theta).product, here.theta)
        return slices.gradient_plane(theta, gradient[0], found.top_vectors[0, 0])
    if other is not None:
        across = slices.filter_normalized(here.objective.layout, theta, generator(seed, "slice"))
        return slices.plane_between(theta, other.theta[0], across)
    return slices.random_plane(here.objective.layout, theta, seed)


def _grid(here: Subject, plane: Plane, points: int, reach: float) -> dict[str, Any]:
    coordinates, off = plane.coordinates(here.path)
    low, high = coordinates.amin(dim=0), coordinates.amax(dim=0)
    along_path = plane.labels[0].startswith("first component")
    if reach:
        low, high = _torch.full_like(low, -reach), _torch.full_like(high, reach)
    elif along_path:
        margin = 0.2 * (high - low)
        low, high = low - margin, high + margin
    elif plane.labels[0].startswith("from one"):
        low, high = _torch.tensor([-0.5, -1.0], dtype=low.dtype), _torch.tensor([1.5, 1.0], dtype=low.dtype)
    else:
        low, high = _torch.full_like(low, -1.0), _torch.full_like(high, 1.0)
    a, b = (_torch.linspace(float(low[axis]), float(high[axis]), points, dtype=_torch.float64) for axis in (0, 1))
    return {
        "labels": list(plane.labels),
        "a": a.tolist(),
        "b": b.tolist(),
        "loss": slices.grid(here.objective, plane, here.x, here.y, a, b).tolist(),
        "path": {
            "steps": list(here.at_steps),
            "coordinates": coordinates.tolist(),
            "off_plane": off.tolist(),
            "explained": plane.explained(here.path) if len(here.path) > 1 else None,
        },
    }


def _line(here: Subject, other: Subject | None, points: int, reach: float, seed: int, batch: int) -> dict[str, Any]:
    theta = here.theta[0]
    if other is not None:
        direction, low, high = other.theta[0] - theta, -(reach or 0.5), 1.0 + (reach or 0.5)
        label = "from one to the other"
    else:
        direction = slices.filter_normalized(here.objective.layout, theta, generator(seed, "slice"))
        low, high, label = -(reach or 1.0), reach or 1.0, "random direction"
    at = _torch.linspace(low, high, points, dtype=_torch.float64)
    found = slices.line(here.objective, theta, direction, here.x, here.y, at, batch=batch)
    return {
        "labels": [label],
        "a": at.tolist(),
        "loss": found.mean.tolist(),
        "standard_error": found.standard_error.tolist(),
        "spread": found.spread.tolist(),
        "batches": found.batches,
    }


def _say(document: dict[str, Any]) -> None:
    say(f"{document['title']}, step {document['step']:,}: the objective along {' and '.join(document['labels'])}")
    a = document["a"]
    rows = range(0, len(a), max(1, len(a) // _STEPS))
    if document["along"] == "line":
        found = [(f"{a[i]:.3g}", f"{document['loss'][i]:.5g}", f"{document['standard_error'][i]:.2g}") for i in rows]
        say_table(("Position", "Objective", "± standard error"), found)
        return
    b = document["b"]
    columns = range(0, len(b), max(1, len(b) // _STEPS))
    say_table(("a \\ b", *(f"{b[j]:.3g}" for j in columns)), [(f"{a[i]:.3g}", *(f"{document['loss'][i][j]:.4g}" for j in columns)) for i in rows])
    path = document["path"]
    if path["explained"] is not None:
        farthest = max(path["off_plane"])
        say(f"  the plane holds {path['explained']:.1%} of the path's variance; the path's points are up to {farthest:.3g} off it")
