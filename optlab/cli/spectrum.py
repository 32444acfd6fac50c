"""``optlab spectrum``: the eigenvalues of the Hessian at the weights."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from optlab.cli.options import Changes, Json
from optlab.cli.output import say, say_json, say_table
from optlab.cli.run import ChangedData
from optlab.cli.subject import subject
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.curvature.extremes import extremes
from optlab.curvature.spectrum import density_of, full_spectrum_of, trace_of
from optlab.tasks.landscape import path_convexity

ORDER = 150
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "spectrum", help=_HELP, short_help="Eigenvalues, trace and spectral density of the Hessian."
    )(spectrum)


_HELP = (
    "Eigenvalues of the Hessian of the objective on the training examples, at the weights of a "
    "stored RUN, or of an experiment FILE or PRESET trained for "
    "--steps first.\n\n"
    "The largest and smallest by Lanczos on Hessian products, the trace by random signs with its "
    "standard error, the density (--density) by stochastic "
    "Lanczos quadrature, all of them (--whole) for small models; --convexity says at which points "
    "of the path no eigenvalue is negative. Try: optlab spectrum digits-mlp "
    "--steps 200 --density."
)


def spectrum(
    source: Annotated[str, typer.Argument(metavar="FILE|PRESET|RUN", help="Whose weights.")],
    changes: Changes = None,
    steps: Annotated[
        int, typer.Option(metavar="N", help="Train an experiment for N updates first.")
    ] = 0,
    top: Annotated[int, typer.Option(metavar="K", help="How many of the largest eigenvalues.")] = 5,
    bottom: Annotated[int, typer.Option(metavar="K", help="How many of the smallest.")] = 2,
    tolerance: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Largest residual, relative to the largest eigenvalue."),
    ] = 1e-5,
    probes: Annotated[
        int, typer.Option(metavar="N", help="Random probes of the trace; 0 for no trace.")
    ] = 32,
    density: Annotated[bool, typer.Option("--density", help="Also the spectral density.")] = False,
    whole: Annotated[
        bool,
        typer.Option("--whole", help="Also all eigenvalues and their signs; for small models."),
    ] = False,
    convexity: Annotated[
        bool,
        typer.Option(
            "--convexity", help="Also where along the path of the run the objective is convex."
        ),
    ] = False,
    examples: Annotated[
        int, typer.Option(metavar="N", help="Use the first N training examples only; 0 for all.")
    ] = 0,
    changed_data: ChangedData = False,
    json: Json = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if top < 0 or bottom < 0 or top + bottom < 1 or not tolerance > 0.0 or probes < 0:
        raise InvalidInput(
            "--top and --bottom must add up to at least 1, --tolerance must be above 0, and "
            "--probes must be 0 or more."
        )
    looked_at = subject(
        source, changes or [], steps, examples, path=convexity, changed_data=changed_data
    )
    here = looked_at.landscape.hessian(looked_at.theta)
    ends = extremes(here.product, looked_at.theta, top=top, bottom=bottom, tolerance=tolerance)
    document: dict[str, Any] = {
        "source": source,
        "title": looked_at.title,
        "step": looked_at.step,
        "parameters": looked_at.theta.shape[1],
        "top": ends.top[0].tolist(),
        "bottom": ends.bottom[0].tolist(),
        "residual": float(ends.residuals[0]),
        "converged": bool(ends.converged[0]),
        "products": int(ends.products[0]),
        "trace": None,
        "density": None,
        "whole": None,
        "convexity": None,
    }
    if probes:
        estimate = trace_of(here, probes=probes)
        document["trace"] = {
            "mean": float(estimate.mean[0]),
            "standard_error": float(estimate.standard_error[0]),
            "probes": probes,
        }
    if density:
        found = density_of(here)
        document["density"] = {
            "grid": found.grid[0].tolist(),
            "density": found.density[0].tolist(),
            "moments": found.moments[0].tolist(),
            "width": float(found.width[0]),
            "products": found.products,
        }
    if whole:
        every = full_spectrum_of(here)
        document["whole"] = {
            "eigenvalues": every.values[0].tolist(),
            "negative": int(every.negative[0]),
            "zero": int(every.zero[0]),
            "negative_share": float(every.negative_share[0]),
        }
    if convexity:
        along = path_convexity(looked_at)
        document["convexity"] = {
            "steps": list(along.steps),
            "lowest": along.lowest.tolist(),
            "convex": list(along.convex),
            "sentence": along.sentence,
        }
    if json:
        say_json(document)
    else:
        _say(document)
    return 0


def _say(document: dict[str, Any]) -> None:
    say(
        f"{printable(document['title'])}, step {document['step']:,}: {document['parameters']:,} parameters"
    )
    reached = "converged" if document["converged"] else "not converged"
    say(
        f"  {reached} after {document['products']:,} Hessian products, relative residual "
        f"{document['residual']:.2g}"
    )
    rows = [
        (f"λ{number}", f"{value:.10g}") for number, value in enumerate(document["top"], start=1)
    ]
    rows += [
        (f"λ−{number}", f"{value:.10g}")
        for number, value in reversed(list(enumerate(document["bottom"], start=1)))
    ]
    say_table(("Eigenvalue", "Value"), rows)
    trace = document["trace"]
    if trace is not None:
        say(
            f"  trace              {trace['mean']:.6g} ± {trace['standard_error']:.2g} "
            f"({trace['probes']} probes)"
        )
    every = document["whole"]
    if every is not None:
        say(
            f"  all eigenvalues    {every['negative']} negative ({every['negative_share']:.1%}), "
            f"{every['zero']} zero, "
            f"{document['parameters'] - every['negative'] - every['zero']} positive"
        )
    along = document["convexity"]
    if along is not None:
        say(f"  along the path     {along['sentence']}")
        say_table(
            ("Step", "Smallest eigenvalue", "Convex"),
            [
                (f"{step:,}", f"{lowest:.6g}", "yes" if convex else "no")
                for step, lowest, convex in zip(
                    along["steps"], along["lowest"], along["convex"], strict=True
                )
            ],
        )
    smooth = document["density"]
    if smooth is not None:
        moments = ", ".join(f"{value:.4g}" for value in smooth["moments"])
        say(
            f"  density            moments tr(Hʲ)/P for j = 0, 1, …: {moments}; the curve itself "
            "is in --json"
        )
