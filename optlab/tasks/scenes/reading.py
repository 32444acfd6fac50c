"""Reading a scene: all of it is checked before an audience sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.experiment.named import load as load_experiment
from optlab.experiment.settings import flat
from optlab.studies import demonstrations
from optlab.studies.surfaces.descent import check as check_race
from optlab.tasks.scenes import shipped
from optlab.tasks.scenes.scene import (
    FORMAT,
    MAX_TILES,
    Content,
    DemonstrationScene,
    PictureScene,
    Predict,
    RaceScene,
    RunScene,
    Scene,
    Show,
)
from optlab.tasks.scenes.tables import table_of, tables_of, text_of
from optlab.tasks.surfaces import Method, surface_of

RACE_TILES = ("contours", "relief", "heights", "gradients")
MAX_METHODS = 12
MAX_RACE_STEPS = 20_000
PICTURES = (".png", ".jpg", ".jpeg", ".svg")

_PARTS = ("format", "title", "text", "say", "figure", "order")
_SECTIONS = ("run", "race", "demonstration", "picture", "show", "predict")


def named(source: str, *, check: bool = True) -> Scene:
    """Return the scene of that name, or that in a file.

    Args:
        source: name or path.
        check: see :func:`from_dict`.

    Raises:
        InvalidInput: there is neither, or it is not valid.
    """
    known, path = shipped.files(), Path(source)
    if source in known and not path.is_file():
        return load(known[source], check=check)
    if path.exists() or path.suffix or path.name != source:
        return load(path, check=check)
    raise InvalidInput(
        f"'{source}' is neither a file nor a scene{did_you_mean(source, known)}; scenes are: "
        f"{', '.join(known)}."
    )


def load(path: Path, *, check: bool = True) -> Scene:
    """Return the scene in a file.

    Raises:
        InvalidInput: the file cannot be read or is not valid; the message begins with its path.
    """
    tables = tables_of(path)
    try:
        return from_dict(tables, path, check=check)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}", error.field) from None


def from_dict(tables: Mapping[str, Any], path: Path, *, check: bool = True) -> Scene:
    """Return the scene that a file's tables describe.

    Args:
        tables: of the file.
        path: of the file; paths in it are relative to its folder.
        check: whether it is checked that the parts of an experiment fit each other, which may
            execute code of the user's (see :meth:`optlab.experiment.Experiment.from_dict`), and
            that methods can run on their surface, which needs torch.

    Raises:
        InvalidInput: a value is not valid; the message names the first one.
    """
    _refuse_unknown(tables, (*_PARTS, *_SECTIONS), "a scene")
    version = tables.get("format", FORMAT)
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT:
        raise InvalidInput(
            f"format is {shown(version)}, but this OptLab reads scenes of format {FORMAT}; a newer "
            "OptLab may have written the file.",
            "format",
        )
    order = tables.get("order", 0)
    if not isinstance(order, int) or isinstance(order, bool):
        raise InvalidInput(f"order is {shown(order)}, but it must be a whole number.", "order")
    title = text_of(tables, "title")
    if not title:
        raise InvalidInput("title is missing; say what the scene shows.", "title")
    show = Show.build(table_of(tables, "show"), "show")
    if len(show.tiles) > MAX_TILES:
        raise InvalidInput(
            f"show.tiles has {len(show.tiles)} tiles, but a scene has one or two.", "show.tiles"
        )
    content = _content(dict(tables), path.parent, check=check)
    _check_tiles(content, show)
    return Scene(
        path.stem,
        title,
        text_of(tables, "text"),
        text_of(tables, "say"),
        text_of(tables, "figure"),
        content,
        show,
        _predict(tables, content, show),
    )


def _content(tables: dict[str, Any], folder: Path, *, check: bool) -> Content:
    match shipped.content_kind(tables):
        case "run":
            return _run(table_of(tables, "run"), folder, check=check)
        case "race":
            return _race(table_of(tables, "race"), check=check)
        case "demonstration":
            table = table_of(tables, "demonstration")
            _refuse_unknown(table, ("name", "set"), "demonstration")
            name = text_of(table, "name")
            values = demonstrations.build(name, table_of(table, "set", "demonstration")).values()
            return DemonstrationScene(name, values)
        case _:
            return _picture(text_of(tables, "picture"), folder)


def _run(table: Mapping[str, Any], folder: Path, *, check: bool) -> RunScene:
    _refuse_unknown(table, ("base", "set"), "run")
    base = text_of(table, "base")
    if not base:
        raise InvalidInput(
            'run.base is missing; name a preset or an experiment file, as base = "digits-mlp".',
            "run.base",
        )
    experiment = load_experiment(base, folder, check=check)
    changes = dict(flat(table_of(table, "set", "run")))
    return RunScene(experiment.with_values(changes, check=check) if changes else experiment)


def _race(table: Mapping[str, Any], *, check: bool) -> RaceScene:
    _refuse_unknown(table, ("surface", "methods", "steps", "noise"), "race")
    section = table_of(table, "surface", "race")
    written = table.get("methods", [])
    if not isinstance(written, list) or not 1 <= len(written) <= MAX_METHODS:
        raise InvalidInput(
            f"A race has 1 to {MAX_METHODS} methods; give each a section, [[race.methods]].",
            "race.methods",
        )
    steps, noise = table.get("steps", 100), table.get("noise", 0.0)
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= MAX_RACE_STEPS:
        raise InvalidInput(
            f"race.steps is {shown(steps)}, but it must be a whole number from 1 to "
            f"{MAX_RACE_STEPS:,}.",
            "race.steps",
        )
    if not isinstance(noise, int | float) or isinstance(noise, bool) or not 0 <= noise <= 1e6:
        raise InvalidInput(
            f"race.noise is {shown(noise)}, but it must be a number from 0 to 1e6.", "race.noise"
        )
    methods = tuple(_method(one, index) for index, one in enumerate(written))
    surface, contenders = surface_of(section), [method.contender() for method in methods]
    if check:
        check_race(surface, contenders)
    return RaceScene(section, methods, steps, float(noise))


def _method(written: Any, index: int) -> Method:
    where = f"race.methods[{index + 1}]"
    if not isinstance(written, Mapping):
        raise InvalidInput(f"{where} is {shown(written)}, but it must be a section.", where)
    _refuse_unknown(
        written, ("label", "start", "optimizer", "schedule", "clipping", "color"), where
    )
    start = written.get("start")
    if not isinstance(start, list) or not all(
        isinstance(x, int | float) and not isinstance(x, bool) for x in start
    ):
        raise InvalidInput(
            f"{where}.start is {shown(start)}, but it must be a list of numbers, such as "
            "[0.5, -1.0].",
            f"{where}.start",
        )
    color = written.get("color", index)
    if not isinstance(color, int) or isinstance(color, bool) or color < 0:
        raise InvalidInput(
            f"{where}.color is {shown(color)}, but it must be a whole number from 0.",
            f"{where}.color",
        )
    optimizer = table_of(written, "optimizer", where)
    return Method(
        text_of(written, "label") or str(optimizer.get("name", where)),
        tuple(float(x) for x in start),
        optimizer,
        table_of(written, "schedule", where) or {"name": "constant"},
        table_of(written, "clipping", where) or {"name": "none"},
        color,
    )


def _picture(source: str, folder: Path) -> PictureScene:
    path = folder / source
    if path.suffix.lower() not in PICTURES:
        raise InvalidInput(
            f"picture is {shown(source)}, but it must be a file of a kind {', '.join(PICTURES)}.",
            "picture",
        )
    if not path.is_file():
        raise InvalidInput(f"picture is {shown(source)}, but there is no file {path}.", "picture")
    return PictureScene(path)


def _check_tiles(content: Content, show: Show) -> None:
    """Refuse tiles that a race does not have; those of a run are known to the window."""
    if not isinstance(content, RaceScene):
        return
    for tile in show.tiles:
        if tile not in RACE_TILES:
            raise InvalidInput(
                f"show.tiles has {shown(tile)}{did_you_mean(tile, RACE_TILES)}, but the tiles of a "
                f"race are {', '.join(RACE_TILES)}.",
                "show.tiles",
            )


def _predict(tables: Mapping[str, Any], content: Content, show: Show) -> Predict | None:
    if "predict" not in tables:
        return None
    if not isinstance(content, RunScene):
        raise InvalidInput(
            "Only a run can be predicted; leave out the section predict, or give the scene the "
            "section run.",
            "predict",
        )
    asked = Predict.build(table_of(tables, "predict"), "predict")
    if not asked.low < asked.high:
        raise InvalidInput(
            f"predict.high is {asked.high:g}, but it must be above predict.low, {asked.low:g}.",
            "predict.high",
        )
    if show.y == "log" and asked.low <= 0:
        raise InvalidInput(
            f"predict.low is {asked.low:g}, but it must be above 0 on a logarithmic axis.",
            "predict.low",
        )
    return asked


def _refuse_unknown(table: Mapping[str, Any], known: Iterable[str], owner: str) -> None:
    names = tuple(known)
    for key in table:
        if key not in names:
            raise InvalidInput(
                f"{shown(key)} is not part of {owner}{did_you_mean(str(key), names)}; its parts "
                f"are {', '.join(names)}.",
                str(key),
            )
