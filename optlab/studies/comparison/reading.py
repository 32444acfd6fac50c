"""Reading a study from its TOML file.

All of it is checked, so that nothing is found wrong after hours of training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from optlab.core import registry, toml
from optlab.core.documents import read_document
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.experiment import Experiment
from optlab.experiment.named import load as load_experiment
from optlab.experiment.settings import flat
from optlab.studies.comparison import checks, shipped
from optlab.studies.comparison.fields import Decision, Measured, Seeds
from optlab.studies.comparison.grid import Axis, combinations
from optlab.studies.comparison.study import FORMAT, Arm, ProbeArm, Study, Tuning
from optlab.studies.probes.base import Probe

MAX_ARMS = 256
MAX_TUNING_SEEDS = 1000

_SECTIONS = ("set", "probe", "arms", "seeds", "tune", "measure", "decide")


def named(source: str, *, check: bool = True) -> Study:
    """Return the study of a file, or the shipped one of that name.

    Args:
        source: path or name.
        check: see :func:`from_dict`.

    Raises:
        InvalidInput: there is neither, or it is not valid.
    """
    path, known = Path(source), {file.stem: file for file in shipped.files()}
    if source in known and not path.is_file():
        return load(known[source], check=check)
    if path.exists() or path.suffix or path.name != source:
        return load(path, check=check)
    raise InvalidInput(
        f"'{source}' is neither a file nor a study{did_you_mean(source, known)}; studies are: "
        f"{', '.join(known)}."
    )


def load(path: Path, *, check: bool = True) -> Study:
    """Return the study in a file.

    Raises:
        InvalidInput: the file cannot be read or is not valid; the message begins with its path.
    """
    document = read_document(path, "a study")
    try:
        return from_toml(document, path.parent, check=check)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}", error.field) from None


def from_toml(document: str, folder: Path | None = None, *, check: bool = True) -> Study:
    """Return the study of a TOML document.

    Args:
        document: the text. folder: that paths in it are relative to.

    Raises:
        InvalidInput: the document is not TOML, or no valid study.
    """
    try:
        values = toml.parse(document)
    except toml.TOMLProblem as error:
        raise InvalidInput(f"This is not a TOML file: {error}.") from None
    return from_dict(values, folder, check=check)


def from_dict(
    values: Mapping[str, Any], folder: Path | None = None, *, check: bool = True
) -> Study:
    """Return the study that a file's tables describe.

    Args:
        values: the tables. folder: that paths in them are relative to.
        check: whether the experiments are checked, which executes code of the user's; see
            :meth:`optlab.experiment.Experiment.from_dict`.

    Raises:
        InvalidInput: a value is not valid; the message names the first one.
    """
    known = ("format", "question", "about", "base", *_SECTIONS)
    for key in values:
        if key not in known:
            raise InvalidInput(
                f"{shown(key)} is not part of a study{did_you_mean(key, known)}; its parts are "
                f"{', '.join(known)}.",
                key,
            )
    version = values.get("format", FORMAT)
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= FORMAT:
        raise InvalidInput(
            f"format is {shown(version)}, but this OptLab reads studies of format {FORMAT}; a "
            "newer OptLab may have written the file.",
            "format",
        )
    tables = {key: _table(values.get(key, {}), key) for key in _SECTIONS}
    tuning, axes = _tuning(tables["tune"])
    decided = {"margin": 1.0} if tables["decide"].get("effect") == "ratio" else {}
    study = Study(
        question=_text(values.get("question", ""), "question"),
        about=_text(values.get("about", ""), "about"),
        arms=tuple(_arms(values, tables, axes, folder, check=check)),
        probes=tuple(_probes(tables)),
        seeds=Seeds.build(tables["seeds"], "seeds"),
        measured=Measured.build(tables["measure"], "measure"),
        decision=Decision.build({**decided, **tables["decide"]}, "decide"),
        tuning=tuning,
    )
    checks.check(study)
    return study


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"{key} is {shown(value)}, but it must be a text.", key)
    return value


def _table(value: Any, key: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput(
            f"{key} is {shown(value)}, but it must be a section, [{key}] with its fields below.",
            key,
        )
    return value


def _arms(
    values: Mapping[str, Any],
    tables: Mapping[str, Mapping[str, Any]],
    axes: tuple[Axis, ...],
    folder: Path | None,
    *,
    check: bool,
) -> Iterator[Arm]:
    arms = tables["arms"]
    if not 2 <= len(arms) <= MAX_ARMS:
        raise InvalidInput(
            f"A study compares 2 to {MAX_ARMS} arms, but this one has {len(arms)}; give each a "
            "section, [arms.NAME].",
            "arms",
        )
    common = dict(flat(tables["set"]))
    known: dict[str, Experiment] = {}
    for name, written in arms.items():
        where = f"arms.{name}"
        table = dict(_table(written, where))
        if _is_probe(table, values):
            continue
        measured = _own_measure(table.pop("measure", None), tables["measure"], where)
        source, own = table.pop("base", values.get("base", "")), table.pop("tune", None)
        try:
            base = _base(source, folder, known, check=check)
            changes = {**common, **dict(flat(table))}
            experiment = base.with_values(changes, check=check) if changes else base
        except InvalidInput as error:
            raise InvalidInput(f"{where}: {error}", error.field) from None
        its_axes = axes
        if own is not None:
            its_axes = _axes(_table(own, f"{where}.tune"), f"{where}.tune")
        for setting in combinations(its_axes):
            if setting:
                try:
                    experiment.with_values(setting, check=check)
                except InvalidInput as error:
                    raise InvalidInput(f"{where}: {error}", error.field) from None
        yield Arm(name, experiment, its_axes, measured)


def _is_probe(table: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Return whether an arm is computed: it says so, or all arms that name no base are."""
    return "probe" in table or ("probe" in values and "base" not in table)


def _probes(tables: Mapping[str, Mapping[str, Any]]) -> Iterator[ProbeArm]:
    common = tables["probe"]
    for name, written in tables["arms"].items():
        where = f"arms.{name}.probe"
        table = _table(written, f"arms.{name}")
        if not _is_probe(table, {"probe": common} if common else {}):
            continue
        own = _table(table.get("probe", {}), where)
        unknown = [key for key in table if key != "probe"]
        if unknown:
            raise InvalidInput(
                f"arms.{name} is a probe and has {shown(unknown[0])}, too; an arm that is computed "
                "has the section probe only.",
                f"arms.{name}.{unknown[0]}",
            )
        # Another probe than the common one shares no field with it.
        shared = common if own.get("name", common.get("name")) == common.get("name") else {}
        yield ProbeArm(name, registry.build(Probe, {**shared, **own}, where))


def _own_measure(own: Any, common: Mapping[str, Any], where: str) -> Measured | None:
    if own is None:
        return None
    return Measured.build({**common, **_table(own, f"{where}.measure")}, f"{where}.measure")


def _base(
    source: Any, folder: Path | None, known: dict[str, Experiment], *, check: bool
) -> Experiment:
    if isinstance(source, Mapping):
        return Experiment.from_dict(source, check=check)
    if not isinstance(source, str) or not source:
        raise InvalidInput(
            'base is missing; name a preset or an experiment file, as base = "digits-mlp".', "base"
        )
    if source not in known:
        known[source] = load_experiment(source, folder, check=check)
    return known[source]


def _tuning(table: Mapping[str, Any]) -> tuple[Tuning | None, tuple[Axis, ...]]:
    """Return the tuning of a file and the axes of all arms; None where there is no section."""
    if not table:
        return None, ()
    settings = dict(table)
    by = _text(settings.pop("by", "validation_loss"), "tune.by")
    seeds, goal = settings.pop("seeds", 1), settings.pop("goal", "lowest")
    each = settings.pop("each", False)
    if not isinstance(seeds, int) or isinstance(seeds, bool) or not 1 <= seeds <= MAX_TUNING_SEEDS:
        raise InvalidInput(
            f"tune.seeds is {shown(seeds)}, but it must be a whole number from 1 to "
            f"{MAX_TUNING_SEEDS:,}.",
            "tune.seeds",
        )
    if goal not in ("lowest", "highest"):
        raise InvalidInput(
            f"tune.goal is {shown(goal)}, but it must be lowest or highest.", "tune.goal"
        )
    if not isinstance(each, bool):
        raise InvalidInput(
            f"tune.each is {shown(each)}, but it must be true or false.", "tune.each"
        )
    return Tuning(by, seeds, goal, each), _axes(settings, "tune")


def _axes(table: Mapping[str, Any], where: str) -> tuple[Axis, ...]:
    return tuple(Axis.read(path, value, f"{where}.{path}") for path, value in _ranges(table))


def _ranges(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and range of nested tables: a table with ``from`` is a range, others nest."""
    for key, value in table.items():
        if isinstance(value, Mapping) and "from" not in value:
            yield from _ranges(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
