"""``optlab list``: what the catalogue holds, and beside it presets, studies, scenes and devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from optlab.cli.options import json_option
from optlab.cli.output import field_document, say, say_json, say_table
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean
from optlab.core.lazy import typer
from optlab.experiment import Experiment, presets
from optlab.experiment.pages import page
from optlab.studies.claims import shipped as shipped_claims
from optlab.studies.claims.found import found
from optlab.studies.comparison import shipped
from optlab.tasks.scenes import shipped as shipped_scenes

ORDER = 50
"""Rank in the list of commands."""
_UNAVAILABLE = "not available: "


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("list", help=_HELP, short_help="List optimizers, data sets, presets, …")(list_kind)


_HELP = (
    "List what there is of a KIND: "
    + ", ".join([*registry.plurals().values(), "presets", "studies", "claims", "scenes", "devices"])
    + ".\n\n"
    "Each line gives a name, as files and flags use it, and what it is. Without KIND, list the "
    "kinds. Read more "
    "about one with optlab show NAME."
)


def list_kind(
    kind: Annotated[
        str, typer.Argument(metavar="[KIND]", help="What to list, in the plural or singular.")
    ] = "",
    json: Annotated[
        bool,
        json_option(
            "name, label, sentence, kind, group, fields and problem of each; problem says why one "
            "cannot be used",
            "One JSON array",
        ),
    ] = False,
) -> None:
    """Run the command."""
    if not kind:
        _say_kinds(json)
        return
    items = _items(kind)
    if json:
        say_json(items)
    else:
        say_table(
            ("Name", "Label", "What it is"),
            [(item["name"], item["label"], item["sentence"]) for item in items],
        )


PLAIN = list_kind
"""See :mod:`optlab.cli.plain_calls`."""


def _say_kinds(json: bool) -> None:
    kinds = [(plural, len(registry.names(kind))) for kind, plural in registry.plurals().items()] + [
        ("presets", len(presets.files())),
        ("studies", len(shipped.files())),
        ("claims", len(shipped_claims.files())),
        ("scenes", len(shipped_scenes.files())),
    ]
    if json:
        say_json(
            [{"name": plural, "count": count} for plural, count in kinds]
            + [{"name": "devices", "count": None}]
        )
        return
    for plural, count in kinds:
        say(f"{plural:<13} {count}")
    say("devices")


def _items(kind: str) -> list[dict[str, Any]]:
    wanted = kind.strip().lower()
    others: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
        "presets": _presets,
        "studies": _studies,
        "claims": _claims,
        "scenes": _scenes,
        "devices": _devices,
    }
    for singular, plural in registry.plurals().items():
        if wanted in (singular, plural):
            return _components(singular)
    for plural, items in others.items():
        if wanted in (plural, plural.removesuffix("s"), plural.replace("ies", "y")):
            return items()
    known = [*registry.plurals().values(), *others]
    raise InvalidInput(
        f"OptLab has no list of '{kind}'{did_you_mean(wanted, known)}; its lists are: "
        f"{', '.join(known)}."
    )


def _components(kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for component in registry.components(kind):
        about, problem = page(component), component.unavailable()
        found.append(
            {
                "name": component.name,
                "label": component.label,
                "sentence": f"{_UNAVAILABLE}{problem}" if problem else about.sentence,
                "kind": kind,
                "group": component.group,
                "fields": [field_document(field) for field in about.fields],
                "problem": problem,
            }
        )
    return found + [
        {
            "name": name,
            "label": name,
            "sentence": f"{_UNAVAILABLE}{reason}",
            "kind": kind,
            "group": "",
            "fields": [],
            "problem": reason,
        }
        for name, reason in registry.refused(kind).items()
    ]


def _presets() -> list[dict[str, Any]]:
    return [
        {
            "name": path.stem,
            "label": Experiment.load(path).title(),
            "sentence": presets.about(path)[0],
            "kind": "preset",
            "group": "",
            "fields": [],
            "problem": "",
        }
        for path in presets.files()
    ]


def _studies() -> list[dict[str, Any]]:
    return [
        {
            "name": study.name,
            "label": study.question,
            "sentence": study.sentence,
            "kind": "study",
            "group": "",
            "fields": [],
            "problem": "",
        }
        for study in shipped.studies()
    ]


def _claims() -> list[dict[str, Any]]:
    results = found()
    return [
        {
            "name": claim.id,
            "label": str(results[claim.id]["verdict"]) if claim.id in results else "not tested",
            "sentence": claim.text.statement,
            "kind": "claim",
            "group": claim.text.chapter,
            "fields": [],
            "problem": "",
        }
        for claim in shipped_claims.claims()
    ]


def _scenes() -> list[dict[str, Any]]:
    return [
        {
            "name": scene.name,
            "label": scene.title,
            "sentence": f"{_UNAVAILABLE}{scene.problem}" if scene.problem else scene.text,
            "kind": "scene",
            "group": scene.figure,
            "fields": [],
            "problem": scene.problem,
        }
        for scene in shipped_scenes.scenes()
    ]


def _devices() -> list[dict[str, Any]]:
    # torch knows the devices: the one list that has to wait for it.
    from optlab.objective.device import available, describe

    labels = {"cpu": "Processor", "cuda": "NVIDIA or AMD GPU", "mps": "Apple GPU"}
    return [
        {
            "name": name,
            "label": labels.get(name, name),
            "sentence": describe(name),
            "kind": "device",
            "group": "",
            "fields": [],
            "problem": "",
        }
        for name in available()
    ]
