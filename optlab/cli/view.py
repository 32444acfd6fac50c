"""``optlab view``: a model at a step: its decision region, mistakes, network or curvature."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from optlab.cli.fork import LAST, step_named
from optlab.cli.options import Changes, Json
from optlab.cli.output import say, say_json, say_table
from optlab.cli.run import ONLY_STORED, ChangedData, changed
from optlab.cli.test_part import say_confusion
from optlab.core.errors import InvalidInput
from optlab.core.printable import printable
from optlab.experiment import presets
from optlab.experiment.named import load
from optlab.history.plan import Plan
from optlab.tasks.curvature_views import POINTS as PLANE_POINTS
from optlab.tasks.curvature_views import LossPlane, LossPlaneView, SpectrumAtStep, SpectrumView
from optlab.tasks.decision_region import POINTS, Area, DecisionRegion, RegionView
from optlab.tasks.hard_examples import COUNT, ExamplesView, HardExamples
from optlab.tasks.model_view import ModelViews, View, ViewsAtStepTask, ViewsOfTrainedTask
from optlab.tasks.network_sketch import NetworkSketch, SketchView
from optlab.training.control import Inbox

ORDER = 77
"""Rank in the list of commands."""
_WIDTH, _HEIGHT = 64, 22
"""Columns and rows of a decision region in characters."""
_METAVAR = "region|examples|network|spectrum|landscape"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "view",
        help=_HELP,
        short_help="Show what a model predicts, gets wrong, or looks like, at a step.",
    )(view)


_HELP = (
    "Show the model of a stored RUN at a step, or of an experiment FILE or a PRESET after --steps "
    "steps.\n\n"
    "region: what it predicts over the plane of two inputs. examples: those it gets wrong, by their "
    "loss, and the confusion matrix. network: its layers with the statistics of their weights and "
    "activations. spectrum: the eigenvalues of the Hessian. landscape: the loss on a plane of two "
    "random directions around the weights. Only training and validation examples are used, never the test part. "
    "Try: optlab view region spirals-mlp --steps 2000."
)


def view(
    what: Annotated[str, typer.Argument(metavar=_METAVAR, help="What to show.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE|PRESET",
            help="Id of a stored run, or its beginning; an experiment file; or a preset.",
        ),
    ],
    at: Annotated[
        str, typer.Option(metavar="STEP", help="Step of a stored run; by default its last.")
    ] = LAST,
    steps: Annotated[
        int, typer.Option(metavar="N", help="Steps to train an experiment for; nothing is stored.")
    ] = 0,
    changes: Changes = None,
    part: Annotated[
        str,
        typer.Option(
            metavar="training|validation",
            help="Part of the data; by default validation, where there is one.",
        ),
    ] = "",
    count: Annotated[
        int, typer.Option(metavar="N", help="Examples to list, for examples.")
    ] = COUNT,
    example: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Example whose activations are shown, for network; by default a mean."
        ),
    ] = None,
    points: Annotated[
        int, typer.Option(metavar="N", help="Points of the grid in each direction, for region.")
    ] = POINTS,
    area: Annotated[
        str,
        typer.Option(
            metavar="X0,X1,Y0,Y1",
            help="Part of the plane, in the units of the inputs, for region; by default all of it.",
        ),
    ] = "",
    changed_data: ChangedData = False,
    json: Json = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: there is no such run, step or view, or an option is not allowed.
        OptLabError: the experiment diverges, or the run cannot be read.
    """
    asked = _asked(what, part, count, example, points, area)
    given = Path(source).is_file() or source in {path.stem for path in presets.files()}
    task: ViewsAtStepTask | ViewsOfTrainedTask
    if given or Path(source).suffix:
        if changed_data:
            raise InvalidInput(ONLY_STORED, "changed_data")
        if at != LAST:
            raise InvalidInput(
                f"--at is {at!r}, but '{source}' is an experiment, which has no stored steps; use "
                "--steps.",
                "at",
            )
        task = ViewsOfTrainedTask(changed(load(source), changes or []).to_toml(), steps, (asked,))
    else:
        if changes or steps:
            raise InvalidInput(
                f"'{source}' is a stored run, whose weights are used as they are: --set and "
                "--steps cannot be combined with it; --at chooses a step.",
                "steps",
            )
        task = ViewsAtStepTask(source, step_named(at), changed_data=changed_data, views=(asked,))
    found: Any = None
    for found in task.run(Inbox()):
        if isinstance(found, Plan) and found.announcement and not json:
            print(f"{found.announcement} Ctrl-C cancels.", file=sys.stderr, flush=True)
    assert isinstance(found, ModelViews)
    for sentence in found.refused.values():
        raise InvalidInput(sentence, what)
    result = found.views[asked]
    if json:
        say_json({"view": what, "run": found.run_id or None, **document(result)})
        return
    _say(result)
    for word in found.words:
        say(f"\n{word}")


def _asked(what: str, part: str, count: int, example: int | None, points: int, area: str) -> View:
    if part not in ("", "training", "validation"):
        raise InvalidInput(
            f"--part is {part!r}, but it must be training or validation; the test part is for "
            "optlab measure.",
            "part",
        )
    if area and what != "region":
        raise InvalidInput(
            f"--area is a part of the plane of a decision region; optlab view {what} has none.",
            "area",
        )
    name: Literal["", "training", "validation"] = part  # type: ignore[assignment]
    match what:
        case "region":
            return RegionView(points, area_of(area) if area else None)
        case "examples":
            return ExamplesView(name, count)
        case "network":
            return SketchView(name, example)
        case "spectrum":
            return SpectrumView()
        case "landscape":
            return LossPlaneView(PLANE_POINTS if points == POINTS else points)
    names = _METAVAR.replace("|", ", ").replace(", landscape", " or landscape")
    raise InvalidInput(f"{what!r} is no view; choose {names}.", "what")


def area_of(text: str) -> Area:
    """Return the part of the plane that a text ``X0,X1,Y0,Y1`` names.

    Raises:
        InvalidInput: these are not four numbers.
    """
    try:
        left, right, low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidInput(
            f"--area is '{text}', but it must be four numbers with commas between them, such as "
            "-1,1,0,2.",
            "area",
        ) from None
    return left, right, low, high


Result = DecisionRegion | HardExamples | NetworkSketch | SpectrumAtStep | LossPlane


def document(result: Result) -> dict[str, Any]:
    """Return a view as it is written to JSON: its attributes, arrays as lists."""

    def listed(value: Any) -> Any:
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, dict):
            return {key: listed(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [listed(one) for one in value]
        return value

    found: dict[str, Any] = listed(dataclasses.asdict(result))
    return found


def _say(result: Result) -> None:
    match result:
        case DecisionRegion():
            _say_region(result)
        case HardExamples():
            _say_examples(result)
        case NetworkSketch():
            _say_network(result)
        case SpectrumAtStep():
            _say_spectrum(result)
        case LossPlane():
            _say_plane(result)


def _say_spectrum(found: SpectrumAtStep) -> None:
    reached = "" if found.converged else ", not converged"
    say(f"Step {found.step:,}, {found.examples:,} training examples{reached}\n")
    rows = [(f"λ{number}", f"{value:.6g}") for number, value in enumerate(found.top, start=1)]
    rows += [
        (f"λ−{number}", f"{value:.6g}")
        for number, value in reversed(list(enumerate(found.bottom, start=1)))
    ]
    say_table(("Eigenvalue", "Value"), rows)


def _say_plane(plane: LossPlane) -> None:
    say(
        f"Step {plane.step:,}, {plane.examples:,} training examples: the loss on a plane of two "
        "random directions, as long as the weights at 1\n"
    )
    chosen = np.unique(np.linspace(0, len(plane.a) - 1, 9).round().astype(int))
    say_table(
        ("", *(f"{plane.a[column]:.3g}" for column in chosen)),
        [
            (f"{plane.b[row]:.3g}", *(f"{plane.loss[column, row]:.4g}" for column in chosen))
            for row in chosen[::-1]
        ],
    )


def _say_region(region: DecisionRegion) -> None:
    say(
        f"Step {region.step:,}: prediction over {region.names[0]} (across), {region.names[1]} (up)\n"
    )
    rows = np.linspace(len(region.second) - 1, 0, _HEIGHT).round().astype(int)
    columns = np.linspace(0, len(region.first) - 1, _WIDTH).round().astype(int)
    if region.values is None:
        names = [_LETTERS[k % len(_LETTERS)] for k in range(len(region.classes))]
        symbols = np.array([*names, *(name.lower() for name in names)])
        sure = np.ones(region.predicted.shape, dtype=bool)
        if region.probabilities is not None:
            sure = region.probabilities.max(axis=2) >= 0.9
        shown = symbols[region.predicted + np.where(sure, 0, len(names))]
        legend = ", ".join(
            f"{letter} {printable(name)}"
            for letter, name in zip(names, region.classes, strict=True)
        )
        legend += (
            "; small letters: probability below 90%" if region.probabilities is not None else ""
        )
    else:
        low, high = float(region.values.min()), float(region.values.max())
        share = (region.values - low) / max(high - low, 1e-300)
        shown = np.array(list(" .:-=+*#%@"))[np.clip(share * 10, 0, 9).astype(int)]
        legend = f"from {low:.4g} (blank) to {high:.4g} (@)"
    for number, row in enumerate(rows):
        edge = f"{region.second[row]:9.3g}" if number in (0, _HEIGHT - 1) else " " * 9
        say(f"{edge} | {''.join(shown[row, columns])}")
    say(f"{'':12}{region.first[0]:<10.3g}{region.first[-1]:>{_WIDTH - 10}.3g}")
    say(f"\n{legend}")
    for points in region.points:
        if region.classes:
            say(f"{points.part}: {int(points.wrong.sum()):,} of {len(points.x):,} examples wrong")


def _say_examples(found: HardExamples) -> None:
    say(f"Step {found.step:,}, {found.part} part: mean loss {found.loss:.4g}")
    if found.classes:
        say(f"{found.wrong:,} of {found.examples:,} examples wrong\n")
        say_confusion(found.confusion.tolist(), found.classes, found.part)
        say("\nRecall")
        say_table(
            ("Class", "Recall"),
            [
                (name, "–" if np.isnan(share) else f"{share:.1%}")
                for name, share in zip(found.classes, found.recall, strict=True)
            ],
        )
    say("\nLargest losses" + (" of wrong examples" if found.classes else ""))
    say_table(
        ("Example", "Loss", "True", "Predicted"),
        [
            (
                f"{found.indices[row]:,}",
                f"{found.losses[row]:.4g}",
                _named(found, found.targets[row]),
                _named(found, found.predicted[row]),
            )
            for row in range(len(found.indices))
        ],
        headed=True,
    )


def _named(found: HardExamples, value: Any) -> str:
    if found.classes:
        return found.classes[int(value)]
    values = np.atleast_1d(value)
    return ", ".join(f"{one:.4g}" for one in values[:3]) + (", …" if len(values) > 3 else "")


def _say_network(sketch: NetworkSketch) -> None:
    say(f"Step {sketch.step:,}: {sketch.model}, {sketch.parameters:,} parameters")
    say(f"Activations: {sketch.of}; units that are drawn in the window\n")
    rows = []
    for layer in sketch.layers:
        values = layer.maps if layer.maps is not None else layer.activations
        rows.append(
            (
                layer.name,
                layer.kind,
                f"{layer.units:,}",
                f"{layer.parameters:,}",
                "–" if values is None else f"{values.min():.3g} to {values.max():.3g}",
                "–" if layer.weights is None else f"{np.abs(layer.weights).max():.3g}",
                "; ".join(layer.shapes),
            )
        )
    headings = ("Layer", "Kind", "Units", "Parameters", "Activations", "Largest weight", "Tensors")
    say_table(headings, rows, headed=True)
    for note in sketch.notes:
        say(f"\n{note}")
