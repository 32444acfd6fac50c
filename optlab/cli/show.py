"""``optlab show``: the page of a component, or the file of a preset, study or scene."""

from __future__ import annotations

import dataclasses
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from optlab.cli.options import json_option
from optlab.cli.output import field_document, say, say_json, say_table, terminal_width
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field
from optlab.core.lazy import typer
from optlab.core.plain_math import plain
from optlab.experiment import Experiment, pages, presets
from optlab.experiment.pages import Page
from optlab.studies.claims import shipped as shipped_claims
from optlab.studies.claims.claim import Claim
from optlab.studies.claims.found import found as found_claims
from optlab.studies.claims.words import page_lines
from optlab.studies.comparison import found as found_studies
from optlab.studies.comparison import shipped
from optlab.tasks.scenes import shipped as shipped_scenes

READING_WIDTH = 100
"""Columns that paragraphs are wrapped to where the terminal does not say."""

ORDER = 60
"""Rank in the list of commands."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(
        "show",
        help=_HELP,
        short_help="Show the page of a component: rule, symbols, fields, source.",
    )(show)


_HELP = (
    "Show the page of NAME: its rule, symbols, fields with defaults and bounds, source, and how "
    "to select it in a file or by flag.\n\n"
    "NAME is a name that optlab list gives, such as momentum. Where several kinds have it, all are "
    "shown; clipping.none "
    "means one. For a preset, a study or a scene, show its file; for a claim, its page. optlab show --all "
    "--json is everything that can be picked, for programs."
)


def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A component (momentum, clipping.none), a preset (digits-mlp), a study, a scene or a claim (K9)."
        ),
    ] = "",
    all: Annotated[
        bool, typer.Option("--all", help="Everything that can be picked, instead of one NAME.")
    ] = False,
    json: Annotated[bool, json_option("pages", "One JSON array")] = False,
) -> None:
    """Run the command.

    Raises:
        InvalidInput: nothing has this name, or none is given.
    """
    if bool(name) == all:
        raise InvalidInput("Give the name of what to show, or --all instead of one.", "name")
    if all:
        _show_all(json)
        return
    preset = next((path for path in presets.files() if path.stem == name), None)
    study = next((path for path in shipped.files() if path.stem == name), None)
    if preset is not None:
        _say([_preset_document(preset)], json)
    elif study is not None:
        _show_study(shipped.read(study), json)
    elif name in shipped_scenes.files():
        _say([_scene_document(shipped_scenes.read(shipped_scenes.files()[name]))], json)
    elif name.strip().upper() in shipped_claims.files():
        _show_claim(shipped_claims.claim(name), json)
    else:
        _show_pages(_pages(name), json)


def _show_all(json: bool) -> None:
    """Show every page, preset, study, scene and claim."""
    found = [
        pages.page(component)
        for kind in registry.kinds()
        for component in registry.components(kind)
    ]
    files = [_preset_document(path) for path in presets.files()]
    files += [_study_document(shipped.read(path)) for path in shipped.files()]
    files += [_scene_document(scene) for scene in shipped_scenes.scenes() if not scene.problem]
    claims = [shipped_claims.claim(name) for name in shipped_claims.files()]
    if json:
        say_json([*map(page_document, found), *files, *map(_claim_document, claims)])
        return
    _show_pages(found, json)
    _say(files, json)
    for claim in claims:
        _show_claim(claim, json)


def _pages(name: str) -> list[Page]:
    try:
        return [pages.page(component) for component in pages.find(name.strip())]
    except InvalidInput as error:
        if "." in name:
            raise
        raise InvalidInput(
            str(error).removesuffix(".") + ", and optlab list presets shows the experiments."
        ) from None


def _show_pages(found: Sequence[Page], json: bool) -> None:
    if json:
        say_json([page_document(page) for page in found])
    else:
        width = min(terminal_width() or READING_WIDTH, READING_WIDTH)
        say("\n\n\n".join("\n".join(lines(page, width)) for page in found))


def _say(files: Sequence[dict[str, Any]], json: bool) -> None:
    """Show presets, studies and scenes, which as text are their files."""
    if json:
        say_json(files)
    else:
        say("\n\n\n".join(file["example"] for file in files))


PLAIN = show
"""See :mod:`optlab.cli.plain_calls`."""


def _preset_document(path: Path) -> dict[str, Any]:
    sentence, see = presets.about(path)
    return {
        "kind": "preset",
        "name": path.stem,
        "label": Experiment.load(path).title(),
        "sentence": sentence,
        "explanation": [see],
        "watch": list(presets.read(path).watch),
        "example": path.read_text(encoding="utf-8").rstrip("\n"),
    }


def _study_document(study: shipped.ShippedStudy) -> dict[str, Any]:
    return {
        "kind": "study",
        "name": study.name,
        "label": study.question,
        "sentence": study.sentence,
        "example": study.path.read_text(encoding="utf-8").rstrip("\n"),
        "found": found_studies.found().get(study.name),
    }


def _show_study(study: shipped.ShippedStudy, json: bool) -> None:
    document = _study_document(study)
    _say([document], json)
    if json or document["found"] is None:
        return
    for line in found_studies.lines(document["found"]):
        say()
        say(line)
    headings, rows = found_studies.table(document["found"])
    if rows:
        say()
        say_table(headings, rows, headed=True)


def _scene_document(scene: shipped_scenes.ListedScene) -> dict[str, Any]:
    if scene.problem:
        raise InvalidInput(scene.problem, "name")
    return {
        "kind": "scene",
        "name": scene.name,
        "label": scene.title,
        "sentence": scene.text,
        "example": scene.path.read_text(encoding="utf-8").rstrip("\n"),
    }


def _claim_document(claim: Claim) -> dict[str, Any]:
    document = {"kind": "claim", "name": claim.id, "label": claim.text.statement}
    found = found_claims().get(claim.id)
    return {**document, **claim.text.values(), "quick": claim.quick, "found": found}


def _show_claim(claim: Claim, json: bool) -> None:
    if json:
        say_json([_claim_document(claim)])
        return
    result = found_claims().get(claim.id)
    width = min(terminal_width() or READING_WIDTH, READING_WIDTH)
    for heading, text in page_lines(claim, result):
        if text:
            say()
        say(heading)
        for line in textwrap.wrap(text, width - 2):
            say(f"  {line}")


def page_document(page: Page) -> dict[str, Any]:
    """Return a page as it is written to JSON, with the lines of its rule also as plain text."""
    document = {field.name: getattr(page, field.name) for field in dataclasses.fields(page)}
    document["fields"] = [field_document(field) for field in page.fields]
    document["symbols"] = [
        {"symbol": symbol, "meaning": meaning} for symbol, meaning in page.symbols
    ]
    document["rule_text"] = [plain(line) for line in page.rule]
    document["flags"] = [_flag(page, field) for field in page.fields]
    return document


def lines(page: Page, width: int) -> Iterator[str]:
    """Return a page as text of at most ``width`` columns, except for what cannot be broken."""
    title = f"{page.label} ({page.kind}.{page.name})"
    yield from (title, "=" * len(title))
    for paragraph in (page.sentence, *page.explanation):
        yield ""
        yield from textwrap.wrap(paragraph, width)
    if page.rule:
        yield from (
            "",
            "Rule",
            *(f"    {plain(line)}" for line in page.rule),
            "",
            "The same in LaTeX",
            *(f"    {line}" for line in page.rule),
        )
    if page.symbols:
        longest = max(len(symbol) for symbol, _ in page.symbols)
        yield from ("", "Symbols")
        for symbol, meaning in page.symbols:
            yield from _hung(f"    {symbol:<{longest}}  ", meaning, width)
    yield from ("", "Fields" if page.fields else "Fields: none")
    for field in page.fields:
        yield from _field_lines(field, width)
    for heading, text in (("Source", page.source), ("Elsewhere", page.differences)):
        if text:
            yield ""
            yield from _hung(f"{heading}: ", text, width)
    yield from _usage(page)


def _hung(head: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, len(head) + 20),
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )


def _field_lines(field: Field, width: int) -> Iterator[str]:
    symbol = f" {field.symbol}" if field.symbol else ""
    yield f"    {field.name}{symbol} = {_as_toml(field.default)}"
    unit = f", in {field.unit}" if field.unit else ""
    yield from _hung(" " * 8, f"{field.label}: {field.allowed}{unit}. {field.help}".strip(), width)
    if field.why:
        yield from _hung(" " * 8, f"Why {_as_toml(field.default)}: {field.why}", width)


def _usage(page: Page) -> Iterator[str]:
    if page.kind == "measure":
        return  # taken by itself in every run to which it applies; no section asks for it
    if page.kind == "demonstration":
        yield from (
            "",
            "By flags",
            f"    optlab explore {page.name}",
            *(f"    {_flag(page, field)}" for field in page.fields),
        )
        return
    if page.kind == "surface":
        yield from (
            "",
            "By flags",
            f"    optlab surface {page.name}",
            *(f"    {_flag(page, field)}" for field in page.fields),
        )
        return
    yield from ("", "In an experiment file", *(f"    {line}" for line in page.example.splitlines()))
    yield from (
        "",
        "By flags of optlab run",
        f"    --instrument {page.name}"
        if page.kind == "instrument"
        else f"    --set {page.kind}.name={page.name}",
        *(f"    {_flag(page, field)}" for field in page.fields),
    )


def _flag(page: Page, field: Field) -> str:
    sections = {"instrument": f"instruments.{page.name}.", "demonstration": ""}
    section = sections.get(page.kind, f"{page.kind}.")
    return f"--set {shlex.quote(f'{section}{field.name}={_typed(field.default)}')}"


def _typed(value: Any) -> str:
    """A value as it is typed after ``--set path=``."""
    return (
        ",".join(str(item) for item in value)
        if isinstance(value, tuple)
        else _as_toml(value).strip('"')
    )


def _as_toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_as_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value!r}"
