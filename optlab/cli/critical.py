"""``optlab critical``: from the weights to the nearest critical point, and its name."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from optlab.cli.options import Changes, json_option
from optlab.cli.output import say, say_json, say_table
from optlab.cli.run import ChangedData
from optlab.cli.subject import experiment_of_source, subject
from optlab.core.errors import InvalidInput
from optlab.core.limits import MAX_WHOLE_SPECTRUM
from optlab.core.printable import printable
from optlab.curvature.critical_points import (
    CriticalPointResult,
    Verdict,
    find,
    name,
    products_of_step,
)
from optlab.curvature.newton_steps import SearchProgress
from optlab.experiment import Experiment
from optlab.objective.objective import Objective
from optlab.tasks.landscape import ESCAPE_STEPS, START_OFFSET, run_escapes
from optlab.tasks.subject import Subject

_LONG_SECONDS = 20.0
"""Duration of a search from which on its cost is said beforehand."""
_REPORT_SECONDS = 5.0
"""Time between two reports of the progress."""

ORDER = 140
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "critical",
        help=_HELP,
        short_help="Go to the nearest critical point, and name it by its Hessian.",
    )(critical)


_HELP = (
    "Go from the weights of a stored RUN, or of an experiment FILE or PRESET trained for --steps "
    "first, to a nearby critical point of its objective, and "
    "name it by the eigenvalues of the Hessian: minimum, maximum, saddle (with its index), "
    "degenerate or flat.\n\n"
    "The point is sought as a zero of the gradient on the training examples, whatever its kind: "
    "saddles attract as minima do. Everything is computed in "
    "double precision. An eigenvalue counts as zero where it is at most --zero times the largest. "
    "Directions in which the model is known to be flat, such as the shift of all outputs that a "
    "softmax ignores, are counted separately. Where classes can be separated there is no minimum, and "
    "the search runs off to infinity, which is reported. "
    "Try: optlab critical iris-softmax --steps 50 --set loss.l2=0.01."
)


def critical(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|PRESET|RUN…",
            help="Where to begin; several are treated one after another.",
        ),
    ],
    changes: Changes = None,
    steps: Annotated[
        int, typer.Option(metavar="N", help="Train an experiment for N updates first.")
    ] = 0,
    here: Annotated[
        bool,
        typer.Option(
            "--here", help="Name the point where the weights are; do not go to a critical one."
        ),
    ] = False,
    most: Annotated[
        int, typer.Option("--most", metavar="N", help="Most steps of the finder.")
    ] = 200,
    zero: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Share of the largest eigenvalue below which one counts as zero."
        ),
    ] = 1e-6,
    methods: Annotated[
        bool,
        typer.Option(
            "--methods",
            help="Also where gradient descent, Newton and saddle-free Newton go from beside the "
            "point; for small models.",
        ),
    ] = False,
    examples: Annotated[
        int, typer.Option(metavar="N", help="Use the first N training examples only; 0 for all.")
    ] = 0,
    changed_data: ChangedData = False,
    json: Annotated[bool, json_option("an object for each point", "One JSON array")] = False,
) -> int:
    """Run the command.

    Raises:
        InvalidInput: an argument or an option is not allowed.
    """
    if most < 1 or not 0.0 <= zero < 1.0:
        raise InvalidInput(
            f"--most must be 1 or more and --zero at least 0 and below 1, but they are {most} and "
            f"{zero:g}."
        )
    if methods and (here or examples):
        raise InvalidInput(
            "--methods starts beside the critical point of all training examples; use it without "
            "--here and --examples."
        )
    documents = []
    for source in sources:
        looked_at = subject(source, changes or [], steps, examples, changed_data=changed_data)
        found = None
        if not here:
            _say_cost(looked_at, most)
            found = find(
                looked_at.landscape, looked_at.theta, steps=most, on_progress=_Report(most)
            )
        verdict = name(
            looked_at.landscape,
            looked_at.theta if found is None else found.theta,
            zero=zero,
            runaway=None if found is None else found.runaway,
        )
        escapes = (
            _escapes(experiment_of_source(source, changes or []), found, looked_at.objective)
            if methods and found is not None
            else None
        )
        documents.append(_document(source, looked_at, found, verdict) | {"methods": escapes})
        if not json:
            _say(looked_at, found, verdict)
            _say_escapes(escapes)
    if json:
        say_json(documents)
    return 0


def _say_cost(looked_at: Subject, most: int) -> None:
    """Say on standard error how long the search may take, where that is long."""
    hessian = looked_at.landscape.hessian(looked_at.theta)
    hessian.product(looked_at.theta)  # the first one also prepares the others
    began = time.perf_counter()
    hessian.product(looked_at.theta)
    seconds = time.perf_counter() - began
    parameters = looked_at.theta.shape[1]
    products = products_of_step(parameters)
    longest = seconds * products * most
    if longest > _LONG_SECONDS:
        print(
            f"{parameters:,} parameters on {len(looked_at.x):,} examples: a Hessian product takes "
            f"about {seconds:.2g} s and a step up to {products} of them, so {most} steps take at "
            f"most {_duration(longest)}; --most N and --examples N shorten it.",
            file=sys.stderr,
            flush=True,
        )


class _Report:
    """Reports on standard error how far a search is, every few seconds."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._began = self._said = time.perf_counter()

    def __call__(self, progress: SearchProgress) -> None:
        now = time.perf_counter()
        if now - self._said < _REPORT_SECONDS:
            return
        self._said = now
        print(
            f"  step {progress.steps} of at most {self._most}, gradient norm "
            f"{progress.gradient_norm:.3g}, {progress.products:,} Hessian products, "
            f"{now - self._began:.0f} s",
            file=sys.stderr,
            flush=True,
        )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120.0 else f"{seconds / 60.0:.0f} min"


def _escapes(
    experiment: Experiment, found: CriticalPointResult, objective: Objective
) -> list[dict[str, Any]]:
    """Return where methods end that start beside a critical point.

    Raises:
        InvalidInput: the model is too large.
    """
    parameters = found.theta.shape[1]
    if parameters > MAX_WHOLE_SPECTRUM:
        raise InvalidInput(
            f"--methods uses Newton's method with the whole Hessian, for models of up to "
            f"{MAX_WHOLE_SPECTRUM:,} parameters, but this one has {parameters:,}."
        )
    return [
        {"method": label, "objective": objective, "distance": distance}
        for label, objective, distance in run_escapes(experiment, found.theta, objective.states)
    ]


def _say_escapes(escapes: list[dict[str, Any]] | None) -> None:
    if escapes is None:
        return
    say(f"  after {ESCAPE_STEPS} steps from a point at a distance of {START_OFFSET:g}:")
    say_table(
        ("Method", "Objective", "Distance"),
        [
            (escape["method"], f"{escape['objective']:.8g}", f"{escape['distance']:.4g}")
            for escape in escapes
        ],
    )


def _document(
    source: str, looked_at: Subject, found: CriticalPointResult | None, verdict: Verdict
) -> dict[str, Any]:
    return {
        "source": source,
        "title": looked_at.title,
        "step": looked_at.step,
        "parameters": looked_at.theta.shape[1],
        "finder": None
        if found is None
        else {
            "converged": found.converged,
            "steps": found.steps,
            "products": found.products,
            "distance": found.distance,
            "problem": found.problem,
            "runaway": None if found.runaway is None else asdict(found.runaway),
            "gradient_norms": found.norms.tolist(),
        },
        "kind": verdict.kind,
        "critical": verdict.critical,
        "sentence": verdict.sentence,
        "value": verdict.value,
        "gradient_norm": verdict.gradient_norm,
        "index": verdict.index,
        "zeros": verdict.zeros,
        "flat_directions": [
            {"name": family, "count": count} for family, count in verdict.flat.families
        ],
        "whole_spectrum": verdict.complete,
        "zero_threshold": verdict.threshold,
        "eigenvalues": verdict.eigenvalues.tolist(),
    }


def _say(looked_at: Subject, found: CriticalPointResult | None, verdict: Verdict) -> None:
    say(
        f"{printable(looked_at.title)}, step {looked_at.step:,}: {looked_at.theta.shape[1]:,} parameters"
    )
    if found is not None:
        went = f"{found.steps} steps and {found.products:,} Hessian products, to a distance of {found.distance:.4g}"
        say(f"  finder             {'converged in' if found.converged else 'ended after'} {went}")
        if found.problem and found.runaway is None:
            say(f"  problem            {found.problem}")
    say(f"  the point is       {verdict.sentence}")
    say(f"  objective          {verdict.value:.10g}, gradient norm {verdict.gradient_norm:.3g}")
    low, high = float(verdict.eigenvalues[0]), float(verdict.eigenvalues[-1])
    aside = len(verdict.flat.basis)
    say(
        f"  eigenvalues        from {low:.6g} to {high:.6g}; {verdict.index} negative, "
        f"{verdict.zeros} zero (below {verdict.threshold:.2g})"
        + (f"; {aside} along flat directions are not counted" if aside else "")
    )
