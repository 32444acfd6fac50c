"""Changes to an experiment by dotted path, applied to the tables of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optlab.catalogue.datasets.base import Dataset
from optlab.catalogue.initializers.base import Start
from optlab.catalogue.instruments.base import INSTRUMENTS, declared
from optlab.catalogue.losses.base import Loss
from optlab.catalogue.models.base import Model
from optlab.core import registry
from optlab.core.errors import InvalidInput
from optlab.core.fields import Field, did_you_mean, shown
from optlab.experiment.schedules import SCHEDULES, drop_unknown, set_in
from optlab.experiment.sections import (
    DEFAULTS,
    PLAIN_SECTIONS,
    SECTIONS,
    General,
    default_initializer,
    default_loss,
)


def apply_changes(
    tables: dict[str, Any], changes: Mapping[str, Any], *, fit_loss: bool = True
) -> None:
    """Apply changes to an experiment's tables, in place.

    The result does not depend on the order of the changes; see
    :meth:`optlab.experiment.Experiment.with_values`.

    Args:
        tables: those of the experiment.
        changes: dotted path → value.
        fit_loss: whether a loss that does not suit changed data or another model is replaced.

    Raises:
        InvalidInput: there is no such field, or a text cannot be parsed.
    """
    for path in sorted(changes, key=_rank):
        if _rank(path) == 0:
            _set_component(tables, path.rpartition(".")[0], changes[path])
        elif _rank(path) == 1:
            _set(tables, path, changes[path])
    if (
        fit_loss
        and "loss.name" not in changes
        and any(path.startswith(("dataset.", "model.")) for path in changes)
    ):
        tables["loss"] = suited_loss(tables)
    if "model.name" in changes and "initializer.name" not in changes:
        tables["initializer"] = suited_initializer(tables)
    for path in sorted(changes, key=_rank):
        if path.startswith(f"{SCHEDULES}."):
            set_in(tables, path, changes[path])
        elif path.startswith(f"{INSTRUMENTS}."):
            _set_instrument(tables.setdefault(INSTRUMENTS, {}), path, changes[path])
        elif _rank(path) > 1:
            _set(tables, path, changes[path])


def suited_loss(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the loss section of an experiment's tables, or the default if it does not suit.

    Raises:
        InvalidInput: data, model or loss cannot be built.
    """
    dataset = registry.build(Dataset, tables["dataset"])
    model = registry.build(Model, tables["model"])
    loss = registry.build(Loss, tables["loss"])
    task = model.target_shape(dataset.shape()).task
    return dict(tables["loss"]) if task in loss.tasks else {"name": default_loss(task)}


def suited_initializer(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the initializer section of an experiment's tables, or the default of their model.

    The default takes the place of an initializer that the model does not have, and of that of
    another model if none of its fields was changed.

    Raises:
        InvalidInput: the model cannot be built.
    """
    wanted = default_initializer(registry.build(Model, tables["model"]))
    present = tables["initializer"]
    if registry.get(Start, present["name"]).from_constructor:
        return dict(present) if present["name"] == wanted else {"name": wanted}
    default = registry.build(Start, {"name": DEFAULTS["initializer"]})
    untouched = {**default.values(), "name": default.name}
    return {"name": wanted} if {**untouched, **present} == untouched else dict(present)


def _rank(path: str) -> int:
    """Return the rank of a change.

    Components first, then the fields that determine the task, then all others; an instrument's
    fields after its switch.
    """
    section, _, key = path.rpartition(".")
    if path.startswith(f"{SCHEDULES}."):
        return 2
    if key == "name" and section in SECTIONS:
        return 0
    return (
        1 if section in ("dataset", "model") else 3 if section.startswith(f"{INSTRUMENTS}.") else 2
    )


def _set_component(tables: dict[str, Any], section: str, name: Any) -> None:
    """Fill a section with another component, whose fields have their defaults."""
    if SCHEDULES in tables:
        drop_unknown(tables, section, registry.get(section, name).model_fields)
    tables[section] = {"name": name}


def _set(tables: dict[str, Any], path: str, value: Any) -> None:
    section, _, key = path.rpartition(".")
    if not section:
        if key not in General.model_fields:
            paths = [
                *General.model_fields,
                *(f"{name}.…" for name in (*SECTIONS, *PLAIN_SECTIONS)),
            ]
            raise InvalidInput(
                f"{shown(key)} is not part of an experiment"
                f"{did_you_mean(key, paths)}; paths are: {', '.join(paths)}.",
                key,
            )
        tables[key] = _parsed(General.field(key), value, path)
        return
    sections = (*SECTIONS, *PLAIN_SECTIONS)
    if section not in sections:
        raise InvalidInput(
            f"{path}: there is no section {shown(section)}{did_you_mean(section, sections)}; "
            f"sections are: {', '.join(sections)}.",
            path,
        )
    owner = PLAIN_SECTIONS.get(section) or registry.get(section, tables[section]["name"])
    tables[section][key] = (
        _parsed(owner.field(key), value, path) if key in owner.model_fields else value
    )


def _set_instrument(tables: dict[str, Any], path: str, value: Any) -> None:
    _, name, *rest = path.split(".")
    instrument = declared(name)
    if rest:
        key = ".".join(rest)
        tables.setdefault(name, {})[key] = (
            _parsed(instrument.field(key), value, path) if key in instrument.model_fields else value
        )
    elif value == "on":
        tables.setdefault(name, {})
    elif value == "off":
        tables.pop(name, None)
    else:
        raise InvalidInput(
            f"{path} is {shown(value)}, but it must be on or off; "
            f"to set its schedule, use {path}.every.",
            path,
        )


def _parsed(field: Field, value: Any, path: str) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return field.parse(value)
    except (ValueError, KeyError):
        raise InvalidInput(
            f"{path} is {shown(value)}, but it must be {field.allowed}.", path
        ) from None
